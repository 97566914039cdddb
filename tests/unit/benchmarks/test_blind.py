import csv
import json
import random
from pathlib import Path

import pytest
from PIL import Image

from benchmarks.blind import main
from benchmarks.blindlib.sheets import CAPTION_PX, GAP_PX
from benchmarks.common.pairs import JUDGED_PAIRS
from config import PROJECT_ROOT
from tests.unit.benchmarks.fakes import folder_of_pictures, picture

CONTENTS = ["cat", "dog", "elk", "fox"]


@pytest.fixture
def folders(tmp_path: Path) -> list[str]:
    """Two folders of finished pictures; that of ours has one pair more."""
    folder_of_pictures(tmp_path / "pictures", CONTENTS, ["night"])
    for seed, name in enumerate(("ours", "theirs")):
        (tmp_path / name).mkdir()
        for number, content in enumerate(CONTENTS[: 4 - seed]):
            painted = picture(48, 64, 10 + 10 * seed + number)
            painted.save(tmp_path / name / f"{content}-x-night.png")
    return [str(tmp_path / "ours"), str(tmp_path / "theirs")]


def sheets(tmp_path: Path, folders: list[str], *options: str) -> int:
    pictures = str(tmp_path / "pictures")
    where = ["--photos", pictures, "--styles", pictures, "--output", str(tmp_path / "sheets")]
    return main(["sheets", *folders, "--raters", "ann", "bob", *where, *options])


def key_option(tmp_path: Path) -> list[str]:
    return ["--key", str(tmp_path / "secret" / "key.json")]


def fill_in(form: Path, answers: dict[str, str]) -> None:
    """Answer every question of a form by the sheet."""
    with form.open(newline="") as file:
        rows = list(csv.reader(file))
    with form.open("w", newline="") as file:
        csv.writer(file).writerows(
            row if at == 0 else [*row[:2], *[answers[row[1]]] * 4, "some words"]
            for at, row in enumerate(rows)
        )


def test_whoever_prefers_a_contender_is_counted_for_it(
    tmp_path: Path, folders: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert sheets(tmp_path, folders, *key_option(tmp_path)) == 0
    assert "only one of the two has them: fox-x-night." in capsys.readouterr().out
    key = json.loads((tmp_path / "secret" / "key.json").read_text())
    for rater, preferred in (("ann", "ours"), ("bob", "theirs")):
        fill_in(
            tmp_path / "sheets" / f"form-{rater}.csv",
            {one["sheet"]: "A" if one["a"] == preferred else "B" for one in key["trials"]},
        )
    forms = [str(tmp_path / "sheets" / f"form-{rater}.csv") for rater in ("ann", "bob")]

    status = main(["tally", str(tmp_path / "secret" / "key.json"), *forms])

    assert status == 0
    assert "ours was preferred in 3 of 6 decided votes" in capsys.readouterr().out
    data = json.loads((tmp_path / "secret" / "tally.json").read_text())
    assert data["questions"]["cleaner"]["agreement"] == 0
    assert "cat-x-night | ours | theirs | 1 : 1" in (tmp_path / "secret" / "tally.md").read_text()


def test_sheets_show_the_pictures_that_the_key_says(tmp_path: Path, folders: list[str]) -> None:
    assert sheets(tmp_path, folders, *key_option(tmp_path)) == 0

    key = json.loads((tmp_path / "secret" / "key.json").read_text())
    assert len(key["trials"]) == 3
    top = 3 * CAPTION_PX + 48 + GAP_PX
    for trial in key["trials"]:
        with Image.open(tmp_path / "sheets" / f"sheet-{trial['sheet']}.png") as sheet:
            assert sheet.info == {}
            for side, left in (("a", GAP_PX), ("b", 2 * GAP_PX + 64)):
                with Image.open(tmp_path / trial[side] / f"{trial['pair']}.png") as painted:
                    assert sheet.crop((left, top, left + 64, top + 48)) == painted.convert("RGB")


def test_what_raters_get_names_neither_contender_nor_pair(
    tmp_path: Path, folders: list[str]
) -> None:
    assert sheets(tmp_path, folders, *key_option(tmp_path)) == 0

    files = sorted((tmp_path / "sheets").iterdir())
    texts = [file for file in files if file.suffix != ".png"]
    assert [file.name for file in texts] == [
        "form-ann.csv",
        "form-bob.csv",
        "instructions.txt",
        "order-ann.txt",
        "order-bob.txt",
    ]
    told = " ".join([*(file.read_text() for file in texts), *(file.name for file in files)])
    assert not any(word in told for word in ("ours", "theirs", "night", "elk", "key.json"))
    order = (tmp_path / "sheets" / "order-ann.txt").read_text().split()
    assert sorted(order) == [file.name for file in files if file.suffix == ".png"]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--names", "same", "same"], "Two --names are needed"),
        (["--raters", "ann", "ann"], "'ann' cannot name a rater"),
        (["--raters", "../ann"], "'../ann' cannot name a rater"),
        (["--key", "{sheets}/key.json"], "would lie where the raters look"),
        (["--key", f"{PROJECT_ROOT}/key.json"], "lies in the repository"),
        (["--seed", "many"], "wanted a whole number"),
    ],
)
def test_sheets_that_could_not_be_counted_are_refused(
    tmp_path: Path,
    folders: list[str],
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    sentence: str,
) -> None:
    options = [option.replace("{sheets}", str(tmp_path / "sheets")) for option in options]

    status = sheets(tmp_path, folders, "--key", str(tmp_path / "key.json"), *options)

    assert status == 2
    assert sentence in capsys.readouterr().err
    assert not list((tmp_path / "sheets").glob("*.png"))


def test_folder_with_older_sheets_is_refused(
    tmp_path: Path, folders: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert sheets(tmp_path, folders, *key_option(tmp_path)) == 0
    assert sheets(tmp_path, folders, "--key", str(tmp_path / "other.json")) == 2
    assert "is not empty" in capsys.readouterr().err


def test_nothing_is_left_when_two_pictures_differ_in_shape(
    tmp_path: Path, folders: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    picture(48, 48, 1).save(tmp_path / "theirs" / "elk-x-night.png")

    assert sheets(tmp_path, folders, *key_option(tmp_path)) == 2
    assert "elk-x-night: The two pictures have different shapes" in capsys.readouterr().err
    assert list((tmp_path / "sheets").iterdir()) == []
    assert list((tmp_path / "secret").iterdir()) == []


def test_incomplete_forms_are_refused(
    tmp_path: Path, folders: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert sheets(tmp_path, folders, *key_option(tmp_path)) == 0
    form = str(tmp_path / "sheets" / "form-ann.csv")

    assert main(["tally", str(tmp_path / "secret" / "key.json"), form]) == 2
    assert "no answer under preferred" in capsys.readouterr().err


def test_unknown_pairs_and_commands_end_in_a_sentence(
    tmp_path: Path, folders: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    pictures = str(tmp_path / "pictures")
    where = ["--photos", pictures, "--styles", pictures, "--pair", "cow-x-night"]

    assert main(["paint", str(tmp_path / "painted"), *where, "--", "--size", "128"]) == 2
    assert capsys.readouterr().err == "There are no pictures for the pair cow-x-night.\n"
    assert main(["judge"]) == 2
    assert "invalid choice: 'judge'" in capsys.readouterr().err
    assert main(["sheets", "one"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_judged_pairs_are_painted_on_request(
    tmp_path: Path, folders: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    pictures = str(tmp_path / "pictures")
    where = ["--photos", pictures, "--styles", pictures, "--judged"]

    assert main(["paint", str(tmp_path / "painted"), *where]) == 2
    content, style = JUDGED_PAIRS[0]
    assert f"for the pair {content}-x-{style}." in capsys.readouterr().err


def test_settings_after_the_dashes_go_to_the_engine(
    tmp_path: Path, folders: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    package = tmp_path / "checkout" / "transfer"
    package.mkdir(parents=True)
    (package / "__main__.py").write_text("import sys\nsys.exit(' '.join(sys.argv[-2:]))")
    pictures = str(tmp_path / "pictures")
    options = ["--photos", pictures, "--styles", pictures, "--pair", "cat-x-night"]
    options += ["--checkout", str(package.parent)]

    assert main(["paint", str(tmp_path / "painted"), *options, "--", "--size", "128"]) == 2
    assert capsys.readouterr().err.endswith("last said: --size 128\n")


def test_seed_is_stored_with_the_key(tmp_path: Path, folders: list[str]) -> None:
    seed = random.Random(1).randrange(1000)

    assert sheets(tmp_path, folders, *key_option(tmp_path), "--seed", str(seed)) == 0
    assert json.loads((tmp_path / "secret" / "key.json").read_text())["seed"] == seed
