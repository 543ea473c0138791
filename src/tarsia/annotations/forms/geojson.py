"""GeoJSON over rasters: polygons in coordinates of the earth (or in pixels, where a picture lies nowhere).

Format: RFC 7946.  A file belongs to the raster of its name; one file and one raster belong together whatever they are
called.  Coordinates are longitude and latitude (WGS 84) unless a `crs` says otherwise; of a picture without a place
they are pixels.  The first ring of a polygon is its outline, others are holes.  The class is a property: the one called
class, or that `class_from` names.  Needs the extra `geo`.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tarsia.annotations.finding import Pictures, Place
from tarsia.annotations.form import Form, Found, Reading
from tarsia.annotations.look import Look
from tarsia.annotations.records import Record, Shape, assemble
from tarsia.annotations.source import Annotations, Notes
from tarsia.annotations.trees import entries, read_json
from tarsia.errors import DatasetError, ImageError, needs
from tarsia.polygons.fill import even_odd_runs

ONE_CLASS = "object"
_WGS84 = "OGC:CRS84"
_AREALESS = ("Point", "MultiPoint", "LineString", "MultiLineString")


class _Earth(NamedTuple):
    """Where a raster lies: its system's WKT, and the affine map from pixels to it."""

    crs: Any
    transform: Any


def read(source: Found, reading: Reading) -> Annotations:
    """GeoJSON files -> the rasters they lie over, below the files' folder or `reading.images`."""
    notes, records = Notes(), []
    pictures = Pictures([source.root if reading.images is None else reading.images])
    for path in source.files:
        with reading.faults.of(path):
            tree = read_json(path)
            place = _raster(path, pictures, len(source.files))
            record = Record(str(path), place.relative, place=place)
            _fill(record, tree, _earth(place.path), reading.class_from, path)
            records.append(record)
    labels = sorted({shape.label for record in records for shape in record.shapes})
    if set(labels) <= {ONE_CLASS}:
        notes.add(f"no property says a class: all are of one, {ONE_CLASS}, to be renamed in dataset.yaml", "")
    return assemble(records, [source.root], reading, list(source.files), notes, names=labels or [ONE_CLASS])


def _raster(path: Path, pictures: Pictures, count: int) -> Place:
    """The raster of a file's name; of one file and one raster, that."""
    there = pictures.all()
    same = [place for place in there if place.path.stem == path.stem]
    if not same and count == 1 and len(there) == 1:
        same = there
    if len(same) != 1:
        found = f"{len(same)} pictures of its name lie" if same else "no picture of its name lies"
        looked = ", ".join(map(str, pictures.roots))
        raise DatasetError(f"{path}: {found} below {looked}: say with `images` where it is, and call both alike")
    return same[0]


def _earth(path: Path) -> _Earth | None:
    """Where a raster lies; None of a picture that lies nowhere."""
    with needs("GeoJSON over a raster", "geo"):
        import rasterio
    from tarsia.pictures.rasters import place_of

    if path.suffix.lower() not in (".tif", ".tiff", ".jp2", ".j2k"):
        return None
    try:
        place = place_of(path)
    except ImageError as error:
        raise DatasetError(" ".join(error.args)) from error
    if place is None or place.crs is None or place.points:
        return None
    return _Earth(rasterio.crs.CRS.from_user_input(place.crs), place.transform)


def _fill(record: Record, tree: dict[str, Any], earth: _Earth | None, class_from: str | None, path: Path) -> None:
    features = [tree] if tree.get("type") == "Feature" else entries(tree, "features", str(path))
    named = (tree.get("crs") or {}).get("properties", {}).get("name") if isinstance(tree.get("crs"), dict) else None
    if earth is None and named is None:
        record.notes.add("pictures that lie nowhere on earth, whose polygons are taken to be in pixels", str(path))
    elif earth is None:
        raise DatasetError(
            f"{path}: its coordinates are in {named}, but {record.picture} lies nowhere: use its GeoTIFF"
        )
    for number, feature in enumerate(features):

        def make(feature: dict[str, Any] = feature, where: str = f"{path}: feature {number}") -> list[Shape]:
            return _shapes(feature, earth, named or _WGS84, class_from, where, record.notes)

        record.add(make)


def _shapes(
    feature: dict[str, Any], earth: _Earth | None, crs: str, class_from: str | None, where: str, notes: Notes
) -> list[Shape]:
    geometry, properties = feature.get("geometry"), feature.get("properties") or {}
    if geometry is None:
        notes.add("features without a geometry, left out", where)
        return []
    kind = geometry.get("type") if isinstance(geometry, dict) else None
    if kind in _AREALESS:
        notes.add(f"features of type {kind}, which have no area, left out", where)
        return []
    value = properties.get(class_from or "class") if isinstance(properties, dict) else None
    if class_from is not None and value is None:
        raise DatasetError(f"{where}: has no property {class_from}, only {', '.join(map(str, properties)) or 'none'}")
    label = ONE_CLASS if value is None else str(value)
    if kind not in ("Polygon", "MultiPolygon"):
        raise DatasetError(f"{where}: its geometry is {kind!r}, expected Polygon or MultiPolygon")
    found = geometry.get("coordinates")
    polygons = [found] if kind == "Polygon" else found
    shapes = [_polygon(rings, earth, crs, label, where) for rings in polygons or ()]
    return [shape for shape in shapes if shape is not None]


def _polygon(rings: Any, earth: _Earth | None, crs: str, label: str, where: str) -> Shape | None:
    if not isinstance(rings, list):
        raise DatasetError(f"{where}: its coordinates are {rings!r:.60}, expected lists of rings")
    found = [_pixels(_ring(ring, where), earth, crs, where) for ring in rings if ring]
    if not found:
        return None
    return Shape(label, where, partial(even_odd_runs, found), np.concatenate(found))


def _ring(found: Any, where: str) -> np.ndarray:
    """A ring N x 2; a third coordinate counts for nothing."""
    try:
        ring = np.array([point[:2] for point in found], np.float64)
    except (ValueError, TypeError) as error:
        raise DatasetError(f"{where}: a ring is {found!r:.60}, expected points of two numbers") from error
    if ring.ndim != 2 or ring.shape[1] != 2 or not np.isfinite(ring).all():
        raise DatasetError(f"{where}: a ring is {found!r:.60}, expected points of two numbers")
    return ring


def _pixels(ring_N2: np.ndarray, earth: _Earth | None, crs: str, where: str) -> np.ndarray:
    if earth is None:
        return ring_N2
    from rasterio.warp import transform

    try:
        x, y = transform(_crs(crs), earth.crs, ring_N2[:, 0].tolist(), ring_N2[:, 1].tolist())
    except DatasetError:
        raise
    except Exception as error:  # GDAL's are of no public class
        raise DatasetError(f"{where}: its coordinates cannot be brought to the raster's system ({error})") from error
    a, b, c, d, e, f = tuple(~earth.transform)[:6]
    points_N2 = np.array([x, y]).T @ np.array([[a, d], [b, e]]) + (c, f)
    if not np.isfinite(points_N2).all():
        raise DatasetError(f"{where}: its coordinates lie nowhere in the raster's system: is its `crs` right?")
    return points_N2


def _crs(name: str) -> Any:
    from rasterio.crs import CRS
    from rasterio.errors import RasterioError

    try:
        return CRS.from_user_input(name)
    except (RasterioError, ValueError) as error:
        raise DatasetError(f"crs {name!r}: no system that GDAL knows ({error}): write it as EPSG:4326") from error


def _is_one(look: Look) -> bool:
    kinds = (b'"FeatureCollection"', b'"Feature"')
    return "type" in look.keys and bool({"features[]", "geometry"} & look.keys) and any(k in look.start for k in kinds)


FORM = Form(
    "geojson",
    "GeoJSON",
    "GeoJSON files over rasters",
    _is_one,
    read,
    suffixes=(".geojson", ".json"),
    takes=("images", "classes", "background", "class_from"),
)
