"""The doctor for data sets: what is looked at in a sample, what is kept of it, and what may be wrong.  Never torch."""
