import numpy as np
import pytest
import torch
from torch import Tensor

from tests.unit.transfer.reference import ContentTarget, content_loss
from transfer.errors import NotFinite
from transfer.objective.losses import StyleTarget, style_loss, total_variation
from transfer.objective.statistics import statistics


def features(generator: torch.Generator, *shape: int) -> Tensor:
    return torch.rand(1, *shape, generator=generator, dtype=torch.float64)


def test_a_picture_has_no_distance_from_its_own_style_and_content(
    generator: torch.Generator,
) -> None:
    own = features(generator, 4, 8, 8)

    assert style_loss(own, StyleTarget.of(statistics(own))) == 0
    assert content_loss(own, ContentTarget.of(own)) < 1e-15


def test_style_does_not_depend_on_where_things_are(generator: torch.Generator) -> None:
    style = features(generator, 4, 8, 8)

    assert style_loss(style.flip(2, 3), StyleTarget.of(statistics(style))) < 1e-20


def test_style_loss_in_closed_form(generator: torch.Generator) -> None:
    style = features(generator, 3, 6, 6)
    target = StyleTarget.of(statistics(style))
    mean_energy = target.statistics.mean.square().sum()
    total_variance = target.statistics.covariance.trace()

    # Twice the style: 4 C - C = 3 C, and 2 m - m = m; the floor takes less than 3 %.
    expected = 9.0 + mean_energy / total_variance
    assert style_loss(2 * style, target).item() == pytest.approx(expected.item(), rel=0.1)


def test_losses_are_relative(generator: torch.Generator) -> None:
    painted, goal = features(generator, 3, 6, 6), features(generator, 3, 6, 6)
    for scale in (1e-3, 1e3):
        style = style_loss(scale * painted, StyleTarget.of(statistics(scale * goal)))
        content = content_loss(scale * painted, ContentTarget.of(scale * goal))
        assert style.item() == pytest.approx(
            style_loss(painted, StyleTarget.of(statistics(goal))).item(), rel=1e-4
        )
        assert content.item() == pytest.approx(
            content_loss(painted, ContentTarget.of(goal)).item(), rel=1e-4
        )


def test_content_is_one_minus_correlation_by_channel(generator: torch.Generator) -> None:
    painted, goal = features(generator, 5, 7, 6), features(generator, 5, 7, 6)
    painted = 0.4 * goal + painted

    found = content_loss(painted, ContentTarget.of(goal)).item()

    pairs = zip(painted[0].flatten(1).numpy(), goal[0].flatten(1).numpy(), strict=True)
    correlations = [np.corrcoef(one, other)[0, 1] for one, other in pairs]
    # The floor of 1 % counts as something in common.
    assert found == pytest.approx(1.0 - np.mean(correlations), rel=0.03)
    assert found < 1.0 - np.mean(correlations)


def test_content_leaves_contrast_and_brightness_to_the_style(generator: torch.Generator) -> None:
    goal = features(generator, 4, 8, 8)

    assert content_loss(3.0 * goal + 0.5, ContentTarget.of(goal)) < 1e-2
    assert content_loss(1.0 - goal, ContentTarget.of(goal)) > 1.9
    assert content_loss(goal.flip(3), ContentTarget.of(goal)) > 0.5


def test_channels_that_do_not_vary_in_the_content_do_not_count(generator: torch.Generator) -> None:
    goal, painted = features(generator, 4, 8, 8), features(generator, 4, 8, 8)
    goal[:, 3] = 0.7
    target = ContentTarget.of(goal)
    changed = painted.clone()
    changed[:, 3] *= 5.0

    assert content_loss(changed, target) == content_loss(painted, target)


def test_a_channel_that_becomes_constant_counts_fully_and_can_recover(
    generator: torch.Generator,
) -> None:
    goal = features(generator, 2, 8, 8)
    painted = goal.clone()
    painted[:, 1] = 0.0
    painted.requires_grad_()

    loss = content_loss(painted, ContentTarget.of(goal))
    (gradient,) = torch.autograd.grad(loss, painted)

    assert loss.item() == pytest.approx(0.5, abs=0.1)
    assert gradient.isfinite().all()
    assert gradient[:, 1].abs().max() > 0


def test_gradients(generator: torch.Generator) -> None:
    painted = features(generator, 3, 4, 5).requires_grad_()
    goal = features(generator, 3, 4, 5)
    style, content = StyleTarget.of(statistics(goal)), ContentTarget.of(goal)

    assert torch.autograd.gradcheck(lambda image: style_loss(image, style), painted)
    assert torch.autograd.gradcheck(lambda image: content_loss(image, content), painted)
    assert torch.autograd.gradcheck(total_variation, painted)


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_one_color_gives_finite_losses(generator: torch.Generator, value: float) -> None:
    flat = torch.full((1, 3, 4, 4), value)
    painted = torch.rand(1, 3, 4, 4, generator=generator).requires_grad_()

    loss = style_loss(painted, StyleTarget.of(statistics(flat)))
    loss = loss + content_loss(painted, ContentTarget.of(flat))
    (gradient,) = torch.autograd.grad(loss, painted)

    assert loss.isfinite()
    assert gradient.isfinite().all()


def test_total_variation_of_a_checkerboard_and_of_one_color() -> None:
    checkerboard = ((torch.arange(6)[:, None] + torch.arange(8)) % 2).float()[None, None]

    assert total_variation(checkerboard) == 2.0  # 1 in each direction
    assert total_variation(torch.full((1, 3, 5, 5), 0.7)) == 0.0
    assert total_variation(torch.zeros(1, 3, 1, 1)) == 0.0


def test_targets_that_are_no_numbers_are_refused() -> None:
    broken = torch.ones(1, 2, 4, 4)
    broken[0, 1, 2, 3] = torch.nan

    with pytest.raises(NotFinite, match="style statistics must hold finite numbers only") as caught:
        StyleTarget.of(statistics(broken))
    assert (caught.value.name, caught.value.count, caught.value.of) == ("style statistics", 1, 2)
