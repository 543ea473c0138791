"""demo: the whole path on street scenes that Tarsia draws itself, nothing to download."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from PIL import Image

from tarsia import console, data, predicting, training
from tarsia.evaluation.report import Report
from tarsia.files import require_new, writing
from tarsia.inference import load
from tarsia.recipe import Recipe

_TRAIN, _VAL, _SHOWN = 200, 40, 4
# Small pictures of near things: what a small network can learn in two minutes, on two cores that compute in float32.
_SCENES: dict[str, Any] = {"size": (128, 160), "city": "lane"}
# In class order; the root of the median frequency balancing made rare classes spill over their borders.
_WEIGHTS = (0.6, 0.6, 1.1, 0.55, 0.8, 0.8, 1.2, 1.2, 0.8, 1.2, 1.25, 0.9, 1.2)


def demonstrate(out: Path, *, device: str = "auto", seed: int = 0) -> Report:
    """Draw scenes, train a small network from scratch, score it on held-out scenes, predict some -> the report.

    `out` is a run folder with pictures of scenes in `scenes/` and their predictions in `predictions/`.  A demo that
    stands there already is written anew; OutputError where `out` holds anything else.
    """
    out = Path(out)
    if out.exists():
        require_new(out, overwrite=_is_demo(out))
    console.note(f"Training a small network from scratch on {_TRAIN} street scenes that Tarsia draws ...")
    training.train(recipe(out, seed), out=out, device=device, overwrite=True)
    report = Report.read(out)
    test = data.open("streets", split="test", count=_SHOWN, seed=seed, **_SCENES)
    for index in range(len(test)):
        sample = test[index]
        with writing(out / "scenes" / f"{sample.name}.png") as part:
            Image.fromarray(sample.image).save(part, format="PNG")
    predicting.predict(load(out, device=device), [out / "scenes"], out / "predictions", overwrite=True)
    return report


def _is_demo(out: Path) -> bool:
    if (out / "recipe.yaml").is_file():
        return Recipe.load(out / "recipe.yaml").name == "demo"
    return out.is_dir() and {path.name for path in out.iterdir()} <= {"cache"}  # stopped while it drew its scenes


def recipe(out: Path, seed: int = 0) -> Recipe:
    """The demo's recipe; its pictures are drawn once, into `out`/cache."""
    return Recipe.model_validate(
        {
            "name": "demo",
            "seed": seed,
            "data": {
                "name": "streets",
                "count": _TRAIN,
                "val_options": {"count": _VAL},
                **_SCENES,
                "seed": seed,
                "cache": str(out / "cache"),
            },
            "model": {"name": "fpn", "encoder": "test_resnet", "channels": 32},
            "augment": {"horizontal_flip": 0.5},
            "train": {
                "epochs": 2,
                "steps_per_epoch": 450,
                "batch": 4,
                "learning_rate": 8e-3,
                "schedule": "cosine",
                "warmup_steps": 30,
                "weight_decay": 1e-3,
                "class_weights": _WEIGHTS,
                "ema": 0.99,
                "clip_norm": 5.0,
            },
        }
    )
