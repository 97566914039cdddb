import pytest
import torch

from transfer.halves import halved, restored


@pytest.mark.parametrize("value", [1e-3, 1.0, 777.0, 22_000.0, 1_000_000.0])
def test_activations_come_back_to_three_digits(value: float) -> None:
    activations = torch.full((1, 4, 3, 5), value)

    assert torch.allclose(restored(halved(activations)), activations, rtol=6e-4)


def test_zeros_stay_zeros() -> None:
    activations = torch.tensor([0.0, 1.0, 0.0, 3.0]).reshape(1, 4, 1, 1)

    assert torch.equal(restored(halved(activations)), activations)


def test_a_part_comes_back_as_convolutions_want_it() -> None:
    kept = halved(torch.rand(1, 4, 6, 8))
    part = restored(kept[:, :, 1:4, 2:7])

    assert kept.dtype == torch.float16
    assert kept.is_contiguous(memory_format=torch.channels_last)
    assert part.dtype == torch.float32
    assert part.shape == (1, 4, 3, 5)
    assert part.is_contiguous(memory_format=torch.channels_last)
