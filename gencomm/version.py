"""The version, for the package and for the identity of a cell."""

__version__ = "0.1.0"
