import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from transfer import Rendition
from transfer.__main__ import main, output_paths


@pytest.fixture
def pictures(tmp_path: Path, content: Image.Image, style: Image.Image) -> list[str]:
    content.save(tmp_path / "content.png")
    style.save(tmp_path / "style.png")
    return [str(tmp_path / "content.png"), str(tmp_path / "style.png")]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "transfer", *arguments], capture_output=True, text=True
    )


def test_paints_and_says_how_far_it_is(pictures: list[str], tmp_path: Path) -> None:
    done = run(
        *pictures,
        *("-o", str(tmp_path / "out.png"), "--size", "64", "--effort", "draft"),
        *("--colors", "styled,luminance", "--threads", "1"),
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert "100%" in done.stderr
    assert "evaluations of compact in" in done.stderr
    written = {path.name for path in tmp_path.iterdir()} - {"content.png", "style.png"}
    assert written == {"out.png", "out-luminance.png"}
    with Image.open(tmp_path / "out.png") as image:
        assert image.size == (64, 48)


def test_a_mistake_is_one_sentence_and_two(pictures: list[str], tmp_path: Path) -> None:
    """As a process: neither a traceback nor argparse's usage."""
    done = run(*pictures, "-o", str(tmp_path / "out.png"), "--strength", "2")

    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == "strength must be from 0 to 1, not 2.0.\n"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["{content}"], "required: STYLE"),
        (["{content}", "{style}"], "required: -o/--output"),
        (["{content}", "{style}", "-o", "{folder}/out.gif"], "must end in one of .png"),
        (["{content}", "{style}", "-o", "{folder}/no/out.png"], "No such file or directory"),
        (["{content}", "{style}", "-o", "{folder}/folder.png"], "is a folder"),
        (["{content}", "{style}", "-o", "{folder}/out.png", "--size", "9"], "from 64 to 8192 px"),
        (["{content}", "{style}", "-o", "{folder}/out.png", "--size", "big"], "invalid int"),
        (["{content}", "{style}", "-o", "{folder}/out.png", "--effort", "all"], "'standard'"),
        (["{content}", "{style}", "-o", "{folder}/out.png", "--backbone", "x"], "'vgg19'"),
        (["{content}", "{style}", "-o", "{folder}/out.png", "--colors", "red"], "histogram"),
        (["{content}", "{style}", "-o", "{folder}/out.png", "--seed", "-1"], "a whole number"),
        (["{content}", "{style}", "-o", "{folder}/out.png", "--device", "tpu"], "auto"),
        (["{folder}/absent.png", "{style}", "-o", "{folder}/out.png"], "does not exist"),
        (["{content}", "{folder}/text.png", "-o", "{folder}/out.png"], "cannot be read as"),
        (["{content}", "{folder}/small.png", "-o", "{folder}/out.png"], "at least 16 px"),
    ],
)
def test_every_mistake_is_one_sentence(
    pictures: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    sentence: str,
) -> None:
    (tmp_path / "text.png").write_text("no image")
    (tmp_path / "folder.png").mkdir()
    Image.new("RGB", (4, 4)).save(tmp_path / "small.png")
    before = sorted(tmp_path.iterdir())
    content, style = pictures
    filled = [
        argument.format(content=content, style=style, folder=tmp_path) for argument in arguments
    ]

    assert main(filled) == 2

    printed = capsys.readouterr()
    assert printed.out == ""
    assert sentence in printed.err
    assert printed.err.count("\n") == 1
    assert printed.err.endswith(".\n")
    assert sorted(tmp_path.iterdir()) == before


def test_backbones_are_listed_with_size_license_presence_and_score(tmp_path: Path) -> None:
    done = run("backbones", "--weights-dir", str(tmp_path))

    assert (done.returncode, done.stderr) == (0, "")
    header, *rows = done.stdout.splitlines()[:4]
    assert header.split() == ["name", "size", "present", "score", "license"]
    columns = [re.split(r" {2,}", row) for row in rows]
    assert [row[0] for row in columns] == ["compact", "vgg19", "vgg19-torchvision"]
    assert [row[1] for row in columns][1:] == ["20.1 MB", "51.8 MB"]
    assert [row[2] for row in columns] == ["yes", "yes", "no"]
    assert all(re.fullmatch(r"0\.\d\d / 0\.\d\d", row[3]) for row in columns[:2])
    assert columns[2][3] == "not measured"
    assert all(len(row) == 5 for row in columns)
    assert "backbones --download vgg19-torchvision` fetches 548 MB" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_only_what_can_be_fetched_is_fetched(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["backbones", "--download", "compact"]) == 2

    assert "choose from 'vgg19-torchvision'" in capsys.readouterr().err


def test_a_photo_named_like_the_command_can_be_painted(
    pictures: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path(pictures[0]).rename("backbones")

    assert (
        main(["./backbones", pictures[1], "-o", "out.png", "--size", "64", "--effort", "draft"])
        == 0
    )

    assert Path("out.png").exists()


def test_further_renditions_are_named_after_the_first() -> None:
    paths = output_paths(Path("folder/out.jpg"), tuple(Rendition))

    assert [str(path) for path in paths.values()] == [
        "folder/out.jpg",
        "folder/out-histogram.jpg",
        "folder/out-luminance.jpg",
    ]
