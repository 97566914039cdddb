import numpy as np
import pytest
import torch
from torch import Tensor

from transfer.errors import ShapeError
from transfer.statistics import Statistics, blended, statistics


def test_agrees_with_numpy(generator: torch.Generator) -> None:
    features = torch.randn(1, 5, 7, 9, generator=generator, dtype=torch.float64) * 3 + 100

    found = statistics(features)

    positions = features[0].flatten(1).numpy()
    assert np.allclose(found.mean[:, 0], positions.mean(axis=1))
    assert np.allclose(found.covariance, np.cov(positions, bias=True))


def test_one_value_everywhere_has_no_covariance() -> None:
    found = statistics(torch.full((1, 4, 6, 6), 1e4))

    assert torch.equal(found.mean, torch.full((4, 1), 1e4))
    assert torch.equal(found.covariance, torch.zeros(4, 4))


def test_the_order_of_positions_does_not_matter(generator: torch.Generator) -> None:
    features = torch.rand(1, 3, 8, 6, generator=generator, dtype=torch.float64)

    found, turned = statistics(features), statistics(features.flip(2).transpose(2, 3))

    assert torch.allclose(found.mean, turned.mean)
    assert torch.allclose(found.covariance, turned.covariance)


def test_gradient(generator: torch.Generator) -> None:
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

    blend = blended([low, high], (1.0, 3.0))

    assert torch.allclose(blend.mean, torch.full((2, 1), 0.75))
    assert torch.allclose(blend.covariance, torch.full((2, 2), 3.0))


def test_averaging_is_halfway() -> None:
    low = Statistics(torch.zeros(2, 1), torch.zeros(2, 2))
    high = Statistics(torch.ones(2, 1), torch.full((2, 2), 4.0))

    middle = blended([low, high])

    assert torch.equal(middle.mean, torch.full((2, 1), 0.5))
    assert torch.equal(middle.covariance, torch.full((2, 2), 2.0))
