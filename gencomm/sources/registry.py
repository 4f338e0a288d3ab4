"""The sources by name. To add a built-in one: its file, and one line here."""

from __future__ import annotations

from channels.registry import Registry
from channels.spec import Spec
from gencomm.sources.base import Source

SOURCES = Registry(
    "gencomm.sources",
    {
        "photos": "gencomm.sources.photos:Photos",
        "folder": "gencomm.sources.folder:Folder",
        "file": "gencomm.sources.file:File",
        "packed": "gencomm.sources.packed:Packed",
        "clip": "gencomm.sources.clip:Clip",
        "sequence": "gencomm.sources.sequence:Sequence",
        "packed_clips": "gencomm.sources.packed_clips:PackedClips",
        "camera_path": "gencomm.sources.camera_path:CameraPath",
        "face": "gencomm.sources.face:Face",
    },
    "source",
)


def make_source(spec: str | Spec) -> Source:
    """Build the source that a spec such as ``photos(limit=4,size=256)`` describes."""
    return SOURCES.create(spec)
