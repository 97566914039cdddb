"""An objective as a CUDA graph: the host launches it once instead of some hundred times.

The engine does not do so: whether it pays is what is measured here.
"""

import torch
from torch import Tensor

from transfer.optimize import Differentiated

_WARM_UP = 3
"""Evaluations before the recording, in which libraries choose their kernels."""


class Recorded:
    """An `optimize.Differentiated` that is played back from a recording of one evaluation.

    Memory of that evaluation stays taken as long as this lives.

    Args:
        objective: on a CUDA device, which it must not wait for.
        image: of the shape of all images to come.
    """

    def __init__(self, objective: Differentiated, image: Tensor) -> None:
        self._image = image.clone()
        before = torch.cuda.current_stream()
        apart = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        apart.wait_stream(before)
        with torch.cuda.stream(apart):
            for _ in range(_WARM_UP):
                objective(self._image)
        before.wait_stream(apart)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            self._found = objective(self._image)

    def __call__(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """The loss and the gradient; copies, since the next evaluation overwrites its own."""
        self._image.copy_(image)
        self._graph.replay()
        loss, gradient = self._found
        return loss.clone(), gradient.clone()
