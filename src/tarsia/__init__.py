"""Tarsia: semantic image segmentation from labelled pictures to a scored model.

    import tarsia
    run = tarsia.train("recipes/camvid-fast.yaml")
    predictor = tarsia.load(run)
    prediction = predictor("street.jpg")

Names are imported when first used, so that `import tarsia` costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tarsia.card import Card, Classes, Input
    from tarsia.comparing import compare
    from tarsia.comparison import Comparison
    from tarsia.converting import convert
    from tarsia.errors import TarsiaError
    from tarsia.evaluating import evaluate, evaluate_predictions
    from tarsia.evaluation.report import Report
    from tarsia.inference import Inference, load
    from tarsia.predicting import predict
    from tarsia.prediction.crf import CrfSettings
    from tarsia.prediction.predictor import Prediction, Predictor, TestTimeAugmentation
    from tarsia.recipe import Recipe
    from tarsia.serving import create_app
    from tarsia.training import train

_HOME = {
    "Card": "card",
    "Classes": "card",
    "Comparison": "comparison",
    "CrfSettings": "prediction.crf",
    "TarsiaError": "errors",
    "Inference": "inference",
    "Input": "card",
    "Prediction": "prediction.predictor",
    "Predictor": "prediction.predictor",
    "Recipe": "recipe",
    "Report": "evaluation.report",
    "TestTimeAugmentation": "prediction.predictor",
    "compare": "comparing",
    "convert": "converting",
    "create_app": "serving",
    "evaluate": "evaluating",
    "evaluate_predictions": "evaluating",
    "load": "inference",
    "predict": "predicting",
    "train": "training",
}
__all__ = [
    "Card",
    "Classes",
    "Comparison",
    "CrfSettings",
    "Inference",
    "Input",
    "Prediction",
    "Predictor",
    "Recipe",
    "Report",
    "TarsiaError",
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
            return getattr(importlib.import_module(f"tarsia.{_HOME[name]}"), name)
        except ModuleNotFoundError as error:
            from tarsia.errors import MissingExtraError

            if (error.name or "").partition(".")[0] == "tarsia":
                raise
            extra = "serve" if _HOME[name] == "serving" else "train"
            raise MissingExtraError(f"tarsia.{name}", extra) from error
    raise AttributeError(f"module 'tarsia' has no attribute {name!r}")
