import pytest

from gencomm.sweeps.plan import CODECS_AT_ONCE, groups, make_plan, parse_shard, shard
from gencomm.sweeps.problems import ConfigError
from gencomm.sweeps.resolve import resolve

BASE = {
    "source": "photos(limit=2,size=32)",
    "codecs": ["jpeg(quality=50)", "raw"],
    "links": ["bsc({ber})"],
    "grid": {"ber": [1e-4, 1e-3]},
    "trials": 3,
    "metrics": ["psnr"],
}


def plan(**changes):
    return make_plan(resolve({**BASE, **changes}))


def hashes(**changes):
    return {cell.hash for cell in plan(**changes)}


def test_cells_are_the_product_with_items_outermost():
    cells = plan(policy=[{}, {"decode": "strict"}])
    assert len(cells) == 2 * 2 * 2 * 2
    assert [c.position for c in cells] == list(range(16))
    assert len({c.hash for c in cells}) == 16
    assert [c.item.id for c in cells] == ["astronaut"] * 8 + ["coffee"] * 8
    assert [len(group.cells) for group in groups(cells)] == [4] * 4


@pytest.mark.parametrize(
    "changes",
    [
        {"seed": 2},
        {"source": "photos(limit=2,size=31)"},
        {"codecs": ["jpeg(quality=51)", "raw(bits=7)"]},
        {"grid": {"ber": [2e-4, 2e-3]}},
        {"trials": 4},
        {"metrics": ["psnr", "ssim"]},
        {"policy": {"conceal": "mean"}},
        {"limits": {"seconds": 9}},
    ],
)
def test_all_that_changes_the_answer_changes_the_hash(changes):
    assert not hashes() & hashes(**changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "another"},
        {"source": {"photos": None, "size": 32, "limit": 2}},
        {"codecs": ["raw(bits=8)", "jpeg:quality=50"]},
        {"grid": {"ber": {"log": [1e-4, 1e-3, 2]}}},
        {"pictures": 0},
    ],
)
def test_what_changes_no_row_changes_no_hash(changes):
    assert hashes() == hashes(**changes)


def test_a_library_or_gencomm_of_another_version_changes_the_hash(monkeypatch):
    before = hashes()
    from gencomm.codecs.jpeg import JPEG

    monkeypatch.setattr("gencomm.sweeps.plan.__version__", "9.9")
    other = hashes()
    assert not before & other
    monkeypatch.setattr(JPEG, "versions", lambda self: {"libjpeg": "0"})
    assert len(other & hashes()) == 4  # raw's cells stay


def test_shards_are_a_partition_that_stays_when_the_plan_grows():
    cells = plan(items=2)
    parts = [shard(cells, i, 3) for i in (1, 2, 3)]
    assert sorted(c.hash for part in parts for c in part) == sorted(c.hash for c in cells)
    grown = plan(source="photos(size=32)", codecs=[*BASE["codecs"], "raw(bits=4)"])
    for i, part in enumerate(parts, 1):
        assert {c.hash for c in part} <= {c.hash for c in shard(grown, i, 3)}


def test_shard_takes_whole_groups():
    for part in (shard(plan(), i, 2) for i in (1, 2)):
        assert all(len(group.cells) == 2 for group in groups(part))


def test_no_more_codecs_at_once_than_a_worker_keeps():
    found = groups(plan(codecs=[f"jpeg(quality={q})" for q in range(10, 10 + CODECS_AT_ONCE + 2)]))
    first = found[: 2 * CODECS_AT_ONCE]
    assert len({group.codec.spec for group in first}) == CODECS_AT_ONCE
    assert [group.item.id for group in first] == ["astronaut"] * 8 + ["coffee"] * 8
    assert len({group.codec.spec for group in found[2 * CODECS_AT_ONCE :]}) == 2


@pytest.mark.parametrize("text", ["0/2", "3/2", "1", "a/b", "1/2/3", "-1/2", "", "1/0"])
def test_shards_that_are_none(text):
    with pytest.raises(ValueError, match="a shard is i/N"):
        parse_shard(text)


def test_a_codec_for_other_things_is_refused(monkeypatch):
    from gencomm.codecs.jpeg import JPEG

    monkeypatch.setattr(JPEG, "modality", "video")
    with pytest.raises(ConfigError, match="takes video, not image"):
        plan()
