"""Symbols to bits and back: integer tables, range coding, headers, slices. No torch here."""
