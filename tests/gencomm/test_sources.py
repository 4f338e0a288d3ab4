"""Sources: what they yield, what they refuse, and that errors name the place."""

import hashlib
import json
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from channels.spec import SpecError
from gencomm.sources import SOURCES, expand_path, hash_value, image_item, make_source
from gencomm.sources.photos import DEFAULT, FILES


def colour(height=12, width=16, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def save(path, value=None, **options):
    value = colour() if value is None else value
    Image.fromarray(value).save(path, **options)
    return value


def pack(path, values, **arrays):
    """A packed set as the data's README describes it."""
    import io

    parts = []
    for value in values:
        buffer = io.BytesIO()
        Image.fromarray(value).save(buffer, "PNG")
        parts.append(buffer.getvalue())
    offsets = np.cumsum([0, *map(len, parts)]).astype(np.int64)
    full = {
        "data": np.frombuffer(b"".join(parts), np.uint8),
        "offsets": offsets,
        "names": np.array([f"pic{i}" for i in range(len(values))]),
        **arrays,
    }
    np.savez(path, **{k: v for k, v in full.items() if v is not None})
    return path


def test_registry():
    assert SOURCES.names()[:4] == ["photos", "folder", "file", "packed"]


# hashes and items


def test_hash_is_of_type_shape_and_samples():
    value = colour()
    header = json.dumps(["|u1", [12, 16, 3]]).encode()
    assert hash_value(value) == hashlib.sha256(header + value.tobytes()).hexdigest()
    assert hash_value(value) == hash_value(value[:, ::-1][:, ::-1])  # strides don't count
    assert hash_value(value) != hash_value(value.reshape(16, 12, 3))
    assert hash_value(value) != hash_value(value.view(np.int8))
    numbers = np.arange(5, dtype="<f4")
    assert hash_value(numbers) == hash_value(numbers.astype(">f4"))
    assert hash_value(np.zeros((0, 3), np.uint8)) != hash_value(np.zeros((3, 0), np.uint8))


def test_items_are_read_only_and_checked():
    item = image_item("a", colour())
    assert item.modality == "image"
    assert item.pixels == 12 * 16
    with pytest.raises(ValueError, match="read-only"):
        item.value[0, 0, 0] = 1
    for wrong in (np.zeros((4, 4, 4), np.uint8), np.zeros((4, 4)), np.zeros((0, 4), np.uint8)):
        with pytest.raises(ValueError, match="bad: a picture is uint8"):
            image_item("bad", wrong)


# photos


def test_photos_lie_in_the_wheel_and_need_no_network(monkeypatch):
    import socket

    def refuse(*_):
        raise AssertionError("the network was touched")

    monkeypatch.setattr(socket, "socket", refuse)
    items = list(make_source("photos"))
    assert [item.id for item in items] == list(DEFAULT)
    shapes = {item.id: item.value.shape for item in items}
    assert shapes["astronaut"] == (512, 512, 3)
    assert shapes["coffee"] == (400, 600, 3)
    assert shapes["chelsea"] == (300, 451, 3)
    assert shapes["rocket"] == (427, 640, 3)
    assert all(item.value.dtype == np.uint8 for item in items)
    assert len({item.hash for item in items}) == len(items)


@pytest.mark.parametrize("name", sorted(FILES))
def test_every_photograph_can_be_read(name):
    item = make_source(f"photos(names=[{name}])")[0]
    assert item.value.ndim in (2, 3)
    assert item.value.std() > 10  # a picture, not a blank


def test_photos_equal_scikit_images_own_arrays():
    import skimage.data

    for name in ("astronaut", "chelsea", "coffee", "camera"):
        item = make_source(f"photos(names=[{name}])")[0]
        np.testing.assert_array_equal(item.value, getattr(skimage.data, name)())


def test_photos_limit_size_and_names():
    source = make_source("photos(limit=2,size=64)")
    assert len(source) == 2
    assert [item.value.shape for item in source] == [(64, 64, 3), (43, 64, 3)]
    assert "area averaging" in source[0].meta["notes"][0]
    assert source.ids == ["astronaut", "coffee"]
    with pytest.raises(SpecError, match="did you mean 'camera'"):
        make_source("photos(names=[cammera])")
    with pytest.raises(SpecError, match="named twice"):
        make_source("photos(names=[moon,moon])")
    with pytest.raises(SpecError, match="limit must be at least 1"):
        make_source("photos(limit=0)")
    with pytest.raises(SpecError, match="size must be at least 1"):
        make_source("photos(size=0)")


def test_reduction_is_an_area_average(tmp_path):
    value = save(tmp_path / "a.png", np.repeat(np.repeat(colour(4, 6), 4, 0), 4, 1))
    item = make_source(f"file({tmp_path}/a.png,size=6)")[0]
    np.testing.assert_array_equal(item.value, value[::4, ::4])
    assert make_source(f"file({tmp_path}/a.png,size=24)")[0].value.shape == (16, 24, 3)


# sequences


def test_a_source_is_a_sequence(tmp_path):
    source = make_source(f"packed({pack(tmp_path / 's.npz', [colour(seed=i) for i in range(5)])})")
    assert len(source) == 5
    assert source[-1].id == "pic4"
    assert [item.id for item in source[1:3]] == ["pic1", "pic2"]
    with pytest.raises(IndexError):
        source[5]
    again = pickle.loads(pickle.dumps(source))
    assert again.ids == source.ids
    assert again[2].hash == source[2].hash
    assert len(pickle.dumps(source)) < 2000  # the pictures stay in the file


# paths


def test_paths_with_variables(monkeypatch, tmp_path):
    monkeypatch.setenv("PICTURES", str(tmp_path))
    monkeypatch.delenv("NOWHERE", raising=False)
    assert expand_path("${PICTURES}/a/${PICTURES}") == Path(f"{tmp_path}/a/{tmp_path}")
    with pytest.raises(ValueError, match="variable NOWHERE is not set"):
        expand_path("${NOWHERE}/x")
    monkeypatch.setenv("NOWHERE", "")
    with pytest.raises(ValueError, match="variable NOWHERE is not set"):
        expand_path("${NOWHERE}/x")
    with pytest.raises(ValueError, match="empty"):
        expand_path("")
    save(tmp_path / "a.png")
    assert make_source('folder("${PICTURES}")').ids == ["a"]
    with pytest.raises(SpecError, match="variable NOWHERE is not set"):
        make_source('folder("${NOWHERE}")')


# folders and files


def test_folder_order_ids_and_what_it_passes_over(tmp_path):
    for name in ("b.png", "a.jpg", "c.webp", "c.png"):
        save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("not a picture")
    (tmp_path / ".DS_Store").write_bytes(b"x")
    (tmp_path / "below").mkdir()
    save(tmp_path / "below" / "d.png")
    source = make_source(f"folder({tmp_path})")
    assert source.ids == ["a", "b", "c.png", "c.webp"]
    assert [item.id for item in source] == source.ids
    assert make_source(f"folder({tmp_path},limit=2)").ids == ["a", "b"]
    assert make_source(f'folder({tmp_path},pattern="*.png")').ids == ["b", "c"]
    deep = make_source(f'folder({tmp_path},pattern="**/*.png")')
    assert deep.ids == ["b", "below/d", "c"]


def test_folder_and_file_that_are_not_there(tmp_path):
    with pytest.raises(SpecError, match=r"gone doesn't exist; the source 'folder'"):
        make_source(f"folder({tmp_path}/gone)")
    with pytest.raises(SpecError, match=r"gone.png doesn't exist; the source 'file'"):
        make_source(f"file({tmp_path}/gone.png)")
    with pytest.raises(SpecError, match="is a folder"):
        make_source(f"file({tmp_path})")
    with pytest.raises(SpecError, match="holds no picture files"):
        make_source(f"folder({tmp_path})")
    save(tmp_path / "a.png")
    with pytest.raises(SpecError, match="is a file"):
        make_source(f"folder({tmp_path}/a.png)")


def test_one_bad_file_in_a_folder_is_named(tmp_path):
    save(tmp_path / "a.png")
    save(tmp_path / "c.png")
    (tmp_path / "b.png").write_bytes(b"\x89PNG\r\n\x1a\nnonsense")
    source = make_source(f"folder({tmp_path})")
    assert source[0].id == "a"
    with pytest.raises(ValueError, match=r"b\.png is "):
        list(source)


# packed sets


def test_packed_round_trip_limit_split(tmp_path):
    values = [colour(seed=i) for i in range(6)]
    split = np.array([0, 1, 2, 2, 0, 2], np.uint8)
    path = pack(tmp_path / "s.npz", values, split=split)
    items = list(make_source(f"packed({path})"))
    assert [item.id for item in items] == [f"pic{i}" for i in range(6)]
    for item, value in zip(items, values, strict=True):
        np.testing.assert_array_equal(item.value, value)
    assert make_source(f"packed({path},split=2,limit=2)").ids == ["pic2", "pic3"]
    assert make_source(f"packed({path},limit=99)").ids == [f"pic{i}" for i in range(6)]
    for name, number in (("train", 0), ("validation", 1), ("test", 2)):
        by_name = make_source(f"packed({path},split={name})")
        assert by_name.ids == make_source(f"packed({path},split={number})").ids
    with pytest.raises(SpecError, match="no pictures of split 7; its numbers are 0, 1, 2"):
        make_source(f"packed({path},split=7)")
    with pytest.raises(SpecError, match="did you mean 'test'"):
        make_source(f"packed({path},split=tests)")


BAD_SETS = {
    "lacks": {"offsets": None},
    "names for": {"names": np.array(["one"])},
    "a name stands twice": {"names": np.array(["x", "x"])},
    "don't rise": {"offsets": np.array([0, 500, 10])},
    "don't rise ": {"offsets": np.array([0, 10, 10**9])},
    "offsets is": {"offsets": np.array([0.0, 1.0, 2.0])},
    "data is": {"data": np.zeros((3, 3))},
    "Object arrays": {"names": np.array([{}, {}], object)},
}


@pytest.mark.parametrize("message", BAD_SETS)
def test_bad_packed_sets(tmp_path, message):
    path = pack(tmp_path / "s.npz", [colour(), colour(seed=1)], **BAD_SETS[message])
    with pytest.raises(SpecError, match=message.strip()) as error:
        make_source(f"packed({path})")
    assert "s.npz" in str(error.value)


def test_packed_without_the_array_asked_for(tmp_path):
    path = pack(tmp_path / "s.npz", [colour()])
    with pytest.raises(SpecError, match=r"has no array .*split"):
        make_source(f"packed({path},split=1)")


def test_no_pickle_is_read(tmp_path):
    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "owned"), "w"))

    path = pack(tmp_path / "s.npz", [colour()], names=np.array([Evil()], object))
    with pytest.raises(SpecError, match="not a packed set"):
        make_source(f"packed({path})")
    assert not (tmp_path / "owned").exists()


def test_hostile_packed_files(tmp_path):
    (tmp_path / "empty.npz").write_bytes(b"")
    (tmp_path / "text.npz").write_text("hello")
    whole = pack(tmp_path / "s.npz", [colour()]).read_bytes()
    (tmp_path / "cut.npz").write_bytes(whole[: len(whole) // 2])
    with zipfile.ZipFile(tmp_path / "huge.npz", "w") as archive:  # claims 8 TB, holds nothing
        header = b"{'descr': '|u1', 'fortran_order': False, 'shape': (8000000000000,), }"
        header += b" " * (117 - len(header)) + b"\n"
        archive.writestr(
            "data.npy", b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header
        )
        archive.writestr("offsets.npy", b"")
        archive.writestr("names.npy", b"")
    for name in ("empty", "text", "cut", "huge"):
        with pytest.raises(SpecError, match=f"{name}.npz is not a packed set"):
            make_source(f"packed({tmp_path}/{name}.npz)")


def test_a_packed_set_that_unpacks_to_too_much(tmp_path, monkeypatch):
    import gencomm.sources.packed as module

    path = pack(tmp_path / "s.npz", [colour()])
    monkeypatch.setattr(module, "MAX_BYTES", 100)
    with pytest.raises(SpecError, match="the limit is 100"):
        make_source(f"packed({path})")


def test_a_damaged_picture_in_a_packed_set_is_named(tmp_path):
    path = pack(tmp_path / "s.npz", [colour(), colour()], offsets=np.array([0, 40, 60]))
    source = make_source(f"packed({path})")
    with pytest.raises(ValueError, match=r"s\.npz: pic0 is"):
        source[0]
