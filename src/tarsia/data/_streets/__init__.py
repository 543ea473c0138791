"""The street scenes: what stands where, what it looks like in each condition, and how it is drawn."""
