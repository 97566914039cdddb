import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tests.seeds import seeded
from transfer.errors import ShapeError
from transfer.objective import statistics as module
from transfer.objective.statistics import Statistics, average, moments, moments_backward, statistics


def test_statistics_agree_with_numpy(generator: torch.Generator) -> None:
    features = torch.randn(1, 5, 7, 9, generator=generator, dtype=torch.float64) * 3 + 100

    found = statistics(features)

    positions = features[0].flatten(1).numpy()
    assert np.allclose(found.mean[:, 0], positions.mean(axis=1))
    assert np.allclose(found.covariance, np.cov(positions, bias=True))


def test_whole_weights_count_positions_so_many_times(generator: torch.Generator) -> None:
    features = torch.rand(1, 4, 1, 5, generator=generator, dtype=torch.float64)
    times = torch.tensor([0, 3, 1, 0, 2])

    found = statistics(features, times.double().reshape(1, 1, 1, 5))

    expected = statistics(features.repeat_interleave(times, dim=3))
    assert torch.allclose(found.mean, expected.mean)
    assert torch.allclose(found.covariance, expected.covariance)


def test_one_value_everywhere_has_no_covariance() -> None:
    found = statistics(torch.full((1, 4, 6, 6), 1e4))

    assert torch.equal(found.mean, torch.full((4, 1), 1e4))
    assert torch.equal(found.covariance, torch.zeros(4, 4))


def test_the_order_of_positions_does_not_matter(generator: torch.Generator) -> None:
    features = torch.rand(1, 3, 8, 6, generator=generator, dtype=torch.float64)

    found, turned = statistics(features), statistics(features.flip(2).transpose(2, 3))

    assert torch.allclose(found.mean, turned.mean)
    assert torch.allclose(found.covariance, turned.covariance)


def test_statistics_have_a_gradient(generator: torch.Generator) -> None:
    features = torch.rand(1, 3, 4, 5, generator=generator, dtype=torch.float64).requires_grad_()

    def flat(features: Tensor) -> tuple[Tensor, Tensor]:
        found = statistics(features)
        return found.mean, found.covariance

    assert torch.autograd.gradcheck(flat, features)


@pytest.mark.parametrize("shape", [(3, 4, 4), (2, 3, 4, 4)])
def test_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError):
        statistics(torch.zeros(shape))


def test_blending_is_by_weight() -> None:
    low = Statistics(torch.zeros(2, 1), torch.zeros(2, 2))
    high = Statistics(torch.ones(2, 1), torch.full((2, 2), 4.0))

    blend = average([low, high], (1.0, 3.0))

    assert torch.allclose(blend.mean, torch.full((2, 1), 0.75))
    assert torch.allclose(blend.covariance, torch.full((2, 2), 3.0))


def test_averaging_is_halfway() -> None:
    low = Statistics(torch.zeros(2, 1), torch.zeros(2, 2))
    high = Statistics(torch.ones(2, 1), torch.full((2, 2), 4.0))

    middle = average([low, high])

    assert torch.equal(middle.mean, torch.full((2, 1), 0.5))
    assert torch.equal(middle.covariance, torch.full((2, 2), 2.0))


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    channels=st.integers(1, 6),
    height=st.integers(1, 9),
    width=st.integers(1, 9),
    has_weights=st.booleans(),
)
def test_moments_agree_with_numpy(
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


def test_moments_do_not_cancel_far_from_zero() -> None:
    """In single precision, of values of which only the fourth digit says anything."""
    features = 1000.0 + torch.rand(1, 3, 40, 50, generator=seeded(0))

    _, second = moments(features, torch.full((3, 1), 1000.5))
    exact = (features.double() - 1000.5).flatten(2)[0]

    assert torch.allclose(second, exact @ exact.T, rtol=1e-4)


@pytest.mark.parametrize("has_weights", [True, False])
@pytest.mark.parametrize("band", [7, 10_000])
def test_moments_backward_is_the_gradient_of_autograd(
    monkeypatch: pytest.MonkeyPatch, generator: torch.Generator, band: int, has_weights: bool
) -> None:
    monkeypatch.setattr(module, "_BAND_POSITIONS", band)
    features = torch.rand(1, 3, 4, 5, generator=generator, dtype=torch.float64).requires_grad_()
    about = torch.rand(3, 1, generator=generator, dtype=torch.float64)
    weights = torch.rand(1, 1, 4, 5, generator=generator, dtype=torch.float64)
    weights[0, 0, 0] = 0.0

    def loss(features: Tensor) -> Tensor:
        first, second = moments(features, about, weights if has_weights else None)
        return first.pow(3).sum() + (second * second.roll(1)).sum()

    (expected,) = torch.autograd.grad(loss(features), features)
    sums = tuple(
        one.detach().requires_grad_()
        for one in moments(features, about, weights if has_weights else None)
    )
    gradients = torch.autograd.grad(sums[0].pow(3).sum() + (sums[1] * sums[1].roll(1)).sum(), sums)
    found = moments_backward(
        features.detach(), about, (gradients[0], gradients[1]), weights if has_weights else None
    )

    assert torch.allclose(found, expected)
