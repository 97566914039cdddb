import pytest
import torch
from torch import Tensor

from transfer.gamut import in_gamut


def test_what_can_be_shown_is_left_alone() -> None:
    image = torch.rand(1, 3, 5, 7, dtype=torch.float64)

    assert in_gamut(lambda shown: (shown * shown).sum())(image) == (image * image).sum()


def test_the_loss_sees_only_what_can_be_shown() -> None:
    seen: list[Tensor] = []

    def loss(shown: Tensor) -> Tensor:
        seen.append(shown)
        return shown.sum() * 0.0

    in_gamut(loss)(torch.tensor([-0.5, 0.0, 0.3, 1.0, 1.5]))

    assert torch.equal(seen[0], torch.tensor([0.0, 0.0, 0.3, 1.0, 1.0]))


@pytest.mark.parametrize(("value", "sign"), [(-0.1, -1.0), (1.2, 1.0)])
def test_values_that_cannot_be_shown_are_drawn_back(value: float, sign: float) -> None:
    """Whatever the loss would have them do."""
    image = torch.tensor([value], requires_grad=True)
    loss = in_gamut(lambda shown: -100.0 * sign * shown.sum() + 100.0)(image)
    (gradient,) = torch.autograd.grad(loss, image)

    assert gradient.item() * sign > 0.0


def test_the_gradient_is_the_losss_own() -> None:
    image = torch.tensor([-0.2, 0.25, 0.6, 1.3], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(in_gamut(lambda shown: shown.pow(3).sum()), (image,))
