"""ADE20K scene parsing: rooms, streets and nature, 150 classes.

Zhou et al., "Scene parsing through ADE20K dataset", CVPR 2017.  Folders as in `ADEChallengeData2016`:
`images/SPLIT/NAME.jpg` and `annotations/SPLIT/NAME.png`, SPLIT being training or validation (train and val mean these).
Masks hold 1 .. 150, which are 0 .. 149 in memory, and 0 for everything else, which is ignored.

Classes are named by the first of the names in the data set's list (objectInfo150) and coloured as usual, which leaves
road and skyscraper the same grey.  The whole ADE20K, with its NAME_seg.png in red and green, is another layout:
`tarsia convert` reads it.

Samples have no domain.
"""

from __future__ import annotations

from pathlib import Path

from tarsia.card import IGNORED, Classes
from tarsia.data._folders import require_folders, require_root
from tarsia.data._labels import LabelTable
from tarsia.data._paired import PairedData
from tarsia.data._pairing import pair
from tarsia.errors import DatasetError, nearest

SPLITS = {"training": "training", "validation": "validation", "train": "training", "val": "validation"}

# The first name of each line of objectInfo150.
_NAMES = """
wall building sky floor tree ceiling road bed windowpane grass cabinet sidewalk person earth door table mountain
plant curtain chair car water painting sofa shelf house sea mirror rug field armchair seat fence desk rock wardrobe
lamp bathtub railing cushion base box column signboard chest_of_drawers counter sand sink skyscraper fireplace
refrigerator grandstand path stairs runway case pool_table pillow screen_door stairway river bridge bookcase blind
coffee_table toilet flower book hill bench countertop stove palm kitchen_island computer swivel_chair boat bar
arcade_machine hovel bus towel light truck tower chandelier awning streetlight booth television airplane dirt_track
apparel pole land bannister escalator ottoman bottle buffet poster stage van ship fountain conveyer_belt canopy
washer plaything swimming_pool stool barrel basket waterfall tent bag minibike cradle oven ball food step tank
trade_name microwave pot animal bicycle lake dishwasher screen blanket sculpture hood sconce vase traffic_light tray
ashcan fan pier crt_screen plate monitor bulletin_board shower radiator glass clock flag
"""

# The colours in which segmentations of ADE20K are usually shown: red, green and blue of each class in hexadecimal.
_COLORS = """
787878 b47878 06e6e6 503232 04c803 787850 8c8c8c cc05ff e6e6e6 04fa07 e005ff ebff07 96053d 787846 08ff33
ff0652 8fff8c ccff04 ff3307 cc4603 0066c8 3de6fa ff0633 0b66ff ff0747 ff09e0 0907e6 dcdcdc ff095c 7009ff
08ffd6 07ffe0 ffb806 0aff47 ff290a 07ffff e0ff08 6608ff ff3d06 ffc207 ff7a08 00ff14 ff0829 ff0599 0633ff
eb0cff a09614 00a3ff 8c8c8c fa0a0f 14ff00 1fff00 ff1f00 ffe000 99ff00 0000ff ff4700 00ebff 00adff 1f00ff
0bc8c8 ff5200 00fff5 003dff 00ff70 00ff85 ff0000 ffa300 ff6600 c2ff00 008fff 33ff00 0052ff 00ff29 00ffad
0a00ff adff00 00ff99 ff5c00 ff00ff ff00f5 ff0066 ffad00 ff0014 ffb8b8 001fff 00ff3d 0047ff ff00cc 00ffc2
00ff52 000aff 0070ff 3300ff 00c2ff 007aff 00ffa3 ff9900 00ff0a ff7000 8fff00 5200ff a3ff00 ffeb00 08b8aa
8500ff 00ff5c b800ff ff001f 00b8ff 00d6ff ff0070 5cff00 00e0ff 70e0ff 46b8a0 a300ff 9900ff 47ff00 ff00a3
ffcc00 ff008f 00ffeb 85ff00 ff00eb f500ff ff007a fff500 0abed4 d6ff00 00ccff 1400ff ffff00 0099ff 0029ff
00ffcc 2900ff 29ff00 ad00ff 00f5ff 4700ff 7a00ff 00ffb8 005cff b8ff00 0085ff ffd600 19c2c2 66ff00 5c00ff
"""

CLASSES = Classes(
    names=tuple(_NAMES.split()),
    colors=tuple((red, green, blue) for red, green, blue in map(bytes.fromhex, _COLORS.split())),
)


class Data(PairedData):
    """One split of ADE20K below `root`.  Raises DatasetError where files are missing."""

    def __init__(self, root: str | Path | None, split: str = "training") -> None:
        if split not in SPLITS:
            raise DatasetError(f"ade20k has no split {split}{nearest(split, SPLITS)}")
        folder = require_root(root, "ade20k", "images/ and annotations/ in it")
        place = SPLITS[split]
        images, masks = require_folders(folder, (f"images/{place}", f"annotations/{place}"), f"ade20k's {place} split")
        super().__init__(pair(images, masks), CLASSES, _table())


def _table() -> LabelTable:
    values = {0: IGNORED} | {index + 1: index for index in range(len(CLASSES))}
    remedy = (
        "ADE20K's masks hold 0 for no class and 1 to 150; with 255 among them they may be shifted by one already, then "
        "write a dataset.yaml and use folder:ROOT"
    )
    return LabelTable(values, {}, remedy)
