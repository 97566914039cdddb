from pathlib import Path

import pytest

from benchmarks.common.errors import PairsMissing
from benchmarks.picturelib.folders import find_pictures, pairs_by_name, slug


def fill(folder: Path, *names: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_bytes(b"")
    return folder


def test_pairs_are_named_as_the_quality_benchmark_names_them(tmp_path: Path) -> None:
    folder = fill(tmp_path, "content-lion.jpg", "content-old town.png", "style-wheat-field.jpg")

    pairs = pairs_by_name([folder], [folder])

    assert list(pairs) == ["lion-x-wheat-field", "old-town-x-wheat-field"]
    assert slug(pairs["lion-x-wheat-field"].name) == "lion-x-wheat-field"
    assert pairs["old-town-x-wheat-field"].content.name == "content-old town.png"


def test_pictures_without_a_role_are_what_their_folder_is_named_for(tmp_path: Path) -> None:
    photos = fill(tmp_path / "photos", "cat.webp", "notes.txt", "style-of-no-use.jpg")
    styles = fill(tmp_path / "styles", "night.JPG")

    assert list(pairs_by_name([photos], [styles])) == ["cat-x-night"]


def test_folders_without_pictures_and_equal_names_are_refused(tmp_path: Path) -> None:
    photos, styles = fill(tmp_path / "a", "cat.jpg"), fill(tmp_path / "b", "night.jpg")

    with pytest.raises(PairsMissing, match=r"no folder .*absent"):
        pairs_by_name([tmp_path / "absent"], [styles])
    with pytest.raises(PairsMissing, match=r"no content picture in .*b2"):
        pairs_by_name([fill(tmp_path / "b2", "style-night.jpg")], [styles])
    with pytest.raises(PairsMissing, match="Two pairs are named cat-x-night"):
        pairs_by_name([photos, fill(tmp_path / "c", "cat.png")], [styles])


def test_pictures_are_found_by_pair(tmp_path: Path) -> None:
    folder = fill(tmp_path, "cat-x-night.png", "dog-x-night.jpg", "dog-x-night.json", "x.png")

    found = find_pictures(str(folder), ["cat-x-night", "dog-x-night", "cow-x-night"])

    assert found == {
        "cat-x-night": folder / "cat-x-night.png",
        "dog-x-night": folder / "dog-x-night.jpg",
    }


def test_pictures_are_found_by_a_pattern_in_the_store_of_the_quality_benchmark(
    tmp_path: Path,
) -> None:
    folder = fill(tmp_path / "cat-x-night", "standard-0.5-512px-aa.png", "fine-0.5-512px-bb.png")

    found = find_pictures(f"{tmp_path}/{{pair}}/fine-*.png", ["cat-x-night", "dog-x-night"])

    assert found == {"cat-x-night": folder / "fine-0.5-512px-bb.png"}
    with pytest.raises(PairsMissing, match="2 pictures for cat-x-night; name a narrower"):
        find_pictures(f"{tmp_path}/{{pair}}/*.png", ["cat-x-night"])


def test_places_without_pictures_are_refused(tmp_path: Path) -> None:
    with pytest.raises(PairsMissing, match=r"no picture named by a pair, such as cat-x-night\.png"):
        find_pictures(str(tmp_path), ["cat-x-night"])
    with pytest.raises(PairsMissing, match="There is no folder"):
        find_pictures(str(tmp_path / "absent"), ["cat-x-night"])
