import pytest
import torch
from torch import Tensor

from tests.seeds import seeded
from transfer.objective.losses import StyleTarget, active_channels
from transfer.objective.statistics import statistics
from transfer.objective.terms import ContentTerm, StyleTerm, Term, autograd_value

HEIGHT, WIDTH, CHANNELS = 6, 10, 4
WHOLE = slice(0, HEIGHT), slice(0, WIDTH)
HALVES = [(WHOLE[0], slice(0, 4)), (WHOLE[0], slice(4, WIDTH))]


def draw(seed: int) -> Tensor:
    return torch.rand(1, CHANNELS, HEIGHT, WIDTH, generator=seeded(seed), dtype=torch.float64)


def style_term(weights: Tensor | None) -> StyleTerm:
    target = StyleTarget.of(statistics(draw(1)))
    return StyleTerm("relu1_1", 0.7, target, HEIGHT * WIDTH, weights)


def content_term(weights: Tensor | None = None) -> ContentTerm:
    photo = draw(2)
    whole = statistics(photo, weights)
    is_active, floor = active_channels(whole.mean.flatten(), whole.covariance.diagonal())
    return ContentTerm(
        "relu4_1",
        lambda loss: 3.0 * loss.square(),
        lambda rows, columns: photo[:, :, rows, columns],
        whole,
        is_active.nonzero().flatten(),
        floor,
        HEIGHT * WIDTH,
        weights,
    )


def position_weights() -> Tensor:
    weights = draw(3)[:, :1]
    return weights / weights.sum()


@pytest.mark.parametrize(
    "term",
    [
        style_term(None),
        style_term(position_weights()),
        content_term(),
        content_term(position_weights()),
    ],
    ids=["style", "weighted style", "content", "weighted content"],
)
class TestTerm:
    def test_sums_add_up_over_tiles(self, term: Term) -> None:
        features = draw(0)
        tiles = [
            term.sums(features[:, :, rows, columns], rows, columns) for rows, columns in HALVES
        ]

        for whole, left, right in zip(term.sums(features, *WHOLE), *tiles, strict=True):
            assert torch.allclose(whole, left + right)

    def test_backward_is_the_numerical_gradient_of_the_value(self, term: Term) -> None:
        features = draw(0)
        direction = draw(4) - 0.5
        _, gradients = term.value_and_gradients(term.sums(features, *WHOLE))
        gradient = term.backward(features, gradients, *WHOLE)

        step = 1e-5
        above, below = (
            term.value_and_gradients(term.sums(features + sign * step * direction, *WHOLE))[0]
            for sign in (1, -1)
        )
        expected = (above - below).item() / (2 * step)
        # The error of central differences is of the order of step^2, and of rounding / step.
        assert (gradient * direction).sum().item() == pytest.approx(expected, rel=1e-5, abs=1e-9)


def test_autograd_gives_zeros_for_sums_without_influence() -> None:
    value, (first, second) = autograd_value(
        lambda sums: sums[0].square().sum(), [torch.tensor([3.0]), torch.tensor([5.0])]
    )

    assert (value.item(), first.item(), second.item()) == (9.0, 6.0, 0.0)


def test_content_without_weight_does_not_count() -> None:
    weights = torch.zeros(1, 1, HEIGHT, WIDTH, dtype=torch.float64)
    weights[..., :4] = 1.0 / (4 * HEIGHT)
    term = content_term(weights)
    like, other = draw(2).clone(), draw(2).clone()
    like[..., 4:] = draw(0)[..., 4:]
    other[..., :4] = draw(0)[..., :4]

    # The photo where it counts: the correlation is 1 but for rounding.
    assert term.value_and_gradients(term.sums(like, *WHOLE))[0] < 1e-12
    assert term.value_and_gradients(term.sums(other, *WHOLE))[0] > 0.1


def test_a_photo_of_one_color_has_no_content() -> None:
    flat = torch.full((1, CHANNELS, HEIGHT, WIDTH), 0.5, dtype=torch.float64)
    whole = statistics(flat)
    term = ContentTerm(
        "relu4_1",
        lambda loss: loss,
        lambda rows, columns: flat[:, :, rows, columns],
        whole,
        torch.zeros(0, dtype=torch.long),
        torch.tensor(1e-12),
        HEIGHT * WIDTH,
    )

    value, gradients = term.value_and_gradients(term.sums(draw(0), *WHOLE))

    assert value == 0
    assert all(gradient.count_nonzero() == 0 for gradient in gradients)
