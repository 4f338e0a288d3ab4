"""A code of fixed length for clips: latents of key frames, interpolated between."""
