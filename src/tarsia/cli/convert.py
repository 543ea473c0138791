"""`tarsia convert`: polygons and coloured masks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from tarsia import console
from tarsia.cli._options import Json, Overwrite, Quiet
from tarsia.plain_text import command


def convert(
    source: Annotated[Path, Parameter(help="a COCO or labelme JSON, a data.yaml, or a folder with them or with masks")],
    *,
    to: Annotated[Path, Parameter(help="the exact folder that is written")],
    kind: Annotated[
        Literal["coco", "labelme", "yolo", "masks"] | None,
        Parameter(name="--from", help="what SOURCE is; found out where left away"),
    ] = None,
    images: Annotated[Path | None, Parameter(help="the folder of pictures; needed for masks")] = None,
    classes: Annotated[Path | None, Parameter(help="names and colours: name, r, g, b a line, or dataset.yaml")] = None,
    background: Annotated[
        str | None,
        Parameter(negative="--no-background", help="class of what no polygon covers; --no-background: ignored"),
    ] = "background",
    copy: Annotated[bool, Parameter(help="copy pictures instead of linking to them", negative="")] = False,
    overwrite: Overwrite = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Make a data set of polygons (COCO, labelme, YOLO) or coloured masks: index masks with a dataset.yaml.

    Try:
        tarsia convert annotations/instances_val.json --images photos --to data/photos
        tarsia convert masks --images photos --classes colors.txt --to data/photos
    """
    from tarsia.converting import convert as run

    console.quiet(quiet)
    options: dict[str, Any] = {"images": images, "classes": classes, "background": background}
    done = run(source, to, kind=kind, copy=copy, overwrite=overwrite, **options)
    if json:
        console.data(done.facts())
        return
    for line in done.lines():
        console.say(line)
    wanted = ("--set", "data.name=folder", "--set", f"data.root={to}")
    console.say(f"Next: {command('check', f'folder:{to}')}; {command('train', 'RECIPE', *wanted)}")
