"""Outlines of label maps, and polygons filled; GeoJSON and COCO."""
