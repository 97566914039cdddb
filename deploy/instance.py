"""Instance folder, which holds everything that must survive: made, locked, and given a key."""

import contextlib
import fcntl
import os
import secrets
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TextIO

from config import SECRET_KEY_MIN_CHARS, Config, secret_key_file
from deploy.errors import StartError

MAX_SOCKET_PATH_BYTES = 90
"""Longest path of a unix socket: the system takes 104 bytes (BSD) or 108 (Linux), and supervisor
adds its process id."""


def dir_from_env(environ: Mapping[str, str]) -> Path:
    """Return the instance folder that the settings name; it need not exist.

    Raises:
        ConfigError: if a setting is not usable.
    """
    made_later = {
        "REDIS_URL": "redis://",
        "SECRET_KEY": "made later".ljust(SECRET_KEY_MIN_CHARS, "."),
    }
    return Config.from_env({**environ, **made_later}).instance_dir


def make_folders(instance_dir: Path) -> None:
    """Make the instance folder, private to this user; an existing one keeps its mode.

    Raises:
        StartError: if that is not possible.
    """
    try:
        for folder in (instance_dir, *(instance_dir / name for name in ("logs", "run", "redis"))):
            missing = [above for above in (folder, *folder.parents) if not above.exists()]
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            for made in (folder, *missing):
                _sync(made.parent)
            # Asked by writing: permission bits say nothing about root, full or read-only disks.
            with tempfile.TemporaryFile(dir=folder) as probe:
                probe.write(b"?")
    except OSError as error:
        raise _unusable(instance_dir, error) from None


@contextlib.contextmanager
def lock_folder(instance_dir: Path) -> Iterator[TextIO]:
    """Hold the instance folder for this start alone.

    Raises:
        StartError: if the site already runs on it.
    """
    with (instance_dir / "run" / "lock").open("a+") as lock:
        deadline = time.monotonic() + 30
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                lock.seek(0)
                holder = lock.read().strip()
                # A start that was killed leaves a supervisor behind, which stops by itself.
                if _is_alive(holder) or time.monotonic() > deadline:
                    raise StartError(
                        f"Pic2Paint is already running on {instance_dir} (process {holder})."
                    ) from None
                time.sleep(0.2)
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        yield lock


def make_secret_key(instance_dir: Path) -> None:
    """Make the key that signs sessions, unless there is one.

    Raises:
        StartError: if it cannot be written.
    """
    path = secret_key_file(instance_dir)
    if path.exists():
        return
    try:
        # Complete or not there: a half-written key would be refused by every later start.
        with tempfile.NamedTemporaryFile("w", dir=instance_dir, delete=False) as file:
            file.write(secrets.token_hex(32))
            file.flush()
            os.fsync(file.fileno())
        Path(file.name).rename(path)
        _sync(instance_dir)
    except OSError as error:
        raise _unusable(instance_dir, error) from None


@contextlib.contextmanager
def short_folder(preferred: Path) -> Iterator[Path]:
    """Yield a private folder for sockets, whose paths must be short.

    Raises:
        StartError: if even the system's folder for temporary files has too long a name.
    """
    if _fits(preferred):
        yield preferred
        return
    with tempfile.TemporaryDirectory(prefix="pic2paint-") as name:
        if not _fits(Path(name)):
            raise StartError(f"The path {name} is too long for a socket; set TMPDIR to a shorter.")
        yield Path(name)


def _is_alive(process_id: str) -> bool:
    try:
        os.kill(int(process_id), 0)
    except (ValueError, ProcessLookupError):
        return False
    except PermissionError:
        return True
    return True


def _sync(folder: Path) -> None:
    """Sync a folder, so that its entries survive a power cut."""
    # A folder that we may write to but not list cannot be opened, nor synced.
    with contextlib.suppress(PermissionError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _fits(folder: Path) -> bool:
    return len(os.fsencode(folder / "supervisor.sock")) <= MAX_SOCKET_PATH_BYTES


def _unusable(instance_dir: Path, error: OSError) -> StartError:
    return StartError(f"The instance folder {instance_dir} cannot be used: {error}")
