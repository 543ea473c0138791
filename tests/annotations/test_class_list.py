"""Lists of classes as programs and people write them: read by their numbers or refused with the line, never shifted."""

from __future__ import annotations

from pathlib import Path

import pytest

from tarsia.annotations.class_list import ClassList
from tarsia.errors import DatasetError, RecipeError

ONE_TWO = {1: "red", 2: "blue"}
GAP = {0: "ground", 2: "blue", 7: "red"}
READ: list[tuple[str, dict[int, str | None]]] = [
    ("Pixel Value, Class|0, ground|2, blue|7, red", GAP),  # Roboflow
    ("id,name|0,ground|7,red|2,blue", GAP),
    ("ID;Name|0;ground|7;red|2;blue", GAP),
    ("name\tvalue|ground\t0|red\t7|blue\t2", GAP),
    ("id name|0 ground|7 red|2 blue", GAP),
    ("Idx,Ratio,Train,Name|0,0.1,5,ground|2,0.2,6,blue|7,0.3,7,red", GAP),  # ADE20K
    ("class,label|0,ground|7,red|2,blue", GAP),
    ("0: ground|2: blue|7: red", GAP),  # COCO-Stuff
    ("0 : ground  |2 :blue\t|7:red", GAP),
    ("0=ground|2 = blue|7=red", GAP),
    ("0 - ground|2 - blue|7 - red", GAP),
    ("0 -> ground|2 => blue|7 -> red", GAP),
    ("0. ground|2. blue|7) red", GAP),
    ("0 ground|2 blue|7 red", GAP),
    ("ground: 0|blue: 2|red: 7", GAP),
    ("ground, 0|blue, 2|red, 7,", GAP),
    ('"ground": 0,|"blue": 2,|"red": 7', GAP),
    ("# made by hand||0: ground  # all the rest|2: blue|7: red #", GAP),
    ("0,0,0,0,ground|2,0,0,255,blue|7,255,0,0,red", GAP),
    ("id,r,g,b,name|0,0,0,0,ground|2,0,0,255,blue|7,255,0,0,red", GAP),
    ("0,ground,0,0,0|2,blue,0,0,255|7,red,255,0,0", GAP),
    ("0 0 0 ground, 0|0 0 255 blue, 2|255 0 0 red, 7", GAP),
    ("0 ground #000000|2 blue #0000ff|7 red #ff0000", GAP),
    ('id,name,color|0,ground,#000000|2,blue,#0000FF|7,red,"(255, 0, 0)"', GAP),
    ("1: red|2: blue", ONE_TWO),
    ("1 red|2 blue", ONE_TWO),
    ("1 244 35 232 red|2 70 70 70 blue", ONE_TWO),
    ('{"1": "red", "2": "blue"}', ONE_TWO),
    ("{|  'red': 1,|  'blue': 2,|}", ONE_TWO),
    ('[{"id": 2, "name": "blue", "color": "#0000ff"}, {"id": 1, "name": "red", "color": [9, 0, 0]}]', ONE_TWO),
    ('[{"trainId": 2, "name": "blue"}, {"trainId": 1, "name": "red"}]', ONE_TWO),
    ('[{"category_id": 2, "name": "blue"}, {"category_id": 1, "name": "red"}]', ONE_TWO),
    ('[{"label": 2, "class_name": "blue"}, {"label": "1", "class_name": "red"}]', ONE_TWO),
    (
        '[{"Pixel Value": 2, "label": "blue", "thing": true}, {"Pixel Value": 1, "label": "red", "color": null}]',
        ONE_TWO,
    ),
    ('[{"name": "red", "rgb": [9, 0, 0]}, {"name": "blue", "rgb": [0, 0, 9]}]', {0: "red", 1: "blue"}),
    ('["red", "blue"]', {0: "red", 1: "blue"}),
    ("red|blue", {0: "red", 1: "blue"}),
    ("red,,|blue,,", {0: "red", 1: "blue"}),
    ("red, 255, 0, 0|blue, 0, 0, 255", {0: "red", 1: "blue"}),
    ("#ff0000 red|#0000ff blue", {0: "red", 1: "blue"}),
    ("red rgb(255, 0, 0)|blue (0, 0, 255)", {0: "red", 1: "blue"}),
    ("red:255,0,0::|blue:0,0,255:hand,foot:run", {0: "red", 1: "blue"}),  # CVAT
    ('"red, dark",255,0,0|blue,0,0,255', {0: "red, dark", 1: "blue"}),
    ("name,r,g,b|red;dark,255,0,0|blue,0,0,255", {0: "red;dark", 1: "blue"}),
    ("1;building, edifice|2;wall", {1: "building, edifice", 2: "wall"}),
    ("building;edifice|wall|sky;air;ether", {0: "building;edifice", 1: "wall", 2: "sky;air;ether"}),
    ('"7 eleven"|wall', {0: "7 eleven", 1: "wall"}),
    ("lane 1|lane 2|road", {0: "lane 1", 1: "lane 2", 2: "road"}),
    ("lane 1|lane 2", {0: "lane 1", 1: "lane 2"}),
    ("0: lane 1|1: road 2", {0: "lane 1", 1: "road 2"}),
    ("lane 1, 1, 2, 3|road, 4, 5, 6", {0: "lane 1", 1: "road"}),
    ("3-wheeler|2D map|driver's seat", {0: "3-wheeler", 1: "2D map", 2: "driver's seat"}),
    ("255, edge|0, ground|1, cat", {0: "ground", 1: "cat", 255: "edge"}),
    ("0: (ignored)|1: road|2: sky (ignored)", {0: None, 1: "road", 2: None}),
    ("void (ignored), 0, 0, 0|road, 1, 2, 3", {0: None, 1: "road"}),
    ("0 0 0 void (ignored)|1 2 3 road", {0: None, 1: "road"}),
    ("void 0 0 0 (ignored)|road 1 2 3", {0: None, 1: "road"}),
    ("void (ignored)|road", {0: None, 1: "road"}),
]


@pytest.mark.parametrize("start", ["", "\ufeff"])
@pytest.mark.parametrize(("text", "numbers"), READ)
def test_lists_are_read_by_their_numbers(text: str, numbers: dict[int, str | None], start: str, tmp_path: Path) -> None:
    path = tmp_path / "classes.txt"
    path.write_text(start + text.replace("|", "\r\n"), encoding="utf-8", newline="")
    found = ClassList.read(path)
    assert found.numbers == numbers and list(found.numbers) == sorted(numbers)
    names = tuple(name for name in numbers.values() if name is not None)
    assert found.classes.names == names
    for number, name in numbers.items():
        assert found.table.values[number] == (255 if name is None else names.index(name))
    assert found.table.values[255] == (names.index("edge") if "edge" in names else 255)


REFUSED = [
    ("7 eleven|wall", 1, r"the value 7 called eleven, or a class called 7 eleven\? Write `7: eleven`, or quote"),
    ("wall|7 eleven", 2, "the value 7 called eleven, or a class called 7 eleven"),
    ("7 eleven", 1, "the value 7 called eleven, or a class"),
    ("7 eleven|24 hours", 1, "the value 7 called eleven, or a class"),
    ("red 1|green 2|blue 3", 1, "the value 1 called red, or a class called red 1"),
    ("red 1, 1,2,3|blue 2, 4,5,6", 1, "the value 1 called red, or a class called red 1"),
    ("0 0 0 red 0|0 0 9 blue 2", 1, "the value 0 called red, or a class called red 0"),
    ("0-red|1-blue", 1, "a number and a name, or a name"),
    ("class 0: red|class 1: blue", 1, "columns, or part of the names"),
    ("[0] red|[1] blue", 1, "invalid syntax"),
    ("name|red|blue", 1, "the head of a column, or a class of this name"),
    ("Class|0 red|1 blue", 1, "the head of a column, or a class of this name"),
    ("Klasse;R;G;B|red;9;0;0|blue;0;0;9", 1, "no number where all other lines have some: if it names the columns"),
    ("red, green, blue", 1, "`,,` in each line: columns, or part of the names"),
    ("animal, cat|animal, dog", 1, "columns, or part of the names"),
    ("0, red, warm|1, blue, cold", 1, "a further column, or part of the name"),
    ("0 red 9 0 0 warm|1 blue 0 0 9 cold", 1, "numbers amid the name"),
    ("- red|- blue", 1, "a bullet or part of the name"),
    ("red #warm|blue", 1, "#warm: a comment, or part of the name"),
    ("red #f00|blue #00f", 1, "six digits make a colour"),
    ("red, 0.5, 0.0, 0.0|blue, 0.0, 0.0, 0.5", 1, "columns, or part of the names"),
    ("0|1|2", 1, "no name"),
    ("255,0,0|0,0,255", 1, "no name"),
    ("5,1,2,3,red|4,2,3,1,blue", 1, "four numbers: is the first the value in the masks, or the last"),
    ("0: red|blue", 2, "0 numbers where line 1 has 1"),
    ("red|1: blue", 2, "1 numbers where line 1 has 0"),
    ("0: red|0: blue", 2, "the number 0 stands in line 1 too"),
    ("0: red|1: red", 2, "the name red stands in line 1 too"),
    ("red 1 2 3|blue 1 2 3", 2, r"the colour \[1, 2, 3\] stands in line 1 too"),
    ("{'red': 0, 'blue': 0}", 1, "the number 0 stands in line 1 too"),
    ("{0: 'red',|0: 'blue'}", 2, "the number 0 stands in line 1 too"),
    ("{0: red}", 1, "a word without quotes"),
    ("{'red': 'blue'}", 1, "is no number with a name"),
    ("{", 1, "was never closed|unexpected EOF|expected one of"),
    ("[3]", 1, "3 is no class"),
    ('[{"id": 7, "trainId": 0, "name": "red"}]', 1, "id and trainId say the number: keep one"),
    ('[{"Wert": 2, "name": "red"}, {"Wert": 1, "name": "blue"}]', 1, r"is Wert the value in the masks\? Call it id"),
    ('[{"id": true, "name": "red"}]', 1, "is no class"),
    ("Wert;Name;R;G;B|2;red;9;0;0|1;blue;0;0;9", 1, r"is the column Wert the value in the masks\? Call it `id`"),
    (",name,r,g,b|1,red,9,0,0|0,blue,0,0,9", 1, r"is the column 1 the value in the masks\? Call it `id`"),
    ("blue (1)|red (0)", 1, "a number and a name, or a name"),
    ('"1","red"|"0","blue"', 1, "Quote the names, each whole, and no number"),
    ("-1: red|0: blue", 1, "no mask holds the number -1"),
    ("70000: red|0: blue", 1, "no mask holds the number 70000"),
    ("id,name|0,red|1", 3, "1 columns, expected 2: id, name"),
    ("id,name|zero,red|1,blue", 2, "'zero' is no whole number"),
    ("id,trainId,name|0,1,red|1,2,blue", 2, "2 columns say the number: keep one"),
    ("id,r,name|0,1,red|1,2,blue", 2, "no colour of three numbers"),
    ("id,class,label|0,red,warm|1,blue,cold", 1, "2 columns may be the names: call one `name`"),
    ("id,label|0,1|1,2", 1, "no column holds names"),
]


@pytest.mark.parametrize(("text", "line", "message"), REFUSED)
def test_what_could_be_read_two_ways_is_refused(text: str, line: int, message: str, tmp_path: Path) -> None:
    path = tmp_path / "classes.txt"
    path.write_text(text.replace("|", "\n"))
    with pytest.raises((DatasetError, RecipeError), match=rf"classes.txt:{line}: .*({message})"):
        ClassList.read(path)


def test_other_encodings_say_so(tmp_path: Path) -> None:
    path = tmp_path / "classes.txt"
    for encoding in ("utf-16", "gbk"):
        path.write_bytes("道路\n天空\n".encode(encoding))
        with pytest.raises(DatasetError, match=r"classes.txt: no list of classes, one a line \(.*save it as UTF-8"):
            ClassList.read(path)


def test_names_that_may_mean_none_are_learned_and_said(tmp_path: Path) -> None:
    path = tmp_path / "classes.txt"
    path.write_text("0: Un-labeled\n1: road\n2: void\n3: devoid\n")
    found = ClassList.read(path)
    assert found.classes.names == ("Un-labeled", "road", "void", "devoid")
    what, first, count = found.notes[1]
    assert "learned and scored" in what and "`Un-labeled (ignored)` makes one 255" in what
    assert (first, count) == ("Un-labeled", 2)
    path.write_text("0: Un-labeled (ignored)\n1: road\n2: void (ignored)\n3: devoid\n")
    assert len(ClassList.read(path).notes) == 1
