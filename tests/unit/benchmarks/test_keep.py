from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.qualitylib.engines import Order
from benchmarks.qualitylib.errors import EngineFailed, FolderUnusable
from benchmarks.qualitylib.keep import Keep, default_folder
from benchmarks.qualitylib.pairs import all_pairs
from config import PROJECT_ROOT
from tests.unit.benchmarks.fakes import Copyist, folder_of_pictures, picture


@pytest.fixture
def keep(tmp_path: Path) -> Keep:
    return Keep(tmp_path / "keep")


@pytest.fixture
def order(tmp_path: Path) -> Order:
    pictures = folder_of_pictures(tmp_path / "pictures", ["boat"], ["oil"])
    return Order(all_pairs(pictures)[0], 64, seed=0, device="cpu")


@pytest.fixture
def copyist(tmp_path: Path) -> Copyist:
    return Copyist(tmp_path / "log")


def test_what_is_kept_is_not_painted_again(keep: Keep, order: Order, copyist: Copyist) -> None:
    first = keep.painted(copyist, order)
    again = keep.painted(copyist, order)

    assert copyist.painted == 1
    assert first.picture.read_bytes() == order.pair.content.read_bytes()
    assert not first.is_earlier
    assert again == replace(first, is_earlier=True)
    assert again.took.wall_s > 0


def test_fresh_paints_again_and_keeps_that(keep: Keep, order: Order, copyist: Copyist) -> None:
    first = keep.painted(copyist, order)
    fresh = keep.painted(copyist, order, is_fresh=True)

    assert copyist.painted == 2
    assert not fresh.is_earlier
    assert fresh.picture == first.picture
    assert keep.painted(copyist, order).took == fresh.took


def test_another_engine_size_or_picture_is_another_painting(
    keep: Keep, order: Order, copyist: Copyist
) -> None:
    keep.painted(copyist, order)

    keep.painted(replace(copyist, taste=1), order)
    keep.painted(copyist, replace(order, size_px=80))
    for path in (order.pair.style, order.pair.content):
        picture(48, 64, 9).save(path)
        keep.painted(copyist, order)

    assert copyist.painted == 5


@pytest.mark.parametrize("damage", ["picture", "record", "no picture", "no record"])
def test_what_is_damaged_is_painted_again(
    keep: Keep, order: Order, copyist: Copyist, damage: str
) -> None:
    kept = keep.painted(copyist, order)
    path = kept.picture if damage.endswith("picture") else kept.picture.with_suffix(".json")
    if damage.startswith("no"):
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-9])

    again = keep.painted(copyist, order)

    assert copyist.painted == 2
    assert not again.is_earlier
    assert keep.painted(copyist, order).is_earlier


def test_an_engine_that_fails_leaves_nothing(keep: Keep, order: Order, copyist: Copyist) -> None:
    broken = replace(copyist, is_broken=True)

    with pytest.raises(EngineFailed, match=r"boat x oil: .* status 3 .* out of paint"):
        keep.painted(broken, order)

    assert keep.find(broken, order) is None
    assert not [path for path in keep.folder.rglob("*") if path.is_file()]


def test_names_of_files_can_be_read(keep: Keep, order: Order, copyist: Copyist) -> None:
    kept = keep.painted(copyist, order)

    assert kept.picture.parent == keep.folder / "boat-x-oil"
    assert kept.picture.name.startswith("copyist-64px-")


def test_never_in_the_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(FolderUnusable, match="lies in the repository"):
        Keep(PROJECT_ROOT / "kept")
    assert not (PROJECT_ROOT / "kept").exists()
    with pytest.raises(FolderUnusable, match="cannot be written"):
        Keep(Path("/dev/null/kept"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_folder() == tmp_path / "pic2paint" / "quality"
