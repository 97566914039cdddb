import numpy as np
import pytest
from PIL import Image, ImageOps
from scipy.stats import spearmanr  # type: ignore[import-untyped]

from benchmarks.picturelib.tone import TONE_LONG_EDGE_PX, tone
from tests.unit.benchmarks.fakes import picture


def ramp(low: int, high: int) -> Image.Image:
    """Gray, lighter from left to right."""
    values = np.linspace(low, high, 96).round().astype(np.uint8)
    return Image.fromarray(np.broadcast_to(values[None, :, None], (72, 96, 3)).copy())


def test_a_photo_has_its_own_tone() -> None:
    photo = picture(72, 96, 1)

    found = tone(photo, photo)

    assert found.correlation == pytest.approx(1)
    assert found.spread == pytest.approx(1)


def test_order_of_lightness_counts_and_its_range_apart() -> None:
    flat = tone(ramp(100, 160), ramp(0, 255))

    assert flat.correlation == pytest.approx(1, abs=0.01)
    # L* of grays 100 and 160 is 42.4 and 65.9; between the percentiles, nine tenths of each range.
    assert flat.spread == pytest.approx((65.9 - 42.4) / 100, abs=0.02)


def test_a_negative_has_the_opposite_tone() -> None:
    found = tone(ImageOps.invert(ramp(0, 255)), ramp(0, 255))

    assert found.correlation == pytest.approx(-1, abs=0.001)


def test_rank_correlation_agrees_with_scipy_with_equal_values() -> None:
    # Few grays in large squares, so that most values are equal to others.
    small = np.random.default_rng(0).integers(0, 4, (2, 6, 8)) * 80
    pictures = [Image.fromarray(one.astype(np.uint8)).resize((48, 36), 0) for one in small]

    found = tone(*(one.convert("RGB") for one in pictures))

    assert max(pictures[0].size) == TONE_LONG_EDGE_PX
    wanted = spearmanr(*(np.asarray(one).flatten() for one in pictures)).statistic
    assert found.correlation == pytest.approx(wanted)


def test_sizes_may_differ() -> None:
    photo = picture(72, 96, 1)

    found = tone(photo.resize((192, 144), Image.Resampling.BICUBIC), photo)

    assert found.correlation > 0.99


def test_a_picture_of_one_lightness_has_no_tone() -> None:
    gray = Image.new("RGB", (96, 72), (90, 90, 90))

    assert tone(gray, picture(72, 96, 1)).correlation == 0
    assert tone(picture(72, 96, 1), gray).spread == 0
