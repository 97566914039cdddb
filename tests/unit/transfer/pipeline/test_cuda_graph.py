import logging

import pytest
import torch
from torch import Tensor

from transfer.engine import Painter
from transfer.errors import InvalidSetting
from transfer.pipeline.cuda_graph import CudaGraphObjective


def bowl(image: Tensor) -> tuple[Tensor, Tensor]:
    return (image * image).sum(), 2.0 * image


def test_an_objective_that_cannot_be_captured_is_called_as_it_is(
    caplog: pytest.LogCaptureFixture,
) -> None:
    objective = CudaGraphObjective(bowl)
    image = torch.tensor([3.0, 4.0])

    with caplog.at_level(logging.WARNING):
        found = [objective(image), objective(2.0 * image)]

    assert [loss.item() for loss, _ in found] == [25.0, 100.0]
    assert torch.equal(found[1][1], 4.0 * image)
    assert len(caplog.records) == 1
    assert "no CUDA graph, going on without: the image is not on a CUDA device" in caplog.text


def test_running_out_of_memory_is_raised_to_the_caller() -> None:
    def exhausted(_: Tensor) -> tuple[Tensor, Tensor]:
        raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(torch.OutOfMemoryError):
        CudaGraphObjective(exhausted)(torch.zeros(2))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="graphs are recorded on CUDA only")
def test_a_replay_gives_the_same_loss_and_gradient() -> None:
    objective = CudaGraphObjective(bowl)
    image = torch.rand(2, 3, device="cuda")

    for factor in (1.0, 2.0, -1.0):
        loss, gradient = objective(factor * image)
        assert torch.allclose(loss, bowl(factor * image)[0])
        assert torch.allclose(gradient, 2.0 * factor * image)


def test_graphs_without_cuda_are_refused() -> None:
    with pytest.raises(InvalidSetting, match="graphs"):
        Painter("cpu", graphs=True)
