import math

import numpy as np
import pytest
import torch
from torch import Tensor

from transfer.imaging.calm_chroma import SIGMA_PX, calm_chroma, calm_chroma_

RADIUS_PX = math.ceil(4.0 * SIGMA_PX)
SIZES = [(1, 1), (1, 7), (2, 3), (3, 1), (4, 5), (9, 8), (17, 30)]
# The rows are computed in bands, whose borders these put everywhere.
TALL = [(height, 5) for height in (*range(126, 138), 250, 256, 257, 259, 261)]


def random_image(height: int, width: int, generator: torch.Generator) -> Tensor:
    return torch.rand(1, 3, height, width, dtype=torch.float64, generator=generator)


def reference(image: Tensor, radius_px: int = RADIUS_PX) -> Tensor:
    """Return the calm image from its formula, in a way that autograd understands.

    Symmetric padding of numpy is the half-sample symmetric one, back and forth as far as it takes.
    """
    weights = [math.exp(-0.5 * (d / SIGMA_PX) ** 2) for d in range(-radius_px, radius_px + 1)]
    mean = image.mean(dim=1, keepdim=True)
    blurred = image - mean
    for dim in (2, 3):
        size = image.shape[dim]
        indices = torch.from_numpy(np.pad(np.arange(size), radius_px, mode="symmetric"))
        padded = blurred.index_select(dim, indices)
        shifted = [w * padded.narrow(dim, at, size) for at, w in enumerate(weights)]
        blurred = torch.stack(shifted).sum(dim=0) / sum(weights)
    return mean + blurred


@pytest.mark.parametrize(("height", "width"), [*SIZES, *TALL])
def test_the_calm_image_is_that_of_the_formula(
    height: int, width: int, generator: torch.Generator
) -> None:
    image = random_image(height, width, generator)

    assert torch.allclose(calm_chroma(image), reference(image), rtol=0.0, atol=1e-14)


def test_what_the_kernel_leaves_out_is_far_less_than_an_eight_bit_step(
    generator: torch.Generator,
) -> None:
    image = random_image(60, 70, generator).round()  # The strongest colors there are.

    left_out = (calm_chroma(image) - reference(image, 12)).abs().max()

    assert left_out < 0.01 / 255.0


@pytest.mark.parametrize(("height", "width"), [*SIZES, *TALL])
def test_the_map_is_its_own_transpose(height: int, width: int, generator: torch.Generator) -> None:
    one, other = (random_image(height, width, generator) - 0.5 for _ in range(2))

    product = float((calm_chroma(one) * other).sum())

    # Rounding errors of a sum of so many products, each at most 1/4.
    tolerance = 1e-16 * one.numel()
    assert product == pytest.approx(float((one * calm_chroma(other)).sum()), rel=0, abs=tolerance)


@pytest.mark.parametrize(("height", "width"), SIZES[:-1])
def test_the_matrix_of_the_map_is_symmetric(height: int, width: int) -> None:
    identity = torch.eye(3 * height * width, dtype=torch.float64)

    matrix = torch.stack(
        [calm_chroma(row.reshape(1, 3, height, width)).flatten() for row in identity]
    )

    assert torch.allclose(matrix, matrix.T, rtol=0.0, atol=1e-15)


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_the_map_carries_gradients_back_as_autograd_does(
    height: int, width: int, generator: torch.Generator
) -> None:
    weights, image = (random_image(height, width, generator) for _ in range(2))
    image.requires_grad_()
    (expected,) = torch.autograd.grad((weights * reference(image) ** 3).sum(), image)

    gradient = calm_chroma(3.0 * weights * calm_chroma(image.detach()) ** 2)

    assert torch.allclose(gradient, expected, rtol=0.0, atol=1e-13)


def test_the_mean_of_each_pixel_stays(generator: torch.Generator) -> None:
    image = random_image(20, 30, generator)

    assert torch.allclose(calm_chroma(image).mean(dim=1), image.mean(dim=1), rtol=0, atol=1e-15)


def test_colored_dots_fade_and_one_color_stays(generator: torch.Generator) -> None:
    color = torch.tensor([0.7, 0.2, 0.4]).reshape(1, 3, 1, 1).expand(1, 3, 80, 80)
    # Without lightness: what red has more, green has less.
    dots = 0.1 * torch.randn(1, 1, 80, 80, generator=generator)
    dotted = color + torch.cat([dots, -dots, torch.zeros_like(dots)], dim=1)

    assert torch.allclose(calm_chroma(color), color, rtol=0.0, atol=1e-6)
    # Independent dots keep the sum of the squared weights, 1 / (4 pi sigma^2), of their variance.
    remaining = (calm_chroma(dotted) - color).std() / (dotted - color).std()
    assert remaining == pytest.approx(1.0 / math.sqrt(4.0 * math.pi) / SIGMA_PX, rel=0.2)


def test_an_image_is_changed_only_where_that_is_asked_for(generator: torch.Generator) -> None:
    image = random_image(140, 9, generator).float()
    before = image.clone()

    calm = calm_chroma(image)

    assert torch.equal(image, before)
    assert calm_chroma_(image) is image
    assert torch.equal(image, calm)


def test_lightness_alone_has_no_chroma(generator: torch.Generator) -> None:
    light = torch.rand(1, 1, 9, 9, generator=generator)
    before = light.clone()

    assert calm_chroma(light) is light
    assert torch.equal(calm_chroma_(light), before)
