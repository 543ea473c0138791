"""Which pictures are nearly the same: a hash that small changes leave alone, and a thumbnail to make sure.

The hash is the 64 signs of the differences between neighbours in an 8 x 9 reduction of the grey picture ("difference
hash", Krawetz 2013).  What it lets through is confirmed by the correlation of 16 x 16 thumbnails.  Both limits were
chosen on 123 CamVid frames and 22 photos: all are found again at JPEG quality 20, at half their size and 30 % darker,
95 of 100 frames at 30 % brighter, which clips, and 98 with 2 % cut off at each side, but only half of the photos
(2026-11).  Noise over flat areas costs more: of drawn scenes 9 in 10 are found again at JPEG quality 20.  The package
for such hashes, imagehash, would bring scipy into the base install, 113 MB.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from PIL import Image

NEAR_BITS = 12
NEAR_CORRELATION = 0.98
THUMB = 16  # side of a thumbnail
_HAIR = 1e-5
_CANDIDATES = 20  # near by hash, of which the nearest by thumbnail is found
_ROWS, _COLUMNS = 16, 4096  # pictures compared at a time: what that takes stays in the processor's cache


class Hashes(NamedTuple):
    """What is kept of a picture for comparing: its hash, that of its mirror image, a thumbnail."""

    hash: int
    mirrored: int
    thumb_N: np.ndarray  # THUMB x THUMB uint8, flat


class Copy(NamedTuple):
    """Picture `sample` nearly is picture `other`, or its mirror image."""

    sample: int
    other: int
    mirrored: bool
    correlation: float


def hashes(image_HW3: np.ndarray) -> Hashes:
    """An H x W x 3 uint8 picture -> its hashes and thumbnail."""
    grey = Image.fromarray(image_HW3).convert("L")
    small = np.asarray(grey.resize((9, 8), Image.Resampling.BOX))
    thumb = np.asarray(grey.resize((THUMB, THUMB), Image.Resampling.BOX))
    return Hashes(_hash(small), _hash(small[:, ::-1]), thumb.ravel())


def _hash(small_89: np.ndarray) -> int:
    return int.from_bytes(np.packbits(small_89[:, 1:] > small_89[:, :-1]).tobytes(), "big")


def standardised(thumbs_NP: np.ndarray) -> np.ndarray:
    """Thumbnails -> float32 rows of mean 0 and length 1, whose products are correlations; 0 where all is one grey."""
    rows = thumbs_NP.astype(np.float32)
    rows -= rows.mean(1, keepdims=True)
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(length < 1e-3, np.inf, length)


def nearest_copies(
    hashes_N: np.ndarray, thumbs_NP: np.ndarray, others_M: np.ndarray, other_thumbs_MP: np.ndarray, mirrored: bool
) -> list[Copy]:
    """For each of N pictures the one of M others that is most like it, where they are nearly the same.

    `others_M`: uint64 hashes, of the mirrored pictures where `mirrored`.  Where both are the same pictures (the very
    same array of thumbnails), none is compared with itself.  Memory does not grow with N x M.
    """
    found: list[Copy] = []
    itself = thumbs_NP is other_thumbs_MP
    for start in range(0, len(hashes_N), _ROWS):
        for row, candidates in enumerate(_candidates(hashes_N[start : start + _ROWS], others_M)):
            candidates = candidates[candidates != start + row] if itself else candidates
            if not len(candidates):
                continue
            seen = other_thumbs_MP[candidates].reshape(-1, THUMB, THUMB)
            seen = seen[:, :, ::-1] if mirrored else seen
            both = standardised(np.concatenate([thumbs_NP[[start + row]], seen.reshape(len(candidates), -1)]))
            correlations = both[1:] @ both[0]
            best = int(correlations.argmax())
            if correlations[best] >= NEAR_CORRELATION:
                found.append(Copy(start + row, int(candidates[best]), mirrored, float(correlations[best])))
    return found


def matches(
    hashes_N: np.ndarray, thumbs_NP: np.ndarray, others_M: np.ndarray, other_thumbs_MP: np.ndarray, mirrored: bool
) -> np.ndarray:
    """For each of M others the first of N pictures that it nearly is, -1 for none: all that `nearest_copies` may find.

    `others_M`: as there.  A hair's breadth more counts as near, for sums are rounded otherwise.
    """
    found_M = np.full(len(others_M), -1)
    for start in range(0, len(others_M), _COLUMNS):
        part_C = others_M[start : start + _COLUMNS]
        for row in range(0, len(hashes_N), _ROWS):
            near_CR = np.bitwise_count(part_C[:, None] ^ hashes_N[None, row : row + _ROWS]) <= NEAR_BITS
            some = np.flatnonzero(near_CR.any(1))
            seen = other_thumbs_MP[start + some].reshape(-1, THUMB, THUMB)
            seen = seen[:, :, ::-1] if mirrored else seen
            rows = standardised(thumbs_NP[row : row + _ROWS])
            alike = standardised(seen.reshape(len(some), THUMB * THUMB)) @ rows.T >= NEAR_CORRELATION - _HAIR
            alike &= near_CR[some]
            fresh = alike.any(1) & (found_M[start + some] < 0)
            found_M[start + some[fresh]] = row + alike[fresh].argmax(1)
    return found_M


def _candidates(part_R: np.ndarray, others_M: np.ndarray) -> list[np.ndarray]:
    """For each hash those of the others that are near it, nearest first; a few, and the first of equals."""
    kept = [(np.zeros(0, np.int64), np.zeros(0, np.uint8))] * len(part_R)
    for start in range(0, len(others_M), _COLUMNS):
        bits_RC = np.bitwise_count(part_R[:, None] ^ others_M[None, start : start + _COLUMNS])
        near_RC = bits_RC <= NEAR_BITS
        for row in np.flatnonzero(near_RC.any(1)):
            places = np.flatnonzero(near_RC[row])
            known, bits = kept[row]
            known, bits = np.append(known, places + start), np.append(bits, bits_RC[row, places])
            order = np.argsort(bits, kind="stable")[: _CANDIDATES + 1]  # one of them may be the picture itself
            kept[row] = known[order], bits[order]
    return [known for known, _ in kept]
