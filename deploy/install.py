"""Installs into `.venv`; only with the standard library, for `install.sh` runs it without one.

A stamp beside the packages says what was installed, so that the next run has nothing to do.
It is written last: an interrupted installation leaves none.
"""

import fcntl
import hashlib
import json
import os
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

PROJECT_ROOT = Path(__file__).resolve().parent.parent
VENV = PROJECT_ROOT / ".venv"
VENV_PYTHON = VENV / "bin" / "python"
UNFINISHED = VENV / ".unfinished"
"""There while pip works: packages that it left in halves look installed to it afterwards."""


class InstallError(Exception):
    """Installing cannot go on; the message is one line for people."""


def main(arguments: list[str]) -> int:
    """Install the project, with its extras if any are named; return the exit status."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    try:
        # Two commands started together install one after the other.
        with (PROJECT_ROOT / "pyproject.toml").open() as pyproject:
            fcntl.flock(pyproject, fcntl.LOCK_EX)
            install(arguments)
    except InstallError as error:
        print(error, file=sys.stderr)
        return 1
    except OSError as error:
        print(f"Installing into {VENV} is not possible: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Installing was interrupted; the next run goes on.", file=sys.stderr)
        return 130
    return 0


def install(extras: list[str]) -> None:
    """Bring `.venv` up to what pyproject.toml and constraints.txt ask for.

    Raises:
        InstallError: if the environment cannot be made or pip fails.
        OSError: if the folder cannot be written.
    """
    wanted = digest()
    stamps = [VENV / f".installed-{name}" for name in ("base", *extras)]
    is_usable = is_venv_usable()
    if is_usable and all(_read(stamp) == wanted for stamp in stamps):
        return
    VENV.mkdir(exist_ok=True)
    print(f"Installing into {VENV}; the first time this takes some minutes.", file=sys.stderr)
    for stamp in VENV.glob(".installed-*"):
        stamp.unlink()
    if not is_usable and run(sys.executable, "-m", "venv", "--clear", str(VENV)) != 0:
        raise InstallError(f"The environment {VENV} could not be made; what is wrong stands above.")
    UNFINISHED.touch()
    target = f".[{','.join(extras)}]" if extras else "."
    pip = (str(VENV_PYTHON), "-m", "pip", "--disable-pip-version-check", "--no-input")
    status = run(*pip, "install", "-c", "constraints.txt", "-e", target)
    UNFINISHED.unlink()
    if status != 0:
        raise InstallError("Installing failed: pip says why, above. `make install` tries again.")
    for stamp in stamps:
        new = stamp.with_name("new-stamp")
        new.write_text(wanted)
        new.replace(stamp)


def run(*command: str) -> int:
    """Run a program to its end; a Ctrl-C ends it, too, without its traceback."""
    # Out of the terminal's reach, so that only we hear the Ctrl-C; and standard output is for what
    # was asked for, the address of the site.
    with subprocess.Popen(command, cwd=PROJECT_ROOT, process_group=0, stdout=sys.stderr) as process:
        try:
            return process.wait()
        except KeyboardInterrupt:
            os.killpg(process.pid, signal.SIGTERM)
            raise


def digest() -> str:
    """A hash of everything that decides what is installed, and where."""
    project = tomllib.loads((PROJECT_ROOT / "pyproject.toml").read_text())
    parts = [
        json.dumps([project["build-system"], project["project"], project["tool"]["setuptools"]]),
        (PROJECT_ROOT / "constraints.txt").read_text(),
        sys.version,
        sys.base_prefix,
        str(PROJECT_ROOT),
    ]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def is_venv_usable() -> bool:
    """Whether `.venv` holds this very Python, a pip, and no package in halves."""
    question = "import sys, pip; print(sys.version, sys.base_prefix, sep='')"
    try:
        answer = subprocess.run([VENV_PYTHON, "-c", question], capture_output=True, text=True)
    except OSError:
        return False
    is_same = answer.stdout == f"{sys.version}{sys.base_prefix}\n"
    return answer.returncode == 0 and is_same and not UNFINISHED.exists()


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
