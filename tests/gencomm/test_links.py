"""`gencomm link`: curves of error rates, their table and figure."""

import math

import pytest

import channels
from channels.simulate import simulate
from channels.spec import SpecError
from gencomm.links import LinkCurves, link, record, reference_lines

QUICK = {"target_block_errors": 20, "max_bits": 2e5}


def test_a_link_without_medium_gets_awgn_and_climbs():
    curves = link("qpsk", **QUICK)
    table = curves.table()
    assert curves.axis == "ebno_db"
    assert table["link"].unique().tolist() == ["qpsk|awgn(ebno_db={ebno_db})"]
    assert table["ebno_db"].is_monotonic_increasing
    # starts at the Shannon limit (1.76 dB for 2 bits a symbol), ends where errors run out
    assert 0.7 < table["ebno_db"].iloc[0] <= 1.77
    assert table["stop_reason"].iloc[-1] == "max_bits"
    assert (table["stop_reason"].iloc[:-1] == "block_errors").all()


def test_values_go_into_a_placeholder(tmp_path):
    seen = []
    curves = link(
        "bsc({ber})",
        values=[1e-2, 1e-3],
        block_bits=500,
        progress=lambda text, value, rates: seen.append((value, rates.stop_reason)),
        **QUICK,
    )
    assert curves.axis == "ber"
    assert [value for value, reason in seen if reason != "running"] == [1e-2, 1e-3]
    curves.to_csv(tmp_path / "points.csv")
    assert (tmp_path / "points.csv").read_text().splitlines()[0].startswith("link,ber,block_bits")


def test_reference_lines_know_the_shannon_limit():
    curves = link(["qpsk", "qam16"], values=[4.0], **QUICK)
    found = reference_lines(curves)
    limits = [found[name]["shannon_db"] for name in found]
    assert limits == pytest.approx([1.761, 5.740], abs=1e-3)  # (2^r - 1) / r at r = 2 and 4


def test_figure_is_drawn_with_its_axis(tmp_path):
    figure = link("qpsk", values=[2, 4], **QUICK).plot()
    assert "N_0" in figure.axes[0].get_xlabel()
    figure.savefig(tmp_path / "f.png")
    assert (tmp_path / "f.png").stat().st_size > 10_000


@pytest.mark.parametrize(
    ("specs", "options", "message"),
    [
        ("qpsk|awgn(ebno_db=3)", {}, "fixes its SNR"),
        ("bsc(0.1)", {"values": [1]}, "medium of its own|placeholder"),
        ("bsc({ber})", {}, "give the values of ber"),
        (["bsc({ber})", "qpsk"], {"values": [1]}, "vary different things"),
        ("qpsk", {"axis": "ber", "values": [1]}, "no placeholder"),
        ([], {}, "at least one link"),
        ("qpskk", {"values": [1]}, "did you mean 'qpsk'"),
    ],
)
def test_mistakes_are_explained(specs, options, message):
    with pytest.raises((ValueError, SpecError), match=message):
        link(specs, **options)


def test_fading_is_drawn_beside_its_closed_form():
    table = link("qpsk|rayleigh", values=[10.0], target_block_errors=200, max_bits=4e6).table()
    row = table.iloc[0]
    # Proakis, Digital Communications, equation (13.3-7)
    assert row.theory_ber == pytest.approx(0.5 * (1 - math.sqrt(10 / 11)), rel=1e-9)
    assert row.ber_low < row.theory_ber < row.ber_high


def test_effective_energy_counts_frames():
    """A header and a check of 16 and 32 bits to 1024: 10 lg(1072 / 1024) dB more."""
    table = link("packets(bytes=128)|qpsk", values=[6.0], block_bits=1024, **QUICK).table()
    expected = 6 + 10 * math.log10(1072 / 1024)
    assert table.ebno_effective_db[0] == pytest.approx(expected, abs=1e-9)


def test_unequal_protection_asks_for_energy_per_symbol():
    with pytest.raises(SpecError, match="--esno-db"):
        link("unequal(conv, none)|qpsk", values=[3.0])
    curves = link("unequal(conv, none)|qpsk", values=[3.0], axis="esno_db", **QUICK)
    assert curves.table().bit_errors[0] == 0 or curves.table().ber[0] < 1e-2


def test_recorded_errors_are_a_channel(tmp_path):
    path = tmp_path / "errors.trace"
    told = []
    found = record("conv|qpsk", path, value=2.0, max_bits=4e5, progress=lambda *n: told.append(n))
    assert found.link == "conv|qpsk|awgn(ebno_db=2)"
    assert found.n_bits % 1024 == 0  # whole blocks: no padding lowers the error rate
    assert told[-1] == (found.trials, found.trials)
    assert found.bit_errors > 100
    played = simulate(f"trace({path})", block_bits=200, target_block_errors=50, max_blocks=2000)
    assert played.theory_ber == pytest.approx(found.ber, rel=1e-12)
    # as many bits are wrong as on a BSC of that rate, in far fewer blocks: errors come in bursts
    assert played.bler < 0.7 * simulate(f"bsc({found.ber!r})", block_bits=200).bler


@pytest.mark.parametrize(
    ("spec", "options", "message"),
    [
        ("conv|qpsk", {}, "ends without a medium"),
        ("bsc({ber})", {}, "give the value of {ber}"),
        ("bsc(0.1)", {"block_bits": 9}, "multiple of 8"),
    ],
)
def test_what_can_not_be_recorded(spec, options, message, tmp_path):
    with pytest.raises((ValueError, SpecError), match=message):
        record(spec, tmp_path / "x.trace", **options)
    assert not list(tmp_path.iterdir())


def test_recording_on_the_command_line(tmp_path, capsys):
    from gencomm.cli import main

    path = tmp_path / "burst.trace"
    words = ["link", "gilbert_elliott(0.05, 20)", "--max-bits", "200000", "--record", str(path)]
    assert main(words) == 0
    shown = capsys.readouterr().out
    assert f"trace({path})" in shown
    recorded = channels.read_recording(path)
    assert recorded.total_bits >= 200_000
    assert f"{recorded.bit_errors:,} of" in shown
    assert main(["link", "qpsk", "conv|qpsk", "--ebno-db", "3", "--record", str(path)]) == 2
    assert "one link" in capsys.readouterr().err


def test_an_empty_set_of_curves_has_an_empty_table():
    assert len(LinkCurves("ebno_db").table()) == 0


def test_a_figure_of_no_known_format_is_refused_before_the_simulation(monkeypatch, capsys):
    from gencomm import api
    from gencomm.cli import main

    monkeypatch.setattr(api, "link", lambda *a, **k: pytest.fail("simulated first"))
    assert main(["link", "qpsk", "--out", "curve.jpg"]) != 0
    assert ".png, .pdf or .svg" in capsys.readouterr().err
