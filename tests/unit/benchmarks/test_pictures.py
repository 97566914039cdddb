import json
from pathlib import Path

import pytest

from benchmarks.picturelib import figures
from benchmarks.pictures import HEADINGS, Row, main, summary, table
from benchmarks.qualitylib import distances
from tests.unit.benchmarks.fakes import folder_of_pictures, picture


def row(place: str, pair: str, **values: float | None) -> Row:
    return Row(place, pair, Path("x.png"), dict.fromkeys(HEADINGS, 0.5) | values)


def test_rows_over_all_pairs_sum_faces_and_average_the_rest() -> None:
    rows = [
        row("a", "cat-x-night", faces=2, faces_found=1, eye_offset=0.1, ghosts=0.2),
        row("a", "dog-x-night", faces=3, faces_found=0, eye_offset=None, ghosts=0.4),
    ]

    over_all = summary([one.figures for one in rows])
    lines = table(rows).text().splitlines()

    assert (over_all["faces"], over_all["faces_found"]) == (5, 1)
    assert over_all["eye_offset"] == 0.1
    assert over_all["ghosts"] == pytest.approx(0.3)
    assert [line.split()[:5] for line in lines[1:]] == [
        ["cat-x-night", "a", "2", "1", "0.10"],
        ["dog-x-night", "a", "3", "0", "-"],
        ["all", "a", "5", "1", "0.10"],
    ]


def test_program_measures_folders_and_writes_its_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (figures, distances):  # to be quick
        monkeypatch.setattr(module, "MEASURED_LONG_EDGE_PX", 128)
    pictures = str(folder_of_pictures(tmp_path / "pictures", ["cat", "dog"], ["night"]))
    for place, seed in (("ours", 5), ("theirs", 6)):
        (tmp_path / place).mkdir()
        picture(48, 64, seed).save(tmp_path / place / "cat-x-night.png")
    folders = [str(tmp_path / "ours"), str(tmp_path / "theirs")]
    output = tmp_path / "report"

    status = main([*folders, "--photos", pictures, "--styles", pictures, "--output", str(output)])

    assert status == 0
    data = json.loads((output / "results.json").read_text())
    assert [(one["folder"], one["pair"]) for one in data["pictures"]] == [
        (folder, "cat-x-night") for folder in folders
    ]
    assert data["pictures"][0]["style_distance"] != data["pictures"][1]["style_distance"]
    assert data["all"][folders[0]]["faces"] == 0
    assert (output / "table.md").read_text().count("| cat-x-night |") == 2
    assert str(output / "results.json") in capsys.readouterr().out


def test_folder_without_pictures_ends_in_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pictures = str(folder_of_pictures(tmp_path / "pictures", ["cat"], ["night"]))
    where = ["--photos", pictures, "--styles", pictures, "--output", str(tmp_path / "report")]

    assert main([str(tmp_path), *where]) == 2
    assert "no picture named by a pair, such as cat-x-night.png" in capsys.readouterr().err
