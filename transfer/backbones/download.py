"""A large file over HTTP: goes on where it broke off, and is checked by its hash. Free of torch.

`torch.hub.download_url_to_file` serves worse here: it speaks on stderr instead of to a callback,
waits forever for a server that has fallen silent, begins anew after each break, and takes a
connection that ended early for a wrong hash.
"""

import contextlib
import fcntl
import hashlib
import shutil
import time
from collections.abc import Callable, Iterator
from http import HTTPStatus
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import IO
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from transfer.errors import TransferError

OnDownload = Callable[[int, int | None], None]
"""Gets the bytes that are here and those of the whole file, None while that is not known."""

_CHUNK_BYTES = 1 << 20
_SILENCE_S = 30.0
"""A server that sends nothing for so long is taken for gone."""
_LOOK_S = 0.2
"""Between two looks whether another process is done."""


class DownloadFailed(TransferError):
    """A file cannot be had; the message is a clause that says why, and what to do."""


def download(
    url: str,
    target: Path,
    sha256_prefix: str,
    on_progress: OnDownload | None = None,
    *,
    silence_s: float = _SILENCE_S,
) -> None:
    """Fetch a file; it appears under its name when it is complete and right, or not at all.

    A file that is right already is left alone. What has come before a break stays beside it, as
    ``<name>.part``, and the next call asks for the rest. One process at a time: see `exclusive`.

    Args:
        url: http or https.
        target: in a folder that exists.
        sha256_prefix: hexadecimal digits that the file's SHA-256 begins with.
        on_progress: called whenever some bytes have come; what it raises passes through.
        silence_s: how long the server may send nothing, s.

    Raises:
        DownloadFailed: if the server cannot be reached, refuses, breaks off or sends another
            file, or if the disk cannot take it.
    """
    if target.is_file() and _digest(target).startswith(sha256_prefix):
        return
    part = part_of(target)
    with on_disk(part):
        file = part.open("ab", buffering=0)
    with file:
        _receive(url, file, part, on_progress, silence_s)
    found = _digest(part)
    if not found.startswith(sha256_prefix):
        part.unlink()
        raise DownloadFailed(
            f"the file from {urlsplit(url).netloc} is not the expected one (its SHA-256 begins with"
            f" {found[: len(sha256_prefix)]}, not {sha256_prefix}) and was removed; try again."
        )
    with on_disk(target):
        part.replace(target)


def part_of(target: Path) -> Path:
    """Where `download` collects what will become this file."""
    return target.with_name(f"{target.name}.part")


@contextlib.contextmanager
def exclusive(lock: Path, on_wait: Callable[[], None]) -> Iterator[None]:
    """Only one process at a time gets in here; the others wait.

    Args:
        lock: a file for this alone; it is made, stays, and is let go of when the process ends.
        on_wait: called several times a second while another process is in; may raise.

    Raises:
        DownloadFailed: if the file cannot be made.
    """
    with on_disk(lock):
        file = lock.open("ab")
    with file:
        while not _is_taken(file, lock):
            on_wait()
            time.sleep(_LOOK_S)
        yield


@contextlib.contextmanager
def on_disk(path: Path) -> Iterator[None]:
    """Give what goes wrong with a file its sentence.

    Raises:
        DownloadFailed: in the place of any `OSError`.
    """
    try:
        yield
    except OSError as error:
        raise DownloadFailed(
            f"{path} cannot be written ({_reason(error)}); make room or name another folder."
        ) from None


def _is_taken(file: IO[bytes], lock: Path) -> bool:
    with on_disk(lock):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


def _digest(path: Path) -> str:
    with on_disk(path), path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _reason(error: BaseException) -> str:
    """In words alone, without a number, where the system has words for it."""
    return getattr(error, "strerror", None) or str(error)


def _receive(
    url: str, file: IO[bytes], part: Path, on_progress: OnDownload | None, silence_s: float
) -> None:
    """Append to the file what it lacks."""
    host = urlsplit(url).netloc
    received = file.tell()
    reply = _asked(url, host, received, silence_s)
    if reply is None:
        return
    with reply:
        if received and reply.status != HTTPStatus.PARTIAL_CONTENT:
            received = 0
            with on_disk(part):
                file.truncate(0)
        total = None if reply.length is None else received + reply.length
        _check_room(part.parent, (total or 0) - received)
        while chunk := _read(reply, host, received, total):
            _write(file, part, chunk)
            received += len(chunk)
            if on_progress is not None:
                on_progress(received, total)
    if total is not None and received < total:
        raise _broken_off(host, received, total)


def _asked(url: str, host: str, received: int, silence_s: float) -> HTTPResponse | None:
    """The reply with everything after the bytes that are here; None if that is nothing."""
    headers = {"User-Agent": "pic2paint"}
    if received:
        headers["Range"] = f"bytes={received}-"
    try:
        # The caller's own address, never a visitor's.
        reply: HTTPResponse = urlopen(Request(url, headers=headers), timeout=silence_s)  # noqa: S310
    except HTTPError as error:
        error.close()
        if error.code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and received:
            return None
        raise DownloadFailed(
            f"{host} answers {error.code} {error.reason}; try again later."
        ) from None
    except (OSError, HTTPException) as error:
        cause = error.reason if isinstance(error, URLError) else error
        reason = cause if isinstance(cause, str) else _reason(cause)
        raise DownloadFailed(
            f"{host} cannot be reached ({reason}); check the connection to the internet"
            " and try again."
        ) from None
    return reply


def _read(reply: HTTPResponse, host: str, received: int, total: int | None) -> bytes:
    try:
        # Not read(): a break would take the bytes of an unfinished mebibyte with it.
        return reply.read1(_CHUNK_BYTES)
    except (OSError, HTTPException):
        raise _broken_off(host, received, total) from None


def _broken_off(host: str, received: int, total: int | None) -> DownloadFailed:
    whole = "" if total is None else f" of {total / 1e6:.1f}"
    return DownloadFailed(
        f"the connection to {host} broke off after {received / 1e6:.1f}{whole} MB;"
        " try again, it goes on from there."
    )


def _check_room(folder: Path, needed_bytes: int) -> None:
    """Find out before the download, not after most of it."""
    with on_disk(folder):
        free_bytes = shutil.disk_usage(folder).free
    if free_bytes < needed_bytes:
        raise DownloadFailed(
            f"{folder} has room for {free_bytes / 1e6:.1f} MB, and {needed_bytes / 1e6:.1f} MB are"
            " needed; make room or name another folder."
        )


def _write(file: IO[bytes], part: Path, chunk: bytes) -> None:
    left = memoryview(chunk)
    try:
        with on_disk(part):
            while left:
                left = left[file.write(left) :]
    except DownloadFailed:
        # A full disk stops everybody's work: the room is given back.
        part.unlink(missing_ok=True)
        raise
