import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image, ImageSequence

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


def test_the_command_paints_and_prints_its_progress(pictures: list[str], tmp_path: Path) -> None:
    done = run(
        *pictures,
        *("-o", str(tmp_path / "out.png"), "--size", "64", "--effort", "draft"),
        *("--colors", "styled,luminance", "--threads", "1"),
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert "100%" in done.stderr
    assert "evaluations of compact and vgg19 in" in done.stderr
    written = {path.name for path in tmp_path.iterdir()} - {"content.png", "style.png"}
    assert written == {"out.png", "out-luminance.png"}
    with Image.open(tmp_path / "out.png") as image:
        assert image.size == (64, 48)


@pytest.fixture
def ctrl_c_reaches_children() -> Iterator[None]:
    """Let child processes receive Ctrl-C, which shells have background jobs ignore."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("ctrl_c_reaches_children")
def test_ctrl_c_stops_the_command_with_one_word(pictures: list[str], tmp_path: Path) -> None:
    output = tmp_path / "out.png"
    arguments = [sys.executable, "-u", "-m", "transfer", *pictures, "-o", str(output)]
    with subprocess.Popen([*arguments, "--effort", "fine"], stderr=subprocess.PIPE) as painting:
        assert painting.stderr is not None
        assert b"%" in painting.stderr.readline(), "it says how far it is once it paints"
        painting.send_signal(signal.SIGINT)
        rest = painting.stderr.read()

    assert painting.returncode == 130
    assert rest.endswith(b"Stopped.\n")
    assert b"Traceback" not in rest
    assert not output.exists()


def test_every_option_reaches_the_painting(pictures: list[str], tmp_path: Path) -> None:
    mask = Image.new("L", (80, 60))
    mask.paste(255, (0, 0, 40, 60))
    mask.save(tmp_path / "mask.png")
    content, style = pictures

    done = run(
        *(content, style, style, "-o", str(tmp_path / "out.png")),
        *("--size", "64", "--effort", "draft", "--threads", "1", "--colors", "histogram"),
        *("--style-weights", "2,1", "--brush-size", "1.5", "--smoothness", "0.7"),
        *("--mask", str(tmp_path / "mask.png"), "--mask", str(tmp_path / "mask.png")),
        *("--start", "noise", "--color-map", "cholesky"),
        *("--animation", str(tmp_path / "way.webp")),
        *("--content-weight", "0.1", "--smoothness-weight", "1"),
        *("--style-layers", "relu1_1=2,relu3_1", "--content-layer", "relu3_2"),
        *("--pooling", "average", "--evaluations", "12"),
    )

    assert done.returncode == 0, done.stderr
    assert "12 evaluations of compact" in done.stderr
    with Image.open(tmp_path / "out.png") as image, Image.open(content) as photo:
        right = (40, 0, 64, 48)
        expected = photo.resize((64, 48), Image.Resampling.LANCZOS, reducing_gap=3.0)
        assert image.crop(right).tobytes() == expected.crop(right).tobytes()
    with Image.open(tmp_path / "way.webp") as animation:
        assert animation.size == (64, 48)
        assert len(ImageSequence.all_frames(animation)) == 13


def test_a_mistake_prints_one_sentence_and_exits_with_two(
    pictures: list[str], tmp_path: Path
) -> None:
    """Neither a traceback nor argparse's usage is printed by the process."""
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


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--style-weights", "1,2"], "one for each style, 1 in all"),
        (["--style-weights", "1;2"], "numbers with commas"),
        (["--style-weights", "0"], "not all of them 0"),
        (["--brush-size", "3"], "from 0.5 to 2"),
        (["--smoothness", "nan"], "from 0 to 1"),
        (["--start", "middle"], "noise"),
        (["--color-map", "hsv"], "cholesky"),
        (["--mask", "{folder}/absent.png"], "does not exist"),
        (["--mask", "{folder}/text.png"], "cannot be read as"),
        (["--mask", "{folder}/square.png"], "80 × 60 px"),
        (["--mask", "everywhere", "--mask", "everywhere"], "1 in all, or none"),
        (["--animation", "{folder}/way.gif"], "must end in .webp"),
        (["--animation", "{folder}/no/way.webp"], "No such file or directory"),
        (["--content-weight", "-1"], "from 0 to 1e+06"),
        (["--style-layers", "conv1_1"], "relu1_1"),
        (["--style-layers", "relu1_1=x"], "layer=weight"),
        (["--content-layer", "relu9_1"], "relu4_2"),
        (["--pooling", "sum"], "average"),
        (["--evaluations", "1"], "from 10 to 10000"),
        (["--max-memory", "plenty"], "an amount such as 2GB"),
        (["--max-memory", "20MB"], "at least 0.5 GB"),
    ],
)
def test_every_option_out_of_its_range_is_one_sentence(
    pictures: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    sentence: str,
) -> None:
    (tmp_path / "text.png").write_text("no image")
    Image.new("RGB", (40, 40)).save(tmp_path / "square.png")
    filled = [option.format(folder=tmp_path) for option in options]

    assert main([*pictures, "-o", str(tmp_path / "out.png"), *filled]) == 2

    printed = capsys.readouterr()
    assert sentence in printed.err
    assert printed.err.count("\n") == 1
    assert not (tmp_path / "out.png").exists()


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


def test_downloading_a_bundled_backbone_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
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
