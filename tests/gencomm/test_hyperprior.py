"""The hyperprior's conditional model: what each latent may know, and what it knows in integers."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("constriction")

from gencomm.bitstream.conditional import ConditionalCoder, ConditionalTables  # noqa: E402
from gencomm.bitstream.range_coding import Models  # noqa: E402
from gencomm.codecs.cae.network import Shape  # noqa: E402
from gencomm.codecs.hyperprior.export import LEVELS, conditional_arrays  # noqa: E402
from gencomm.codecs.hyperprior.network import Hyperprior  # noqa: E402
from gencomm.codecs.hyperprior.recipe import HyperpriorRecipe  # noqa: E402
from gencomm.nn.conditional import Groups, compand  # noqa: E402
from gencomm.nn.gains import interpolation  # noqa: E402

SMALL = Shape(width4=8, width8=8, width16=8, blocks4=1, blocks8=1, blocks16=1)
GROUPS = Groups(width=8, bridge=8)
LAMBDAS = (0.001, 0.005, 0.03)


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    network = Hyperprior(LAMBDAS, SMALL, GROUPS)
    with torch.no_grad():
        for parameter in network.parameters():
            if not parameter.any():
                parameter.normal_(0, 0.05)
        network.context.typical.uniform_(0.2, 2)
        network.load_state_dict({k: v.half().float() for k, v in network.state_dict().items()})
    return network.eval()


@pytest.fixture(scope="module")
def model(network):
    with torch.no_grad():
        arrays = conditional_arrays(network)
    trained = {name: value.half().numpy() for name, value in network.context.state_dict().items()}
    return ConditionalTables.from_arrays(trained, arrays)


def latents(rows, columns, seed=0):
    rng = np.random.default_rng(seed)
    coarse = rng.laplace(0, 3, (64, rows, columns))
    fine = rng.laplace(0, 1, (128, 2 * rows, 2 * columns))
    return coarse.astype(np.float32), fine.astype(np.float32)


def one_slice(planes):
    """As the coder takes them."""
    return tuple(plane[:, None] for plane in planes)


@pytest.mark.parametrize("rate", [0, 1, 2])
@pytest.mark.parametrize("size", [(6, 5), (1, 1), (1, 4)])
def test_integers_agree_with_the_network_in_floating_point(network, model, rate, size):
    """Means within a hundredth of a step or so, scales within half a table's width."""
    planes = latents(*size)
    coder = ConditionalCoder(model, Models(model.tables), round(rate / 2 * (LEVELS - 1)))
    means = {0: np.zeros_like(planes[0]), 1: np.zeros_like(planes[1])}
    positions = {0: np.zeros_like(planes[0]), 1: np.zeros_like(planes[1])}
    symbols = {0: np.zeros_like(planes[0]), 1: np.zeros_like(planes[1])}

    def code(channel, tables, mean, where):
        which, first = (0, 0) if channel < 64 else (1, 64)
        part = slice(channel - first, channel - first + len(tables))
        here = (part, *where[1:])
        own = slice(channel, channel + len(tables))
        starts = coder.start[:-1][own, None, None] - model.first[own, None, None]
        means[which][here] = mean[:, 0] / 64
        positions[which][here] = tables[:, 0] - starts
        symbols[which][here] = np.rint(planes[which][here] - mean[:, 0] / 64)
        return symbols[which][here].astype(np.int32)[:, None]

    *values, sound = coder._walk(code, lambda: np.ones(1, bool), 1, *size)
    assert sound.tolist() == [192]
    values = [value[:, 0] for value in values]
    for which in (0, 1):
        assert np.abs(values[which] / 64 - symbols[which] - means[which]).max() < 1e-6
    # the network is shown the values that the integers arrived at, so that it rounds as they did
    weight = interpolation(torch.tensor([float(rate)]), 3)
    with torch.no_grad():
        gain = network.gains(weight)[0]
        shown = [torch.from_numpy(value / 64).float()[None] for value in values]
        _, _, groups = network.context(*shown, gain, weight)
    at = 0
    for residual, log_scale, first in groups:
        which, start = (0, 0) if first < 64 else (1, 64)
        part = slice(first - start, first - start + residual.shape[1])
        error = residual[0].numpy() - symbols[which][part]
        assert np.abs(error).max() < 0.05
        position = 8 * log_scale[0].numpy() / np.log(2)
        middle = positions[which][part] + 0.5
        least = model.first[first : first + len(middle), None, None]
        most = least + model.count[first : first + len(middle), None, None] - 1
        inside = (positions[which][part] > least) & (positions[which][part] < most)
        assert np.abs(position - middle)[inside].max(initial=0) < 0.6
        at += residual.shape[1]
    assert at == 192


def test_nothing_depends_on_what_comes_later(network):
    """Change a latent: everything before it in decoding order keeps its mean and scale."""
    torch.manual_seed(1)
    coarse, fine = (torch.from_numpy(plane)[None] for plane in latents(6, 6))
    weight = interpolation(torch.tensor([1.0]), 3)
    gain = network.gains(weight)[0]

    def run(coarse, fine):
        with torch.no_grad():
            _, _, groups = network.context(coarse, fine, gain, weight)
        residual = torch.cat([group.residual for group in groups[:4]], 1)
        return coarse - residual, [group.log_scale for group in groups]

    mean, scales = run(coarse, fine)
    changed = coarse.clone()
    changed[:, 20, 1::2, ::2] += 7  # of the third group, its last pass
    other_mean, other = run(changed, fine)
    for number in range(3):
        assert torch.equal(scales[number], other[number])
    assert (mean - other_mean)[:, :32].abs().max() < 1e-5
    assert (mean - other_mean)[:, 32:].abs().max() > 1e-3
    for number in range(3, 8):
        assert not torch.equal(scales[number], other[number])
    changed = fine.clone()
    changed[:, 20] += 7  # of the second group
    _, other = run(coarse, changed)
    for number in range(8):
        assert torch.equal(scales[number], other[number]) == (number < 6)


def test_behind_damage_latents_take_their_means(model):
    coder = ConditionalCoder(model, Models(model.tables), 40)
    [stream], _ = coder.encode(*one_slice(latents(8, 8)))
    streams = [stream, stream[: len(stream) // 2], b"\xff" * 9]
    *planes, found = coder.decode(streams, 8, 8)
    assert found[0] == 192
    sound = found[1]
    assert 16 <= sound < 192
    whole, cut, rubbish = ([plane[:, k] for plane in planes] for k in range(3))
    for part, plane, first in ((0, 64, 0), (1, 128, 64)):
        kept = max(0, min(plane, sound - first))
        assert np.array_equal(whole[part][:kept], cut[part][:kept])
    # zeros would be multiples of nothing: means are seldom zero
    assert np.count_nonzero(cut[1][64:]) > 0.5 * cut[1][64:].size
    assert found[2] == 0
    assert not any(plane.any() for plane in rubbish)


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
def test_slices_side_by_side_are_those_alone(model, share):
    coder = ConditionalCoder(model, Models(model.tables), 40)
    several = [latents(5, 6, seed) for seed in range(3)]
    streams, estimate = coder.encode(*(np.stack(one, 1) for one in zip(*several, strict=True)))
    alone = [coder.encode(*one_slice(one)) for one in several]
    assert streams == [stream for [stream], _ in alone]
    assert estimate == pytest.approx(sum(cost for _, cost in alone))
    streams[1] = streams[1][: int(share * len(streams[1]))]
    *together, sound = coder.decode(streams, 5, 6)
    for k, stream in enumerate(streams):
        *planes, found = coder.decode([stream], 5, 6)
        assert found[0] == sound[k]
        for one, all_of_them in zip(planes, together, strict=True):
            assert np.array_equal(one[:, 0], all_of_them[:, k])


def test_encoders_round_by_cost(model):
    """Each symbol against the sum of its frequency's bits and its error's worth, one by one."""
    coder = ConditionalCoder(model, Models(model.tables), 40)
    rng = np.random.default_rng(0)
    distance = rng.laplace(0, 1.5, (3, 4, 5))
    distance[0, 0, 0] = 1e9
    tables = rng.integers(0, len(model.tables), distance.shape)
    found = coder._rounded(distance, tables, 70)
    differ = 0
    for at in np.ndindex(*distance.shape):
        row = model.tables.row(tables[at])
        reach = (row.size - 2) // 2

        def total(symbol, at=at, row=row, reach=reach):
            bits = 16 - np.log2(row[symbol + reach]) if abs(symbol) <= reach else 32
            return bits + model.worth[40, 70 + at[0]] * (distance[at] - symbol) ** 2

        nearest = int(np.clip(np.rint(distance[at]), -16383, 16383))
        choice = {nearest, nearest - int(np.sign(nearest))}
        assert total(found[at]) == pytest.approx(min(map(total, choice)), rel=1e-5)
        differ += found[at] != nearest
    assert differ > 0


def test_the_integer_root_is_the_networks():
    values = np.arange(-5000, 5000, 7).reshape(1, 1, 1, -1)

    class Model:
        unit = np.array([[round(0.3 * 2**20)]], np.float64)

    coder = ConditionalCoder.__new__(ConditionalCoder)
    coder.model, coder.level = Model, 0
    found = coder.companded(values, slice(0, 1)) / 2**10
    expected = compand(torch.from_numpy(values / 64 * 0.3)).numpy()
    assert np.abs(found - expected).max() < 2**-9


def test_groups_must_fit():
    with pytest.raises(ValueError, match="don't divide"):
        Hyperprior(LAMBDAS, SMALL, Groups(coarse=(4, 12)))


def test_weights_too_large_for_exact_sums(network):
    with torch.no_grad():
        arrays = conditional_arrays(network)
    trained = {name: value.half().numpy() for name, value in network.context.state_dict().items()}
    trained["bridge.weight"] = np.full_like(trained["bridge.weight"], 9)
    with pytest.raises(ValueError, match="beyond 8"):
        ConditionalTables.from_arrays(trained, arrays)


@pytest.mark.parametrize("distortion", ["mse", "ms_ssim"])
def test_a_step_of_training_has_a_gradient_everywhere(distortion):
    recipe = HyperpriorRecipe(distortion)
    torch.manual_seed(0)
    network = Hyperprior(recipe.lambdas, SMALL, GROUPS)
    crops = torch.randint(0, 256, (2, 3, recipe.side, recipe.side), dtype=torch.uint8)
    recipe.start(network, crops)
    groups = recipe.groups(network)
    assert sum(len(group["params"]) for group in groups) == len(list(network.parameters()))
    assert all(p.ndim == 4 for group in groups if group["matrices"] for p in group["params"])
    with torch.no_grad():  # zeros pass no gradient on
        for parameter in network.parameters():
            if not parameter.any():
                parameter.normal_(0, 0.01)
    loss, _ = recipe.loss(network.train(), crops, torch.Generator().manual_seed(0))
    loss.backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
        assert parameter.grad.any(), name
