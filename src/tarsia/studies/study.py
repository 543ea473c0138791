"""Study: STUDY.yaml -> the trainings it means, each with its recipe, and the pictures their models are scored on.

    name: attention-fcn                     # default: the file's name
    recipe: ../recipes/camvid-protocol.yaml # from the study's folder; a run folder; or a name that ships
    recipes: [one.yaml, other.yaml]         # in the place of `recipe`, where there are several
    set: {model.name: attention_fcn}        # for all, with the keys of `tarsia train --set`
    variations:
      - {name: full}
      - {name: no-skips, set: {model.skips: false}}
    data:                                   # variations of the data: each of those above is trained on each
      - {name: few, set: {data.train: few}}
    seeds: [0, 1, 2]
    folds: sequence                         # each once for every film: without it, and scored on it (data/_folds.py)
    evaluate:                               # what models are scored on besides data.val
      - {name: test, split: test}           # of the recipe's data set, whose options `options` changes; or of another:
      - {name: city, data: "cityscapes:data/cityscapes,classes=8", reference_domain: bonn}
    reference: full                         # the variation that others are held against
    reference_domain: dawn                  # of data.val, the condition that others are held against
    claims:                                 # judged over the seeds (comparison/claims.py); `on`: a name of evaluate
      - {says: skips help, better: full, than: no-skips, source: "Shen & Sun 2022, section 2.2"}

The trainings are the product of recipes, variations, data and seeds, named VARIATION-seedN; RECIPE-VARIATION-DATA-seedN
where there are several of each, and -FOLD after that with folds.  What is compared are then the folds of a seed as one:
every picture of data.train and data.val, scored by the model that has seen nothing of its film.  Later settings win:
recipe, `set`, data, variation, then --set of the command line.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tarsia import shipped
from tarsia.comparison.claims import Claim
from tarsia.errors import RecipeError, nearest
from tarsia.studies.folds import folded
from tarsia.studies.reading import faults_of, read_runs, refuse_taken
from tarsia.studies.schema import Evaluation, Run, Target, Tree, validation
from tarsia.yaml_tree import Document

__all__ = ["Evaluation", "Run", "Study", "Target", "validation"]


@dataclass(frozen=True)
class Study:
    """Trainings to compare; `source` is the file."""

    name: str
    source: str
    runs: tuple[Run, ...]
    evaluate: tuple[Evaluation, ...] = ()
    reference: str | None = None
    reference_domain: str | None = None
    claims: tuple[Claim, ...] = ()

    @classmethod
    def load(cls, path: str | Path, overrides: Sequence[str] = (), tiny: bool = False) -> Study:
        """The study at `path`, or by the name of one that comes with Tarsia.

        `overrides`: as of `tarsia train --set`, for all its trainings.  `tiny`: to be run on drawn streets, so that
        its data need not be there; they have no folds.

        RecipeError lists every fault of the study and of every recipe that it means, each with its line.
        """
        document = Document.read(file := shipped.study(path))
        document.tree.setdefault("name", file.stem)
        refuse_taken(document, overrides)
        runs, lines = read_runs(document, overrides)
        faults = list(faults_of(document, runs))
        try:
            tree = document.validate(Tree, faults)
        except RecipeError as error:
            lines[:0] = error.args
        if lines:
            raise RecipeError(*lines)
        if tree.folds and not tiny:
            runs = folded(runs, tree.folds, f"{document.lines[('folds',)]}: folds")
        held = tree.reference, tree.reference_domain, tree.claims
        return cls(tree.name, str(path), tuple(runs), tree.evaluate, *held)

    def chosen(self, only: Sequence[str] = ()) -> list[Run]:
        """All trainings, or those that `only` names: single ones, or all of a recipe, variation, data, seed or fold."""
        names = [
            {run.name, run.seed_name, run.label, *run.parts, *([run.fold] if run.fold else [])} for run in self.runs
        ]
        for name in only:
            if not any(name in known for known in names):
                raise RecipeError(f"only=[{name!r}]: {self.source} has no such run{nearest(name, set().union(*names))}")
        return [run for run, known in zip(self.runs, names, strict=True) if not only or known & set(only)]
