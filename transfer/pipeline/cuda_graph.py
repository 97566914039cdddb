"""CUDA graph of an objective, which the host launches once instead of some hundred times.

It was written from torch's documentation and has never run, for want of a GPU: only
`Painter(graphs=True)` uses it until its gain is measured.
"""

import logging

import torch
from torch import Tensor

from transfer.memory.budget import is_out_of_memory
from transfer.optim.iterate import DifferentiableLoss

_WARM_UP = 3
"""Number of evaluations before the capture, in which libraries choose their kernels."""

_log = logging.getLogger(__name__)


class CudaGraphObjective:
    """Objective that is captured as a graph at its first call, and replayed at each other.

    The memory of one evaluation stays allocated as long as the object lives.

    Args:
        objective: objective on a CUDA device, which it must not wait for. If it cannot be captured,
            it is called as it is, and the log says why.
    """

    def __init__(self, objective: DifferentiableLoss) -> None:
        self._objective = objective
        self._graph: _CapturedGraph | None = None
        self._has_tried = False

    def __call__(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Return the loss and the gradient of an image; all images must have one shape."""
        if not self._has_tried:
            self._has_tried = True
            try:
                self._graph = _CapturedGraph(self._objective, image)
            except RuntimeError as error:
                if is_out_of_memory(error):
                    raise
                _log.warning("no CUDA graph, going on without: %s", error)
        if self._graph is None:
            return self._objective(image)
        return self._graph.replay(image)


class _CapturedGraph:
    def __init__(self, objective: DifferentiableLoss, image: Tensor) -> None:
        if not image.is_cuda:
            raise RuntimeError("the image is not on a CUDA device")
        current = torch.cuda.current_stream()
        warm_up = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        self._image = image.clone()
        warm_up.wait_stream(current)
        with torch.cuda.stream(warm_up):
            for _ in range(_WARM_UP):
                objective(self._image)
        current.wait_stream(warm_up)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            self._outputs = objective(self._image)

    def replay(self, image: Tensor) -> tuple[Tensor, Tensor]:
        self._image.copy_(image)
        self._graph.replay()
        # Copies: the next replay overwrites the outputs.
        loss, gradient = self._outputs
        return loss.clone(), gradient.clone()
