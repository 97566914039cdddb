import json
from collections.abc import Sequence

import pytest

from benchmarks.blindlib.forms import QUESTIONS, Vote
from benchmarks.blindlib.tally import Tally, agreement, fleiss_kappa, wilson
from benchmarks.blindlib.trials import Key, Trial

SHEETS = ("3f9a-01", "3f9a-02", "3f9a-03", "3f9a-04")
KEY = Key(
    seed=0,
    contenders=("ours", "theirs"),
    raters=("ann", "bob", "eve"),
    trials=(
        Trial(SHEETS[0], "cat-x-night", "ours", "theirs"),
        Trial(SHEETS[1], "dog-x-night", "theirs", "ours"),
        Trial(SHEETS[2], "elk-x-night", "ours", "theirs"),
        Trial(SHEETS[3], "fox-x-night", "theirs", "ours"),
    ),
)


def votes(rater: str, answers: Sequence[str], words: str = "") -> list[Vote]:
    """Votes with the same answer to every question."""
    return [
        Vote(rater, sheet, dict.fromkeys(QUESTIONS, answer), words)
        for sheet, answer in zip(SHEETS, answers, strict=True)
    ]


@pytest.fixture
def tally() -> Tally:
    # Theirs is A on the second and the fourth sheet.
    return Tally(
        KEY, [*votes("ann", ["A", "A", "A", "B"], "halo"), *votes("bob", ["A", "B", "tie", "A"])]
    )


# Newcombe, Statistics in Medicine 17 (1998), table I, method 3.
@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_intervals_agree_with_published_ones(
    successes: int, trials: int, low: float, high: float
) -> None:
    found = wilson(successes, trials)

    assert found is not None
    assert found.share == successes / trials
    assert (found.low, found.high) == pytest.approx((low, high), abs=6e-5)


def test_interval_of_all_is_the_mirror_of_none() -> None:
    none, every = wilson(0, 20), wilson(20, 20)

    assert none is not None
    assert every is not None
    assert (every.low, every.high) == pytest.approx((1 - none.high, 1 - none.low))
    assert wilson(0, 0) is None


# Fleiss's worked example, as many textbooks have it: 10 subjects, 14 raters, 5 categories.
FLEISS = """
0 0 0 0 14
0 2 6 4 2
0 0 3 5 6
0 3 9 2 0
2 2 8 1 1
7 7 0 0 0
3 2 6 3 0
2 5 3 2 2
6 5 2 1 0
0 2 2 3 7
"""


def test_kappa_agrees_with_a_published_example() -> None:
    answers = [
        [str(at) for at, count in enumerate(line.split()) for _ in range(int(count))]
        for line in FLEISS.strip().splitlines()
    ]

    assert fleiss_kappa(answers) == pytest.approx(0.210, abs=5e-4)
    # Its mean agreement of couples, too.
    assert agreement(answers) == pytest.approx(0.378, abs=5e-4)


def test_kappa_is_one_for_equal_answers_and_none_without_any_choice() -> None:
    assert fleiss_kappa([["a", "a"], ["b", "b"]]) == pytest.approx(1)
    assert fleiss_kappa([["a", "a"], ["a", "a"]]) is None
    assert fleiss_kappa([["a"], ["b"]]) is None
    assert agreement([["a"], ["b"]]) is None
    assert agreement([["a", "a", "b"]]) == pytest.approx(1 / 3)


def test_votes_are_counted_for_contenders(tally: Tally) -> None:
    assert tally.chosen("preferred") == {
        "cat-x-night": {"ann": "ours", "bob": "ours"},
        "dog-x-night": {"ann": "theirs", "bob": "ours"},
        "elk-x-night": {"ann": "ours", "bob": "tie"},
        "fox-x-night": {"ann": "ours", "bob": "theirs"},
    }
    count = tally.count("preferred")
    assert (count.first, count.second, count.ties) == (5, 2, 1)
    assert count.share == wilson(5, 7)
    assert count.share_a == wilson(5, 7)
    assert count.agreement == 0.25
    assert tally.pairs_won() == {"ours": 2, "tie": 2}


def test_sentence_tells_votes_pairs_and_raters(tally: Tally) -> None:
    assert tally.summary() == (
        "ours was preferred in 5 of 7 decided votes (71% [36%, 92%]; ties: 1); of 4 pairs ours "
        "won 2, theirs 0, neither 2; 2 of 3 raters voted."
    )


def test_report_has_votes_by_pair_and_rater_and_words(tally: Tally) -> None:
    markdown = tally.markdown()

    assert "| dog-x-night | theirs | ours | 1 : 1 |" in markdown
    assert "- dog-x-night, ann (A is theirs): halo" in markdown
    for text in (markdown, tally.text()):
        assert tally.summary() in text
        assert all(question in text for question in QUESTIONS)


def test_data_goes_into_json_and_back(tally: Tally) -> None:
    data = json.loads(json.dumps(tally.data()))

    assert data["questions"]["cleaner"]["first"] == 5
    assert data["votes"][1] == {
        "pair": "dog-x-night",
        "rater": "ann",
        **dict.fromkeys(QUESTIONS, "theirs"),
        "a": "theirs",
        "what_is_wrong": "halo",
    }


def test_single_rater_with_ties_only_has_no_shares() -> None:
    tally = Tally(KEY, votes("eve", ["tie"] * 4))

    count = tally.count("preferred")
    assert (count.share, count.share_a, count.agreement, count.kappa) == (None, None, None, None)
    assert "0 of 0 decided votes (-; ties: 4)" in tally.summary()
    assert "Nobody wrote what is wrong." in tally.text()
