"""What `tarsia predict` finds and what it writes: pictures and names, label maps, overlays, polygons, summaries."""
