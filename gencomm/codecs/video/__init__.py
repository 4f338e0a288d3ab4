"""Video codecs: elementary streams by FFmpeg through PyAV, and picture codecs frame by frame."""
