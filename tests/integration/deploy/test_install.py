import os
import shutil
import subprocess
from pathlib import Path

import pytest

from config import PROJECT_ROOT

# These tests run below `make test`, but the make that they start is to be nobody's child.
_FOR_ANOTHER_MAKE = {
    name: value
    for name, value in os.environ.items()
    if name not in {"MAKEFLAGS", "MAKELEVEL", "MFLAGS"}
}


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    folder = tmp_path / "check out"
    shutil.copytree(
        PROJECT_ROOT / "deploy", folder / "deploy", ignore=shutil.ignore_patterns("__pycache__")
    )
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(PROJECT_ROOT / name, folder)
    return folder


def refused(checkout: Path, *arguments: str, path: str = os.environ["PATH"]) -> str:
    """What an installation that must fail says: one line, and make's own."""
    make = shutil.which("make")
    assert make is not None
    done = subprocess.run(
        [make, "install", *arguments],
        cwd=checkout,
        env={**_FOR_ANOTHER_MAKE, "PATH": path},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode != 0
    assert done.stdout == ""
    message, makes_own = done.stderr.splitlines()
    assert "Error 1" in makes_own
    return message


def test_no_python(checkout: Path, tmp_path: Path) -> None:
    for name in ("sh", "dirname"):
        (tmp_path / name).symlink_to(shutil.which(name) or name)

    message = refused(checkout, path=str(tmp_path))

    assert message.startswith("No Python 3.11, 3.12 or 3.13")


def test_named_python_that_is_none(checkout: Path) -> None:
    assert "PYTHON=/bin/false is not Python" in refused(checkout, "PYTHON=/bin/false")


def test_python_that_exists_but_does_not_run_is_passed_over(checkout: Path, tmp_path: Path) -> None:
    for name in ("sh", "dirname", "echo"):
        (tmp_path / name).symlink_to(shutil.which(name) or name)
    for name in ("python3", "python3.12"):
        (tmp_path / name).write_text("#!/bin/sh\necho no version is chosen >&2\nexit 127\n")
        (tmp_path / name).chmod(0o755)

    assert refused(checkout, path=str(tmp_path)).startswith("No Python")


def test_environment_that_cannot_be_made(checkout: Path) -> None:
    (checkout / ".venv").touch()

    message = refused(checkout)

    assert str(checkout / ".venv") in message
    assert "not possible" in message
