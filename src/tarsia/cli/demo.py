"""`tarsia demo`: the whole path on generated scenes."""

from __future__ import annotations

import json as json_text
import time
from pathlib import Path

from tarsia import console
from tarsia.cli._options import Device, Json, Quiet, needs_training
from tarsia.plain_text import command


def demo(
    *, out: Path = Path("runs/demo"), device: Device = "auto", seed: int = 0, json: Json = False, quiet: Quiet = False
) -> None:
    """Draw street scenes, train a small network on them, score it, predict: the whole path, nothing to download.

    Try: tarsia demo
    """
    console.quiet(quiet)
    with needs_training():
        from tarsia.demonstrating import demonstrate
        from tarsia.evaluation.folder import table
    started = time.monotonic()
    report = demonstrate(out, device=device, seed=seed)
    seconds, predictions = time.monotonic() - started, out / "predictions"
    if json:
        written = json_text.loads((out / "report.json").read_text(encoding="utf-8"))
        made = {"folder": str(out), "scenes": str(out / "scenes"), "predictions": str(predictions)}
        console.data(made | {"seconds": round(seconds, 1), "report": written})
        return
    console.show(table(report), wrapped=False)
    for line in (
        f"mIoU {report.metrics.miou:.3f} on {len(report.names)} scenes the network never saw, {seconds:.0f} s in all",
        f"Open:  {out / 'report.html'} and the pictures in {predictions}",
        f"Next:  {command('predict', out, 'YOUR_PICTURE.jpg', '--out', 'seen')}",
        f"       {command('train', 'recipes/camvid-fast.yaml', '--set', 'data.root=YOUR_CAMVID')}",
    ):
        console.say(line)
