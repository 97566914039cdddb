import re
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.blindlib.forms import (
    COLUMNS,
    INSTRUCTIONS,
    QUESTIONS,
    FormUnusable,
    empty_form,
    read_forms,
)
from benchmarks.blindlib.trials import Key, Trial

KEY = Key(
    seed=0,
    contenders=("ours", "theirs"),
    raters=("ann", "bob"),
    trials=(
        Trial("3f9a-01", "cat-x-night", "ours", "theirs"),
        Trial("3f9a-02", "dog-x-night", "theirs", "ours"),
    ),
)
HEADING = ",".join(COLUMNS)
FORM = f"{HEADING}\nann,3f9a-02,A,B,tie,A,halo around the dog\nann,3f9a-01,B,B,B,B,\n"


@pytest.fixture
def file(tmp_path: Path) -> Callable[[str], Path]:
    def write(text: str, name: str = "form.csv") -> Path:
        (tmp_path / name).write_text(text, encoding="utf-8")
        return tmp_path / name

    return write


def test_filled_in_form_is_read(file: Callable[[str], Path]) -> None:
    first, second = read_forms([file(FORM)], KEY)

    assert (first.rater, first.sheet, first.words) == ("ann", "3f9a-02", "halo around the dog")
    assert first.answers == dict(zip(QUESTIONS, ("A", "B", "tie", "A"), strict=True))
    assert (second.sheet, second.words) == ("3f9a-01", "")


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("\ufeff" + FORM.replace(",", ";"), id="semicolons and mark"),
        pytest.param(FORM.replace("\n", "\r\n"), id="ends of lines"),
        pytest.param(FORM.replace(",A", ", a ").replace("tie", "Tie"), id="case and spaces"),
        pytest.param(FORM + ",,,,,,\n\n", id="empty rows"),
    ],
)
def test_what_spreadsheets_make_of_it_is_read_alike(file: Callable[[str], Path], text: str) -> None:
    assert read_forms([file(text)], KEY) == read_forms([file(FORM)], KEY)


def test_empty_form_lists_the_sheets_and_is_not_taken_for_filled_in(
    file: Callable[[str], Path],
) -> None:
    text = empty_form("ann", ["3f9a-02", "3f9a-01"])

    assert text == f"{HEADING}\nann,3f9a-02,,,,,\nann,3f9a-01,,,,,\n"
    with pytest.raises(FormUnusable, match="no answer under preferred for sheet 3f9a-02"):
        read_forms([file(text)], KEY)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (FORM.replace("B,tie", "B,both"), "'both' under more_painted for sheet 3f9a-02; A, B or"),
        (FORM.replace("B,tie", "B,"), "no answer under more_painted for sheet 3f9a-02"),
        (FORM.replace("ann,3f9a-01", "ann,3f9a-02"), "two rows for sheet 3f9a-02"),
        (FORM.partition("ann,3f9a-01")[0], "lacks sheet 3f9a-01."),
        (FORM.replace("3f9a-01", "77aa-01"), "a sheet '77aa-01', which is not of this set"),
        (FORM.replace("ann", "eve"), "a rater 'eve', whom the key does not know"),
        (FORM.replace("ann,3f9a-01", "bob,3f9a-01"), "more than one rater, bob among them"),
        (FORM.replace("cleaner", "clean"), "it lacks cleaner"),
        ("", "is no form"),
        (f"{HEADING}\n", "lacks sheet 3f9a-01 and 1 more."),
    ],
)
def test_incomplete_and_contradictory_forms_are_refused_in_a_sentence(
    file: Callable[[str], Path], text: str, sentence: str
) -> None:
    with pytest.raises(FormUnusable) as error:
        read_forms([file(text)], KEY)

    assert sentence in str(error.value)
    assert "\n" not in str(error.value)


def test_second_form_of_a_rater_is_refused(tmp_path: Path) -> None:
    one, two, bobs = (tmp_path / name for name in ("one.csv", "two.csv", "bob.csv"))
    for path in (one, two):
        path.write_text(FORM)
    bobs.write_text(FORM.replace("ann", "bob"))

    assert len(read_forms([one, bobs], KEY)) == 4
    with pytest.raises(FormUnusable, match=r"two\.csv is a second form of the rater ann"):
        read_forms([one, bobs, two], KEY)


def test_files_that_are_no_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / "form.xlsx").write_bytes(b"PK\xff\xfe")

    for name in ("form.xlsx", "absent.csv"):
        with pytest.raises(FormUnusable, match="cannot be read as text"):
            read_forms([tmp_path / name], KEY)


def test_instructions_explain_every_column_and_name_no_contender() -> None:
    assert all(question in INSTRUCTIONS for question in QUESTIONS.values())
    words = re.findall(r"\w+", INSTRUCTIONS.lower())
    assert not {"pic2paint", "engine", "our", "ours", "peer", "version"} & set(words)
