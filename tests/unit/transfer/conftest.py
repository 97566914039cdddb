import numpy as np
import pytest
import torch
from PIL import Image

from tests.seeds import seeded, shifted
from transfer.engine import Painter


def picture(height: int, width: int, seed: int) -> Image.Image:
    """Return soft colored shapes of all scales, the same each time."""
    generator = np.random.default_rng(shifted(seed))
    y, x = np.mgrid[0:height, 0:width]
    values = np.zeros((height, width, 3))
    for _ in range(12):
        fx, fy = generator.uniform(-0.4, 0.4, 2)
        wave = np.cos(fx * x + fy * y + generator.uniform(0, 6))
        values += wave[:, :, None] * generator.uniform(-1, 1, 3)
    values = 127.5 + 60.0 * values / values.std()
    return Image.fromarray(values.clip(0, 255).astype(np.uint8))


@pytest.fixture
def content() -> Image.Image:
    return picture(60, 80, seed=1)


@pytest.fixture
def style() -> Image.Image:
    return picture(70, 64, seed=2)


@pytest.fixture(scope="session")
def painter() -> Painter:
    """Return a painter that loads each backbone once for all tests."""
    # One thread: the pictures are tiny, and on a busy machine threads wait for each other.
    return Painter("cpu", threads=1)


@pytest.fixture
def generator() -> torch.Generator:
    return seeded(0)
