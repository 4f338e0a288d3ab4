"""A jointly trained fixed-length code for aligned faces."""
