"""Picture files of every kind, read and checked: RGB, any number of bands, huge TIFFs, videos, labels.  Never torch."""
