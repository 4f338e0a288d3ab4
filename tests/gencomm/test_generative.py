"""The generative code with untrained weights, which are a working transform code."""

from __future__ import annotations

import math
import pickle
import subprocess
import sys

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")

from channels.bits import PackedBits  # noqa: E402
from gencomm.codecs.cae.network import Shape  # noqa: E402
from gencomm.codecs.contract import Received, Status  # noqa: E402
from gencomm.codecs.fixed_length import HEADER_BITS  # noqa: E402
from gencomm.codecs.generative import allocation, inference  # noqa: E402
from gencomm.codecs.generative import codec as codec_module  # noqa: E402
from gencomm.codecs.generative.codec import Generative  # noqa: E402
from gencomm.codecs.generative.export import export, importance, pack  # noqa: E402
from gencomm.codecs.generative.network import GenerativeCode, Sizes  # noqa: E402
from gencomm.codecs.generative.recipe import GenerativeRecipe  # noqa: E402
from gencomm.items import image_item  # noqa: E402
from gencomm.testing import check_codec  # noqa: E402
from gencomm.training.loop import Data, Run  # noqa: E402

NARROW = {"width4": 8, "width8": 8, "width16": 8, "blocks4": 1, "blocks8": 1, "blocks16": 1}
SMALL = Sizes(Shape(24, 12, 16, **NARROW), Shape(24, 12, 16, **NARROW), width32=8, blocks32=1)


def picture(height, width, seed=0):
    """Smooth shades, an edge and some noise."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    waves = [np.sin(x / a + c) * np.cos(y / b) for a, b, c in ((9, 14, 0), (21, 8, 1), (13, 30, 2))]
    value = 120 + (40 + 5 * seed) * np.stack(waves, -1) + 40 * (x > y)[..., None]
    return np.clip(value + rng.normal(0, 3, value.shape), 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    network = GenerativeCode(SMALL)
    crops = np.stack([picture(96, 96, seed) for seed in range(6)]).transpose(0, 3, 1, 2)
    network.calibrate(torch.from_numpy(np.ascontiguousarray(crops)).float())
    with torch.no_grad():  # so that the residual branches do something
        for name, parameter in network.named_parameters():
            if "leave" in name or "expand" in name or "rate" in name or ".out" in name:
                parameter.normal_(0, 0.01)
    return network.eval()


@pytest.fixture(scope="module")
def weights(network, tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "small.safetensors"
    pack(network, {"step": 0, "seconds": 0}, path)
    return str(path)


def item(*size, grey=False, seed=0):
    value = picture(*size, seed)
    return image_item("test", value[..., 0] if grey else value)


def psnr(a, b):
    return 10 * math.log10(255**2 / np.square(a.astype(float) - b).mean())


def flipped(bits, ber, seed=0, after=0):
    hit = np.random.default_rng(seed).random(bits.n_bits) < ber
    hit[:after] = False
    return PackedBits.from_bits(bits.unpack() ^ hit)


def mean_error(copies, ber):
    """Squared error of Gaussian values, as the allocation's law has it, by direct summation."""
    ranks = np.arange(1, allocation.VALUES + 1)
    variance = ranks**-allocation.FALL * np.where(ranks == 1, allocation.FIRST, 1)
    table = np.array(allocation.DISTORTION)
    widths = (copies > 0).sum(1)
    wrong = np.array([0, ber, ber, 3 * ber**2 * (1 - ber) + ber**3])[copies]  # of a majority
    return variance @ (table[widths] + 4 * (wrong * table[: allocation.WIDEST]).sum(1))


@pytest.mark.parametrize("budget", [48, 152, 512])
def test_without_errors_bits_are_where_they_save_most(budget):
    copies = allocation.layout(budget, 0.0).copies
    assert copies.max() == 1
    found, widths = mean_error(copies, 0.0), copies.sum(1)
    for source in np.flatnonzero(widths):
        for target in np.flatnonzero(widths < allocation.WIDEST)[:100]:
            moved = copies.copy()
            moved[source, widths[source] - 1] = 0
            moved[target, moved[target].sum()] = 1
            assert mean_error(moved, 0.0) >= found * (1 - 1e-9)


def test_with_errors_leading_bits_are_sent_again():
    for budget in (152, 512):
        plain, robust = (allocation.layout(budget, ber) for ber in (0.0, 0.03))
        assert robust.copies.sum() == budget
        assert mean_error(robust.copies, 0.03) < 0.75 * mean_error(plain.copies, 0.03)
        assert mean_error(robust.copies, 0.0) > mean_error(plain.copies, 0.0)
        assert (np.diff(robust.copies[0, : robust.widths[0]]) <= 0).all()  # the first first
        assert robust.copies[0, 0] == 3


@pytest.mark.parametrize("ber", [0.0, 0.03])
def test_a_smaller_budget_is_the_beginning_of_a_larger(ber):
    whole = allocation.layout(allocation.MOST, ber)
    for budget in range(allocation.LEAST, allocation.MOST, 37):
        part = allocation.layout(budget, ber)
        assert (part.value == whole.value[:budget]).all()
        assert (part.plane == whole.plane[:budget]).all()
        own = [(k, b) for k, width in enumerate(part.widths) for b in range(width)]
        sent = list(zip(part.value.tolist(), part.plane.tolist(), strict=True))
        assert [own[place] for place in part.source] == sent
        assert set(own) == set(sent)  # each bit is sent


@pytest.mark.parametrize("budget", [0, 47, 513])
def test_budgets_out_of_range(budget):
    with pytest.raises(ValueError, match="48 to 512"):
        allocation.layout(budget, 0.0)


@pytest.mark.parametrize("bpp", [0.05, 0.15, 0.3, 0.5])
def test_the_rate_is_what_was_asked_for_and_independent_of_the_picture(weights, bpp):
    codec = Generative(bpp, weights=weights)
    sizes = {codec.encode(item(352, 288, seed=seed)).bits.n_bits for seed in range(2)}
    assert len(sizes) == 1
    rate = sizes.pop() / (352 * 288)
    assert bpp - 1 / 1024 - 1e-9 <= rate <= bpp or bpp == 0.05  # 48 bits a cell are the least


def test_more_bits_are_better(weights):
    value = picture(128, 160)
    found = []
    for bpp in (0.1, 0.2, 0.5):
        codec = Generative(bpp, weights=weights)
        sent = codec.encode(image_item("x", value))
        found.append(psnr(value, codec.decode(Received(sent.bits)).value))
    assert found[0] < found[1] < found[2]
    assert found[2] > 18


@pytest.mark.parametrize("size", [(1, 1), (31, 33), (64, 64), (7, 200)])
@pytest.mark.parametrize("grey", [False, True])
def test_any_size(weights, size, grey):
    codec = Generative(0.25, weights=weights)
    one = item(*size, grey=grey)
    sent = codec.encode(one)
    out = codec.decode(Received(sent.bits))
    assert out.status is Status.OK
    assert out.value.shape == one.value.shape
    assert sent.meta["bpp_met"] == (sent.bits.n_bits <= 0.25 * one.pixels)


def test_wrong_lengths_are_rejected(weights):
    codec = Generative(0.25, weights=weights)
    bits = codec.encode(item(64, 96)).bits.unpack()
    for wrong in (bits[:-1], bits[:HEADER_BITS], bits[:100], bits[:0], np.append(bits, 0)):
        for lenient in (True, False):
            out = codec.decode(Received(PackedBits.from_bits(wrong), lenient=lenient))
            assert out.status is Status.REJECTED


def test_random_bits_of_the_right_length_are_pictures(weights):
    codec = Generative(0.1, weights=weights)
    header = codec.encode(item(32, 32)).bits.unpack()[:HEADER_BITS]
    budget = codec.cells((32, 32, 3))[2]
    rng = np.random.default_rng(0)
    means = []
    for _ in range(200):
        bits = np.concatenate([header, rng.integers(0, 2, budget, np.uint8)])
        out = codec.decode(Received(PackedBits.from_bits(bits), ber=rng.choice([None, 0.1])))
        assert out.status is Status.OK
        assert out.value.shape == (32, 32, 3)
        means.append(out.value.mean())
    assert np.std(means) > 1  # they differ


@pytest.mark.slow
def test_ten_thousand_random_strings(weights):
    codec = Generative(0.1, weights=weights)
    header = codec.encode(item(32, 32)).bits.unpack()[:HEADER_BITS]
    budget = codec.cells((32, 32, 3))[2]
    rng = np.random.default_rng(1)
    for _ in range(10_000):
        bits = np.concatenate([header, rng.integers(0, 2, budget, np.uint8)])
        out = codec.decode(Received(PackedBits.from_bits(bits)))
        assert out.status is Status.OK
        assert out.value.shape == (32, 32, 3)


def test_an_error_stays_near_its_cell(weights):
    codec = Generative(0.25, weights=weights)
    sent = codec.encode(item(64, 1280))
    clean = codec.decode(Received(sent.bits)).value
    bits = sent.bits.unpack()
    bits[HEADER_BITS : HEADER_BITS + sent.meta["bits_per_cell"]] ^= 1  # all of the first cell
    hit = codec.decode(Received(PackedBits.from_bits(bits))).value
    assert (hit[:, :32] != clean[:, :32]).any()
    assert (hit[:, 32 + 256 :] == clean[:, 32 + 256 :]).all()


def test_size_survives_one_wrong_bit_in_ten(weights):
    codec = Generative(0.25, weights=weights)
    sent = codec.encode(item(40, 72))
    for seed in range(30):  # P(a majority of 15 is wrong) = 3e-5 a bit, 3e-2 for 33 x 30
        out = codec.decode(Received(flipped(sent.bits, 0.05, seed), ber=0.05))
        assert out.status is Status.OK
        assert out.value.shape == (40, 72, 3)


def test_knowing_the_error_rate_helps(weights):
    value = picture(160, 160)
    sent = Generative(0.25, weights=weights).encode(image_item("x", value))
    noisy = [flipped(sent.bits, 0.05, seed, HEADER_BITS) for seed in range(5)]
    found = {}
    for know in (True, False):
        codec = Generative(0.25, know_ber=know, weights=weights)
        outs = [codec.decode(Received(bits, ber=0.05)).value for bits in noisy]
        found[know] = np.mean([psnr(value, out) for out in outs])
    assert found[True] > found[False] + 0.3


def test_equal_llrs_are_hard_decisions_at_a_known_rate(weights):
    soft = Generative(0.2, weights=weights)
    hard = Generative(0.2, decode="hard", weights=weights)
    bits = flipped(soft.encode(item(64, 64)).bits, 0.03)
    certain = math.log(0.97 / 0.03)
    llr = np.where(bits.unpack(), -certain, certain).astype(np.float32)
    one = soft.decode(Received(bits, llr=llr)).value  # the rate follows from the LLRs
    two = hard.decode(Received(bits, llr=llr, ber=0.03)).value
    assert np.abs(one.astype(int) - two).max() <= 1


def test_reliabilities_help(weights):
    value = picture(160, 160)
    soft = Generative(0.25, weights=weights)
    hard = Generative(0.25, decode="hard", weights=weights)
    assert soft.wants == {"llr", "erasures"}
    assert hard.wants == set()
    sent = soft.encode(image_item("x", value)).bits
    rng, gain = np.random.default_rng(0), []
    for _ in range(3):
        seen = 1 - 2.0 * sent.unpack() + rng.normal(0, 0.7, sent.n_bits)
        llr = (2 * seen / 0.7**2).astype(np.float32)
        llr[:HEADER_BITS] = np.where(sent.unpack()[:HEADER_BITS], -50, 50)
        bits = PackedBits.from_bits((llr < 0).astype(np.uint8))
        ber = float((bits.unpack() != sent.unpack()).mean())
        outs = [c.decode(Received(bits, llr=llr, ber=ber)).value for c in (soft, hard)]
        gain.append(psnr(value, outs[0]) - psnr(value, outs[1]))
    assert np.mean(gain) > 0.2


def test_erased_bits_count_for_nothing(weights):
    codec = Generative(0.25, weights=weights)
    sent = codec.encode(item(64, 64)).bits
    erased = np.random.default_rng(0).random(sent.n_bits) < 0.2
    erased[:HEADER_BITS] = False
    outs = []
    for seed in range(2):  # whatever stands in their place
        bits = sent.unpack()
        bits[erased] = np.random.default_rng(seed).integers(0, 2, erased.sum())
        outs.append(codec.decode(Received(PackedBits.from_bits(bits), erasures=erased)).value)
    assert (outs[0] == outs[1]).all()


@pytest.mark.parametrize("labels", ["natural", "gray", "folded", "learnt"])
def test_labels_make_no_difference_without_errors(weights, labels):
    codec = Generative(0.25, labels=labels, weights=weights)
    one = item(64, 64)
    out = codec.decode(Received(codec.encode(one).bits)).value
    plain = Generative(0.25, weights=weights)
    same = plain.decode(Received(plain.encode(one).bits)).value
    assert np.abs(out.astype(int) - same).max() <= 1


def test_classes_tell_what_matters(weights):
    """Flipping bits of class 1 costs more than as many of class 2, and so on."""
    codec = Generative(0.25, weights=weights)
    value = picture(192, 192)
    sent = codec.encode(image_item("x", value))
    assert (sent.classes[:HEADER_BITS] == 0).all()
    assert set(sent.classes[HEADER_BITS:]) == {1, 2, 3, 4}
    rng, found = np.random.default_rng(0), []
    for importance_class in (1, 2, 3, 4):
        places = np.flatnonzero(sent.classes == importance_class)
        bits = sent.bits.unpack()
        bits[rng.choice(places, places.size // 10, replace=False)] ^= 1
        found.append(psnr(value, codec.decode(Received(PackedBits.from_bits(bits))).value))
    assert found == sorted(found)
    assert found[-1] - found[0] > 3


def test_pieces_equal_the_whole(weights, monkeypatch):
    value = picture(96, 800)
    codec = Generative(0.25, weights=weights)
    networks = codec_module._networks(codec.weights)
    whole = networks.analyse(value, 254)
    monkeypatch.setattr(inference, "TILE", 3)
    pieces = networks.analyse(value, 254)
    np.testing.assert_allclose(pieces, whole, atol=2e-3)
    cells = whole.reshape(3, 25, -1)
    small = networks.synthesise(cells, 254, 0.01, (96, 800))
    monkeypatch.setattr(inference, "TILE", 100)
    large = networks.synthesise(cells, 254, 0.01, (96, 800))
    assert np.abs(small.astype(int) - large).max() <= 1


@pytest.mark.timeout(900)  # starts many processes, each of which imports torch
def test_conformance(weights):
    report = check_codec(f"generative(bpp=0.3, weights='{weights}')")
    assert report.ok, str(report)


@pytest.mark.parametrize(
    "options", [{"bpp": 0}, {"bpp": -1.0}, {"labels": "best"}, {"decode": "maybe"}]
)
def test_absurd_options(options):
    with pytest.raises(ValueError):
        Generative(**options)


def test_what_is_no_picture(weights):
    codec = Generative(weights=weights)
    bad = image_item("x", picture(8, 8))
    object.__setattr__(bad, "value", np.zeros((8, 8, 4), np.uint8))
    with pytest.raises(ValueError, match="uint8 pictures"):
        codec.encode(bad)


def test_a_codec_travels_without_its_weights(weights):
    codec = Generative(weights=weights)
    codec.load()
    assert len(pickle.dumps(codec)) < 1000


def test_weights_of_another_network():
    codec = Generative(weights="cae")
    with pytest.raises(ValueError, match="no weights of generative"):
        codec.encode(item(32, 32))


def test_importing_the_codec_imports_no_torch():
    code = "import sys, gencomm.codecs.generative.codec; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_importance_is_the_energy_of_what_a_value_adds():
    """With silent branches the decoder is linear: a unit step adds one basis function."""
    network = GenerativeCode(SMALL).eval()
    with torch.no_grad():
        network.unpack.linear.weight.zero_()
        network.unpack.linear.weight[0, 7] = 0.5  # one coarse latent
    found = importance(network)
    haar_and_dct = 0.5**2 * 60.0**2  # orthonormal; samples are in units of 60
    assert found[7] == pytest.approx(haar_and_dct, rel=1e-3)
    assert np.delete(found, 7).max() == 0


def tiny(monkeypatch, **options):
    monkeypatch.setattr(
        "gencomm.codecs.generative.recipe.GenerativeCode", lambda sizes: GenerativeCode(SMALL)
    )
    recipe = GenerativeRecipe(start="dct", **options)
    recipe.batch = 2
    return recipe


def test_a_step_of_training_has_a_gradient_everywhere(monkeypatch):
    recipe = tiny(monkeypatch)
    network = recipe.network()
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if "leave" in name or "expand" in name or ".out" in name:
                parameter.normal_(0, 0.01)
    crops = np.stack([picture(192, 192, seed) for seed in range(4)]).transpose(0, 3, 1, 2)
    crops = torch.from_numpy(np.ascontiguousarray(crops))
    recipe.start(network, crops)
    network.train()
    generator = torch.Generator().manual_seed(0)
    for _ in range(3):
        loss, numbers = recipe.loss(network, crops[:2], generator)
        loss.backward()
    assert math.isfinite(numbers["loss"])
    silent = [
        name
        for name, parameter in network.named_parameters()
        if parameter.grad is None or not parameter.grad.abs().max() > 0
    ]
    assert not silent
    grouped = sum(p.numel() for group in recipe.groups(network) for p in group["params"])
    assert grouped == sum(p.numel() for p in network.parameters())


def test_training_goes_on_from_a_codecs_weights_and_comes_back(monkeypatch, weights, tmp_path):
    recipe = tiny(monkeypatch)
    pictures = [picture(192, 192, seed).transpose(2, 0, 1) for seed in range(2)]
    run = Run(recipe, Data(None, pictures, []), seed=0)
    run.load_weights(weights)
    run.save_weights(tmp_path / "run.safetensors")
    monkeypatch.setattr(
        "gencomm.codecs.generative.export.GenerativeCode", lambda sizes: GenerativeCode(SMALL)
    )
    export(tmp_path / "run.safetensors", tmp_path / "again.safetensors", "nothing")
    first, again = (Generative(weights=str(p)) for p in (weights, tmp_path / "again.safetensors"))
    assert again.weights.state["history"] == "nothing"
    for name, array in first.weights.part("network").items():
        np.testing.assert_array_equal(array, again.weights.part("network")[name])


@pytest.mark.parametrize("options", [{"phase": "third"}, {"aware": "maybe"}, {"start": "x"}])
def test_unknown_options_of_the_recipe(options):
    with pytest.raises(ValueError, match="is "):
        GenerativeRecipe(**options)


@pytest.mark.slow
def test_a_measured_map_orders_bits_nearly_as_the_closed_form_does(weights):
    """The small network is close to linear: what is measured through it is near what is known."""
    module = pytest.importorskip("gencomm.training.sensitivity")
    (plan,) = module.cell_plans(Generative(weights=weights).weights)
    found = module.flip_changes(plan, [item(96, 96, seed=seed) for seed in range(2)])
    assert found.shape == (512,)
    assert (found >= 0).all()
    seen = found > 0
    assert np.corrcoef(np.log(found[seen]), np.log(plan.known[seen]))[0, 1] > 0.8
