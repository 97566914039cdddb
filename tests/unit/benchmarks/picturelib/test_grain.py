import math

import pytest
import torch
from torch import Tensor

from benchmarks.picturelib.color import to_lab
from benchmarks.picturelib.grain import LEAST_RMS, grain
from tests.seeds import seeded


def waves(lightness: float, chroma: float, period_px: int = 4) -> Tensor:
    """CIELAB with waves of these amplitudes across: chroma in a* and b* alike."""
    wave = torch.cos(2 * math.pi / period_px * torch.arange(129.0)).expand(65, 129)
    chroma /= math.sqrt(2)
    return torch.stack([50 + lightness * wave, chroma * wave, chroma * wave])[None]


def test_ratios_are_those_of_the_amplitudes() -> None:
    found = grain(waves(6, 3), waves(2, 12))

    assert list(vars(found).values()) == pytest.approx([0.25, 0.25, 3, 3], rel=1e-4)


def test_a_picture_has_the_grain_of_itself() -> None:
    noise = torch.rand(1, 3, 40, 50, generator=seeded(0)) * 40

    assert list(vars(grain(noise, noise)).values()) == pytest.approx([1] * 4)


def test_coarse_waves_are_grain_at_two_px_rather_than_at_one() -> None:
    found = grain(waves(6, 3, period_px=16), waves(6, 3, period_px=4))

    def passed(sigma_px: float, period_px: int) -> float:
        return 1 - math.exp(-((2 * math.pi * sigma_px / period_px) ** 2) / 2)

    assert found.lightness_fine == pytest.approx(passed(1, 16) / passed(1, 4), rel=0.01)
    assert found.chroma_coarse == pytest.approx(passed(2, 16) / passed(2, 4), rel=0.01)
    assert found.chroma_coarse > 2 * found.chroma_fine


def test_a_style_without_grain_counts_as_rounded_to_eight_bits() -> None:
    found = grain(waves(0, 10), waves(0, 0))

    amplitude = 10 * (1 - math.exp(-((math.pi / 2) ** 2) / 2)) / math.sqrt(2)
    assert found.chroma_fine == pytest.approx(amplitude / LEAST_RMS, rel=0.02)
    assert found.lightness_fine == pytest.approx(0, abs=1e-4)


def test_rounding_to_eight_bits_leaves_about_the_least_grain() -> None:
    down, across = torch.meshgrid(torch.arange(80.0), torch.arange(90.0), indexing="ij")
    smooth = torch.stack([0.3 + down / 250, 0.6 - across / 400, 0.4 + (down + across) / 800])[None]
    rounded = to_lab((smooth * 255).round() / 255)

    # Over a flat style the ratio is the grain in units of the least.
    found = grain(rounded, waves(0, 0))

    assert 0.1 < found.lightness_fine < 1.5
    assert 0.5 < found.chroma_fine < 2
