from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from tests.seeds import seeded
from tests.unit.transfer.conftest import picture
from transfer.backbones.vgg import CONVOLUTIONS, VggBackbone
from transfer.training.layer_fit import (
    FitConfig,
    TrainingImagesMissing,
    fit,
    fit_student,
    patches,
    select_channels,
)

SMALL = FitConfig(widths=(6, 8, 8, 8, 8), images=6, crop_px=64, positions=16)


def test_spanning_channels_leave_out_what_others_already_say(generator: torch.Generator) -> None:
    independent = torch.randn(200, 4, generator=generator, dtype=torch.float64)
    weak = 0.01 * torch.randn(200, 1, generator=generator, dtype=torch.float64)
    copies = 0.5 * independent[:, :2] + 0.1 * independent[:, 2:]

    chosen = select_channels(torch.cat([copies, independent, weak], dim=1), 4)

    assert chosen.tolist() == [2, 3, 4, 5]


def test_fit_finds_a_layer_that_exists(generator: torch.Generator) -> None:
    inputs = torch.randn(2000, 12, generator=generator)
    kernel = torch.randn(5, 12, generator=generator)
    bias = torch.randn(5, generator=generator)
    targets = (inputs @ kernel.T + bias).double()

    found_kernel, found_bias, error = fit(inputs, targets, passes=1, ridge=1e-9)

    assert torch.allclose(found_kernel, kernel, atol=1e-4)
    assert torch.allclose(found_bias, bias, atol=1e-4)
    assert error < 1e-8


def test_further_passes_help(generator: torch.Generator) -> None:
    """What lies below zero does not matter, so giving it up leaves more room for the rest."""
    inputs = torch.randn(2000, 6, generator=generator)
    targets = (inputs[:, :1] * inputs[:, 1:2] - 0.3).double()

    errors = [fit(inputs, targets, passes, ridge=1e-9)[2] for passes in (1, 3, 9)]

    # Seen over 16 draws: three passes leave 0.85 to 0.9 of the error, six more 0.977 to 1.002.
    assert errors[1] < 0.95 * errors[0]
    assert errors[2] < 1.01 * errors[1]


def test_the_fit_gives_a_network_and_is_reproducible(tmp_path: Path) -> None:
    for seed in range(6):
        picture(70, 80, seed).save(tmp_path / f"{seed}.png")
    paths = sorted(tmp_path.iterdir())
    errors: dict[str, float] = {}

    with torch.no_grad():
        student = fit_student(paths, SMALL, seeded(0), errors.__setitem__)
        again = fit_student(paths, SMALL, seeded(0), lambda *_: None)

    for layer, both in student.weights.items():
        for tensor, repeated in zip(both, again.weights[layer], strict=True):
            assert torch.equal(tensor, repeated)
            assert torch.equal(tensor, tensor.half().float())
    assert list(errors) == [name.replace("conv", "relu") for row in CONVOLUTIONS for name in row]
    assert errors["relu1_1"] < 1e-4
    network = VggBackbone("small", student.weights, torch.device("cpu"))
    image = torch.rand(1, 3, 32, 32, generator=seeded(1))
    assert network.features(image, ["relu5_1"])["relu5_1"].isfinite().all()


def test_patches_are_what_a_convolution_sees(generator: torch.Generator) -> None:
    activations = torch.randn(2, 3, 6, 7, generator=generator)
    kernel = torch.randn(5, 3, 3, 3, generator=generator)
    at = torch.tensor([0, 8, 20, 41])

    seen = patches(activations, at) @ kernel.flatten(1).T  # (B * N, 5)

    convolved = F.conv2d(F.pad(activations, (1, 1, 1, 1), mode="reflect"), kernel)
    expected = convolved.flatten(2)[:, :, at].transpose(1, 2).flatten(0, 1)
    assert torch.allclose(seen, expected, atol=1e-5)


def test_without_pictures_there_is_nothing_to_learn_from(tmp_path: Path) -> None:
    picture(32, 32, 0).save(tmp_path / "small.png")

    with pytest.raises(TrainingImagesMissing, match="64 px or more"):
        fit_student([tmp_path / "small.png"], SMALL, torch.Generator(), lambda *_: None)
