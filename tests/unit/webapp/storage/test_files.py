import os
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from transfer.settings import Rendition
from webapp.storage.files import ANIMATION, Storage
from webapp.storage.thumbnails import RENDITION_EDGES_PX

PAINTING = "abcdefghijklmnopqrstuv"
STYLED = Rendition.STYLED

ODD_IDS = [
    "",
    ".",
    "..",
    "../../etc/passwd",
    "a/b",
    "a\\b",
    "/etc/passwd",
    "nul\0",
    "a b",
    "a.b",
    "ünïcödé",
    "１２３",
    "line\n",
    "x" * 65,
]


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return Storage(tmp_path / "files")


def paths_of(storage: Storage) -> list[Callable[[str], Path]]:
    return [
        storage.picture,
        storage.picture_thumbnail,
        storage.preview,
        lambda name: storage.rendition(name, STYLED, "attempt"),
        lambda name: storage.rendition(PAINTING, STYLED, name),
        lambda name: storage.rendition_thumbnail(name, STYLED, "attempt", 320),
        lambda name: storage.rendition_thumbnail(PAINTING, STYLED, name, 320),
    ]


@pytest.mark.parametrize("name", ODD_IDS)
def test_names_that_no_database_made_are_refused(storage: Storage, name: str) -> None:
    for make in paths_of(storage):
        with pytest.raises(ValueError, match="not a name"):
            make(name)
    for remove in (storage.remove_picture, storage.remove_painting):
        with pytest.raises(ValueError, match="not a name"):
            remove(name)


def test_every_file_has_a_path_of_its_own_inside(storage: Storage) -> None:
    other = PAINTING[::-1]
    paths = [make(name) for make in paths_of(storage) for name in (PAINTING, other)]
    paths += [storage.rendition(PAINTING, kind, "attempt") for kind in Rendition]
    paths += [
        storage.rendition_thumbnail(PAINTING, STYLED, "attempt", edge)
        for edge in RENDITION_EDGES_PX
    ]

    # Two of them stand in both lists.
    assert len(set(paths)) == len(paths) - 2
    assert all(path.is_relative_to(storage.root) for path in paths)


def test_other_thumbnail_sizes_are_refused(storage: Storage) -> None:
    with pytest.raises(ValueError, match="640"):
        storage.rendition_thumbnail(PAINTING, STYLED, "attempt", 641)


def test_what_was_written_can_be_read(storage: Storage) -> None:
    path = storage.picture(PAINTING)

    storage.write(path, b"first")
    storage.write(path, b"second")

    assert path.read_bytes() == b"second"
    assert [p.name for p in path.parent.iterdir()] == ["picture.jpg"]


@pytest.mark.parametrize("path", ["../outside.txt", "pictures/../../outside.txt"])
def test_writing_outside_is_refused(storage: Storage, path: str) -> None:
    with pytest.raises(ValueError, match="outside"):
        storage.write(storage.root / path, b"data")

    assert not (storage.root.parent / "outside.txt").exists()


def test_writing_through_a_link_to_the_outside_is_refused(storage: Storage, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    folder = storage.picture(PAINTING).parent
    folder.parent.mkdir(parents=True)
    folder.symlink_to(outside)

    with pytest.raises(ValueError, match="outside"):
        storage.write(storage.picture(PAINTING), b"data")

    assert not list(outside.iterdir())


def test_failed_write_leaves_what_was_there(storage: Storage) -> None:
    # The name is taken by a folder with something in it: renaming fails after all was written.
    path = storage.picture(PAINTING)
    path.mkdir(parents=True)
    (path / "something").write_bytes(b"kept")

    with pytest.raises(OSError, match=r"picture\.jpg"):
        storage.write(path, b"data")

    assert [p.name for p in path.parent.iterdir()] == ["picture.jpg"]
    assert (path / "something").read_bytes() == b"kept"


def test_write_below_a_file_leaves_nothing(storage: Storage) -> None:
    path = storage.picture(PAINTING)
    path.parent.parent.mkdir(parents=True)
    path.parent.write_bytes(b"a file where a folder should be")

    with pytest.raises(OSError, match=r"picture|exists|directory"):
        storage.write(path, b"data")

    assert path.parent.read_bytes() == b"a file where a folder should be"


def test_full_disk_leaves_nothing(storage: Storage) -> None:
    import resource
    import signal

    path = storage.picture(PAINTING)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(OSError, match="large"):
            storage.write(path, bytes(5000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)

    assert not list(path.parent.iterdir())


def test_file_is_not_open_to_other_names_while_it_is_written(storage: Storage) -> None:
    path = storage.picture(PAINTING)
    storage.write(path, b"data")

    assert path.is_file()
    assert not path.is_symlink()
    assert os.stat(path).st_nlink == 1


def write_painting(storage: Storage, attempt: str) -> list[Path]:
    paths = [storage.rendition(PAINTING, STYLED, attempt)]
    paths += [
        storage.rendition_thumbnail(PAINTING, STYLED, attempt, edge) for edge in RENDITION_EDGES_PX
    ]
    for path in paths:
        storage.write(path, b"data")
    return paths


def test_only_files_of_the_named_renditions_are_kept(storage: Storage) -> None:
    first, second, third = (uuid.uuid4().hex for _ in range(3))
    kept = [*write_painting(storage, first), *write_painting(storage, third)]
    write_painting(storage, second)
    storage.write(storage.preview(PAINTING), b"data")
    (kept[0].parent / f".styled-{first}.png.1234.part").write_bytes(b"half")
    # The first attempt listed one rendition and died while it wrote another.
    storage.write(storage.rendition(PAINTING, Rendition.LUMINANCE, first), b"data")

    storage.write(storage.animation(PAINTING, second), b"data")
    kept.append(storage.animation(PAINTING, third))
    storage.write(kept[-1], b"data")

    storage.keep_only(PAINTING, [(STYLED, first), (STYLED, third), (ANIMATION, third)])

    assert sorted(kept[0].parent.iterdir()) == sorted(kept)


def test_keeping_nothing_removes_every_file(storage: Storage) -> None:
    paths = write_painting(storage, uuid.uuid4().hex)

    storage.keep_only(PAINTING, [])

    assert not list(paths[0].parent.iterdir())


def test_keeping_files_of_an_unknown_painting_does_nothing(storage: Storage) -> None:
    storage.keep_only(PAINTING, [(STYLED, "attempt")])

    assert not storage.root.exists()


def test_removal_takes_one_thing_and_leaves_its_neighbor(storage: Storage) -> None:
    neighbor = PAINTING[:2] + "another"
    for name in (PAINTING, neighbor):
        storage.write(storage.picture(name), b"data")
        storage.write(storage.picture_thumbnail(name), b"data")
        storage.write(storage.preview(name), b"data")

    storage.remove_picture(PAINTING)
    storage.remove_picture(PAINTING)
    storage.remove_painting(PAINTING)

    assert sorted(path for path in storage.root.rglob("*") if path.is_file()) == sorted(
        [storage.picture(neighbor), storage.picture_thumbnail(neighbor), storage.preview(neighbor)]
    )


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list that grows by the inode number of each file and folder that is synced."""
    numbers: list[int] = []
    monkeypatch.setattr(os, "fsync", lambda file: numbers.append(os.fstat(file).st_ino))
    return numbers


def test_all_folders_above_a_file_survive_a_power_cut(storage: Storage, synced: list[int]) -> None:
    path = storage.picture(PAINTING)
    folders = list(path.parents)[: len(path.relative_to(storage.root.parent).parts)]

    storage.write(path, b"data")
    assert {folder.stat().st_ino for folder in folders} <= set(synced)

    # Another process cannot know whether who made the folders has come to sync them.
    synced.clear()
    Storage(storage.root).write(storage.picture_thumbnail(PAINTING), b"data")
    assert {folder.stat().st_ino for folder in folders} <= set(synced)


def test_folders_that_were_synced_are_not_synced_again(storage: Storage, synced: list[int]) -> None:
    path, neighbor = storage.picture(PAINTING), storage.picture(PAINTING[:2] + "another")
    storage.write(path, b"data")

    synced.clear()
    storage.write(storage.picture_thumbnail(PAINTING), b"data")
    assert synced[1:] == [path.parent.stat().st_ino]

    # What was removed and made anew is not known any more.
    for fresh in (neighbor, path):
        storage.remove_picture(fresh.parent.name)
        synced.clear()
        storage.write(fresh, b"data")
        assert path.parent.parent.stat().st_ino in synced


def test_a_large_file_is_written_in_parts_with_a_call_for_each(storage: Storage) -> None:
    calls: list[int] = []
    for size in (0, 100, 20_000_000):
        path = storage.checkpoint("a" * 22, "b" * 32)
        data = os.urandom(size)
        storage.write(path, data, lambda: calls.append(1))
        assert path.read_bytes() == data
    assert len(calls) == 1 + 1 + 3
