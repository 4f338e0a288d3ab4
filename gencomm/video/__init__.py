"""What video sources, video codecs and the writers of clips share: colour, PyAV, sessions."""
