"""Sources of items: photographs that scikit-image brings, files, folders, packed sets, clips."""

from gencomm.items import hash_value, image_item
from gencomm.sources.base import Source
from gencomm.sources.paths import expand_path
from gencomm.sources.registry import SOURCES, make_source

__all__ = ["SOURCES", "Source", "expand_path", "hash_value", "image_item", "make_source"]
