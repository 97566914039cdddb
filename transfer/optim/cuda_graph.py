"""An objective as a CUDA graph: the host launches it once instead of some hundred times.

Written after torch's documentation and never run, for want of a GPU: `Painter(graphs=True)` asks
for it, and nothing else does until somebody has seen that it pays.
"""

import logging

import torch
from torch import Tensor

from transfer.memory.budget import is_out_of_memory
from transfer.optim.lbfgs import DifferentiableLoss

_WARM_UP = 3
"""Evaluations before the recording, in which libraries choose their kernels."""

_log = logging.getLogger(__name__)


class CudaGraphObjective:
    """An `lbfgs.DifferentiableLoss` that is recorded when it is first called, and then played back.

    What one evaluation takes stays taken as long as this lives.

    Args:
        objective: on a CUDA device, which it must not wait for. If it cannot be recorded, it is
            called as it is, and the log says why.
    """

    def __init__(self, objective: DifferentiableLoss) -> None:
        self._objective = objective
        self._recording: _CapturedGraph | None = None
        self._is_tried = False

    def __call__(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """The loss and the gradient of an image; all are of one shape."""
        if not self._is_tried:
            self._is_tried = True
            try:
                self._recording = _CapturedGraph(self._objective, image)
            except RuntimeError as error:
                if is_out_of_memory(error):
                    raise
                _log.warning("no CUDA graph, going on without: %s", error)
        if self._recording is None:
            return self._objective(image)
        return self._recording.replay(image)


class _CapturedGraph:
    def __init__(self, objective: DifferentiableLoss, image: Tensor) -> None:
        if not image.is_cuda:
            raise RuntimeError("the image is not on a CUDA device")
        before = torch.cuda.current_stream()
        apart = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        self._image = image.clone()
        apart.wait_stream(before)
        with torch.cuda.stream(apart):
            for _ in range(_WARM_UP):
                objective(self._image)
        before.wait_stream(apart)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            self._found = objective(self._image)

    def replay(self, image: Tensor) -> tuple[Tensor, Tensor]:
        self._image.copy_(image)
        self._graph.replay()
        # Copies: the next evaluation overwrites its own.
        loss, gradient = self._found
        return loss.clone(), gradient.clone()
