"""Figures: what they draw is what the tables say, and nothing in them overlaps."""

import io
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from PIL import Image

from gencomm.analysis import curves
from gencomm.analysis.columns import without_rate
from gencomm.figures import Tile, contact_sheet, quality_figure, run_sheet, save, sent_figure, style
from gencomm.figures.quality import _CLEAN_MARK
from gencomm.figures.sent import amplification, difference_picture

BERS = [1e-5, 1e-4, 1e-3, 1e-2]


def run(codecs=("jpeg(bpp=0.5)", "block_dct(bpp=0.5)"), axis="ber", points=BERS, items=3):
    rng = np.random.default_rng(0)
    rows, cells = [], []
    for k, codec in enumerate(codecs):
        for i in range(items):
            for j, x in enumerate(points):
                base = {"codec": codec, "link": f"bsc({{{axis}}})", axis: x, "item": f"item{i}"}
                cells.append({**base, "clean_psnr": 30.0 + i + k})
                for t in range(2):
                    quality = 30 + i + k - 3 * j * (2 - k) - rng.random()
                    row = {"trial": t, "status": "rejected" if j == 3 and not k else "ok"}
                    row |= {"psnr": quality, "bit_errors": 1, "n_bits": 100, "bpp": 0.5}
                    rows.append({**base, **row, "cell": f"{codec}/{i}/{x}"})
    return pd.DataFrame(rows), pd.DataFrame(cells)


def drawn(figure):
    """The figure as pixels; drawing it also settles the layout."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=100)
    return np.asarray(Image.open(buffer).convert("L"))


def boxes(figure):
    """Boxes, in pixels, of all texts that can be seen."""
    from matplotlib.text import Text

    figure.canvas.draw()
    renderer = figure.canvas.get_renderer()
    texts = [t for t in figure.findobj(Text) if t.get_visible() and t.get_text().strip()]
    unseen = {
        id(label)
        for axes in figure.axes
        for axis in (axes.xaxis, axes.yaxis)
        for tick in axis.get_major_ticks()
        if not min(axis.get_view_interval()) <= tick.get_loc() <= max(axis.get_view_interval())
        for label in (tick.label1, tick.label2)
    }
    texts = [t for t in texts if id(t) not in unseen]
    return [(t.get_text(), t.get_window_extent(renderer)) for t in texts]


def overlaps(figure):
    """Pairs of texts whose boxes share more than a hairline."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    FigureCanvasAgg(figure)
    found = boxes(figure)
    clashes = []
    for i, (name, box) in enumerate(found):
        for other, second in found[i + 1 :]:
            width = min(box.x1, second.x1) - max(box.x0, second.x0)
            height = min(box.y1, second.y1) - max(box.y0, second.y0)
            if width > 1 and height > 1:
                clashes.append((name, other))
    return clashes


# quality


def test_curves_are_those_of_the_table():
    table = curves(*run())
    figure = quality_figure(table, title="a run")
    top, bottom = figure.axes
    for codec in ("jpeg(bpp=0.5)", "block_dct(bpp=0.5)"):
        part = table[table["codec"] == codec]
        for panel, column in ((top, "psnr"), (bottom, "outage")):
            line = next(
                one for one in panel.lines
                if to_hex(one.get_color()) == style.FIXED[style.family(codec)].lower()
                and len(one.get_xdata()) == 4
            )  # fmt: skip
            np.testing.assert_allclose(line.get_xdata(), part["ber"])
            np.testing.assert_allclose(line.get_ydata(), part[column])
        marks = [one.get_ydata()[0] for one in top.lines if max(one.get_xdata()) == _CLEAN_MARK[1]]
        assert part["clean_psnr"].iloc[0] in marks
    assert top.get_xscale() == "log"
    assert top.get_ylabel() == "PSNR (dB)"
    assert bottom.get_ylabel() == "outage rate"
    assert bottom.get_xlabel() == "bit error rate of the channel"
    words = " ".join(text for text, _ in boxes_of(figure))
    assert "n = 3 items, 6 trials a point" in words
    assert "jpeg  0.50 bpp" in words
    assert "a run" in words


def boxes_of(figure):
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    FigureCanvasAgg(figure)
    return boxes(figure)


@pytest.mark.parametrize(("width", "codecs"), [(3.5, 7), (5.6, 2), (8.0, 7)])
def test_no_text_overlaps(width, codecs):
    names = [f"codec{i}(bpp=0.5,method=6)" for i in range(codecs)]
    figure = quality_figure(curves(*run(names)), title="kodak", width=width)
    assert overlaps(figure) == []
    assert figure.get_figwidth() == width
    pixels = drawn(figure)
    # nothing is cut off: the outermost pixels are blank
    for edge in (pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]):
        assert edge.min() > 240


def test_bands_and_limits_are_inside_the_frame():
    table = curves(*run())
    figure = quality_figure(table)
    low, high = figure.axes[0].get_ylim()
    assert low < table["psnr_low"].min()
    assert high > table[["psnr_high", "clean_psnr"]].max().max()


def test_a_lossless_codec_does_not_stretch_the_axis():
    rows, cells = run(("jpeg(bpp=0.5)", "raw"))
    rows.loc[(rows["codec"] == "raw") & (rows["ber"] < 1e-3), "psnr"] = 70.0
    cells.loc[cells["codec"] == "raw", "clean_psnr"] = 100.0
    assert quality_figure(curves(rows, cells)).axes[0].get_ylim()[1] < 40
    only = rows["codec"] == "raw"
    figure = quality_figure(curves(rows[only], cells[cells["codec"] == "raw"]))
    assert figure.axes[0].get_ylim()[1] > 70  # alone it is shown whole


def test_without_outages_there_is_one_panel_that_says_so():
    rows, cells = run()
    figure = quality_figure(curves(rows.assign(status="ok"), cells))
    assert len(figure.axes) == 1
    assert any("no outages" in text for text, _ in boxes_of(figure))


def test_a_ratio_in_decibels_is_drawn_as_it_is():
    figure = quality_figure(curves(*run(axis="ebno_db", points=[0.0, 2.0, 4.0, 6.0])))
    assert figure.axes[-1].get_xscale() == "linear"
    assert "E_\\mathrm{b}/N_0" in figure.axes[-1].get_xlabel()


def test_rate_as_the_axis():
    parts = []
    for rate in (0.25, 0.5, 1.0):
        rows, _ = run((f"jpeg(bpp={rate})",), points=[1e-4])
        parts.append(rows.assign(bpp=rate, psnr=25 + 5 * rate, status="ok"))
    figure = quality_figure(curves(pd.concat(parts), axis="bpp"), axis="bpp")
    line = figure.axes[0].lines[0]
    np.testing.assert_allclose(line.get_xdata(), [0.25, 0.5, 1.0])
    assert figure.axes[0].get_xlabel() == "bits per pixel"


def test_it_can_be_drawn_again_from_its_csv():
    table = curves(*run())
    again = pd.read_csv(io.StringIO(table.to_csv(index=False)))
    assert np.array_equal(drawn(quality_figure(table)), drawn(quality_figure(again)))


def test_own_labels_and_errors():
    table = curves(*run())
    figure = quality_figure(table, labels=["JPEG", "control"])
    assert {"JPEG", "control"} <= {text for text, _ in boxes_of(figure)}
    with pytest.raises(ValueError, match="3 labels for 2 curves"):
        quality_figure(table, labels=["a", "b", "c"])
    with pytest.raises(ValueError, match="no column 'vmaf'"):
        quality_figure(table, "vmaf", axis="ber")
    with pytest.raises(ValueError, match="single point along ber"):
        quality_figure(table[table["ber"] == 1e-4])


def test_rates_stand_once_in_a_legend_and_only_where_names_still_differ():
    assert without_rate(["jpeg(bpp=0.5)", "cae(bpp=0.5,slices=8)", "klt(bits=512,bpp=1)"]) == [
        "jpeg", "cae(slices=8)", "klt(bits=512)",
    ]  # fmt: skip
    same = ["jpeg(bpp=0.5)", "jpeg(bpp=1)"]
    assert without_rate(same) == same


def test_the_floor_of_failed_codecs_is_named():
    rows, cells = run()
    assert "no picture" in {text for text, _ in boxes_of(quality_figure(curves(rows, cells)))}
    figure = quality_figure(curves(rows.assign(status="ok"), cells))
    assert "no picture" not in {text for text, _ in boxes_of(figure)}


def test_the_projects_own_codes_are_drawn_heavier_and_over_the_others():
    own, other = style.lines(["generative(bpp=0.5)", "jpeg(bpp=0.5)"])
    assert own["linewidth"] > other["linewidth"]
    assert own["zorder"] > other["zorder"]


# style


def test_colours_go_with_the_name_and_differ():
    few = style.colours(["jpeg(bpp=0.5)", "mine(k=2)"])
    many = style.colours(["mine(k=3)", "webp", "jpeg(bpp=1)", "raw", "avif", "jpeg2000"])
    assert few["jpeg"] == many["jpeg"] == style.FIXED["jpeg"]
    assert few["mine"] == many["mine"]
    names = [*style.FIXED, "a", "b"]
    assert len(set(style.colours(names).values())) == len(names)
    assert len(set(style.FIXED.values())) == len(style.FIXED)


def test_fixed_colours_stay_apart_for_the_colour_blind():
    """Machado, Oliveira, Fernandes (2009): full deuteranopia and protanopia, linear RGB."""
    matrices = [
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
         [-0.011820, 0.042940, 0.968881]],
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216],
         [-0.003882, -0.048116, 1.051998]],
    ]  # fmt: skip
    from skimage.color import deltaE_ciede2000, rgb2lab

    hexes = list(style.FIXED.values())
    rgb = np.array([[int(h[i : i + 2], 16) / 255 for i in (1, 3, 5)] for h in hexes])
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    for matrix in matrices:
        seen = np.clip(linear @ np.array(matrix).T, 0, 1)
        srgb = np.where(seen <= 0.0031308, seen * 12.92, 1.055 * seen ** (1 / 2.4) - 0.055)
        lab = rgb2lab(srgb[None])[0]
        distance = deltaE_ciede2000(lab[:, None], lab[None])
        assert distance[~np.eye(len(hexes), dtype=bool)].min() > 7


def test_operating_points_of_one_codec_differ_in_dashes_and_marker():
    looks = style.lines(["jpeg(bpp=0.25)", "jpeg(bpp=0.5)", "webp"])
    assert looks[0]["color"] == looks[1]["color"] != looks[2]["color"]
    assert looks[0]["linestyle"] != looks[1]["linestyle"]
    assert looks[0]["marker"] != looks[1]["marker"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1e-6, "$10^{-6}$"),
        (4.2e-5, r"$4.2\cdot10^{-5}$"),
        (0.0237137, "0.024"),
        (0.1, "0.1"),
        (6.5, "6.5"),
        (12.0, "12"),
        (0.0, "0"),
    ],
)
def test_numbers_in_captions(value, text):
    assert style.number_text(value) == text


# sheets


def photo(seed=0, shape=(30, 40, 3)):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def encoded(value):
    buffer = io.BytesIO()
    Image.fromarray(value).save(buffer, "PNG")
    return buffer.getvalue()


def kept_of(rows, item="item0"):
    kept = [
        SimpleNamespace(name=f"original/{item}", cell="", kind="original", data=encoded(photo()))
    ]
    received = {"kind": "received", "data": encoded(photo(1))}
    cells = rows.loc[rows["item"] == item, "cell"].unique()
    return kept + [SimpleNamespace(name=f"received/{c}", cell=c, **received) for c in cells]


def test_sheet_of_a_run():
    rows, _ = run()
    figure = run_sheet(rows, kept_of(rows), title="a run")
    assert len(figure.axes) == 1 + 2 * 4
    texts = [text for text, _ in boxes_of(figure)]
    assert texts.count("$10^{-4}$") == 1
    assert "jpeg\n0.50 bpp" in texts
    red = [t for t in figure.texts if to_hex(t.get_color()) == "#b00020"]
    assert len(red) == 1  # the outage of jpeg at the last point
    assert red[0].get_text().endswith("dB, rejected")
    assert overlaps(figure) == []


def test_long_names_fit_beside_the_pictures():
    rows, _ = run(axis="ebno_db", points=[2.0, 4.0, 6.0, 8.0])
    link = "ldpc(rate=1/2,n=1944)|qam16|awgn(ebno_db={ebno_db})"
    both = pd.concat([rows, rows.assign(link=link, cell=rows["cell"] + "x")])
    figure = run_sheet(both, kept_of(both), title="two links")
    assert overlaps(figure) == []
    pixels = drawn(figure)
    for edge in (pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]):
        assert edge.min() > 240


def test_sheet_thins_out_points():
    rows, _ = run(points=[float(f"{x:.3g}") for x in np.geomspace(1e-6, 1e-1, 13)])
    figure = run_sheet(rows, kept_of(rows))
    assert len(figure.axes) == 1 + 2 * 7
    assert overlaps(figure) == []


def test_sheet_of_an_item_without_pictures():
    rows, _ = run()
    with pytest.raises(ValueError, match="no pictures were kept of 'item2': item0"):
        run_sheet(rows, kept_of(rows), item="item2")
    with pytest.raises(ValueError, match="no pictures were kept"):
        run_sheet(rows, [])


def test_sheet_of_tiles_in_order():
    tiles = [
        Tile("b", "2", photo(1, (50, 20)), "one"),
        Tile("a", "1", photo(2, (50, 20)), "two", True),
        Tile("b", "1", photo(3, (50, 20)), "three"),
    ]
    figure = contact_sheet(tiles, title="grey ones", column_title="p")
    places = {
        axes.get_images()[0].get_array().tobytes(): axes.get_position() for axes in figure.axes
    }
    b2, a1, b1 = (places[tile.picture.tobytes()] for tile in tiles)
    assert b2.y0 == b1.y0 > a1.y0  # "b" came first
    assert b2.x0 < b1.x0 == a1.x0  # and so did "2"
    assert overlaps(figure) == []
    with pytest.raises(ValueError, match="no picture was kept"):
        contact_sheet([])


# sent


def test_difference_by_hand():
    a = np.array([[100, 200, 0]], np.uint8)
    b = np.array([[110, 190, 255]], np.uint8)
    assert difference_picture(a, b, 4).tolist() == [[168, 88, 255]]
    assert difference_picture(a, a, 16).tolist() == [[128, 128, 128]]


@pytest.mark.parametrize(("error", "factor"), [(0, 16), (5, 16), (20, 4), (60, 2), (200, 1)])
def test_amplification_keeps_to_the_range(error, factor):
    a = np.zeros((10, 10), np.uint8)
    assert amplification(a, a + np.uint8(error)) == factor


@pytest.mark.parametrize("shape", [(30, 40, 3), (30, 40), (1, 1, 3), (200, 20, 3), (10, 300)])
def test_sent_figure(shape):
    figure = sent_figure(photo(0, shape), photo(1, shape), "jpeg over bsc", "PSNR 9 dB\n0.5 bpp")
    assert len(figure.axes) == 3
    assert overlaps(figure) == []
    with pytest.raises(ValueError, match="pictures of shapes"):
        sent_figure(photo(), photo(0, (4, 4, 3)))


# saving


@pytest.mark.parametrize(
    ("suffix", "magic"), [(".png", b"\x89PNG"), (".pdf", b"%PDF"), (".svg", b"<?xml")]
)
def test_saved_files_are_whole_and_the_same_twice(tmp_path, suffix, magic):
    table = curves(*run())
    first = save(quality_figure(table), tmp_path / "new" / f"a{suffix}")
    second = save(quality_figure(table), tmp_path / f"b{suffix}")
    assert first.read_bytes().startswith(magic)
    assert first.read_bytes() == second.read_bytes()
    assert [p.name for p in tmp_path.iterdir() if p.is_file()] == [f"b{suffix}"]


def test_a_failed_save_leaves_the_old_file(tmp_path, monkeypatch):
    path = save(quality_figure(curves(*run())), tmp_path / "a.png")
    before = path.read_bytes()
    figure = quality_figure(curves(*run()))

    def fail(*_, **__):
        raise OSError("disk full")

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(OSError, match="disk full"):
        save(figure, path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]


def test_other_formats_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"written as \.png, \.pdf or \.svg"):
        save(quality_figure(curves(*run())), tmp_path / "a.jpeg")


def test_figures_import_neither_codecs_nor_torch():
    import subprocess
    import sys

    code = (
        "import sys, gencomm.figures, gencomm.analysis\n"
        "bad = [m for m in sys.modules if m.split('.')[0] == 'torch' or m == 'matplotlib.pyplot'"
        " or (m.startswith('gencomm.codecs.') and m.split('.')[2] not in ('contract', 'registry'))"
        "]\n"
        "assert not bad, bad"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
