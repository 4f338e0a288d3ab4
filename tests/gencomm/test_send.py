"""send: the same trial as a sweep's, whatever the codec does."""

import importlib

import numpy as np
import pytest
from PIL import Image

from channels.bits import PackedBits
from channels.link import Link
from channels.noise import NoiseStream
from channels.spec import SpecError
from gencomm.codecs.contract import Decoded, Encoded, Status
from gencomm.policy import Policy
from gencomm.sending import Sent, send
from gencomm.sources import image_item


def picture(shape=(24, 32, 3)):
    y, x = np.mgrid[: shape[0], : shape[1]]
    value = (x * 7 + y * 5) % 256
    return (value if len(shape) == 2 else np.stack([value] * 3, -1)).astype(np.uint8)


class Samples:
    """The plainest codec: 16 bits of header, then the samples."""

    name = "samples"
    modality = "image"
    wants = frozenset()

    def __init__(self, shape=(24, 32, 3)):
        self.shape = shape

    def encode(self, item):
        bits = PackedBits.from_bytes(b"\xab\xcd" + item.value.tobytes())
        return Encoded(bits, header_bits=16)

    def decode(self, received):
        data = received.bits.to_bytes()
        if data[:2] != b"\xab\xcd":
            return Decoded.rejected("the header is damaged")
        return Decoded(np.frombuffer(data[2:], np.uint8).reshape(self.shape))


def _out_of_memory(received):
    raise MemoryError("too much")


class Soft(Samples):
    name = "soft"
    wants = frozenset({"llr"})

    def decode(self, received):
        assert received.llr is None or received.llr.shape == (received.bits.n_bits,)
        self.seen = received
        return super().decode(received)


def test_nothing_is_lost_without_noise():
    out = send(picture(), Samples(), "clean")
    assert isinstance(out, Sent)
    np.testing.assert_array_equal(out.received, out.original)
    assert out.status is Status.OK
    assert out.bit_errors == 0
    assert out.scores == out.clean_scores
    assert out.scores["psnr"] == 100.0


def test_the_noise_is_that_of_the_link_by_itself():
    """Send's picture is the link's own bits: the same seed, link, item and trial."""
    item = image_item("p", picture())
    out = send(item, Samples(), "bsc(1e-3)", seed=7, trial=3, policy=Policy(header="protected"))
    link = Link.parse("bsc(1e-3)")
    stream = NoiseStream(7, link.text, item.hash)
    batch = link.transmit(PackedBits.from_bytes(item.value.tobytes()), [3], stream)
    np.testing.assert_array_equal(out.received.ravel(), batch.bits[0])
    assert out.bit_errors == batch.bit_errors[0] > 0
    again = send(item, Samples(), "bsc(p=0.001)", seed=7, trial=3, policy=out.policy)
    np.testing.assert_array_equal(again.received, out.received)
    other = send(item, Samples(), "bsc(1e-3)", seed=7, trial=4, policy=out.policy)
    assert not np.array_equal(other.received, out.received)


def test_psnr_of_raw_samples_is_the_closed_form():
    """Each bit wrong with p: MSE is p times the sum of squared place values, 21845 p."""
    rng = np.random.default_rng(0)
    item = image_item("p", rng.integers(0, 256, (256, 256, 3), dtype=np.uint8))
    policy = Policy(header="protected")
    out = send(item, Samples((256, 256, 3)), "bsc(0.01)", policy=policy, metrics=["psnr"])
    expected = 10 * np.log10(255**2 / (0.01 * 21845))
    assert out.scores["psnr"] == pytest.approx(expected, abs=0.15)


def test_outages_are_shown_and_scored():
    out = send(picture(), Samples(), "bsc(0.4)", policy=Policy(conceal="mean"))
    assert out.status is Status.REJECTED
    assert out.detail == "the header is damaged"
    mean = np.rint(picture().mean(axis=(0, 1)))
    np.testing.assert_array_equal(out.received[0, 0], mean)
    assert "rejected: the header is damaged" in str(out)
    assert out.clean_scores["psnr"] == 100.0


@pytest.mark.parametrize(
    ("decode", "status"),
    [
        (lambda r: 1 / 0, Status.CRASHED),
        (lambda r: Decoded(picture((5, 5, 3))), Status.WRONG_SIZE),
        (_out_of_memory, Status.MEMORY),
    ],
)
def test_bad_decoders_cost_a_status(decode, status):
    codec = Samples()
    codec.decode = decode  # type: ignore[method-assign]
    out = send(picture(), codec, "bsc(0.1)")
    assert out.status is status
    assert np.all(out.received == 128)


def test_soft_codecs_get_llrs():
    codec = Soft()
    send(picture(), codec, "qpsk|awgn(ebno_db=9)", policy=Policy(header="protected"))
    assert codec.seen.llr is not None
    assert np.all(np.isfinite(codec.seen.llr))


def test_ledger_and_its_text():
    out = send(picture(), Samples(), "qam16|awgn(ebno_db=12)", policy=Policy(header="protected"))
    n = 24 * 32 * 24
    assert out.ledger.payload_bits == out.n_bits == n
    assert out.ledger.link.channel_uses == n // 4
    assert out.ledger.cbr == pytest.approx(2.0)  # 8 bits a sample, 4 bits a use
    text = str(out)
    for part in ("18,432 bits", "16 bits granted error-free", "4,608 channel uses", "ebno_db 12"):
        assert part in text
    plain = out.as_dict()
    assert plain["ledger"]["link"]["channel_uses"] == n // 4
    assert plain["status"] == "ok"


@pytest.mark.parametrize("shape", [(24, 32, 3), (24, 32), (1, 1, 3), (3, 200, 3), (200, 3)])
def test_it_shows_itself(shape, tmp_path):
    out = send(picture(shape), Samples(shape), "bsc(0.01)", policy=Policy(header="protected"))
    assert out._repr_png_().startswith(b"\x89PNG")
    html = out._repr_html_()
    assert html.startswith('<img src="data:image/png;base64,')
    assert "channel uses" in html
    path = out.save(tmp_path / "deep" / "out.png")
    with Image.open(path) as image:
        assert image.width > 300


def test_paths_sources_and_other_things(tmp_path):
    Image.fromarray(picture()).save(tmp_path / "photo.png")
    assert send(tmp_path / "photo.png", Samples(), "clean").item.id == "photo"
    assert send(str(tmp_path / "photo.png"), Samples(), "clean").item.id == "photo"
    shape = (300, 451, 3)
    assert send("photos(names=[chelsea])", Samples(shape), "clean").item.id == "chelsea"
    with pytest.raises(ValueError, match=r"gone\.png doesn't exist"):
        send(tmp_path / "gone.png", Samples(), "clean")
    with pytest.raises(SpecError, match="limit must be at least 1"):
        send("photos(limit=0)", Samples(), "clean")
    with pytest.raises(SpecError, match="did you mean 'bsc'"):
        send(picture(), Samples(), "bcs(1e-3)")
    with pytest.raises(SpecError, match="did you mean 'psnr'"):
        send(picture(), Samples(), "clean", metrics=["psnrr"])
    with pytest.raises(SpecError, match="no codec is called"):
        send(picture(), "nonesuch(3)", "clean")


def test_a_codec_of_another_modality_is_refused():
    codec = Samples()
    codec.modality = "video"  # type: ignore[misc]
    with pytest.raises(ValueError, match="samples takes video, and array is image"):
        send(picture(), codec, "clean")


def test_in_a_process_of_its_own():
    out = send(picture((48, 64, 3)), "jpeg(quality=80)", "bsc(1e-4)")
    assert out.codec == "jpeg(quality=80)"
    assert out.clean_scores["psnr"] > 25
    local = send(picture((48, 64, 3)), "jpeg(quality=80)", "bsc(1e-4)", isolate=False)
    assert local.scores == out.scores
    np.testing.assert_array_equal(local.received, out.received)


def test_verbs_stay_functions_whatever_is_imported():
    import gencomm.api

    for module in ("gencomm.sending", "gencomm.sweeps.run", "gencomm.links"):
        importlib.import_module(module)
    assert gencomm.send is gencomm.api.send
    assert gencomm.sweep is gencomm.api.sweep
    assert gencomm.link is gencomm.api.link
