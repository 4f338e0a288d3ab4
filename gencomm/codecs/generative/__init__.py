"""A fixed-length code for photographs of any size; its decoder is trained as a generator."""
