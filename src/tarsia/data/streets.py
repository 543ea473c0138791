"""Street scenes that Tarsia draws itself: any number, any size, exact labels, nothing to download.

CamVid's eleven classes, then lane marking and traffic light.  A scene is laid out in metres (`_streets/scene`,
`_streets/highway`, `_streets/downtown`), turned into faces (`_streets/ground`, `_streets/town`, `_streets/posts`,
`_streets/rails`, `_streets/cars`, `_streets/people`) and painted: on a clear day by `_streets/clear_day`, in the
conditions of `_streets/conditions` by `_streets/render`.

- `condition`: clear, or one of Song et al.'s nine: dawn, fall, fog, night, spring, summer, sunset, winter_night,
  winter.  The scene of an index is the same in each, and so is its label.
- `city`: mixed, streets of a small town and its suburbs; lane, a narrow one seen from near, the easiest; or one of
  their two places, highway and town.

Of either, several are joined by +, as dawn+fog, and all is all of theirs.  They then take turns, from index to index,
so that each comes as often; of several cities, one city's conditions come after the other's.  The domain of a sample is
its condition; with several cities it is city/condition.
"""

from __future__ import annotations

import functools
import math
from pathlib import Path

import numpy as np

from tarsia.card import Classes
from tarsia.data._dataset import Sample, check_sample
from tarsia.data._streets.clear_day import paint
from tarsia.data._streets.conditions import CONDITIONS
from tarsia.data._streets.downtown import compose_town
from tarsia.data._streets.highway import compose_highway
from tarsia.data._streets.lane import compose_lane
from tarsia.data._streets.render import render
from tarsia.data._streets.scene import compose
from tarsia.data._streets.world import FAR
from tarsia.errors import DatasetError, nearest

# Number in the random seed, and how many scenes unless told.
SPLITS = {"train": (0, 400), "val": (1, 100), "test": (2, 100)}
SMALLEST, LARGEST = 32, 4096
NEAREST = 12  # metres; less leaves no room for a crossing
PLAIN = "clear"
CITIES = {"mixed": compose, "lane": compose_lane, "highway": compose_highway, "town": compose_town}

CLASSES = Classes(
    names=(
        "sky", "building", "pole", "road", "pavement", "tree", "sign_symbol", "fence", "car", "pedestrian",
        "bicyclist", "lane_marking", "traffic_light",
    ),
    colors=(
        (128, 128, 128), (128, 0, 0), (192, 192, 128), (128, 64, 128), (60, 40, 222), (128, 128, 0),
        (192, 128, 128), (64, 64, 128), (64, 0, 128), (64, 64, 0), (0, 128, 192), (255, 255, 255), (250, 170, 30),
    ),
)  # fmt: skip


class Data:
    """Drawn street scenes: index -> picture and label of `size` (height, width).

    Scene `index` is a pure function of (seed, split, index, city, reach), its picture of that, condition and size: the
    same scene can be had larger or smaller, or in another condition.  `reach`: how many metres ahead people, vehicles,
    posts and fences stand (the street itself goes on); a short reach makes easy scenes without tiny objects.  Raises
    DatasetError for a folder (there is none), an unknown split, condition or city, a count below 1, a side outside
    32 .. 4096 or a reach outside 12 .. 230.
    """

    classes = CLASSES

    def __init__(
        self,
        root: str | Path | None = None,
        split: str = "train",
        *,
        count: int | None = None,
        size: tuple[int, int] = (240, 320),
        seed: int = 0,
        reach: float = FAR,
        condition: str = PLAIN,
        city: str = "mixed",
    ) -> None:
        if root is not None:
            raise DatasetError(f"streets are drawn and have no folder, but got {str(root)!r}: leave the root out")
        if split not in SPLITS:
            raise DatasetError(f"streets: no split {split!r}{nearest(split, SPLITS)}")
        self._number, default = SPLITS[split]
        self._count = default if count is None else _whole("count", count)
        if self._count < 1:
            raise DatasetError(f"streets: count is {count}, expected 1 or more scenes: raise it or leave it out")
        self.size = _checked_size(size)
        self.seed = _whole("seed", seed)
        if self.seed < 0:
            raise DatasetError(f"streets: seed is {seed}, expected 0 or more: take its absolute value")
        self.split = split
        self.reach = float(reach)
        if not NEAREST <= self.reach <= FAR:
            raise DatasetError(f"streets: reach is {reach} metres, expected {NEAREST} to {FAR:g}")
        self.condition, self.city = condition, city
        conditions = _several("condition", condition, (PLAIN, *CONDITIONS), tuple(CONDITIONS))
        cities = _several("city", city, tuple(CITIES), ("highway", "town"))
        self._kinds = [(place, weather) for place in cities for weather in conditions]

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> Sample:
        index = self._position(index)
        city, condition = self._kind(index)
        asked = (self.seed, self._number, index), city, condition, self.reach, self.size
        image, label = _kept(*asked) if math.prod(self.size) <= _KEPT_PIXELS else _drawn(*asked)
        image, label = image.copy(), label.copy()  # what is kept is nobody's to write on
        domain = f"{city}/{condition}" if len({city for city, _ in self._kinds}) > 1 else condition
        return check_sample(Sample(image, label, self.name(index), domain), self.classes)

    def name(self, index: int) -> str:
        """The name of scene `index` without drawing it."""
        index = self._position(index)
        city, condition = self._kind(index)
        other = [part for part, usual in ((city, "mixed"), (condition, PLAIN)) if part != usual]
        return "-".join([self.split, str(self.seed), f"{index:06d}", *other])

    def _kind(self, index: int) -> tuple[str, str]:
        """City and condition of scene `index`."""
        return self._kinds[index % len(self._kinds)]

    def _position(self, index: int) -> int:
        if not -self._count <= index < self._count:
            raise IndexError(f"streets: scene {index} of {self._count} ({self.split})")
        return int(index) % self._count


def _drawn(
    seeds: tuple[int, int, int], city: str, condition: str, reach: float, size: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    layout, detail, weather = (np.random.default_rng([*seeds, part]) for part in range(3))
    scene = CITIES[city](layout, reach)
    if condition == PLAIN:
        return paint(scene, size, detail)
    return render(scene, CONDITIONS[condition], size, detail, weather)


# Every epoch, the scores, the worst pictures and the examples ask for the same scenes: the newest are kept, 38 MiB.
_KEPT_PIXELS = 240 * 320
_kept = functools.lru_cache(128)(_drawn)


def _several(what: str, value: str, known: tuple[str, ...], everything: tuple[str, ...]) -> tuple[str, ...]:
    """The names that `value` joins by +, each once and in their own order; `all` is `everything`."""
    names: list[str] = []
    for name in value.split("+") if isinstance(value, str) else [value]:
        if name != "all" and name not in known:
            raise DatasetError(f"streets: no {what} {name!r}{nearest(str(name), (*known, 'all'))}")
        names += everything if name == "all" else (name,)
    return tuple(name for name in known if name in names)


def _whole(what: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise DatasetError(f"streets: {what} is {value!r}, expected a whole number")
    return int(value)


def _checked_size(size: tuple[int, int]) -> tuple[int, int]:
    try:
        height, width = size
    except (TypeError, ValueError):
        raise DatasetError(f"streets: size is {size!r}, expected (height, width) such as (240, 320)") from None
    for what, side in (("height", height), ("width", width)):
        if not SMALLEST <= _whole(what, side) <= LARGEST:
            raise DatasetError(
                f"streets: {what} is {side} pixels, expected {SMALLEST} to {LARGEST}: choose another (height, width)"
            )
    return int(height), int(width)
