"""Looks at a folder as it lies on disk, and concludes what its dataset.yaml has to say."""
