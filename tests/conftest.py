"""Fixtures for tests of every kind."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

# Before torch is loaded anywhere: its threads must not spin while others need the cores.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from config import Config
from tests.servers import RedisServer, make_config


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """Return settings of a fresh installation without a queue."""
    return make_config(tmp_path / "instance")


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """Yield one Redis for the whole run."""
    with RedisServer() as server:
        yield server


@pytest.fixture
def redis_url(redis_server: RedisServer) -> Iterator[str]:
    """Yield the address of an empty Redis, which is emptied again afterwards."""
    redis_server.flush()
    yield redis_server.url
    redis_server.flush()
