"""Count of the votes: shares with intervals, and agreement between raters."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from statistics import mean

from benchmarks.blindlib.forms import ANSWERS, QUESTIONS, Vote
from benchmarks.blindlib.trials import Key
from benchmarks.common.table import Table

TIE = ANSWERS[-1]
_Z = 1.959964
"""Quantile of the normal distribution for an interval of 95 %."""
LEGEND = (
    "Shares and intervals (95 %, Wilson) are of the votes that decided for one of the two. They "
    "take votes as independent; raters who look at the same pictures are not, so the truth is "
    "less certain. Agreement: share of equal answers over couples of raters; kappa (Fleiss): 0 is "
    "chance, 1 is perfect. A: share of the decided votes that went to the left picture."
)


@dataclass(frozen=True)
class Share:
    """A share, and the ends of its interval."""

    share: float
    low: float
    high: float


@dataclass(frozen=True)
class Count:
    """Votes on one question."""

    first: int
    second: int
    ties: int
    share: Share | None
    """Share of the first contender among decided votes; None without any."""
    share_a: Share | None
    """Share of the left picture, whosever it was, among decided votes."""
    agreement: float | None
    """Mean share of equal answers over couples of raters; None for a single rater."""
    kappa: float | None
    """Fleiss' kappa; None for a single rater, or where all votes are the same."""


def wilson(successes: int, trials: int) -> Share | None:
    """Return a share and its interval of 95 % (Wilson, JASA 22, 1927); None without trials."""
    if trials == 0:
        return None
    share, square = successes / trials, _Z**2 / trials
    center = (share + square / 2) / (1 + square)
    half = _Z / (1 + square) * math.sqrt(share * (1 - share) / trials + square / (4 * trials))
    return Share(share, max(0.0, center - half), min(1.0, center + half))


def fleiss_kappa(answers: Sequence[Sequence[str]]) -> float | None:
    """Return the agreement beyond chance (Fleiss, Psychological Bulletin 76, 1971).

    Args:
        answers: for each sheet the answers of all raters, equally many.

    Returns:
        None if there is no couple of raters, or all answers are the same.
    """
    raters = len(answers[0])
    if raters < 2:
        return None
    counts = [Counter(sheet) for sheet in answers]
    observed = mean(
        sum(count * (count - 1) for count in sheet.values()) / (raters * (raters - 1))
        for sheet in counts
    )
    totals = sum(counts, Counter[str]())
    by_chance = sum((total / (raters * len(answers))) ** 2 for total in totals.values())
    return None if by_chance == 1 else (observed - by_chance) / (1 - by_chance)


def agreement(answers: Sequence[Sequence[str]]) -> float | None:
    """Return the mean share of equal answers over couples of raters; None for a single one.

    Args:
        answers: for each sheet the answers of all raters, equally many.
    """
    couples = list(combinations(range(len(answers[0])), 2))
    if not couples:
        return None
    return mean(sheet[one] == sheet[other] for sheet in answers for one, other in couples)


@dataclass(frozen=True)
class Tally:
    """Votes and the key to them."""

    key: Key
    votes: Sequence[Vote]

    @property
    def raters(self) -> list[str]:
        """Names of the raters who voted."""
        return list(dict.fromkeys(vote.rater for vote in self.votes))

    def chosen(self, question: str) -> dict[str, dict[str, str]]:
        """Return contender or tie by pair and rater."""
        trials = {trial.sheet: trial for trial in self.key.trials}
        found: dict[str, dict[str, str]] = {trial.pair: {} for trial in self.key.trials}
        for vote in self.votes:
            trial = trials[vote.sheet]
            found[trial.pair][vote.rater] = trial.contender(vote.answers[question])
        return found

    def count(self, question: str) -> Count:
        """Count the answers to one question."""
        first, second = self.key.contenders
        by_pair = self.chosen(question)
        answers = [[choices[rater] for rater in self.raters] for choices in by_pair.values()]
        totals = Counter(answer for sheet in answers for answer in sheet)
        decided = totals[first] + totals[second]
        left = sum(vote.answers[question] == ANSWERS[0] for vote in self.votes)
        return Count(
            totals[first],
            totals[second],
            totals[TIE],
            wilson(totals[first], decided),
            wilson(left, decided),
            agreement(answers),
            fleiss_kappa(answers),
        )

    def pairs_won(self) -> Counter[str]:
        """Return the number of pairs on which most raters preferred a contender, or neither."""
        won: Counter[str] = Counter()
        first, second = self.key.contenders
        for choices in self.chosen("preferred").values():
            votes = Counter(choices.values())
            ahead = votes[first] - votes[second]
            won[TIE if ahead == 0 else first if ahead > 0 else second] += 1
        return won

    def tables(self) -> dict[str, Table]:
        """Return the tables by title."""
        return {
            "Questions": _question_table(self.key.contenders, self.counts()),
            "Preferred, by pair and rater": self._votes_table(),
        }

    def counts(self) -> dict[str, Count]:
        """Count the answers to each question."""
        return {question: self.count(question) for question in QUESTIONS}

    def summary(self) -> str:
        """Return the result in a sentence."""
        first, second = self.key.contenders
        won, count = self.pairs_won(), self.count("preferred")
        return (
            f"{first} was preferred in {count.first} of {count.first + count.second} decided votes "
            f"({_share(count.share)}; ties: {count.ties}); of {len(self.key.trials)} pairs "
            f"{first} won {won[first]}, {second} {won[second]}, neither {won[TIE]}; "
            f"{len(self.raters)} of {len(self.key.raters)} raters voted."
        )

    def text(self) -> str:
        """Format for the terminal."""
        parts = [f"{title}\n{table.text()}" for title, table in self.tables().items()]
        return "\n\n".join([self.summary(), *parts, self._words(""), LEGEND])

    def markdown(self) -> str:
        """Format as a page of Markdown."""
        parts = [f"## {title}\n\n{table.markdown()}" for title, table in self.tables().items()]
        words = f"## What is wrong\n\n{self._words('- ')}"
        return "\n\n".join(["# Blind comparison", self.summary(), *parts, words, LEGEND]) + "\n"

    def data(self) -> dict[str, object]:
        """Return data for JSON."""
        trials = {trial.sheet: trial for trial in self.key.trials}
        return {
            "summary": self.summary(),
            "contenders": self.key.contenders,
            "raters": self.raters,
            "questions": {question: asdict(count) for question, count in self.counts().items()},
            "pairs_won": dict(self.pairs_won()),
            "votes": [
                {
                    "pair": trials[vote.sheet].pair,
                    "rater": vote.rater,
                    **{
                        question: trials[vote.sheet].contender(answer)
                        for question, answer in vote.answers.items()
                    },
                    "a": trials[vote.sheet].a,
                    "what_is_wrong": vote.words,
                }
                for vote in self.votes
            ],
        }

    def _votes_table(self) -> Table:
        raters = self.raters
        first, second = self.key.contenders
        rows = []
        for pair, choices in sorted(self.chosen("preferred").items()):
            votes = Counter(choices.values())
            score = f"{votes[first]} : {votes[second]}"
            rows.append((pair, *(choices[rater] for rater in raters), score))
        return Table(("pair", *raters, f"{first} : {second}"), tuple(rows), 1 + len(raters))

    def _words(self, bullet: str) -> str:
        trials = {trial.sheet: trial for trial in self.key.trials}
        lines = [
            f"{bullet}{trial.pair}, {vote.rater} (A is {trial.a}): {vote.words}"
            for vote in sorted(self.votes, key=lambda vote: trials[vote.sheet].pair)
            if vote.words
            for trial in [trials[vote.sheet]]
        ]
        return "\n".join(lines) or "Nobody wrote what is wrong."


def _question_table(contenders: tuple[str, str], counts: Mapping[str, Count]) -> Table:
    rows = [
        (
            question,
            str(count.first),
            str(count.second),
            str(count.ties),
            _share(count.share),
            _number(count.agreement, ".0%"),
            _number(count.kappa, ".2f"),
            _share(count.share_a),
        )
        for question, count in counts.items()
    ]
    share = f"share of {contenders[0]}"
    heading = ("question", *contenders, "ties", share, "agreement", "kappa", "A")
    return Table(heading, tuple(rows), 1)


def _share(share: Share | None) -> str:
    return "-" if share is None else f"{share.share:.0%} [{share.low:.0%}, {share.high:.0%}]"


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)
