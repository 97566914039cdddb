import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tests.seeds import seeded
from transfer import moments as module
from transfer.moments import moments, pulled


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    channels=st.integers(1, 6),
    height=st.integers(1, 9),
    width=st.integers(1, 9),
    has_weights=st.booleans(),
)
def test_agree_with_numpy(
    seed: int, channels: int, height: int, width: int, has_weights: bool
) -> None:
    random = np.random.default_rng(seed)
    features = random.normal(10, 3, (1, channels, height, width))
    about = random.normal(10, 3, (channels, 1))
    weights = random.uniform(0, 1, (1, 1, height, width)) ** 4 if has_weights else None

    first, second = moments(
        torch.from_numpy(features),
        torch.from_numpy(about),
        None if weights is None else torch.from_numpy(weights),
    )

    centered = features.reshape(channels, -1) - about
    weighted = centered if weights is None else centered * weights.reshape(1, -1)
    assert np.allclose(first[:, 0], weighted.sum(axis=1))
    assert np.allclose(second, weighted @ centered.T)


def test_do_not_cancel_far_from_zero() -> None:
    """In single precision, of values of which only the fourth digit says anything."""
    features = 1000.0 + torch.rand(1, 3, 40, 50, generator=seeded(0))

    _, second = moments(features, torch.full((3, 1), 1000.5))
    exact = (features.double() - 1000.5).flatten(2)[0]

    assert torch.allclose(second, exact @ exact.T, rtol=1e-4)


@pytest.mark.parametrize("has_weights", [True, False])
@pytest.mark.parametrize("band", [7, 10_000])
def test_what_is_pulled_is_the_gradient(
    monkeypatch: pytest.MonkeyPatch, generator: torch.Generator, band: int, has_weights: bool
) -> None:
    monkeypatch.setattr(module, "_BAND_POSITIONS", band)
    features = torch.rand(1, 3, 4, 5, generator=generator, dtype=torch.float64).requires_grad_()
    about = torch.rand(3, 1, generator=generator, dtype=torch.float64)
    weights = torch.rand(1, 1, 4, 5, generator=generator, dtype=torch.float64)
    weights[0, 0, 0] = 0.0

    def told(features: Tensor) -> Tensor:
        first, second = moments(features, about, weights if has_weights else None)
        return first.pow(3).sum() + (second * second.roll(1)).sum()

    (expected,) = torch.autograd.grad(told(features), features)
    sums = tuple(
        one.detach().requires_grad_()
        for one in moments(features, about, weights if has_weights else None)
    )
    slopes = torch.autograd.grad(sums[0].pow(3).sum() + (sums[1] * sums[1].roll(1)).sum(), sums)
    found = pulled(
        features.detach(), about, (slopes[0], slopes[1]), weights if has_weights else None
    )

    assert torch.allclose(found, expected)
