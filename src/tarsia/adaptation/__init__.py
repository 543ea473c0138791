"""What `tarsia adapt` is made of: style transfer, restyling, pseudo-labels, batch statistics."""
