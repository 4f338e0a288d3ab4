"""Faces by their principal components: fixed length, no entropy code, no network."""
