"""The noisy part of a link: one file a medium."""
