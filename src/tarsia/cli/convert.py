"""`tarsia convert`: polygons and coloured masks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from tarsia import console
from tarsia.cli._options import Json, Overwrite, Quiet, check_and_train

Crowd = Annotated[
    Literal["ignore", "objects"] | None,
    Parameter(help="what COCO's regions marked iscrowd are: ignored (255), or objects; found out where it can be"),
]
ClassFrom = Annotated[
    str | None, Parameter(help="attribute (VIA), property (GeoJSON) or column of masks (parquet) with the classes")
]
RunOrder = Annotated[
    Literal["columns", "rows", "relative"] | None,
    Parameter(help="how run lengths in a table count pixels [columns]"),
]
ToTool = Annotated[
    Literal["coco", "cvat", "label-studio", "labelme"] | None,
    Parameter(help="write what this program reads, in place of a data set"),
]


def convert(
    source: Annotated[Path, Parameter(help="a file of annotations, or a folder with them or with masks")],
    *,
    to: Annotated[Path, Parameter(help="the exact folder that is written")],
    kind: Annotated[
        str | None,
        Parameter(name="--from", help="what SOURCE is (coco, cvat ...: docs/convert.md); found out where left away"),
    ] = None,
    images: Annotated[Path | None, Parameter(help="the folder of pictures; needed for masks")] = None,
    classes: Annotated[
        Path | None, Parameter(help="names, numbers or colours, a class a line, or dataset.yaml")
    ] = None,
    background: Annotated[
        str | None,
        Parameter(negative="--no-background", help="class of what no polygon covers; --no-background: ignored"),
    ] = "background",
    crowd: Crowd = None,
    class_from: ClassFrom = None,
    run_order: RunOrder = None,
    to_tool: ToTool = None,
    simplify: Annotated[float, Parameter(help="with --to-tool: polygons of that tolerance in pixels, not masks")] = 0.0,
    skip_bad: Annotated[bool, Parameter(help="leave out what has a fault, and list it", negative="")] = False,
    copy: Annotated[bool, Parameter(help="copy pictures instead of linking to them", negative="")] = False,
    overwrite: Overwrite = False,
    json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Make a data set of what an annotation program wrote, or of coloured masks: index masks with a dataset.yaml.

    Exit code: 0 where all of it was converted, 1 where --skip-bad left something out, 2 where nothing was written.

    Try:
        tarsia convert annotations/instances_val.json --images photos --to data/photos
        tarsia convert data/photos --to for-cvat --to-tool cvat
        tarsia convert masks --images photos --classes colors.txt --to data/photos
    """
    from tarsia.converting import convert as run

    console.quiet(quiet)
    options: dict[str, Any] = {"images": images, "classes": classes, "background": background, "crowd": crowd}
    options |= {"class_from": class_from, "run_order": run_order, "to_tool": to_tool, "simplify": simplify}
    done = run(source, to, kind=kind, skip_bad=skip_bad, copy=copy, overwrite=overwrite, **options)
    if json:
        console.data(done.facts())
        return done.exit_code
    for line in done.lines():
        console.say(line)
    if to_tool is not None:
        return done.exit_code
    console.say(check_and_train(to))
    return done.exit_code
