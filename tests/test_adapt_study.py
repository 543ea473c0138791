"""The program of the adaptation study runs: every kind of row, on pictures so few that its figures mean nothing."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from programs import STUDIES, program


def test_every_kind_of_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    short = ["--train-steps", "2", "--steps", "1", "--style-steps", "1", "--pictures", "8", "2", "1"]
    rows = ["more steps", "published style", "published style + refined"]
    place = ["--out", str(tmp_path), "--cities", "town", "--networks", "se-pspnet"]
    monkeypatch.setattr(sys, "argv", ["adapt.py", "streets", *place, *short, "--methods", *rows])
    study = program(STUDIES / "adapt", monkeypatch)
    monkeypatch.setattr(sys.modules["adapt_data"], "SIZE", (64, 64))
    monkeypatch.setitem(study.PSPNET, "encoder", "test_resnet")
    study.main()
    table = (tmp_path / "table.md").read_text().splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in table]
    assert cells[0][:3] == ["city", "network", "method"] and cells[0][-3:] == ["mean", "worst", "small"]
    assert [row[2] for row in cells[2:]] == ["source", *rows]
    assert all(float(cell) >= 0 for row in cells[2:] for cell in row[3:])
    assert "minutes" in capsys.readouterr().out
    drawn = ["--city", "town", "--network", "se-pspnet", "--style", "published-style", "--method", "published style"]
    monkeypatch.setattr(sys, "argv", ["adapt_pictures.py", str(tmp_path), *drawn, "--out", str(tmp_path / "seen")])
    program(STUDIES / "adapt_pictures", monkeypatch).main()
    assert {path.name for path in (tmp_path / "seen").iterdir()} == {"restyled.jpg", "adapted.jpg"}


def test_the_interval_over_seeds_is_students(monkeypatch: pytest.MonkeyPatch) -> None:
    table = program(STUDIES / "adapt_table", monkeypatch)
    mean, half = table.mean_and_margin([0.3, 0.4, 0.5])
    assert mean == pytest.approx(0.4) and half == pytest.approx(4.303 * 0.1 / 3**0.5)
    assert np.isnan(table.mean_and_margin([0.3])[1]) and table.percent([0.3], True) == "30.0"
    assert table.percent([0.3, 0.4, 0.5], True) == "40.0 ± 24.8" and table.percent([float("nan")]) == "-"
