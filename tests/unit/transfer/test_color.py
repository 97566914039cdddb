import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.color import rgb2yiq
from torch import Tensor

from transfer.color import (
    apply_map,
    color_map,
    luminance,
    match_luminance,
    recolored,
    with_luminance,
)
from transfer.errors import ShapeError


def colors(seed: int, height: int = 24, width: int = 31) -> Tensor:
    """Correlated colors well inside [0, 1], float64."""
    generator = np.random.default_rng(seed)
    turn = np.linalg.qr(generator.normal(size=(3, 3))).Q
    spread = np.diag(generator.uniform(0.03, 0.1, 3))
    pixels = generator.normal(size=(height * width, 3)) @ spread @ turn
    pixels += generator.uniform(0.35, 0.65, 3)
    return torch.from_numpy(pixels.T.reshape(1, 3, height, width))


def moments(image: Tensor) -> tuple[np.ndarray, np.ndarray]:
    pixels = image[0].flatten(1).numpy()
    return pixels.mean(axis=1), np.cov(pixels, bias=True)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_recoloring_reaches_the_mean_and_covariance(seed: int) -> None:
    image, palette = colors(seed), colors(seed + 1, 17, 40)

    mean, covariance = moments(apply_map(image, *color_map(image, palette)))

    wanted_mean, wanted_covariance = moments(palette)
    assert np.allclose(mean, wanted_mean, atol=1e-9)
    assert np.allclose(covariance, wanted_covariance, atol=1e-4)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_the_map_there_is_the_inverse_of_the_map_back(seed: int) -> None:
    image, palette = colors(seed), colors(seed + 1)

    there, _ = color_map(image, palette)
    back, _ = color_map(palette, image)

    assert torch.allclose(there @ back, torch.eye(3, dtype=torch.float64), atol=1e-6)
    # Symmetric and positive: of all linear maps, the one that moves colors least.
    assert torch.allclose(there, there.T)
    assert torch.linalg.eigvalsh(there).min() > 0


def test_recoloring_to_its_own_palette_changes_nothing() -> None:
    image = colors(3).clamp(0, 1)

    assert torch.allclose(recolored(image, image), image, atol=1e-9)


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_one_color_and_gray_are_safe_both_ways(value: float) -> None:
    flat = torch.full((1, 3, 8, 8), value)
    gray = torch.rand(1, 1, 8, 8, generator=torch.Generator().manual_seed(1)).expand(1, 3, 8, 8)
    image = colors(1).clamp(0, 1).float()
    for one, other in ((flat, image), (image, flat), (gray, image), (image, gray), (flat, gray)):
        result = recolored(one, other)
        assert result.isfinite().all()
        assert result.mean(dim=(2, 3)).allclose(other.mean(dim=(2, 3)), atol=0.03)


def test_luminance_agrees_with_scikit_image() -> None:
    image = colors(5).clamp(0, 1)

    expected = rgb2yiq(image[0].permute(1, 2, 0).numpy())[:, :, 0]

    assert np.allclose(luminance(image)[0, 0].numpy(), expected, atol=1e-6)


def test_matched_luminance_has_the_mean_and_spread_of_the_reference() -> None:
    light, reference = luminance(colors(1)), luminance(colors(2))

    matched = match_luminance(light, reference)

    assert matched.mean().item() == pytest.approx(reference.mean().item())
    assert matched.std().item() == pytest.approx(reference.std().item(), rel=1e-2)
    assert match_luminance(torch.full((1, 1, 4, 4), 0.2), reference).isfinite().all()


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_new_luminance_is_exact_and_keeps_hues(seed: int) -> None:
    image = colors(seed).clamp(0, 1)
    light = luminance(colors(seed + 1)).clamp(0, 1)

    result = with_luminance(image, light)

    assert result.min() >= 0
    assert result.max() <= 1
    assert torch.allclose(luminance(result), light, atol=1e-9)
    before, after = (one - luminance(one) for one in (image, result))
    cosine = torch.cosine_similarity(before, after, dim=1)
    is_colored = (before.norm(dim=1) > 1e-3) & (after.norm(dim=1) > 1e-3)
    assert torch.allclose(cosine[is_colored], torch.ones((), dtype=cosine.dtype), atol=1e-6)


def test_its_own_luminance_gives_the_image_back() -> None:
    image = torch.rand(1, 3, 9, 9, generator=torch.Generator().manual_seed(0))

    assert torch.allclose(with_luminance(image, luminance(image)), image, atol=1e-5)


@pytest.mark.parametrize("function", [luminance, lambda image: color_map(image, image)])
def test_other_shapes_are_refused(function: object) -> None:
    with pytest.raises(ShapeError, match=r"\(1, 3, H, W\), not \(1, 1, 4, 4\)"):
        function(torch.zeros(1, 1, 4, 4))  # type: ignore[operator]
