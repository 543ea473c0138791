"""Parts of `tarsia adapt` that need no torch: pictures without labels, and what recolours one after another."""
