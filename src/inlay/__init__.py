"""Inlay: semantic image segmentation from labelled pictures to a scored model.

    import inlay
    run = inlay.train("recipes/camvid-fast.yaml")
    predictor = inlay.load(run)
    prediction = predictor("street.jpg")

Names are imported when first used, so that `import inlay` costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from inlay.card import Card, Classes, Input
    from inlay.comparing import compare
    from inlay.comparison import Comparison
    from inlay.converting import convert
    from inlay.errors import InlayError
    from inlay.evaluating import evaluate, evaluate_predictions
    from inlay.predicting import predict
    from inlay.recipe import Recipe
    from inlay.runtime.crf import CrfSettings
    from inlay.runtime.predictor import Prediction, Predictor, TestTimeAugmentation, load
    from inlay.scores import Report
    from inlay.serving import create_app
    from inlay.training import train

_HOME = {
    "Card": "card",
    "Classes": "card",
    "Comparison": "comparison",
    "CrfSettings": "runtime.crf",
    "InlayError": "errors",
    "Input": "card",
    "Prediction": "runtime.predictor",
    "Predictor": "runtime.predictor",
    "Recipe": "recipe",
    "Report": "scores",
    "TestTimeAugmentation": "runtime.predictor",
    "compare": "comparing",
    "convert": "converting",
    "create_app": "serving",
    "evaluate": "evaluating",
    "evaluate_predictions": "evaluating",
    "load": "runtime.predictor",
    "predict": "predicting",
    "train": "training",
}
__all__ = [
    "Card",
    "Classes",
    "Comparison",
    "CrfSettings",
    "InlayError",
    "Input",
    "Prediction",
    "Predictor",
    "Recipe",
    "Report",
    "TestTimeAugmentation",
    "compare",
    "convert",
    "create_app",
    "evaluate",
    "evaluate_predictions",
    "load",
    "predict",
    "train",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        try:
            return getattr(importlib.import_module(f"inlay.{_HOME[name]}"), name)
        except ModuleNotFoundError as error:
            from inlay.errors import MissingExtraError

            if (error.name or "").partition(".")[0] == "inlay":
                raise
            extra = "serve" if _HOME[name] == "serving" else "train"
            raise MissingExtraError(f"inlay.{name}", extra) from error
    raise AttributeError(f"module 'inlay' has no attribute {name!r}")
