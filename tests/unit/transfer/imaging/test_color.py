from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from skimage.color import rgb2yiq
from torch import Tensor

from tests.seeds import seeded, shifted
from transfer.errors import NotFinite, ShapeError
from transfer.imaging.color import (
    apply_map,
    color_map,
    confine_colors,
    luminance,
    match_color_statistics,
    match_luminance,
    replace_luminance,
)
from transfer.settings import ColorMap


def colors(seed: int, height: int = 24, width: int = 31) -> Tensor:
    """Correlated colors well inside [0, 1], float64."""
    generator = np.random.default_rng(shifted(seed))
    turn = np.linalg.qr(generator.normal(size=(3, 3))).Q
    spread = np.diag(generator.uniform(0.03, 0.1, 3))
    pixels = generator.normal(size=(height * width, 3)) @ spread @ turn
    pixels += generator.uniform(0.35, 0.65, 3)
    return torch.from_numpy(pixels.T.reshape(1, 3, height, width))


def moments(image: Tensor) -> tuple[np.ndarray, np.ndarray]:
    pixels = image[0].flatten(1).numpy()
    return pixels.mean(axis=1), np.cov(pixels, bias=True)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), kind=st.sampled_from(ColorMap))
def test_recoloring_reaches_the_mean_and_covariance(seed: int, kind: ColorMap) -> None:
    image, palette = colors(seed), colors(seed + 1, 17, 40)

    mean, covariance = moments(apply_map(image, *color_map(image, palette, kind)))

    wanted_mean, wanted_covariance = moments(palette)
    assert np.allclose(mean, wanted_mean, rtol=0, atol=1e-9)
    assert np.allclose(covariance, wanted_covariance, rtol=0, atol=1e-9)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    kind=st.sampled_from(ColorMap),
    spread=st.floats(0.004, 1.0),
)
def test_a_pale_image_reaches_a_colorful_palette(seed: int, kind: ColorMap, spread: float) -> None:
    """As does any whose colors lie further apart than 8 bits can tell."""
    image, palette = colors(seed, 16, 16), colors(seed + 1)
    mean, covariance = moments(image)
    axes = np.linalg.eigh(covariance)[1]
    # The first axis loses almost all of its spread, as in a photo of fog.
    squeeze = axes @ np.diag([spread / np.sqrt(np.linalg.eigvalsh(covariance)[0]) * 0.03, 1, 1])
    pixels = squeeze @ axes.T @ (image[0].flatten(1).numpy() - mean[:, None]) + mean[:, None]
    pale = torch.from_numpy(pixels.reshape(1, 3, 16, 16))

    _, found = moments(apply_map(pale, *color_map(pale, palette, kind)))

    lowest = np.linalg.eigvalsh(moments(pale)[1])[0]
    if lowest > (0.5 / 255) ** 2:
        assert np.allclose(found, moments(palette)[1], rtol=0, atol=1e-4)
    else:
        assert np.isfinite(found).all()


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_the_maps_agree_with_numpy(seed: int) -> None:
    image, palette = colors(seed), colors(seed + 1)
    (_, source), (_, target) = moments(image), moments(palette)

    def root(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
        values, vectors = np.linalg.eigh(matrix)
        square_root: NDArray[np.float64] = vectors @ np.diag(np.sqrt(values)) @ vectors.T
        return square_root

    factors = np.linalg.cholesky(target), np.linalg.cholesky(source)
    half = root(source)
    expected = {
        ColorMap.CHOLESKY: factors[0] @ np.linalg.inv(factors[1]),
        ColorMap.PCA: root(target) @ np.linalg.inv(root(source)),
        ColorMap.SYMMETRIC: np.linalg.inv(half) @ root(half @ target @ half) @ np.linalg.inv(half),
    }
    for kind, matrix in expected.items():
        assert np.allclose(color_map(image, palette, kind)[0].numpy(), matrix, atol=1e-6)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_each_map_is_what_sets_it_apart(seed: int) -> None:
    image, palette = colors(seed), colors(seed + 1)
    maps = {kind: color_map(image, palette, kind) for kind in ColorMap}

    # Symmetric and positive: of all linear maps, the one that moves colors least.
    symmetric, _ = maps[ColorMap.SYMMETRIC]
    assert torch.allclose(symmetric, symmetric.T)
    assert torch.linalg.eigvalsh(symmetric).min() > 0
    moved = {
        kind: (apply_map(image, *one) - image).square().mean().item() for kind, one in maps.items()
    }
    assert moved[ColorMap.SYMMETRIC] == pytest.approx(min(moved.values()))
    back, _ = color_map(palette, image)
    assert torch.allclose(symmetric @ back, torch.eye(3, dtype=torch.float64), atol=1e-6)
    # Red from red alone.
    cholesky, _ = maps[ColorMap.CHOLESKY]
    assert torch.allclose(cholesky, cholesky.tril(), rtol=0, atol=1e-12)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), kind=st.sampled_from(ColorMap))
def test_weights_say_which_pixels_count(seed: int, kind: ColorMap) -> None:
    """As many pixels of a color as its weight says give the same map."""
    image, palette = colors(seed, 6, 8), colors(seed + 1, 6, 8)
    counts = np.random.default_rng(seed).integers(0, 3, (1, 1, 6, 8))

    def repeated(one: Tensor) -> Tensor:
        return torch.from_numpy(np.repeat(one[0].flatten(1).numpy(), counts.ravel(), axis=1))[
            None, :, None
        ]

    weights = torch.from_numpy(counts)
    found = color_map(image, palette, kind, image_weights=weights, palette_weights=weights)

    for one, other in zip(found, color_map(repeated(image), repeated(palette), kind), strict=True):
        assert torch.allclose(one, other, atol=1e-6)


def test_weights_of_another_shape_are_refused() -> None:
    with pytest.raises(ShapeError, match=r"weights must have shape \(1, 1, 24, 31\)"):
        match_color_statistics(colors(1), colors(2), image_weights=torch.ones(1, 1, 3, 3))


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
@pytest.mark.parametrize(
    "function", [luminance, lambda image: match_color_statistics(image, colors(1).float())]
)
def test_values_that_are_no_numbers_are_refused(
    value: float, function: Callable[[Tensor], Tensor]
) -> None:
    broken = torch.full((1, 3, 4, 4), 0.5)
    broken[0, 0, 0, :2] = value

    with pytest.raises(NotFinite, match="image must hold finite numbers only, but 2 of its 48"):
        function(broken)


def test_recoloring_to_its_own_palette_changes_nothing() -> None:
    image = colors(3).clamp(0, 1)

    assert torch.allclose(match_color_statistics(image, image), image, atol=1e-9)


@pytest.mark.parametrize("kind", ColorMap)
@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_one_color_gray_and_tiny_are_safe_both_ways(kind: ColorMap, value: float) -> None:
    flat = torch.full((1, 3, 8, 8), value)
    gray = torch.rand(1, 1, 8, 8, generator=seeded(1)).expand(1, 3, 8, 8)
    tiny = torch.tensor([value, 0.2, 0.4]).reshape(1, 3, 1, 1)
    image = colors(1).clamp(0, 1).float()
    for one in (flat, gray, tiny, image):
        for other in (flat, gray, tiny, image):
            result = match_color_statistics(one, other, kind)
            assert result.isfinite().all()
            assert result.mean(dim=(2, 3)).allclose(other.mean(dim=(2, 3)), atol=0.03)


def test_no_weight_at_all_counts_every_pixel() -> None:
    image, palette, none = colors(1), colors(2), torch.zeros(1, 1, 24, 31)

    assert torch.allclose(
        match_color_statistics(image, palette, image_weights=none),
        match_color_statistics(image, palette),
        atol=1e-9,
    )


def test_lightness_that_is_no_number_is_refused() -> None:
    light = torch.full((1, 1, 24, 31), torch.nan)
    image = colors(1).clamp(0, 1)

    with pytest.raises(NotFinite, match="light must hold finite numbers"):
        replace_luminance(image, light)
    with pytest.raises(NotFinite, match="light must hold finite numbers"):
        match_luminance(light, luminance(image))


def test_luminance_agrees_with_scikit_image() -> None:
    image = colors(5).clamp(0, 1)

    expected = rgb2yiq(image[0].permute(1, 2, 0).numpy())[:, :, 0]

    assert np.allclose(luminance(image)[0, 0].numpy(), expected, atol=1e-6)


def test_matched_luminance_with_weights_agrees_with_numpy() -> None:
    light, reference = luminance(colors(1)), luminance(colors(2))
    weights = torch.rand(1, 1, 24, 31, generator=seeded(0))

    matched = match_luminance(light, reference, light_weights=weights, reference_weights=weights)

    flat = weights.flatten().numpy()
    ours, wanted = matched.flatten().numpy(), reference.flatten().numpy()
    assert np.average(ours, weights=flat) == pytest.approx(np.average(wanted, weights=flat))
    assert np.cov(ours, bias=True, aweights=flat) == pytest.approx(
        float(np.cov(wanted, bias=True, aweights=flat)), rel=1e-2
    )


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

    result = replace_luminance(image, light)

    assert result.min() >= 0
    assert result.max() <= 1
    assert torch.allclose(luminance(result), light, atol=1e-9)
    before, after = (one - luminance(one) for one in (image, result))
    cosine = torch.cosine_similarity(before, after, dim=1)
    is_colored = (before.norm(dim=1) > 1e-3) & (after.norm(dim=1) > 1e-3)
    assert torch.allclose(cosine[is_colored], torch.ones((), dtype=cosine.dtype), atol=1e-6)


def test_replacing_luminance_by_its_own_changes_nothing() -> None:
    image = torch.rand(1, 3, 9, 9, generator=seeded(0))

    assert torch.allclose(replace_luminance(image, luminance(image)), image, atol=1e-5)


@pytest.mark.parametrize("function", [luminance, lambda image: color_map(image, image)])
def test_other_shapes_are_refused(function: object) -> None:
    with pytest.raises(ShapeError, match=r"\(1, 3, H, W\), not \(1, 1, 4, 4\)"):
        function(torch.zeros(1, 1, 4, 4))  # type: ignore[operator]


def test_colors_are_confined_to_a_gray_palette() -> None:
    image = torch.rand(1, 3, 20, 30, generator=seeded(40))
    gray = torch.rand(1, 1, 16, 16, generator=seeded(41)).expand(1, 3, 16, 16)

    confined = confine_colors(image, gray)

    # Variances below that of half an 8-bit step are raised to it: chroma is left within one step.
    assert (confined - confined.mean(dim=1, keepdim=True)).abs().max() < 4 / 255
    assert confined.mean().item() == pytest.approx(gray.mean().item(), abs=0.01)


def test_confined_colors_come_no_farther_apart() -> None:
    image = 0.5 + 0.1 * (torch.rand(1, 3, 20, 30, generator=seeded(42)) - 0.5)
    vivid = torch.rand(1, 3, 16, 16, generator=seeded(43))

    confined = confine_colors(image, vivid)

    # The map without its gains is a shift by the difference of the means.
    shift = confined - image
    assert torch.allclose(shift, shift.mean(dim=(2, 3), keepdim=True).expand_as(shift), atol=1e-5)
