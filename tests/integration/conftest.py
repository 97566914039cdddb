"""Fixtures of integration tests, which run with a real Redis."""

from pathlib import Path

import pytest

from config import Config
from tests.servers import make_config


@pytest.fixture
def config(tmp_path: Path, redis_url: str) -> Config:
    """Return settings of a fresh installation with an empty queue."""
    return make_config(tmp_path / "instance", redis_url)
