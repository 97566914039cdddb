import math

import pytest
import torch

from benchmarks.picturelib.blur import blur, high_pass


@pytest.mark.parametrize("sigma_px", [1.0, 2.0])
@pytest.mark.parametrize("period_px", [4, 8, 32])
def test_waves_lose_what_a_gaussian_takes_from_them(sigma_px: float, period_px: int) -> None:
    frequency = 2 * math.pi / period_px
    # The borders are reflected on a crest, where a cosine goes on as it was.
    wave = torch.cos(frequency * torch.arange(129.0, dtype=torch.float64)).expand(1, 2, 65, 129)

    # The Fourier transform of a Gaussian; what lies beyond its sampled and cut kernel is below
    # 2 exp(-2 pi^2 sigma^2 (1 - 1/period)^2) and 1e-4.
    share = math.exp(-((frequency * sigma_px) ** 2) / 2)
    torch.testing.assert_close(blur(wave, sigma_px), share * wave, rtol=0, atol=2e-4)
    torch.testing.assert_close(high_pass(wave, sigma_px), (1 - share) * wave, rtol=0, atol=2e-4)


def test_blur_is_the_same_in_both_directions() -> None:
    dot = torch.zeros(1, 1, 21, 21, dtype=torch.float64)
    dot[0, 0, 10, 10] = 1

    spread = blur(dot, 1.5)

    torch.testing.assert_close(spread, spread.transpose(2, 3))
    assert float(spread.sum()) == pytest.approx(1)
    offsets = torch.arange(-10, 11, dtype=torch.float64)
    assert float((spread[0, 0].sum(dim=0) * offsets**2).sum()) == pytest.approx(1.5**2, rel=0.01)
