from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.common.commandline import cache_folder
from benchmarks.common.errors import EngineFailed, FolderUnusable
from benchmarks.common.pairs import Order, all_pairs
from benchmarks.qualitylib.store import PaintingStore
from config import PROJECT_ROOT
from tests.unit.benchmarks.fakes import Copyist, folder_of_pictures, picture


@pytest.fixture
def store(tmp_path: Path) -> PaintingStore:
    return PaintingStore(tmp_path / "store")


@pytest.fixture
def order(tmp_path: Path) -> Order:
    pictures = folder_of_pictures(tmp_path / "pictures", ["boat"], ["oil"])
    return Order(all_pairs(pictures)[0], 64, seed=0, device="cpu")


@pytest.fixture
def copyist(tmp_path: Path) -> Copyist:
    return Copyist(tmp_path / "log")


def test_stored_paintings_are_not_painted_again(
    store: PaintingStore, order: Order, copyist: Copyist
) -> None:
    first = store.get_or_paint(copyist, order)
    again = store.get_or_paint(copyist, order)

    assert copyist.painted == 1
    assert first.picture.read_bytes() == order.pair.content.read_bytes()
    assert not first.is_earlier
    assert again == replace(first, is_earlier=True)
    assert again.took.wall_s > 0


def test_fresh_paints_again_and_keeps_that(
    store: PaintingStore, order: Order, copyist: Copyist
) -> None:
    first = store.get_or_paint(copyist, order)
    fresh = store.get_or_paint(copyist, order, is_fresh=True)

    assert copyist.painted == 2
    assert not fresh.is_earlier
    assert fresh.picture == first.picture
    assert store.get_or_paint(copyist, order).took == fresh.took


def test_another_engine_size_or_picture_is_another_painting(
    store: PaintingStore, order: Order, copyist: Copyist
) -> None:
    store.get_or_paint(copyist, order)

    store.get_or_paint(replace(copyist, taste=1), order)
    store.get_or_paint(copyist, replace(order, size_px=80))
    for path in (order.pair.style, order.pair.content):
        picture(48, 64, 9).save(path)
        store.get_or_paint(copyist, order)

    assert copyist.painted == 5


@pytest.mark.parametrize("damage", ["picture", "record", "no picture", "no record"])
def test_damaged_paintings_are_painted_again(
    store: PaintingStore, order: Order, copyist: Copyist, damage: str
) -> None:
    stored = store.get_or_paint(copyist, order)
    path = stored.picture if damage.endswith("picture") else stored.picture.with_suffix(".json")
    if damage.startswith("no"):
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-9])

    again = store.get_or_paint(copyist, order)

    assert copyist.painted == 2
    assert not again.is_earlier
    assert store.get_or_paint(copyist, order).is_earlier


def test_an_engine_that_fails_leaves_nothing(
    store: PaintingStore, order: Order, copyist: Copyist
) -> None:
    broken = replace(copyist, is_broken=True)

    with pytest.raises(EngineFailed, match=r"boat x oil: .* status 3 .* out of paint"):
        store.get_or_paint(broken, order)

    assert store.find(broken, order) is None
    assert not [path for path in store.folder.rglob("*") if path.is_file()]


def test_names_of_files_can_be_read(store: PaintingStore, order: Order, copyist: Copyist) -> None:
    stored = store.get_or_paint(copyist, order)

    assert stored.picture.parent == store.folder / "boat-x-oil"
    assert stored.picture.name.startswith("copyist-64px-")


def test_never_in_the_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(FolderUnusable, match="lies in the repository"):
        PaintingStore(PROJECT_ROOT / "kept")
    assert not (PROJECT_ROOT / "kept").exists()
    with pytest.raises(FolderUnusable, match="cannot be written"):
        PaintingStore(Path("/dev/null/kept"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder("quality") == tmp_path / "pic2paint" / "quality"
