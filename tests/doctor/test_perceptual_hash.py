"""Near copies are found as the slow, obvious comparison of all pairs finds them."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from sick_data import scene
from tarsia.doctor import perceptual_hash
from tarsia.doctor.perceptual_hash import NEAR_BITS, NEAR_CORRELATION, hashes, nearest_copies, standardised


def stacked(images: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Hashes, hashes of the mirrored pictures, thumbnails."""
    looks = [hashes(image) for image in images]
    return (
        np.array([one.hash for one in looks], np.uint64),
        np.array([one.mirrored for one in looks], np.uint64),
        np.stack([one.thumb_N for one in looks]),
    )


def jpeg(image: np.ndarray, quality: int) -> np.ndarray:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format="JPEG", quality=quality)
    with Image.open(buffer) as lossy:
        return np.asarray(lossy)


CHANGES = {
    "JPEG": lambda image: jpeg(image, 40),
    "half the size": lambda image: np.asarray(Image.fromarray(image).resize((64, 48))),
    "darker": lambda image: (image * 0.7).astype(np.uint8),
    "noise": lambda image: (image + np.random.default_rng(0).normal(0, 8, image.shape)).clip(0, 255).astype(np.uint8),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
@pytest.mark.parametrize("mirrored", [False, True])
def test_a_changed_picture_is_found_among_others(change, mirrored: bool) -> None:  # type: ignore[no-untyped-def]
    images = [scene(seed)[0] for seed in range(40)]
    hashes, mirrored_hashes, thumbs = stacked(images)
    changed = [change(image)[:, ::-1] if mirrored else change(image) for image in images]
    own, _, own_thumbs = stacked([np.ascontiguousarray(image) for image in changed])
    copies = nearest_copies(own, own_thumbs, mirrored_hashes if mirrored else hashes, thumbs, mirrored)
    assert all(copy.sample == copy.other for copy in copies)
    assert len(copies) >= 36  # nine of ten at least


def test_unrelated_pictures_are_no_copies_and_none_is_its_own() -> None:
    hashes, mirrored, thumbs = stacked([scene(seed)[0] for seed in range(80)])
    assert nearest_copies(hashes, thumbs, hashes, thumbs, False) == []
    assert nearest_copies(hashes, thumbs, mirrored, thumbs, True) == []
    assert nearest_copies(hashes, thumbs, hashes[:0], thumbs[:0], False) == []


def test_in_parts_as_all_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Random hashes close together, compared a few at a time: the best of those near enough, the first of equals."""
    random = np.random.default_rng(3)
    monkeypatch.setattr(perceptual_hash, "_ROWS", 3)
    monkeypatch.setattr(perceptual_hash, "_COLUMNS", 7)
    monkeypatch.setattr(perceptual_hash, "NEAR_CORRELATION", 0.2)
    hashes = random.integers(0, 2**7, 50, np.uint64) * np.uint64(2**20)
    thumbs = random.integers(0, 256, (50, 256)).astype(np.uint8)
    thumbs[25:] = thumbs[:25] // 2 + random.integers(0, 128, (25, 256)).astype(np.uint8)
    rows = standardised(thumbs)
    expected = {}
    for one in range(50):
        bits = [bin(int(hashes[one] ^ other)).count("1") for other in hashes]
        assert NEAR_BITS > 7, "all are candidates, of which the nearest few are looked at"
        near = sorted((k for k in range(50) if k != one), key=lambda k: (bits[k], k))[: perceptual_hash._CANDIDATES]
        best = max(near, key=lambda k: rows[one] @ rows[k])
        if rows[one] @ rows[best] >= 0.2:
            expected[one] = best
    found = nearest_copies(hashes, thumbs, hashes, thumbs, False)
    assert {copy.sample: copy.other for copy in found} == expected and len(expected) > 10


def test_a_picture_of_one_colour_is_like_nothing() -> None:
    rows = standardised(np.array([[7] * 256, list(range(256))], np.uint8))
    assert not rows[0].any() and rows[1] @ rows[1] == pytest.approx(1)
    hashes, _, thumbs = stacked([np.full((40, 40, 3), grey, np.uint8) for grey in (7, 9)])
    assert hashes[0] == hashes[1] and nearest_copies(hashes, thumbs, hashes, thumbs, False) == []
    assert NEAR_CORRELATION < 1
