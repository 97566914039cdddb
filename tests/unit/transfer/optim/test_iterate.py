import torch

from transfer.optim.adam import AdamState
from transfer.optim.iterate import Best, Iterate
from transfer.optim.lbfgs import LbfgsState


def test_the_best_image_is_that_of_the_lowest_loss() -> None:
    image, lower = torch.zeros(1, 3, 2, 2), torch.ones(1, 3, 2, 2)

    assert Iterate(2, 0.5, image, LbfgsState(best=Best(lower, 0.4))).best is lower


def test_without_a_better_one_it_is_the_image_itself() -> None:
    image = torch.zeros(1, 3, 2, 2)

    assert Iterate(1, 0.5, image, LbfgsState()).best is image
    assert Iterate(1, 0.5, image, AdamState()).best is image
