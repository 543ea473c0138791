"""Streets in the nine conditions and two cities: one scene, one label, another picture."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable

import numpy as np
import pytest

from tarsia import data
from tarsia.data import streets
from tarsia.data._streets.conditions import CONDITIONS
from tarsia.data._streets.lamps import Lamp, light_of
from tarsia.data._streets.lens import developed
from tarsia.data._streets.mesh import Faces, Kind
from tarsia.data._streets.render import mirrored
from tarsia.data._streets.sky import fractal
from tarsia.data._streets.sun import Skyline
from tarsia.data._streets.triangles import Shapes, layer
from tarsia.data._streets.world import Camera, Road, Scene, Side, Thing, View
from tarsia.data.streets import Data
from tarsia.errors import DatasetError

CITIES = ("mixed", "lane", "highway", "town")
WIDE = ("mixed", "highway", "town")  # where lamps are far, and things stand further than `reach` can be
NINE = ("dawn", "fall", "fog", "night", "spring", "summer", "sunset", "winter_night", "winter")  # Song, tables 3 and 4
SMALL = (48, 64)


@pytest.fixture(scope="module")
def drawn() -> dict[tuple[str, str], list[data.Sample]]:
    """Two scenes of each city in every condition."""
    return {
        (city, condition): [Data(size=SMALL, seed=4, city=city, condition=condition)[index] for index in range(2)]
        for city in CITIES
        for condition in ("clear", *NINE)
    }


@pytest.fixture(autouse=True)
def drawn_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two that are compared are not one that was kept."""
    monkeypatch.setattr(streets, "_KEPT_PIXELS", 0)


def _luminance(samples: list[data.Sample]) -> float:
    return float(np.mean([sample.image @ np.array([0.2126, 0.7152, 0.0722]) for sample in samples]))


def _digest(sample: data.Sample) -> str:
    return hashlib.sha256(sample.image.tobytes() + sample.label.tobytes()).hexdigest()


def test_the_clear_day_is_what_it_was() -> None:
    """Scores on streets stay comparable: no draw of the generator came in between (figures from before conditions)."""
    samples = [Data(size=(60, 80), count=4)[index] for index in range(4)]
    counts = np.bincount(np.concatenate([sample.label.ravel() for sample in samples]), minlength=13)
    before = [3751, 4129, 267, 6641, 349, 1829, 22, 116, 1572, 48, 55, 413, 8]
    np.testing.assert_allclose(counts, before, rtol=0.02, atol=3)
    np.testing.assert_allclose([sample.image.mean() for sample in samples], [142.2, 138.1, 120.7, 131.8], atol=0.5)


def test_conditions_are_those_of_the_publication() -> None:
    assert set(CONDITIONS) == set(NINE)


def test_the_label_is_the_same_in_every_condition(drawn: dict[tuple[str, str], list[data.Sample]]) -> None:
    for city in CITIES:
        for condition in NINE:
            for sample, clear in zip(drawn[city, condition], drawn[city, "clear"], strict=True):
                np.testing.assert_array_equal(sample.label, clear.label, err_msg=f"{city} {condition}")


def test_every_condition_is_another_picture(drawn: dict[tuple[str, str], list[data.Sample]]) -> None:
    everything = ("clear", *NINE)
    for city in CITIES:
        for number, one in enumerate(everything):
            for other in everything[:number]:
                pairs = zip(drawn[city, one], drawn[city, other], strict=True)
                apart = np.mean([np.abs(a.image.astype(float) - b.image).mean() for a, b in pairs])
                assert apart > 8, (city, one, other, apart)


def test_light_follows_the_hour(drawn: dict[tuple[str, str], list[data.Sample]]) -> None:
    for city in WIDE:
        bright = {condition: _luminance(drawn[city, condition]) for condition in NINE}
        assert bright["night"] + 8 < bright["winter_night"] < bright["winter"] - 20, (city, bright)
        assert bright["night"] + 25 < bright["dawn"] < bright["summer"] - 3, (city, bright)


def test_what_marks_a_condition_shows(drawn: dict[tuple[str, str], list[data.Sample]]) -> None:
    def colors(condition: str, name: str) -> np.ndarray:
        value = Data.classes.names.index(name)
        samples = drawn["mixed", condition] + drawn["highway", condition]
        return np.concatenate([sample.image[sample.label == value] for sample in samples]).astype(float)

    def redness(pixels: np.ndarray) -> float:
        return float((pixels[:, 0] - pixels[:, 1]).mean())

    assert redness(colors("fall", "tree")) > redness(colors("summer", "tree")) + 15
    assert colors("winter", "pavement").mean() > colors("summer", "pavement").mean() + 15
    assert (colors("sunset", "sky")[:, 0] - colors("sunset", "sky")[:, 2]).mean() > 10
    assert colors("fog", "sky").std() < 0.5 * colors("summer", "sky").std()
    # Lane paint stays brighter than the road, also under snow and at night.
    for condition in NINE:
        assert colors(condition, "lane_marking").mean() > colors(condition, "road").mean() + 10, condition


def test_fog_hides_what_is_far_and_night_has_lamps() -> None:
    fog, summer = (Data(size=SMALL, seed=4, condition=condition)[0] for condition in ("fog", "summer"))
    near, far = slice(40, 48), slice(23, 28)  # rows
    lost = [fog.image[rows].std() / summer.image[rows].std() for rows in (near, far)]
    assert lost[1] < 0.7 * lost[0]
    night = Data(size=SMALL, seed=4, city="town", condition="night")[0].image.max(axis=2)
    assert (night > 220).any() and np.median(night) < 110


@pytest.mark.parametrize("condition", ["night", "winter"])
def test_a_picture_depends_on_nothing_else(condition: str) -> None:
    first = _digest(Data(size=SMALL, seed=5, city="town", condition=condition)[1])
    again = Data(size=SMALL, seed=5, city="town", condition=condition, count=9)
    assert _digest(again[2]) != first
    assert _digest(again[1]) == first
    assert _digest(Data(size=SMALL, seed=6, city="town", condition=condition)[1]) != first


@pytest.mark.parametrize("city", CITIES)
@pytest.mark.parametrize("size", [(32, 32), (64, 64), (32, 200), (200, 32), (65, 97)])
def test_any_shape_is_drawn(city: str, size: tuple[int, int]) -> None:
    for index, condition in enumerate(("winter_night", "fall", "fog")):
        sample = Data(size=size, city=city, condition=condition)[index]
        assert sample.image.shape == (*size, 3)
        assert np.unique(sample.label).size > 2


def test_the_same_scene_at_another_size() -> None:
    small, large = (Data(size=size, condition="night", city="town")[0].image for size in ((60, 80), (120, 160)))
    shrunk = large.reshape(60, 2, 80, 2, 3).mean(axis=(1, 3))
    assert np.abs(shrunk - small).mean() < 12
    assert np.corrcoef(shrunk.ravel(), small.ravel())[0, 1] > 0.9


def test_cities_differ_as_they_should() -> None:
    names = Data.classes.names
    share = {}
    for city in ("highway", "town"):
        labels = np.stack([Data(size=SMALL, city=city, seed=2)[index].label for index in range(16)])
        share[city] = dict(zip(names, np.bincount(labels.ravel(), minlength=13) / labels.size, strict=True))
        shown = {name for value, name in enumerate(names) if (labels == value).any()}
        assert shown == set(names), city
    assert share["highway"]["sky"] > 2 * share["town"]["sky"]
    assert share["town"]["building"] > 4 * share["highway"]["building"]
    assert share["town"]["pedestrian"] > 4 * share["highway"]["pedestrian"]
    assert share["highway"]["fence"] > 2 * share["town"]["fence"]
    assert share["highway"]["tree"] > 2 * share["town"]["tree"]


@pytest.mark.parametrize("city", WIDE)
def test_reach_leaves_far_things_out(city: str) -> None:
    near, far = (Data(size=SMALL, city=city, reach=reach, condition="night") for reach in (12, 200))
    small = ("pedestrian", "car", "pole", "sign_symbol", "fence")
    values = [Data.classes.names.index(name) for name in small]
    count = [sum(np.isin(part[index].label, values).sum() for index in range(4)) for part in (near, far)]
    assert count[0] < count[1]
    clear = Data(size=SMALL, city=city, reach=12)
    np.testing.assert_array_equal(near[0].label, clear[0].label)


def test_domains_and_names() -> None:
    mixed = Data(size=(32, 32), split="val", count=12, condition="fog+dawn")
    assert [mixed[index].domain for index in range(4)] == ["dawn", "fog"] * 2  # in their own order
    assert mixed.name(1) == mixed[1].name == "val-0-000001-fog"
    both = Data(size=(32, 32), count=18, condition="all", city="all")
    domains = [both[index].domain for index in range(18)]
    assert len(set(domains)) == 18
    assert {domain.split("/")[0] for domain in domains} == {"highway", "town"}
    assert {domain.split("/")[1] for domain in domains} == set(NINE)
    assert both.name(0) == f"train-0-000000-{domains[0].replace('/', '-')}"
    assert Data(size=(32, 32), city="town", condition="night")[0].domain == "night"
    # A scene of a mixture is the scene that it is alone.
    assert _digest(mixed[1]) == _digest(Data(size=(32, 32), split="val", condition="fog")[1])


def test_as_it_is_written_on_the_command_line() -> None:
    dataset = data.open_spec("streets,condition=winter_night+night,city=town,count=2,size=32x40")
    assert [dataset[index].domain for index in range(2)] == ["night", "winter_night"]
    assert set(inspect.signature(Data).parameters) >= {"condition", "city"}


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Data(condition="nigth"), "no condition 'nigth', did you mean night"),
        (lambda: Data(condition="dawn+foggy"), "no condition 'foggy', did you mean fog"),
        (lambda: Data(condition=""), "no condition ''"),
        (lambda: Data(condition="dawn+"), "no condition ''"),
        (lambda: Data(condition=3), "no condition 3"),  # type: ignore[arg-type]
        (lambda: Data(city="towns"), "no city 'towns', did you mean town"),
        (lambda: data.open_spec("streets,city=highwy"), "did you mean highway"),
    ],
)
def test_unknown_names_offer_the_nearest(make: Callable[[], Data], said: str) -> None:
    with pytest.raises(DatasetError, match=said):
        make()


# The parts, each against the slow and obvious way.

CAMERA = Camera(height=1.5, focal=1.0, horizon=0.5, lateral=1.0, yaw=0.02, curve=0.001)


def _scene(*things: Thing) -> Scene:
    sides = [Side(sign, 3.0, 0.0, False, (160.0, 160.0, 160.0)) for sign in (-1, 1)]
    road = Road(5.0, 0.0, 1.0, True, 3.0, "none", 20.0, 3.0)
    return Scene(CAMERA, road, *sides, (0.0, 1.0, 0.0), 0.5, things)


def test_a_layer_knows_where_its_pixels_are() -> None:
    """Points on a tilted wall, found from the drawn face, against the wall's own equation."""
    faces = Faces()
    wall = np.array([[(-3.0, 0.0, 8.0), (4.0, 0.0, 14.0), (4.0, 5.0, 14.0), (-3.0, 5.0, 8.0)]])
    faces.add(wall, (200, 100, 50), Kind.BUILDING, (0.0, 2.0, 40.0))
    straight = Camera(1.5, 1.0, 0.5, 0.0, 0.0, 0.0)
    view, wide = View(straight, 40, 60), View(straight, 120, 180)
    shapes = Shapes(faces.mesh(), wide)
    inside = np.zeros((120, 180), np.uint16)
    rows, columns = np.mgrid[0:120, 0:180] + 0.5
    scale = wide.camera.focal * wide.unit
    # The ray through each sample meets the plane 6 x - 7 z = -74 (through the wall's feet).
    depth = 74 / (7 - 6 * (columns - 90) / scale)
    x, y = (columns - 90) / scale * depth, (wide.horizon - rows) / scale * depth + 1.5
    inside[(x > -3) & (x < 4) & (y > 0) & (y < 5)] = 1
    painted = np.where(inside > 0, np.array([200, 100, 50, 7], np.uint8).view(np.uint32)[0], np.uint32(0))
    part = layer((inside * 255).astype(np.uint8), painted.astype(np.uint32), inside, shapes, view)
    row, column = np.divmod(part.at_N, 60)
    middle = 3 * row + 1, 3 * column + 1
    assert len(part.at_N) > 300 and (np.diff(part.point_3N[2]) > -0.02).all()
    whole = part.cover_N == 1
    np.testing.assert_allclose(part.point_3N[2][whole], depth[middle][whole], rtol=2e-3)
    np.testing.assert_allclose(part.point_3N[0][whole], x[middle][whole], atol=0.03)
    np.testing.assert_allclose(part.point_3N[1][whole] + 1.5, y[middle][whole], atol=0.03)
    np.testing.assert_allclose(part.color_4N, np.array([[200, 100, 50, 7]] * len(row)).T, atol=6)
    np.testing.assert_array_equal(part.color_4N[:, whole].T, [[200, 100, 50, 7]] * int(whole.sum()))
    blocks = (inside.reshape(40, 3, 60, 3) > 0).mean(axis=(1, 3)).ravel()
    np.testing.assert_allclose(part.cover_N, blocks[part.at_N], atol=0.01)


def test_a_house_keeps_the_sun_off() -> None:
    """Shadow heights against marching from points towards the sun in small steps."""
    house = Thing("building", 8.0, 20.0, 10.0, 12.0, 15.0, (200.0, 200.0, 200.0))
    rng = np.random.default_rng(0)
    for sun in ((0.7, 0.35, 0.62), (-0.3, 0.5, -0.81), (0.9, 0.2, -0.3)):
        skyline = Skyline(_scene(house), sun)
        s, y, z = rng.uniform(-10, 30, 600), rng.uniform(0, 10, 600), rng.uniform(5, 50, 600)
        step = np.arange(0, 60, 0.1)[:, None]
        a, b, c = s + step * sun[0], y + step * sun[1], z + step * sun[2]
        blocked = ((a > 8) & (a < 18) & (b < 12) & (c > 20) & (c < 35)).any(axis=0)
        outside = ~((s > 7) & (s < 19) & (z > 19) & (z < 36))
        agree = (skyline.lit(s, y, z) < 0.5) == blocked
        assert agree[outside].mean() > 0.94, sun
        assert 0.02 < blocked[outside].mean() < 0.5


def test_lamplight_adds_up_and_falls_off() -> None:
    scene = _scene()
    view = View(CAMERA, 60, 80)
    lamps = [
        Lamp((2.0, 6.0, 12.0), (30.0, 20.0, 10.0), (0.0, 0.0, 0.0), "round"),
        Lamp((-3.0, 7.0, 30.0), (40.0, 40.0, 40.0), (0.0, 0.0, 0.0), "round"),
    ]
    z = np.linspace(2, 60, 200).astype(np.float32)
    point = np.stack([np.linspace(-5, 5, 200), np.full(200, -1.5), z]).astype(np.float32)
    normal = np.stack([0 * z, 1 + 0 * z, 0 * z])
    expected = np.zeros((3, 200))
    for lamp in lamps:
        x0, y0, z0 = view.axes(np.array([lamp.place]))[0]
        for number in range(200):
            away = np.array([x0, y0, z0]) - point[:, number]
            square = float(away @ away) + 4.0
            strength = max(away[1] / np.sqrt(square), 0) * max(1 / square - 1 / 28**2, 0)
            expected[:, number] += strength * np.array(lamp.light) * (abs(away[2]) < 28)
    np.testing.assert_allclose(light_of(lamps, view, point, normal, 0.0), expected, rtol=1e-3, atol=1e-6)
    assert not light_of([], view, point, normal, 0.0).any()
    assert scene.things == ()


def test_a_mirror_shows_things_upside_down_below_their_feet() -> None:
    view = View(Camera(1.5, 1.0, 0.5, 0.0, 0.0, 0.0), 60, 80)
    light, sky = np.zeros((3, 60, 80), np.float32), np.full((3, 60, 80), 0.25, np.float32)
    depth = 10.0
    foot = view.horizon + 1.5 * view.unit / depth
    rows = np.arange(20, int(foot))
    at = rows * 80 + 40
    light[0].ravel()[at] = 1.0
    image = mirrored(light, sky, at, np.full(len(at), depth), view, 30)
    below = image[0, :, 40] > 0.6
    top = 30 + np.flatnonzero(below)
    assert abs(top.min() - foot) < 3 and abs(top.max() - (2 * foot - 20)) < 4
    np.testing.assert_allclose(image[:, :, 10], 0.25, atol=1e-6)


def test_noise_is_smooth_and_has_no_seam() -> None:
    noise = fractal(np.random.default_rng(1))
    assert noise.shape == (256, 256) and abs(noise.mean()) < 1e-3 and abs(noise.std() - 0.25) < 1e-3
    seam = np.abs(noise[0] - noise[-1]).mean()
    assert seam < 1.5 * np.abs(np.diff(noise, axis=0)).mean() < 0.1


def test_exposure_keeps_the_order_of_brightness() -> None:
    ramp = np.tile(np.linspace(0, 1.5, 64, dtype=np.float32), (3, 16, 1))
    shown = developed(ramp.copy(), CONDITIONS["summer"], np.random.default_rng(0)).astype(float).mean(axis=(0, 2))
    assert shown[0] < 3 and (np.diff(shown) > -2).all() and shown[-1] > 150
    lamp = np.zeros((3, 33, 33), np.float32)
    lamp[:, 16, 16] = 30
    veil = developed(lamp, CONDITIONS["night"], np.random.default_rng(0)).astype(float).mean(axis=2)
    assert veil[16, 16] > 250 and veil[12:21, 12:21].mean() > veil[:6, :6].mean() + 10
