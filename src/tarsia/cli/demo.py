"""`tarsia demo`: the whole path on generated scenes."""

from __future__ import annotations

from pathlib import Path

from tarsia import console
from tarsia.cli._options import Device, Quiet, needs_training


def demo(*, out: Path = Path("runs/demo"), device: Device = "auto", seed: int = 0, quiet: Quiet = False) -> None:
    """Draw street scenes, train a small network on them, score it, predict: the whole path, nothing to download.

    Try: tarsia demo
    """
    console.quiet(quiet)
    with needs_training():
        from tarsia.demonstrating import demonstrate
    demonstrate(out, device=device, seed=seed)
