"""State of an optimization after one evaluation, whichever method optimizes."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from torch import Tensor

DifferentiableLoss = Callable[[Tensor], tuple[Tensor, Tensor]]
"""Function from an image to a loss, shape () and not negative, and its gradient, of the image's
shape. The caller may change both."""


class Best(NamedTuple):
    """Image of the lowest loss so far, and that loss."""

    image: Tensor
    loss: float


class OptimizerState(Protocol):
    """State of an optimizer besides the image that it has just evaluated."""

    @property
    def best(self) -> Best | None:
        """Image of the lowest loss; None if it is the image itself."""


@dataclass(frozen=True)
class Iterate:
    """State of the optimization after one evaluation."""

    number: int
    """Number of the evaluation, from 1 on."""
    loss: float
    image: Tensor
    """Image that was evaluated."""
    optimizer_state: OptimizerState

    @property
    def best(self) -> Tensor:
        """Image to go on from if the evaluations end here: that of the lowest loss so far."""
        return self.image if self.optimizer_state.best is None else self.optimizer_state.best.image
