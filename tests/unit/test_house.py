"""Habits of this house that a reader relies on and no linter checks."""

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from config import PROJECT_ROOT
from tests.__main__ import LINT

PACKAGES = ("benchmarks", "deploy", "docs/scripts", "transfer", "webapp")
SOURCES = sorted(
    [PROJECT_ROOT / "config.py"]
    + [path for package in PACKAGES for path in (PROJECT_ROOT / package).rglob("*.py")]
)
HIDDEN_SUBJECT = re.compile(
    r"(Of|As|By|From|For|With|What|How|Where|Whether|Which|Why|Who|Whose|When|It|Its|They|Their"
    r"|That|Those|These|Not|So|See|Like|The same|The inverse)\b"
)
"""Openers after which the subject comes late or never."""

TESTED_ELSEWHERE = {
    "deploy/__main__.py": "tests/integration/deploy/test_start.py",
    "deploy/parent_death.py": "tests/integration/deploy/test_start.py",
    "deploy/start.py": "tests/integration/deploy/test_start.py",
    "webapp/storage/backup.py": "tests/integration/webapp/test_backup.py",
    "webapp/worker/rq_worker.py": "tests/integration/webapp/test_worker.py",
}
"""Modules whose tests need a running site, and where they are."""


def path_of(source: Path) -> str:
    return source.relative_to(PROJECT_ROOT).as_posix()


def docstrings(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Line and text of every docstring, those below fields and constants among them."""
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if not isinstance(body, list):
            continue
        for number, statement in enumerate(body):
            is_text = (
                isinstance(statement, ast.Expr)
                and isinstance(statement.value, ast.Constant)
                and isinstance(statement.value.value, str)
            )
            is_first = number == 0 and not isinstance(node, ast.If | ast.With | ast.For)
            if is_text and (is_first or isinstance(body[number - 1], ast.Assign | ast.AnnAssign)):
                yield statement.lineno, statement.value.value


@pytest.mark.parametrize("source", SOURCES, ids=path_of)
def test_docstrings_name_their_subject_first(source: Path) -> None:
    hidden = [
        f"{path_of(source)}:{line}: {text.splitlines()[0]}"
        for line, text in docstrings(ast.parse(source.read_text()))
        if HIDDEN_SUBJECT.match(text)
    ]

    assert not hidden, "\n".join(hidden)


@pytest.mark.parametrize(
    "text", ["Of the image.", "What is painted.", "The same for styles.", "Whether it waits."]
)
def test_an_opener_that_hides_the_subject_is_found(text: str) -> None:
    tree = ast.parse(f'x = 1\n"""{text}"""\ndef f():\n    """{text}"""\n')

    assert [found for _, found in docstrings(tree) if HIDDEN_SUBJECT.match(found)] == [text, text]


def has_logic(tree: ast.Module) -> bool:
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    # Exceptions only put their sentences together.
    return any(function.name != "__init__" for function in functions)


@pytest.mark.parametrize(
    "source",
    [path for path in SOURCES if path_of(path).split("/")[0] in {"deploy", "transfer", "webapp"}],
    ids=path_of,
)
def test_each_module_with_logic_has_tests_in_the_mirrored_place(source: Path) -> None:
    if source.name == "__init__.py" or not has_logic(ast.parse(source.read_text())):
        return
    relative = source.relative_to(PROJECT_ROOT)
    mirrored = Path("tests/unit", relative.parent, f"test_{source.stem.strip('_')}.py")
    place = PROJECT_ROOT / TESTED_ELSEWHERE.get(path_of(source), mirrored)

    assert place.is_file(), f"{place.relative_to(PROJECT_ROOT)} is missing"


def test_the_hooks_before_a_commit_run_what_make_lint_runs() -> None:
    hooks = (PROJECT_ROOT / ".pre-commit-config.yaml").read_text()

    assert re.findall(r"entry: \.venv/bin/python -m tests (\w+)", hooks) == list(LINT)


def test_the_workflow_tries_every_python_that_the_project_supports() -> None:
    pyproject = (PROJECT_ROOT / "pyproject.toml").read_text()
    workflow = (PROJECT_ROOT / ".github/workflows/test.yml").read_text()
    low, high = re.findall(r'requires-python = ">=3\.(\d+),<3\.(\d+)"', pyproject)[0]

    tried = re.findall(r'"3\.(\d+)"', workflow)

    assert tried == [str(minor) for minor in range(int(low), int(high))]


def test_nothing_names_a_package_registry_or_a_path_of_one_machine() -> None:
    listed = subprocess.run(
        ["git", "grep", "-lIE", r"pythonhosted\.org|https?://pypi\.|registry\.npmjs|/(work|root)/"],
        cwd=PROJECT_ROOT,
        capture_output=True,
        text=True,
    )
    found = set(listed.stdout.split()) - {"tests/unit/test_house.py"}

    assert not found
