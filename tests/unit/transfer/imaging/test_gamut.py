import pytest
import torch

from transfer.imaging import gamut
from transfer.imaging.gamut import clamp, gamut_penalty, limit_chroma


def test_colors_within_the_range_have_no_penalty(generator: torch.Generator) -> None:
    image = torch.rand(1, 3, 5, 7, generator=generator)
    gradient = torch.rand(1, 3, 5, 7, generator=generator)
    before = gradient.clone()

    assert torch.equal(clamp(image), image)
    assert gamut_penalty(image, gradient) == 0.0
    assert torch.equal(gradient, before)


@pytest.mark.parametrize(("value", "sign"), [(-0.1, -1.0), (1.2, 1.0)])
def test_values_that_cannot_be_shown_are_drawn_back(value: float, sign: float) -> None:
    """Whatever the loss would have them do."""
    image = torch.full((1, 1, 1, 1), value)
    gradient = torch.full((1, 1, 1, 1), -100.0 * sign)

    assert gamut_penalty(image, gradient) > 0.0
    assert gradient.item() * sign > 0.0


@pytest.mark.parametrize("band_rows", [1, 2, 100])
def test_the_gradient_is_that_of_the_sum(
    monkeypatch: pytest.MonkeyPatch, generator: torch.Generator, band_rows: int
) -> None:
    monkeypatch.setattr(gamut, "_BAND_ROWS", band_rows)
    image = 3.0 * torch.rand(1, 2, 5, 4, generator=generator, dtype=torch.float64) - 1.0

    def whole(image: torch.Tensor) -> torch.Tensor:
        return clamp(image).pow(3).sum() + gamut_penalty(image, torch.zeros_like(image))

    gradient = 3.0 * clamp(image).square()
    gamut_penalty(image, gradient)

    for place in range(image.numel()):
        step = torch.zeros_like(image)
        step.view(-1)[place] = 1e-6
        slope = (whole(image + step) - whole(image - step)) / 2e-6
        assert gradient.view(-1)[place].item() == pytest.approx(slope.item(), rel=1e-4, abs=1e-6)


def test_chroma_is_reduced_just_enough(generator: torch.Generator) -> None:
    light = torch.rand(1, 1, 9, 7, generator=generator)
    chroma = torch.randn(1, 3, 9, 7, generator=generator)

    limited = limit_chroma(chroma, light)

    color = light + limited
    assert color.min() >= -1e-6
    assert color.max() <= 1 + 1e-6
    # One factor a pixel keeps the hue; where it is below 1, a channel touches the border.
    factor = limited / chroma
    assert torch.allclose(factor, factor[:, :1].expand_as(factor), atol=1e-5)
    distance = torch.minimum(color, 1 - color).amin(dim=1)
    assert ((factor[:, 0] > 1 - 1e-5) | (distance < 1e-5)).all()


def test_chroma_with_headroom_stays() -> None:
    light = torch.full((1, 1, 1, 2), 0.5)
    chroma = torch.tensor([[[[0.4, 0.0]], [[-0.2, 0.0]], [[0.1, 0.0]]]])

    assert torch.equal(limit_chroma(chroma, light), chroma)
