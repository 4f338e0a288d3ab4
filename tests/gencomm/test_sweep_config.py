import math

import pytest

from gencomm.sweeps.config import BUILT_IN, BUILT_IN_CLASSICAL, SweepConfig, read_yaml, to_yaml
from gencomm.sweeps.grid import thin
from gencomm.sweeps.problems import ConfigError
from gencomm.sweeps.resolve import read_config, resolve

GOOD = {
    "source": "photos(limit=2,size=64)",
    "codecs": ["jpeg(quality=50)", "raw"],
    "links": ["bsc({ber})"],
    "grid": {"ber": [1e-3]},
}


def problems(**changes):
    with pytest.raises(ConfigError) as caught:
        resolve({**GOOD, **changes})
    return {problem.path: problem.message for problem in caught.value.problems}


def test_five_mistakes_give_five_messages_with_their_paths_in_one_go(tmp_path):
    path = tmp_path / "wrong.yaml"
    path.write_text(
        "source: {packed: '${NO_SUCH_VARIABLE_HERE}/kodak.npz'}\n"
        "codecs: [jpeg(quality=50), raw, webp(qualty=5)]\n"
        "links: ['bsc({bre})']\n"
        "grid: {ber: {log: [1e-6, 1e-1, many]}}\n"
        "trials: {mn: 3}\n"
    )
    with pytest.raises(ConfigError) as caught:
        read_config(path)
    found = {p.path: p.message for p in caught.value.problems}
    assert set(found) == {
        "source.packed",
        "codecs[2]",
        "links[0]",
        "grid.ber.log[2]",
        "trials.mn",
    }
    assert "NO_SUCH_VARIABLE_HERE is not set" in found["source.packed"]
    assert "did you mean 'quality'" in found["codecs[2]"]
    assert "^" in found["codecs[2]"]
    assert "did you mean 'ber'" in found["links[0]"]
    assert "did you mean 'min'" in found["trials.mn"]
    text = str(caught.value)
    assert all(path in text for path in found)
    assert "5 problems" in text


@pytest.mark.parametrize(
    ("changes", "path", "word"),
    [
        ({"codecs": []}, "codecs", "at least 1"),
        ({"codecs": [5]}, "codecs[0]", "string"),
        ({"codecs": ["raw", "raw(bits=8)"]}, "codecs[1]", "second time"),
        ({"codecs": ["jpeg(quality=50"]}, "codecs[0]", "quotes"),
        ({"codecs": ["jpeg(quality=500)"]}, "codecs[0]", "500"),
        ({"links": ["bsc(2)"]}, "links[0]", "^"),
        ({"links": ["qpsk|bsc({ber})"]}, "links[0]", "^"),
        ({"grid": {"ber": 1e-3}}, "grid.ber", "list"),
        ({"grid": {"ber": []}}, "grid.ber", "at least 1"),
        ({"grid": {"ber": [1e-3, True]}}, "grid.ber[1]", "number"),
        ({"grid": {"ber": [math.nan]}}, "grid.ber[0]", "finite"),
        ({"grid": {"ber": {"lgo": [1, 2, 3]}}}, "grid.ber", "{log: "),
        ({"grid": {"ber": {"log": [0, 1, 3]}}}, "grid.ber.log[0]", "greater than 0"),
        ({"grid": {"ber": {"log": [1e-3, "1e-1", 3]}}}, "grid.ber.log[1]", "number"),
        ({"grid": {"ber": [1e-3, 1e-3]}}, "links[0]", "twice"),
        ({"grid": {"ber": [1e-3], "snr": [1]}}, "grid.snr", "no codec and no link uses"),
        ({"trials": {"min": 5, "max": 2}}, "trials", "more than max"),
        ({"trials": {"half_width": {"pnsr": 1}}}, "trials.half_width.pnsr", "'psnr'"),
        ({"trials": {"half_width": {"psnr": -1}}}, "trials.half_width.psnr", "greater than 0"),
        ({"metrics": ["psnr", "ssmi"]}, "metrics[1]", "'ssim'"),
        ({"policy": {"decode": "lax"}}, "policy.decode", "lenient"),
        ({"policy": [{}, {"heder": "protected"}]}, "policy[1].heder", "header"),
        ({"policy": [{}, {"header": "in_band"}]}, "policy[1]", "second time"),
        ({"limits": {"memory": "lots"}}, "limits.memory", "1GB"),
        ({"limits": {"secnds": 3}}, "limits.secnds", "'seconds'"),
        ({"source": {"foldr": "x"}}, "source", "'folder'"),
        ({"source": {"photos": None, "folder": "x"}}, "source", "only one"),
        ({"source": 3}, "source", "photos"),
        ({"seed": -1}, "seed", "greater"),
        ({"name": "a/b"}, "name", "pattern"),
        ({"sede": 1}, "sede", "'seed'"),
    ],
)
def test_a_mistake_is_named_with_its_place(changes, path, word):
    found = problems(**changes)
    assert path in found
    assert word in found[path]


def test_what_is_missing_is_said():
    with pytest.raises(ConfigError) as caught:
        resolve({})
    assert [str(p) for p in caught.value.problems] == [
        "source: is missing, and needed",
        "codecs: is missing, and needed",
        "links: is missing, and needed",
    ]


@pytest.mark.parametrize(
    ("text", "word"),
    [("seed: 1\nseed: 2\n", "line 2"), ("a: [1\n", "line"), ("- 1\n", "mapping"), ("", "mapping")],
)
def test_files_that_are_no_configuration(tmp_path, text, word):
    path = tmp_path / "c.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=word):
        read_config(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match="no such file"):
        read_config(tmp_path / "none.yaml")


def test_yaml_numbers_are_numbers_and_points_hit_powers_of_ten(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text(
        "source: photos\ncodecs: raw\nlinks: ['bsc({ber})', 'bec({e})']\n"
        "grid: {ber: {log: [1e-6, 1e-1, 11]}, e: [1e-3, 0.1]}\n"
    )
    values = read_config(path).values()
    assert values["ber"][::2] == [1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1]
    assert values["ber"][1] == pytest.approx(10**-5.5, rel=1e-9)
    assert values["e"] == [0.001, 0.1]


def test_links_are_the_product_of_the_axes_they_use():
    bursts = "gilbert_elliott(ber_bad={ber},burst={r},p_bad=0.1)"
    changes = {
        "links": ["qpsk|awgn(ebno_db={snr})", "bsc({ber})", bursts],
        "grid": {"ber": [1e-3, 1e-2], "snr": {"linear": [0, 4, 3]}, "r": [10, 20, 40]},
    }
    links = resolve({**GOOD, **changes}).links
    assert len(links) == 3 + 2 + 6
    assert [link.point for link in links[:3]] == [{"snr": 0.0}, {"snr": 2.0}, {"snr": 4.0}]
    assert links[5].point == {"ber": 1e-3, "r": 10}
    assert links[5].template == bursts


def test_variables_are_filled_in_by_the_source_and_not_stored(tmp_path, monkeypatch):
    import numpy as np
    from PIL import Image

    Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(tmp_path / "a.png")
    monkeypatch.setenv("SOME_PICTURES", str(tmp_path))
    resolved = resolve({**GOOD, "source": {"folder": "${SOME_PICTURES}"}})
    assert [item.id for item in resolved.source] != []
    assert str(tmp_path) not in to_yaml(resolved.config.plain())


def test_a_configuration_survives_being_written(tmp_path):
    config = read_config(
        {
            **GOOD,
            "grid": {"ber": {"log": [1e-6, 1e-1, 3]}},
            "trials": {"min": 2, "max": 5, "half_width": {"psnr": 0.1}},
            "limits": {"memory": "512MB"},
        }
    )
    path = tmp_path / "c.yaml"
    path.write_text(to_yaml(config.plain()))
    assert read_config(path) == config
    assert config.limits.memory == 512_000_000


def test_a_number_of_trials_is_a_minimum_and_a_maximum():
    trials = read_config({**GOOD, "trials": 7}).trials
    assert (trials.min, trials.max) == (7, 7)
    assert read_config({**GOOD, "trials": {"max": 2}}).trials.min == 2


def test_quick_is_smaller_in_all_that_costs_time():
    config = read_config({**GOOD, "grid": {"ber": {"log": [1e-6, 1e-1, 13]}}})
    quick = config.quick()
    assert quick.values()["ber"] == thin(config.values()["ber"], 5)
    assert len(quick.values()["ber"]) == 5
    assert quick.values()["ber"][0] == 1e-6
    assert quick.values()["ber"][-1] == 1e-1
    assert (quick.items, quick.trials.max) == (2, 4)
    assert quick.name == "sweep-quick"
    assert SweepConfig.model_validate(quick.plain()) == quick


@pytest.mark.parametrize(
    ("missing", "path"), [((), BUILT_IN), (("constriction",), BUILT_IN_CLASSICAL)]
)
def test_the_built_in_configurations_are_right(monkeypatch, missing, path):
    monkeypatch.setattr(
        "gencomm.sweeps.config.find_spec", lambda name: None if name in missing else name
    )
    resolved = resolve(None)
    assert read_yaml(path)["name"] == resolved.config.name
    families = {codec.spec.split("(")[0] for codec in resolved.codecs}
    assert {"jpeg", "jpeg2000", "webp", "avif", "block_dct"} <= families
    assert ({"generative", "cae"} <= families) == (not missing)
    assert resolved.links[0].point == {"ber": 1e-6}
    assert resolved.links[-1].point == {"ber": 1e-1}


def test_a_grid_gives_operating_points_of_codecs():
    found = resolve(
        {
            **GOOD,
            "codecs": ["jpeg(quality={quality})", "jpeg2000(bpp={rate})", "raw"],
            "links": ["clean"],
            "grid": {"quality": [20, 50], "rate": {"linear": [0.25, 0.75, 3]}},
        }
    )
    assert [codec.spec for codec in found.codecs] == [
        *(f"jpeg(quality={q})" for q in (20, 50)),
        *(f"jpeg2000(bpp={b})" for b in (0.25, 0.5, 0.75)),
        "raw",
    ]
    assert [link.spec for link in found.links] == ["clean"]


@pytest.mark.parametrize(
    ("changes", "path", "word"),
    [
        ({"codecs": ["jpeg(quality={qality})"]}, "codecs[0]", "'quality'"),
        ({"codecs": ["jpeg(quality={ber})"]}, "links[0]", "axis of codecs"),
        ({"codecs": ["raw"]}, "grid.quality", "no codec and no link"),
        ({"codecs": ["jpeg(quality={quality})", "jpeg(quality=50)"]}, "codecs[1]", "second time"),
    ],
)
def test_mistakes_in_operating_points(changes, path, word):
    found = problems(grid={"ber": [1e-3], "quality": [20, 50]}, **changes)
    assert path in found
    assert word in found[path]
