"""What is drawn of a result: colour maps, overlays, legends, heat maps, contact sheets.  Pillow and numpy only."""
