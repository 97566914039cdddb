"""Command lines of the benchmarks: parser, folders, errors and stops."""

import argparse
import os
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from benchmarks.common.errors import BenchmarkError, FolderUnusable
from config import PROJECT_ROOT
from transfer.errors import TransferError

DEFAULT_PICTURES = PROJECT_ROOT.parent / "shared" / "pictures"


class Parser(argparse.ArgumentParser):
    """A parser that raises one sentence for a mistake, without the usage before it.

    Args:
        module: the program's, such as ``"benchmarks.speed"``.
        docstring: the program's; its first line is the description.
    """

    def __init__(self, module: str, docstring: str | None) -> None:
        description = (docstring or "").partition("\n")[0]
        super().__init__(prog=f"python -m {module}", description=description)

    def add_pictures(self) -> None:
        """Add the option that names the folder of pictures."""
        self.add_argument(
            "--pictures", type=Path, default=DEFAULT_PICTURES, metavar="DIR", help="(%(default)s)"
        )

    def error(self, message: str) -> NoReturn:
        """Raise the sentence."""
        raise BenchmarkError(f"{message[:1].upper()}{message[1:]}; --help shows what is possible.")


class Stopped(BaseException):
    """SIGTERM or SIGINT came, which ends everything but what cleans up."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.status = 128 + number


def raise_on_stop() -> None:
    """Have SIGTERM and SIGINT raise `Stopped`."""

    def stop(number: int, _frame: object) -> NoReturn:
        raise Stopped(number)

    # SIGINT, too: shells have their background jobs ignore it.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)


def run_program(work: Callable[[], None], stopped: str) -> int:
    """Do a program's work, and return its exit status: 2 after an error, which is printed.

    Args:
        work: what the program does.
        stopped: the sentence to print when it was stopped.
    """
    raise_on_stop()
    try:
        work()
    except (BenchmarkError, TransferError) as error:
        print(error, file=sys.stderr)
        return 2
    except Stopped as stop:
        print(f"\n{stopped}", file=sys.stderr)
        return stop.status
    return 0


def whole_number(text: str, least: int = 0) -> int:
    """Parse a whole number from ``least`` on."""
    if not text.isdecimal() or int(text) < least:
        raise argparse.ArgumentTypeError(f"wanted a whole number from {least}, not {text!r}")
    return int(text)


def cache_folder(benchmark: str) -> Path:
    """Return the folder of a benchmark in the user's cache folder."""
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(cache).expanduser() / "pic2paint" / benchmark


def make_folder(folder: Path) -> Path:
    """Make a folder for results, if it is not there, and return its full path.

    Raises:
        FolderUnusable: if it cannot be made, or lies in the repository.
    """
    folder = folder.expanduser().resolve()
    if folder.is_relative_to(PROJECT_ROOT):
        raise FolderUnusable(f"{folder} lies in the repository; name a folder outside of it.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise FolderUnusable(f"{folder} cannot be written: {error.strerror}.") from None
    return folder
