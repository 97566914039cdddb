import json
from pathlib import Path

import pytest

from benchmarks.blindlib.trials import Key, KeyUnusable, Trial, make_key

PAIRS = [f"photo-{number}-x-style" for number in range(12)]


@pytest.fixture
def pictures(tmp_path: Path) -> dict[str, dict[str, Path]]:
    """Files of twelve pairs by two contenders, each with content of its own."""
    found: dict[str, dict[str, Path]] = {}
    for name in ("ours", "theirs"):
        found[name] = {pair: tmp_path / f"{name}-{pair}.png" for pair in PAIRS}
        for path in found[name].values():
            path.write_text(path.name)
    return found


def test_every_pair_has_a_sheet_and_each_side_is_shared_evenly(
    pictures: dict[str, dict[str, Path]],
) -> None:
    key = make_key(pictures, ["ann"], 5)

    assert sorted(trial.pair for trial in key.trials) == sorted(PAIRS)
    assert [trial.pair for trial in key.trials] != sorted(PAIRS)
    assert [trial.sheet[4:] for trial in key.trials] == [f"-{at:02}" for at in range(1, 13)]
    assert sorted(trial.a for trial in key.trials) == ["ours"] * 6 + ["theirs"] * 6
    assert all({trial.a, trial.b} == {"ours", "theirs"} for trial in key.trials)


def test_seed_decides_and_other_seeds_decide_otherwise(
    pictures: dict[str, dict[str, Path]],
) -> None:
    one, again, other = (make_key(pictures, ["ann"], seed) for seed in (5, 5, 6))

    assert one == again
    assert [trial.pair for trial in one.trials] != [trial.pair for trial in other.trials]
    assert [trial.a for trial in one.trials] != [trial.a for trial in other.trials]


def test_sheets_of_other_pictures_have_other_names(pictures: dict[str, dict[str, Path]]) -> None:
    before = make_key(pictures, ["ann"], 5)
    pictures["ours"][PAIRS[3]].write_text("painted again")

    assert {trial.sheet for trial in make_key(pictures, ["ann"], 5).trials}.isdisjoint(
        trial.sheet for trial in before.trials
    )


def test_raters_see_the_same_sheets_in_other_orders(pictures: dict[str, dict[str, Path]]) -> None:
    key = make_key(pictures, ["ann", "bob"], 5)

    sheets = [trial.sheet for trial in key.trials]
    assert sorted(key.order("ann")) == sorted(key.order("bob")) == sheets
    assert key.order("ann") == key.order("ann")
    assert len({tuple(key.order("ann")), tuple(key.order("bob")), tuple(sheets)}) == 3


def test_answers_are_traced_back_to_contenders() -> None:
    trial = Trial("3f9a-01", "cat-x-night", a="theirs", b="ours")

    assert [trial.contender(answer) for answer in ("A", "B", "tie")] == ["theirs", "ours", "tie"]


def test_key_comes_back_as_it_was_stored(
    tmp_path: Path, pictures: dict[str, dict[str, Path]]
) -> None:
    key = make_key(pictures, ["ann", "bob"], 5)

    key.write(tmp_path / "key.json")

    assert Key.read(tmp_path / "key.json") == key


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "cannot be read: No such file"),
        ("no JSON", "is no key"),
        ("[]", "is no key"),
        ("{}", "is no key"),
        (json.dumps({"format": 1, "trials": [{"sheet": "1"}]}), "is no key"),
        (json.dumps({"format": 0}), "another version"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, content: str | None, sentence: str) -> None:
    file = tmp_path / "key.json"
    if content is not None:
        file.write_text(content)

    with pytest.raises(KeyUnusable, match=sentence):
        Key.read(file)
