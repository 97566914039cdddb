"""Instructions for raters, and the form that they fill in: a row for each sheet."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

from benchmarks.blindlib.trials import Key
from benchmarks.common.errors import BenchmarkError

QUESTIONS = {
    "preferred": "Which one would you rather hang on your wall?",
    "cleaner": "Which one is cleaner: less noise, fewer specks, fewer smears?",
    "more_painted": "Which one looks more as if a person had painted or drawn it by hand?",
    "subject_more_readable": "In which one do you recognize better what the photo shows?",
}
"""Column of the form -> question."""
WORDS = "what_is_wrong"
"""Column for words, which may stay empty."""
ANSWERS = ("A", "B", "tie")
COLUMNS = ("rater", "sheet", *QUESTIONS, WORDS)

INSTRUCTIONS = f"""\
Each sheet shows a photo and a picture in some style above, and two pictures, A and B, below. A and
B are both meant to show what the photo shows, in that style.

1. Look at the sheets in the order of your list, order-NAME.txt; it is not the same for everyone.
   Look at them at full size (100 %), not shrunk to the window.
2. Fill in your form, form-NAME.csv, as you go; any spreadsheet opens it. It has a row for each
   sheet, and these columns:

{chr(10).join(f"   {column}: {question}" for column, question in QUESTIONS.items())}
   {WORDS}: In your own words, what bothers you in A or in B, and where. May stay empty.

   Answer {", ".join(ANSWERS[:-1])} or {ANSWERS[-1]}; {ANSWERS[-1]} only if you see no difference \
that matters. The four questions are
   separate: the cleaner one need not be the one that you prefer.
3. Leave no answer empty, and do not change the names of the sheets.

There are no right answers. Take your first impression, and the time that you need to look. Do not
talk about the pictures with others before all have handed in their forms, and do not try to find
out where the pictures come from.
"""


class FormUnusable(BenchmarkError):
    """A form is incomplete, contradictory, or belongs to another set of sheets."""


@dataclass(frozen=True)
class Vote:
    """A rater's answers for one sheet."""

    rater: str
    sheet: str
    answers: dict[str, str]
    """One of `ANSWERS` by column."""
    words: str


def empty_form(rater: str, sheets: Sequence[str]) -> str:
    """Return the form that a rater fills in, as CSV."""
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows([rater, sheet, *[""] * (len(COLUMNS) - 2)] for sheet in sheets)
    return text.getvalue()


def read_forms(files: Sequence[Path], key: Key) -> list[Vote]:
    """Read the forms of several raters.

    Raises:
        FormUnusable: if one of them is no complete form of this set, or a rater handed in two.
    """
    votes: list[Vote] = []
    for file in files:
        form = _read_form(file, key)
        if any(vote.rater == form[0].rater for vote in votes):
            raise FormUnusable(f"{file} is a second form of the rater {form[0].rater}.")
        votes += form
    if not votes:
        raise FormUnusable("There is no form to count.")
    return votes


def _read_form(file: Path, key: Key) -> list[Vote]:
    votes: dict[str, Vote] = {}
    sheets = {trial.sheet for trial in key.trials}
    for row in _rows(file):
        vote = _vote(file, row)
        if vote.rater not in key.raters:
            raise FormUnusable(f"{file} names a rater {vote.rater!r}, whom the key does not know.")
        if vote.sheet not in sheets:
            raise FormUnusable(f"{file} names a sheet {vote.sheet!r}, which is not of this set.")
        if vote.sheet in votes:
            raise FormUnusable(f"{file} has two rows for sheet {vote.sheet}.")
        votes[vote.sheet] = vote
    if raters := sorted({vote.rater for vote in votes.values()})[1:]:
        raise FormUnusable(f"{file} is filled in by more than one rater, {raters[0]} among them.")
    if missing := sorted(sheets - set(votes)):
        more = f" and {len(missing) - 1} more" if missing[1:] else ""
        raise FormUnusable(f"{file} lacks sheet {missing[0]}{more}.")
    return list(votes.values())


def _vote(file: Path, row: dict[str, str]) -> Vote:
    answers = {}
    for column in QUESTIONS:
        given = row[column].lower()
        by_lower = {answer.lower(): answer for answer in ANSWERS}
        if given not in by_lower:
            said = f"{row[column]!r}" if given else "no answer"
            raise FormUnusable(
                f"{file} has {said} under {column} for sheet {row['sheet']}; "
                f"{', '.join(ANSWERS[:-1])} or {ANSWERS[-1]} is needed."
            )
        answers[column] = by_lower[given]
    return Vote(row["rater"], row["sheet"], answers, row[WORDS])


def _rows(file: Path) -> list[dict[str, str]]:
    """Read a form's rows that are not empty."""
    try:
        # Spreadsheets put a mark at the beginning, and semicolons in many countries.
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError):
        raise FormUnusable(f"{file} cannot be read as text in UTF-8.") from None
    heading = text.partition("\n")[0]
    delimiter = ";" if heading.count(";") > heading.count(",") else ","
    reader = csv.DictReader(StringIO(text, newline=""), delimiter=delimiter, restval="")
    lacking = [column for column in COLUMNS if column not in (reader.fieldnames or ())]
    if lacking:
        raise FormUnusable(f"{file} is no form of a blind comparison: it lacks {lacking[0]}.")
    rows = [{column: row[column].strip() for column in COLUMNS} for row in reader]
    return [row for row in rows if any(row.values())]
