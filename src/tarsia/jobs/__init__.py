"""Jobs: very many pictures in chunks, each of which is done when its file is there."""
