"""The one inference path, from a picture to labels: views, tiles, calibration, CRF."""
