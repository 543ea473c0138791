"""Pictures of what `studies/adapt.py streets` has made: restyled scenes, and segmentations before and after.

    python studies/adapt_pictures.py runs/adapt-streets --city town --network pspnet --out docs/pictures

Writes restyled.jpg (scenes at dawn in the look of each condition) and adapted.jpg (scored scenes with their truth, and
as the source model and the adapted one see them).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch

from tarsia.adaptation.style import load_style
from tarsia.card import Classes
from tarsia.data import open_spec
from tarsia.data._paired import PairedData
from tarsia.data._streets.conditions import CONDITIONS
from tarsia.data._unlabelled import open_unlabelled
from tarsia.drawing.sheet import Row, Tile, sheet
from tarsia.inference import load


def main() -> None:
    """Draw both."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--city", default="town")
    parser.add_argument("--network", default="pspnet")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--style", default="style", help="which style network restyles: style, or published-style")
    parser.add_argument("--method", default="style+batch-norm", help="whose model is shown as the adapted one")
    parser.add_argument("--conditions", nargs="+", default=["night", "winter_night", "fog", "winter"])
    parser.add_argument("--scene", type=int, default=0, help="which of the scored scenes of each condition")
    parser.add_argument("--out", type=Path, default=Path("docs/pictures"))
    asked = parser.parse_args()
    root = asked.run / "pictures" / asked.city
    scored = open_spec(f"folder:{root},split=test")
    assert isinstance(scored, PairedData)
    made = asked.run / asked.city / f"seed{asked.seed}"
    rows = restyled(root, made / f"{asked.style}.safetensors", list(CONDITIONS))
    save(rows, scored.classes, asked.out / "restyled.jpg")
    models = {name: made / asked.network / name for name in ("source", asked.method)}
    save(adapted(scored, models, asked.conditions, asked.scene), scored.classes, asked.out / "adapted.jpg")


def restyled(root: Path, style: Path, conditions: list[str]) -> list[Row]:
    """A row of target pictures, one of each condition, and rows of dawn scenes, restyled after each."""
    network = load_style(style)[0]
    dawn = open_unlabelled(f"folder:{root},split=train")
    references = [open_unlabelled(root / "target" / condition)[1] for condition in conditions]
    named = zip(conditions, references, strict=True)
    rows = [Row("Pictures to look like", [Tile(name.replace("_", " "), image) for name, image in named])]
    for index in (0, 1, 2):
        tiles = [Tile("as it is", dawn[index])]
        for name, reference in zip(conditions[1:], references[1:], strict=True):
            found = network.restyle(tensor(dawn[index]), tensor(reference))[0].permute(1, 2, 0).numpy()
            tiles.append(Tile(f"after {name.replace('_', ' ')}", found))
        rows.append(Row("A scene at dawn, restyled" if index == 0 else "", tiles))
    return rows


def adapted(scored: PairedData, models: dict[str, Path], conditions: list[str], scene: int) -> list[Row]:
    """A row of each condition: the truth, then what each model sees."""
    predictors = {name: load(path) for name, path in models.items()}
    rows = []
    for condition in conditions:
        index = [k for k, domain in enumerate(scored.domains) if domain == condition][scene]
        sample = scored[index]
        tiles = [Tile("truth", sample.image, sample.label)]
        tiles += [Tile(name, sample.image, one.labels(sample.image[None])[0]) for name, one in predictors.items()]
        rows.append(Row(condition.replace("_", " "), tiles))
    return rows


def tensor(image_HW3: np.ndarray) -> torch.Tensor:
    """H x W x 3 -> 1 x 3 x H x W."""
    return torch.from_numpy(np.ascontiguousarray(image_HW3[None])).permute(0, 3, 1, 2)


def save(rows: list[Row], classes: Classes, path: Path) -> None:
    """Draw a sheet into a JPEG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet(rows, classes, (96, 128)).convert("RGB").save(path, quality=88)
    print(path)


if __name__ == "__main__":
    main()
