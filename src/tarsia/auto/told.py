"""What was seen and decided, in ten lines, before a training of so many minutes begins."""

from __future__ import annotations

from collections.abc import Mapping

from tarsia.auto.facts import Facts
from tarsia.auto.rules import MOST_PASSES, Network
from tarsia.plain_text import number
from tarsia.recipe import Recipe

FEW = 20  # pictures held out, fewer than which are few to judge by


def told(
    facts: Facts,
    held_out: int,
    recipe: Recipe,
    reasons: Mapping[str, str],
    network: Network,
    *,
    step: float,
    validation: float,
    passes: float,
    computed: str,
    is_enough: bool,
) -> list[str]:
    """`step`, `validation`: seconds of one, of one picture.  `computed`: on what.  `is_enough`: it ends early."""
    train, name, encoder = recipe.train, recipe.model.name, recipe.model.options.get("encoder")
    rarest, share = facts.rarest
    few = f" ({held_out} are few to judge by)" if 0 < held_out < FEW else ""
    to_score = number(held_out, "picture") if held_out else "none held out: there will be no score"
    known = "none at hand, from scratch" if encoder else f"none: {name} has no encoder, from scratch"
    if network.weights != "none":
        known = f"{network.weights} (licence: {network.licence or 'none stated'})"
    detail = reasons.get("model.finest", "as you say")
    if recipe.input.short_side:
        detail += f"; short side {recipe.input.short_side}: {reasons['input.short_side']}"
    crop = "x".join(map(str, recipe.augment.crop or facts.size))
    steps = number((train.steps_per_epoch or 1) * train.epochs, "step")
    enough = f"; more than {MOST_PASSES} would not help, so it ends early" if is_enough else ""
    return [
        f"data      {facts.pictures} + {to_score}{few}, {facts.size[0]}x{facts.size[1]}, "
        f"{number(len(facts.shares), 'class', 'classes')}, the rarest ({rarest}) {100 * share:.2g} %",
        f"machine   {computed}, {train.precision}, {train.memory_format}",
        f"weights   {known}",
        f"network   {name}{f'/{encoder}' if encoder else ''}: {step:.2f} s a step, "
        f"{validation:.2f} s a validation picture",
        f"detail    {detail}",
        f"plan      {steps} of {train.batch} x {crop}, {passes:.3g} passes{enough}",
        f"flips     {reasons.get('augment.horizontal_flip', '')}; {reasons.get('augment.vertical_flip', '')}",
        f"augment   {reasons.get('augment.scale', '')}; {reasons.get('augment.color_jitter', 'no change of colours')}",
        f"loss      cross-entropy + dice; {reasons.get('train.class_weights', '')}",
    ]
