import pytest
import torch

from benchmarks.qualitylib import distances
from transfer.backbones import vgg19
from transfer.backbones.vgg import VggBackbone


@pytest.fixture(scope="session")
def backbone() -> VggBackbone:
    """Loaded once for all tests."""
    torch.set_num_threads(1)
    return vgg19.load(torch.device("cpu"))


@pytest.fixture
def _measured_small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measured at 64 px: the same code, in no time."""
    monkeypatch.setattr(distances, "MEASURED_LONG_EDGE_PX", 64)
