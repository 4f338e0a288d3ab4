"""`gencomm link`: curves of error rates, their table and figure."""

import pytest

from channels.spec import SpecError
from gencomm.links import LinkCurves, link, reference_lines

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


def test_an_empty_set_of_curves_has_an_empty_table():
    assert len(LinkCurves("ebno_db").table()) == 0
