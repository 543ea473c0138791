"""The one inference path: training's validation, evaluate, predict and serve all go through `Predictor`."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Self, overload

import numpy as np
from PIL import Image

from tarsia.card import Card, Classes
from tarsia.engines.engine import AttentionMap, Engine, check_numbers
from tarsia.errors import ImageError, RecipeError
from tarsia.pictures.address import fetched, is_address
from tarsia.pictures.files import MAX_PIXELS
from tarsia.pictures.many import many
from tarsia.pictures.ranges import Levels, levels_of, together
from tarsia.pictures.reader import ImageLike, masked, read
from tarsia.prediction.crf import CrfSettings, refine
from tarsia.prediction.network_input import check_size, network_size, pixels_seen, prepared
from tarsia.prediction.prediction import Prediction
from tarsia.prediction.style import Style
from tarsia.prediction.tiling import Tiling

_LEAST = 1e-30  # of a probability: log 0 would be no score


@dataclass(frozen=True)
class TestTimeAugmentation:
    """Average the probabilities over scales of the picture, each also mirrored where `flip`."""

    __test__ = False  # not a test class, whatever pytest thinks of the name
    flip: bool = True
    scales: tuple[float, ...] = (1.0,)


class Predictor:
    """A model ready for pictures: `Predictor(image) -> Prediction`, at the picture's own size.

    Its stages, in their order, are values; tiles go through the same ones.

    - `style`: a picture is also seen restyled, and the two answers are fused (prediction/style.py).  It sees whole
      pictures, so that there are no tiles with it.
    - the engine's network, whose probabilities `tta` averages over several views.
    - `temperature`, from the card's calibration: the scores of each view are divided by it before they become
      probabilities.  It never changes a label: where labels follow from probabilities, they follow from those without
      it, and a `crf`, whose settings are chosen for those, has no use for it.
    - `crf` refines the probabilities by a dense CRF (prediction/crf.py) that sees the picture as it is.

    Where the model's range is each picture's own, `at_levels` says it; without that it is counted of what the methods
    are given, which are whole pictures then.

    `tile` and `overlap` are the tiles that `tarsia.predict` shall cut large pictures into (prediction/tiles.py).
    """

    tile: int | None = None
    overlap: float | None = None
    levels: Levels | None = None

    def __init__(
        self,
        engine: Engine,
        tta: TestTimeAugmentation | None = None,
        crf: CrfSettings | None = None,
        style: Style | None = None,
    ) -> None:
        for stage, given in ("crf", crf), ("style", style):
            if given is not None and not engine.card.spec.plain:
                raise RecipeError(
                    f"`{stage}` takes red, green and blue, and this model takes pictures of "
                    f"{engine.card.spec}: leave it out"
                )
        if style is not None and engine.card.spec.percentiles:
            raise RecipeError(
                "`style` changes a picture's values, and this model's range is each picture's own, which would change "
                "with them: leave it out"
            )
        self.engine = engine
        self.tta = tta
        self.crf = crf
        self.style = style
        self.temperature = engine.card.calibration.temperature if engine.card.calibration else 1.0

    def at_temperature(self, temperature: float) -> Self:
        """The same with another temperature; this one keeps its own."""
        other = copy.copy(self)
        other.temperature = temperature
        return other

    def at_levels(self, levels: Levels | None) -> Self:
        """The same for these pictures: their own range, of a model that goes by it; else itself."""
        if levels is None or not self.card.spec.percentiles:
            return self
        other = copy.copy(self)
        other.levels = levels
        return other

    def told(self, images_BHWC: np.ndarray) -> dict[str, Levels]:
        """What an engine is to be told of pictures beside them: their levels, of a model that goes by each one's."""
        rule = self.card.input.range
        if rule is None or not rule.by_picture:
            return {}
        known = self.levels or together(levels_of(rule, image) for image in images_BHWC)
        return {} if known is None else {"levels": known.of(len(images_BHWC))}

    def in_tiles(self, side: int | None, overlap: float | None = None) -> Self:
        """The same for pictures in tiles of `side` pixels; RecipeError for tiles that its network cannot take."""
        if side is None and overlap is None:
            return self
        if overlap is not None and not (side or self.card.input.tile):
            raise RecipeError(f"an overlap of {overlap:g} is for tiles: say how large they shall be, too (`tile=512`)")
        self.check_tiles()
        Tiling.of(self.card.input, side, overlap)
        other = copy.copy(self)
        other.tile, other.overlap = side, overlap
        return other

    @property
    def card(self) -> Card:
        return self.engine.card

    @property
    def classes(self) -> Classes:
        return self.engine.card.classes

    @property
    def needs_probabilities(self) -> bool:
        """Whether the labels follow from probabilities and not from scores alone."""
        return any(stage is not None for stage in (self.tta, self.crf, self.style))

    @property
    def scales(self) -> tuple[float, ...]:
        """Those at which the network sees a picture."""
        return self.tta.scales if self.tta else (1.0,)

    def pixels_seen(self, size: tuple[int, int]) -> int:
        """How many pixels are worked on at a time for a picture of `size` (height, width), as `network_input` says."""
        return pixels_seen(size, self.card.input, self.scales)

    def check_size(self, size: tuple[int, int], limit: int = MAX_PIXELS) -> None:
        """ImageError for a picture of `size` (height, width) that is too narrow, or too large, as TooLargeError."""
        check_size(size, self.card, self.scales, limit)

    @overload
    def __call__(self, image: ImageLike, confidence: bool = False, *, fetch: bool = False) -> Prediction: ...

    @overload
    def __call__(self, image: Iterable[ImageLike], confidence: bool = False, *, fetch: bool = False) -> Any: ...

    def __call__(self, image: Any, confidence: bool = False, *, fetch: bool = False) -> Any:
        """Segment a picture -> a Prediction, or many -> a list of them.

        One: a path, file content, a PIL image, an H x W x 3 uint8 RGB array, or a uint8 tensor, 3 x H x W as torch has
        them.  Of a model for other bands: H x W x bands, or a file of so many (pictures/reader.py).  With `fetch`
        addresses of http and https too.  Many: a list, a folder (with those below it), or an array or tensor with one
        more axis in front; `each` gives them one by one.  Raises ImageError for what cannot be read as such a picture,
        or is too narrow or too large for the model (`check_size`), and as ScoresError for one of which the network says
        what is no number.
        """
        several = many(image, self.card.spec)
        return (
            self._one(image, confidence, fetch) if several is None else [*self.each(several, confidence, fetch=fetch)]
        )

    def each(self, images: Any, confidence: bool = False, *, fetch: bool = False) -> Iterator[Prediction]:
        """The predictions of many pictures, which may be an iterator too, each when it is asked for."""
        several = many(images, self.card.spec)
        for image in [images] if several is None else several:
            yield self._one(image, confidence, fetch)

    def _one(self, image: ImageLike, confidence: bool, fetch: bool) -> Prediction:
        if is_address(image):
            if not fetch:
                raise ImageError(f"{image}: an address; nothing is fetched from the web unless you say `fetch=True`")
            image = fetched(image)
        picture = read(image, self.card.spec)
        image_HWC, valid_HW = picture.warned(), picture.valid_HW
        seeing = self if self.levels is not None else self.at_levels(picture.levels)
        if not confidence:
            label_HW = masked(seeing.labels(image_HWC[None])[0], valid_HW)
            return Prediction(label_HW, self.classes, image_HWC=image_HWC)
        label_BHW, confidence_BHW = seeing.labels_and_confidence(image_HWC[None])
        confidence_HW = confidence_BHW[0]
        if valid_HW is not None:
            confidence_HW = np.where(valid_HW, confidence_HW, np.float32(np.nan))
        return Prediction(masked(label_BHW[0], valid_HW), self.classes, confidence_HW, image_HWC)

    def labels(self, images_BHW3: np.ndarray) -> np.ndarray:
        """Pictures of one size -> B x H x W uint8 class indices."""
        if self.needs_probabilities:
            return self._refined(images_BHW3, self._averaged(images_BHW3, {1.0})[1.0]).argmax(1).astype(np.uint8)
        found = self._of_the_network(images_BHW3)
        if found is not None:
            return found[0]
        return self.engine.labels(self.scores(images_BHW3), images_BHW3.shape[1:3])

    def labels_and_confidence(self, images_BHW3: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Pictures of one size -> B x H x W uint8 class indices and the float32 probability of each."""
        if not self.needs_probabilities:
            given = self._of_the_network(images_BHW3)
            if given is not None:
                return given
            scores = self.scores(images_BHW3)
            label_BHW = self.engine.labels(scores, images_BHW3.shape[1:3])
            return label_BHW, self.confidence(scores, label_BHW)
        temperature = 1.0 if self.crf else self.temperature
        found = self._averaged(images_BHW3, {1.0, temperature})
        found[1.0] = self._refined(images_BHW3, found[1.0])
        label_BHW = found[1.0].argmax(1).astype(np.uint8)
        return label_BHW, _of_labels(found[temperature], label_BHW)

    def _of_the_network(self, images_BHW3: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
        """Labels and confidence from the network itself: where it gives them, and sees pictures at their own size."""
        fitted, size = self.card.calibration, images_BHW3.shape[1:3]
        if network_size(size, self.card.input) != size or self.temperature != (fitted.temperature if fitted else 1.0):
            return None
        padded, (height, width) = prepared(images_BHW3, self.card)
        given = self.engine.run_to_labels(padded, **self.told(images_BHW3))
        if given is None:
            return None
        label_BHW, confidence_BHW = given
        check_numbers(confidence_BHW, "probabilities")
        return label_BHW[:, :height, :width], confidence_BHW[:, :height, :width]

    def confidence(self, scores: Any, label_BHW: np.ndarray) -> np.ndarray:
        """What `scores` gave, and labels of that size -> B x H x W float32, the probability of each label."""
        return _of_labels(self._probabilities(scores, self.temperature, label_BHW.shape[1:]), label_BHW)

    def scores(self, images_BHW3: np.ndarray, scale: float = 1.0) -> Any:
        """Pictures of one size -> the engine's scores at the size the network saw, padding cropped away.

        ScoresError where they are no numbers, and so from whatever follows from them.
        """
        check_numbers(found := self.unchecked_scores(images_BHW3, scale), "scores")
        return found

    def unchecked_scores(self, images_BHW3: np.ndarray, scale: float = 1.0) -> Any:
        """As `scores`, which may be no numbers, for those who judge a network."""
        padded, size = prepared(images_BHW3, self.card, scale)
        return self.engine.run(padded, **self.told(images_BHW3))[:, :, : size[0], : size[1]]

    def probabilities(self, images_BHW3: np.ndarray) -> np.ndarray:
        """Pictures of one size -> B x K x H x W float32 probabilities, averaged by `tta`, then refined by `crf`."""
        temperature = 1.0 if self.crf else self.temperature
        return self._refined(images_BHW3, self._averaged(images_BHW3, {temperature})[temperature])

    def check_whole(self, doing: str) -> None:
        """RecipeError where tiles were chosen and `doing`, as `evaluate`, takes whole pictures."""
        if self.tile or self.overlap is not None:
            raise RecipeError(f"{doing} takes whole pictures, of which tiles see less: leave out `tile` and `overlap`")

    def check_tiles(self) -> None:
        """RecipeError where a stage needs the whole picture: tiles would get another answer, and nobody would know."""
        if self.style is not None:
            raise RecipeError(
                "`style` takes whole pictures, and tiles would each be restyled by their own colours: leave out "
                "`style` and `reference`, or the tiles (a picture too large for memory can be made smaller)"
            )

    def evidence(self, images_BHW3: np.ndarray, confidence: bool = False) -> Any:
        """Tiles of one size -> B x K x H x W scores to blend, in which every stage of this predictor has its part.

        The network's own, at the tiles' size, where labels follow from them; else logarithms of the probabilities,
        which are scores as well.  With `confidence` and where labels and confidence follow from probabilities of two
        temperatures, both: B x 2K, those for the labels first.
        """
        if not self.needs_probabilities:
            return self.scores(images_BHW3)
        temperatures = [1.0] if self.crf or not confidence or self.temperature == 1 else [1.0, self.temperature]
        found = self._averaged(images_BHW3, set(temperatures))
        found[1.0] = self._refined(images_BHW3, found[1.0])
        return np.log(np.maximum(np.concatenate([found[one] for one in temperatures], axis=1), _LEAST))

    def _averaged(self, images_BHW3: np.ndarray, temperatures: set[float]) -> dict[float, np.ndarray]:
        """Probabilities by `tta`, at each temperature; those of the restyled pictures and, fused, of the others."""
        if self.style is None:
            return self._of_views(images_BHW3, temperatures)
        return self.style.answers(images_BHW3, lambda seen: self._of_views(seen, temperatures))

    def _of_views(self, images_BHW3: np.ndarray, temperatures: set[float]) -> dict[float, np.ndarray]:
        """The mean of the probabilities over the views of `tta`, at each temperature; the network runs once a view."""
        tta = self.tta or TestTimeAugmentation(flip=False)
        views = [(scale, mirrored) for scale in tta.scales for mirrored in ((False, True) if tta.flip else (False,))]
        totals: dict[float, Any] = dict.fromkeys(temperatures, 0)
        for scale, mirrored in views:
            seen = images_BHW3[:, :, ::-1] if mirrored else images_BHW3
            scores = self.scores(np.ascontiguousarray(seen), scale)
            for temperature in temperatures:
                part = self._probabilities(scores, temperature, images_BHW3.shape[1:3])
                totals[temperature] = totals[temperature] + (part[..., ::-1] if mirrored else part)
        return {temperature: total / len(views) for temperature, total in totals.items()}

    def _probabilities(self, scores: Any, temperature: float, size: tuple[int, ...]) -> np.ndarray:
        return self.engine.probabilities(scores if temperature == 1 else scores / temperature, (size[0], size[1]))

    def _refined(self, images_BHW3: np.ndarray, probabilities_BKHW: np.ndarray) -> np.ndarray:
        if self.crf is None:
            return probabilities_BKHW
        return np.stack([refine(*pair, self.crf) for pair in zip(images_BHW3, probabilities_BKHW, strict=True)])

    def attention(self, image: ImageLike, at: tuple[int, int] | None = None) -> list[AttentionMap]:
        """What each attention module of the network does in one picture, without test-time augmentation.

        `at`: (x, y), pixels from the left and the top of the picture, whose attention is also asked for.  The maps have
        their module's resolution and cover the whole picture.  Raises OutputError where the network has no attention,
        ImageError as `Predictor(image)` does and where `at` lies outside.
        """
        picture = read(image, self.card.spec)
        image_HW3 = picture.warned()
        seeing = self if self.levels is not None else self.at_levels(picture.levels)
        padded, size = prepared(image_HW3[None], self.card)
        covered = size[0] / padded.shape[1], size[1] / padded.shape[2]
        where = None
        if at is not None:
            (x, y), (height, width) = at, image_HW3.shape[:2]
            if not (0 <= x < width and 0 <= y < height):
                seen = f"the picture {width} wide and {height} high"
                raise ImageError(f"`attention_at` is {x},{y}, and {seen}: choose a pixel in it")
            where = (y + 0.5) / height * covered[0], (x + 0.5) / width * covered[1]
        maps = self.engine.attention(padded[0], where, **seeing.told(image_HW3[None]))
        return [one._replace(map_HW=_without_padding(one.map_HW, covered)) for one in maps]


def _of_labels(probabilities_BKHW: np.ndarray, label_BHW: np.ndarray) -> np.ndarray:
    found_BHW = np.take_along_axis(probabilities_BKHW, label_BHW[:, None].astype(np.intp), 1)[:, 0]
    check_numbers(found_BHW, "probabilities")
    return found_BHW


def _without_padding(map_HW: np.ndarray, covered: tuple[float, float]) -> np.ndarray:
    """The top left part of a map, `covered` of its height and width, about as fine as it was."""
    height, width = map_HW.shape[0] * covered[0], map_HW.shape[1] * covered[1]
    size = max(1, round(width)), max(1, round(height))
    part = Image.fromarray(map_HW).resize(size, Image.Resampling.BILINEAR, box=(0, 0, width, height))
    return np.asarray(part)
