from pathlib import Path

import pytest
import torch

from tests.seeds import seeded
from transfer.backbones import compact
from transfer.engine import Painter
from transfer.errors import WeightsUnavailable


def test_compact_is_a_small_file() -> None:
    path = Path(compact.__file__).with_name(compact.DATA_FILE)

    assert path.stat().st_size < 2_500_000


def test_compact_follows_vgg19(painter: Painter) -> None:
    """The first layer of compact is sixteen of the teacher's own filters."""
    image = torch.rand(1, 3, 32, 32, generator=seeded(0))
    small = painter.backbone("compact").features(image, ["relu1_1"])["relu1_1"][0].flatten(1)
    large = painter.backbone("vgg19").features(image, ["relu1_1"])["relu1_1"][0].flatten(1)

    distance = torch.cdist(small, large).amin(dim=1)

    assert (distance / small.norm(dim=1)).max() < 5e-3


def test_a_missing_or_damaged_compact_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("absent.safetensors", "__init__.py"):
        monkeypatch.setattr(compact, "DATA_FILE", name)
        with pytest.raises(WeightsUnavailable, match="missing or damaged"):
            compact.load(torch.device("cpu"))
