"""Dense CRF: class probabilities of a picture -> refined ones whose borders follow the picture's colours.

Krähenbühl & Koltun, "Efficient Inference in Fully Connected CRFs with Gaussian Edge Potentials" (NIPS 2011), as Chen
et al. use it after their network ("DeepLab", ICLR 2015, arXiv 1412.7062, eq. 2).  Every pixel is tied to every other
by two Gaussian kernels, appearance (near in position and in colour) and smoothness (near in position); labels that
differ cost the kernels' value (Potts).  Mean field: with p the network's probabilities and Q = p at first, repeat

    Q_i(k) = softmax over k of  log p_i(k) + appearance_weight A_i(k) + smoothness_weight S_i(k),

A and S being the kernels' averages of Q(k) around pixel i: each kernel is divided by its sum at the pixel, so that a
weight means the same in the middle, at a border and in a rare colour, and a pixel is part of its own average.  The
publication has neither; the program that came with it has both.  (Its authors' program of 2013
divides by the square roots of the sums at both pixels instead.)  S is exact to float32; A is approximated by
the permutohedral lattice (Adams, Baek & Davis, "Fast High-Dimensional Filtering Using the Permutohedral Lattice",
Eurographics 2010), as in those programs, whose package for Python (pydensecrf) nobody maintains.
"""

from __future__ import annotations

import math
from typing import Annotated

import numpy as np
from pydantic import Field, ValidationError

from tarsia.errors import ImageError, RecipeError
from tarsia.yaml_faults import faults_of
from tarsia.yaml_tree import Node

FLOOR = 1e-6  # probabilities below count as this: log 0 would outweigh every neighbour

_CODES = 2**62  # lattice points that int64 can number, with room for the steps to neighbours
_REACH = 6.0  # deviations; beyond, a Gaussian is below 2e-8, nothing to float32
_BLOCK = 128  # rows at a time of a product with a banded matrix

_Weight = Annotated[float, Field(ge=0, le=1000)]
_Deviation = Annotated[float, Field(ge=1, le=10_000)]


class CrfSettings(Node):
    """The two kernels and the mean field.

    Published (DeepLab, section 5): 10 iterations, smoothness 3 and 3; the other three are searched on 100 validation
    pictures of each data set, weight 5 to 10, position 50 to 100, colour 3 to 10.  The values found are not printed;
    the defaults are those of the script that its authors released for DeepLab-LargeFOV on Pascal VOC 2012.
    """

    iterations: Annotated[int, Field(ge=1, le=1000)] = 10
    appearance_weight: _Weight = Field(4.0, description="w1")
    position_deviation: _Deviation = Field(49.0, description="theta_alpha: of the appearance kernel, in pixels")
    color_deviation: _Deviation = Field(5.0, description="theta_beta: of the appearance kernel, in grey levels of 255")
    smoothness_weight: _Weight = Field(3.0, description="w2")
    smoothness_deviation: _Deviation = Field(3.0, description="theta_gamma: of the smoothness kernel, in pixels")

    @classmethod
    def parse(cls, text: str) -> CrfSettings:
        """`key=value,key=value`, what is left out as by default -> settings; RecipeError lists every fault."""
        given: dict[str, str] = {}
        for part in text.split(","):
            key, equals, value = part.strip().partition("=")
            if not equals:
                example = "crf='appearance_weight=5,color_deviation=3', or `crf` alone as the last word"
                raise RecipeError(f"crf={text!r}: {part!r} is not key=value: write {example}")
            if key in given:
                raise RecipeError(f"crf={text!r}: {key} is given twice")
            given[key] = value
        try:
            return cls.model_validate(given)
        except ValidationError as error:
            faults = faults_of(error, cls)
            raise RecipeError(*(f"`crf`: {where[0]}: {what}" for where, what in faults)) from error

    def __str__(self) -> str:
        return (
            f"dense CRF: {self.iterations} iterations; appearance weight {self.appearance_weight:g}, deviations "
            f"{self.position_deviation:g} pixels and {self.color_deviation:g} grey levels; smoothness weight "
            f"{self.smoothness_weight:g}, deviation {self.smoothness_deviation:g} pixels"
        )


def refine(image_HW3: np.ndarray, probabilities_KHW: np.ndarray, settings: CrfSettings | None = None) -> np.ndarray:
    """A uint8 RGB picture and K x H x W class probabilities -> refined ones, float32, summing to 1 at each pixel.

    Probabilities are raised to `FLOOR` first.  Raises ValueError for arrays that do not belong together, ImageError
    where the picture is too large for deviations this small.
    """
    settings = settings or CrfSettings()
    if image_HW3.dtype != np.uint8 or image_HW3.shape != (*probabilities_KHW.shape[1:], 3):
        raise ValueError(f"image {image_HW3.dtype} {image_HW3.shape}, probabilities {probabilities_KHW.shape}")
    height, width = image_HW3.shape[:2]
    given_KHW = np.log(np.maximum(probabilities_KHW, FLOOR, dtype=np.float32))
    appearance = _Lattice(_points(image_HW3, settings))
    down_HH, along_WW = (_gaussian(side, settings.smoothness_deviation) for side in (height, width))
    reach = math.ceil(_REACH * settings.smoothness_deviation)
    refined_KHW = _softmax(given_KHW.copy())
    for _ in range(settings.iterations):
        energy_KHW = _banded(down_HH, _banded(along_WW, refined_KHW.swapaxes(1, 2), reach).swapaxes(1, 2), reach)
        energy_KHW *= settings.smoothness_weight
        energy_KHW += given_KHW
        for k, class_HW in enumerate(refined_KHW):
            average_HW = appearance.average(class_HW.ravel()).reshape(height, width)
            energy_KHW[k] += settings.appearance_weight * average_HW
        refined_KHW = _softmax(energy_KHW)
    return refined_KHW


def _softmax(energy_KHW: np.ndarray) -> np.ndarray:
    """Over the classes, in place."""
    energy_KHW -= energy_KHW.max(0)
    np.exp(energy_KHW, out=energy_KHW)
    energy_KHW /= energy_KHW.sum(0)
    return energy_KHW


def _gaussian(side: int, deviation: float) -> np.ndarray:
    """Averages along a side as a matrix: rows sum to 1.  The kernel is separable, and so is its sum at a pixel."""
    place = np.arange(side)
    away = np.abs(place[:, None] - place) / deviation
    matrix = np.where(away < _REACH, np.exp(-0.5 * away**2), 0)
    return (matrix / matrix.sum(1, keepdims=True)).astype(np.float32)


def _banded(matrix_SS: np.ndarray, values_KST: np.ndarray, reach: int) -> np.ndarray:
    """matrix @ values, where the matrix is zero further than `reach` from its diagonal: a time linear in S."""
    product_KST = np.empty_like(values_KST)
    for start in range(0, len(matrix_SS), _BLOCK):
        rows, near = slice(start, start + _BLOCK), slice(max(0, start - reach), start + _BLOCK + reach)
        product_KST[:, rows] = matrix_SS[rows, near] @ values_KST[:, near]
    return product_KST


def _points(image_HW3: np.ndarray, settings: CrfSettings) -> np.ndarray:
    """H*W x 5: position and colour in units of the appearance kernel's deviations."""
    height, width = image_HW3.shape[:2]
    points_HW5 = np.empty((height, width, 5), np.float32)
    points_HW5[..., 0] = np.arange(height)[:, None] / settings.position_deviation
    points_HW5[..., 1] = np.arange(width) / settings.position_deviation
    points_HW5[..., 2:] = image_HW3 / np.float32(settings.color_deviation)
    return points_HW5.reshape(-1, 5)


class _Lattice:
    """Gaussian averages (deviation 1) of values at N points in D dimensions, in a time linear in N.

    A point's value is spread over the V = D + 1 corners of the simplex that holds it (splat), blurred by 1/4 1/2 1/4
    along each of the lattice's V axes, and read back at the same corners (slice).
    """

    def __init__(self, points_ND: np.ndarray) -> None:
        codes_VN, self._weight_VN, steps_V = _simplices(points_ND)
        codes_M, corner_VN = np.unique(codes_VN, return_inverse=True)
        self._corner = corner_VN.ravel()
        self._count = len(codes_M)
        self._neighbours = [_neighbours(codes_M, step) for step in steps_V]
        self._sum_N = self._filter(np.ones(len(points_ND), np.float32))

    def average(self, values_N: np.ndarray) -> np.ndarray:
        """Values at the points -> the mean around each, itself where all are equal."""
        return self._filter(values_N) / self._sum_N

    def _filter(self, values_N: np.ndarray) -> np.ndarray:
        spread = (self._weight_VN * values_N).ravel()
        lattice = np.bincount(self._corner, spread, self._count + 1)  # the last stands for points without a pixel: 0
        for before, after in self._neighbours:
            lattice[:-1] += 0.5 * (lattice[before] + lattice[after])
        read_VN = lattice.astype(np.float32)[self._corner].reshape(self._weight_VN.shape)
        return np.einsum("vn,vn->n", read_VN, self._weight_VN)


def _neighbours(codes_M: np.ndarray, step: int) -> tuple[np.ndarray, np.ndarray]:
    """The index of each lattice point's two neighbours along one axis, M where no pixel touches it."""
    count = len(codes_M)
    place = np.minimum(np.searchsorted(codes_M, codes_M + step), count - 1)
    there = codes_M[place] == codes_M + step
    after = np.where(there, place, count)
    before = np.full(count, count)
    before[place[there]] = np.flatnonzero(there)
    return before, after


def _simplices(points_ND: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """N points -> the codes (V x N int64) of their simplices' V = D + 1 corners, their weights, steps along the axes.

    Lattice points are integer vectors of V coordinates that sum to 0 and are all equal modulo V; a code numbers one by
    its first D coordinates, and codes add up as the vectors do.  A simplex has one corner of each remainder modulo V:
    corner 0 is the nearest with remainder 0, and corner k is reached from k - 1 by adding 1 to every coordinate and
    taking V off that with the smallest residual of those not yet taken.
    """
    dimensions = points_ND.shape[1]
    corners = dimensions + 1
    # The plane's orthonormal basis; the factor gives splat, blur and slice together the variance 1 (in units of V).
    basis_VD = np.triu(np.ones((corners, dimensions))) - np.eye(corners, dimensions, -1) * np.arange(1, corners)
    basis_VD *= np.sqrt(2 / 3) / np.linalg.norm(basis_VD, axis=0)
    place_NV = points_ND @ basis_VD.T.astype(np.float32)
    nearest_NV = np.rint(place_NV)
    order_NV = np.argsort(nearest_NV - place_NV, axis=1)
    residual_NV = np.take_along_axis(place_NV - nearest_NV, order_NV, 1)  # largest first
    # Rounded one by one, coordinates may sum to some multiple of V: that many of the ends move to the other side.
    excess_N1 = nearest_NV.sum(1, keepdims=True).astype(np.int64)
    moved_NV, turn_NV = np.divmod(np.arange(corners) - excess_N1, corners)
    order_NV = np.take_along_axis(order_NV, turn_NV, 1)
    residual_NV = np.take_along_axis(residual_NV, turn_NV, 1) - moved_NV
    weight_NV = -np.diff(residual_NV, axis=1, append=residual_NV[:, :1] - 1)[:, ::-1]

    nearest_NV -= nearest_NV.min(0)
    spans = [int(most) * corners + 6 * corners for most in nearest_NV.max(0)[:dimensions]]
    digits = [math.prod(spans[:d]) for d in range(dimensions + 1)]
    if digits.pop() > _CODES:
        raise ImageError(
            f"picture of {len(points_ND)} pixels is too large for a CRF of deviations this small: raise "
            "position_deviation and color_deviation"
        )
    digit_V = np.array([*digits, 0], np.int64)  # the last coordinate follows from the others
    steps_V = digit_V.sum() - corners * digit_V
    codes_NV = np.empty(order_NV.shape, np.int64)
    codes_NV[:, 0] = corners * (nearest_NV.astype(np.int64) @ digit_V + (moved_NV * digit_V[order_NV]).sum(1))
    codes_NV[:, 1:] = steps_V[order_NV[:, :0:-1]]
    return codes_NV.cumsum(1).T, np.ascontiguousarray(weight_NV.T, np.float32), steps_V
