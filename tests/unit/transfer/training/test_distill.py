from functools import partial
from pathlib import Path

import pytest
import safetensors.torch
import torch

from tests.unit.transfer.conftest import picture
from transfer.backbones.vgg import CONVOLUTIONS
from transfer.training import distill
from transfer.training.finetune import TrainConfig, Trainer
from transfer.training.layer_fit import FitConfig

Tensors = dict[str, torch.Tensor]


@pytest.fixture
def images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Pictures, and settings of fit and training small enough for them."""
    folder = tmp_path / "images"
    folder.mkdir()
    for seed in range(6):
        picture(70, 80, seed).save(folder / f"{seed}.png")
    fit_config = partial(FitConfig, widths=(8, 8, 8, 8, 8), images=4, crop_px=64, positions=16)
    train_config = partial(
        TrainConfig, steps=3, batch=4, crop_px=32, fresh=2, fresh_every=1, pool_at_start=4
    )
    monkeypatch.setattr(distill, "FitConfig", fit_config)
    monkeypatch.setattr(distill, "TrainConfig", train_config)
    monkeypatch.setattr(distill, "_REPORTED", 2)
    return folder


def made(images: Path, *further: str) -> Tensors:
    output = images.parent / "made.safetensors"
    assert distill.main(["--images", str(images), "-o", str(output), *further]) == 0
    return safetensors.torch.load_file(output)


def test_the_command_makes_the_file_and_says_how_good_it_is(
    images: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tensors = made(images)

    layers = [layer for stage in CONVOLUTIONS for layer in stage]
    assert set(tensors) == {f"{layer}.{part}" for layer in layers for part in ("weight", "bias")}
    assert all(tensor.dtype is torch.float16 for tensor in tensors.values())
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[:13]] == [
        layer.replace("conv", "relu") for layer in layers
    ]
    assert [line.split()[0] for line in lines[13:16]] == ["0", "2", "3"]
    assert lines[16].endswith("MB")


def test_a_stopped_command_goes_on(images: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = made(images)
    checkpoint = images.parent / "training.pt"
    steps = 0
    step = Trainer.step

    def interrupted(training: Trainer) -> float:
        nonlocal steps
        steps += 1
        if steps == 3:
            raise KeyboardInterrupt
        return step(training)

    monkeypatch.setattr(Trainer, "step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        made(images, "--checkpoint", str(checkpoint))
    monkeypatch.setattr(distill, "fit_student", None)  # not needed again

    resumed = made(images, "--checkpoint", str(checkpoint))

    assert steps == 4
    assert all(torch.equal(resumed[name], whole[name]) for name in whole)
