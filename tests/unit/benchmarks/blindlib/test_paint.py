from pathlib import Path

import pytest

from benchmarks.blindlib.paint import RECORD, FolderTaken, paint
from benchmarks.common.errors import BenchmarkError, EngineFailed
from benchmarks.common.pairs import Pair

ENGINE = """
import shutil, sys
content, style, *options = sys.argv[1:]
assert options[options.index("--threads") + 1] == "1"
if "--fail" in options:
    sys.exit("out of paint")
shutil.copy(style if "--bold" in options else content, options[options.index("--output") + 1])
"""
"""Another checkout's engine, with the same command line: copies a picture."""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    package = tmp_path / "checkout" / "transfer"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "__main__.py").write_text(ENGINE)
    return package.parent


@pytest.fixture
def pairs(tmp_path: Path) -> dict[str, Pair]:
    for name in ("cat", "dog", "night"):
        (tmp_path / f"{name}.png").write_text(name)
    return {
        f"{name}-x-night": Pair(tmp_path / f"{name}.png", tmp_path / "night.png")
        for name in ("cat", "dog")
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "painted").mkdir()
    return tmp_path / "painted"


def test_another_checkout_paints_what_is_missing(
    checkout: Path, pairs: dict[str, Pair], folder: Path
) -> None:
    (folder / "cat-x-night.png").write_text("painted before")
    # As if it had been by the same engine.
    assert list(paint({}, folder, ["--bold"], checkout)) == []

    files = list(paint(pairs, folder, ["--bold"], checkout))

    assert files == [folder / "dog-x-night.png"]
    assert (folder / "cat-x-night.png").read_text() == "painted before"
    assert (folder / "dog-x-night.png").read_text() == "night"


@pytest.mark.parametrize("is_edited", [False, True])
def test_other_settings_and_other_sources_need_another_folder(
    checkout: Path, pairs: dict[str, Pair], folder: Path, is_edited: bool
) -> None:
    assert len(list(paint(pairs, folder, [], checkout))) == 2
    if is_edited:
        (checkout / "transfer" / "__init__.py").write_text("NEW = True")

    with pytest.raises(FolderTaken, match="name another folder"):
        list(paint(pairs, folder, [] if is_edited else ["--bold"], checkout))


def test_damaged_record_is_no_match(checkout: Path, pairs: dict[str, Pair], folder: Path) -> None:
    (folder / RECORD).write_text("{")

    with pytest.raises(FolderTaken):
        list(paint(pairs, folder, [], checkout))


def test_failure_is_told_in_the_engines_words(
    checkout: Path, pairs: dict[str, Pair], folder: Path
) -> None:
    with pytest.raises(EngineFailed, match=r"did not paint cat-x-night: .* out of paint"):
        list(paint(pairs, folder, ["--fail"], checkout))


def test_folders_without_an_engine_are_refused(
    tmp_path: Path, pairs: dict[str, Pair], folder: Path
) -> None:
    with pytest.raises(BenchmarkError, match="has no engine"):
        list(paint(pairs, folder, [], tmp_path))
