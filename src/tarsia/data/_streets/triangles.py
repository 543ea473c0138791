"""Faces on the raster: which are seen, where their corners fall, their filling, and what each pixel then shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from tarsia.data._streets.mesh import Mesh
from tarsia.data._streets.world import NEAR, View


class Shapes:
    """The faces of `mesh` before the camera of `view`: corners, unit normals in the camera's axes, and on the raster.

    `seen_F` tells what faces the camera and falls into the picture.
    """

    def __init__(self, mesh: Mesh, view: View) -> None:
        starts = mesh.starts_F
        points, inside = view.axes(mesh.points_P3), view.axes(mesh.inside_F3)
        corner = points[starts]
        normal = np.cross(points[starts + 1] - corner, points[starts + 2] - corner)
        normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-9)
        outward = np.sign(np.einsum("ij,ij->i", normal, corner - inside))
        normal *= outward[:, None]
        self.mesh = mesh
        self.points_P3, self.normal_F3 = points, normal
        self.solid_F = np.isnan(mesh.gains_F)
        facing = ~self.solid_F | (np.einsum("ij,ij->i", normal, corner) < 0)
        self.uv_P2, self.depth_P = view.project(points)
        nearest = np.maximum.reduceat(points[:, 2], starts)
        self.low_F2 = np.minimum.reduceat(self.uv_P2, starts)
        self.high_F2 = np.maximum.reduceat(self.uv_P2, starts)
        inside_picture = (self.high_F2 >= 0).all(axis=1) & (self.low_F2 <= (view.width, view.height)).all(axis=1)
        self.seen_F = facing & (nearest > NEAR) & inside_picture

    def draw(self, canvas: Image.Image, fills: Sequence[Any], chosen_F: np.ndarray | None = None) -> None:
        """Fill the seen faces (of those `chosen_F`, a mask) with one of `fills` each."""
        # Pillow rounds corners to whole samples; half a sample puts the samples' centres where the labels are read.
        flat = (self.uv_P2 - 0.5).ravel().tolist()
        starts, counts = self.mesh.starts_F, self.mesh.counts_F
        begin, end = (2 * starts).tolist(), (2 * (starts + counts)).tolist()
        polygon = ImageDraw.Draw(canvas).polygon
        wanted = self.seen_F if chosen_F is None else self.seen_F & chosen_F
        for index in np.flatnonzero(wanted).tolist():
            polygon(flat[begin[index] : end[index]], fill=fills[index])


@dataclass(frozen=True, slots=True)
class Layer:
    """The N pixels of a picture that some faces fill, wholly or in part, near ones first.

    `at_N`: their flat numbers.  `cover_N`: how much of each is filled, 0 .. 1.  `color_4N`: the mean of the samples'
    four channels, 0 .. 255.  `face_N`: the face in the middle.  `point_3N`: where that is, in the camera's axes.
    """

    at_N: np.ndarray
    cover_N: np.ndarray
    color_4N: np.ndarray
    face_N: np.ndarray
    point_3N: np.ndarray


def picked(table: np.ndarray, index_N: np.ndarray) -> np.ndarray:
    """`table[..., index]` of indices that are known to fit, several times faster than by brackets."""
    return np.take(table, index_N, axis=-1, mode="clip")


def cover_of(samples_HW: np.ndarray, over: int) -> np.ndarray:
    """How much of each pixel of over x over samples is filled (is not 0), 0 .. 1."""
    filled = (samples_HW > 0).view(np.uint8) * np.uint8(255)
    return np.asarray(Image.fromarray(filled).reduce(over)) / np.float32(255)


def mean_colors(painted_HW: np.ndarray, over: int) -> np.ndarray:
    """Four bytes in one number at each sample -> the mean of each of them over the pixels, H x W x 4."""
    # As CMYK, whose channels Pillow averages each by itself.
    size = painted_HW.shape[::-1]
    return np.asarray(Image.frombuffer("CMYK", size, painted_HW, "raw", "CMYK", 0, 1).reduce(over))


def layer(filled_HW: np.ndarray, painted_HW: np.ndarray, face_HW: np.ndarray, shapes: Shapes, view: View) -> Layer:
    """The layer of samples, a multiple of `view`'s pixels, that are `filled` (0 .. 255) and `painted` (four bytes).

    `face`: 1 + the number among `shapes` of the face of each sample, 0 where there is none.
    """
    over = face_HW.shape[0] // view.height
    cover = np.asarray(Image.fromarray(filled_HW).reduce(over)).ravel()
    at = np.flatnonzero(cover)
    face = picked(face_HW[over // 2 :: over, over // 2 :: over].ravel(), at).astype(np.intp) - 1
    row = at.astype(np.int32) // np.int32(view.width)
    column = at.astype(np.int32) - row * np.int32(view.width)
    edge = np.flatnonzero(face < 0)
    for down in range(over):
        for right in range(over):
            beside = face_HW[row[edge] * over + down, column[edge] * over + right].astype(np.int32) - 1
            face[edge] = np.maximum(face[edge], beside)
    scale = np.float32(view.camera.focal * view.unit)
    x = (column.astype(np.float32) + np.float32(0.5 - view.width / 2)) / scale
    y = (np.float32(view.horizon - 0.5) - row.astype(np.float32)) / scale
    a, b, c, far, near = picked(_planes(shapes), face)
    depth = 1 / np.clip(a * x + b * y + c, far, near)
    order = np.argsort((depth * 100).astype(np.uint16), kind="stable")
    at, depth = picked(at, order), picked(depth, order)
    share = picked(cover, at).astype(np.float32) / 255
    colors = picked(mean_colors(painted_HW, over).view(np.uint32).ravel(), at).view(np.uint8).reshape(-1, 4)
    point = np.stack([picked(x, order) * depth, picked(y, order) * depth, depth])
    return Layer(at, share, colors.T / share, picked(face, order), point)


def _planes(shapes: Shapes) -> np.ndarray:
    """Of each face (a, b, c) with 1 / depth = a x + b y + c for a ray (x, y, 1), then the least and the greatest
    1 / depth of its corners, 5 x F."""
    starts = shapes.mesh.starts_F
    distance = np.einsum("ij,ij->i", shapes.normal_F3, shapes.points_P3[starts])
    # A plane through the camera is seen edge on: the limits say how deep it is.
    plane = shapes.normal_F3 / np.where(np.abs(distance) > 1e-6, distance, 1e-6)[:, None]
    near = 1 / np.minimum.reduceat(shapes.depth_P, starts)
    far = 1 / np.maximum.reduceat(shapes.depth_P, starts)
    return np.stack([*plane.T, far, near]).astype(np.float32)
