from pathlib import Path

import pytest

from benchmarks.common.errors import PairsMissing
from benchmarks.common.pairs import FIXED_PAIRS, JUDGED_PAIRS, all_pairs, named_pairs, tuning_pairs

CONTENTS = ("ginzan-night", "lion", "stanford-tower", "tuebingen")
STYLES = ("mosaic", "picasso", "shipwreck", "starry-night", "wheat-field")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in CONTENTS:
        (tmp_path / f"content-{name}.jpg").touch()
    for name in STYLES:
        (tmp_path / f"style-{name}.jpg").touch()
    (tmp_path / "training-cat.jpg").touch()
    return tmp_path


def test_the_fixed_pairs_have_every_content_and_every_style() -> None:
    assert len(set(FIXED_PAIRS)) == 6
    assert {content for content, _ in FIXED_PAIRS} == set(CONTENTS)
    assert {style for _, style in FIXED_PAIRS} == set(STYLES)


def test_judged_pairs_are_two_dozen_different_ones() -> None:
    assert len(set(JUDGED_PAIRS)) == len(JUDGED_PAIRS) == 24


def test_all_pairs_are_every_content_in_every_style(folder: Path) -> None:
    names = [pair.name for pair in all_pairs(folder)]

    assert names == [f"{content} x {style}" for content in CONTENTS for style in STYLES]


def test_tuning_pairs_are_those_that_are_not_measured(folder: Path) -> None:
    fixed = {pair.name for pair in named_pairs(folder, FIXED_PAIRS)}
    tuning = {pair.name for pair in tuning_pairs(folder)}

    assert len(fixed) == 6
    assert len(tuning) == 14
    assert not fixed & tuning


def test_a_pair_that_is_not_there_is_named(folder: Path) -> None:
    (folder / "style-picasso.jpg").unlink()

    with pytest.raises(PairsMissing, match="has no pair lion x picasso"):
        named_pairs(folder, FIXED_PAIRS)


def test_tuning_needs_other_pairs_than_the_fixed_ones(tmp_path: Path) -> None:
    for name in ("content-lion.jpg", "style-picasso.jpg"):
        (tmp_path / name).touch()

    with pytest.raises(PairsMissing, match="beside the fixed ones"):
        tuning_pairs(tmp_path)
