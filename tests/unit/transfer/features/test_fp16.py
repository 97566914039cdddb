import pytest
import torch

from transfer.features.fp16 import from_fp16, to_fp16


@pytest.mark.parametrize("value", [1e-3, 1.0, 777.0, 22_000.0, 1_000_000.0])
def test_activations_are_restored_to_three_digits(value: float) -> None:
    activations = torch.full((1, 4, 3, 5), value)

    assert torch.allclose(from_fp16(to_fp16(activations), torch.float32), activations, rtol=6e-4)


def test_zeros_stay_zeros() -> None:
    activations = torch.tensor([0.0, 1.0, 0.0, 3.0]).reshape(1, 4, 1, 1)

    assert torch.equal(from_fp16(to_fp16(activations), torch.float32), activations)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_part_is_restored_in_channels_last_layout(
    generator: torch.Generator, dtype: torch.dtype
) -> None:
    stored = to_fp16(torch.rand(1, 4, 6, 8, generator=generator))
    part = from_fp16(stored[:, :, 1:4, 2:7], dtype)

    assert stored.dtype == torch.float16
    assert stored.is_contiguous(memory_format=torch.channels_last)
    assert part.dtype == dtype
    assert part.shape == (1, 4, 3, 5)
    assert part.is_contiguous(memory_format=torch.channels_last)


def test_activations_are_written_into_a_part_of_a_map(generator: torch.Generator) -> None:
    stored_map = torch.zeros(1, 4, 6, 8, dtype=torch.float16)
    activations = torch.rand(1, 4, 2, 3, generator=generator)

    to_fp16(activations, stored_map[:, :, 2:4, 5:])

    # Half a unit in the last of float16's 11 digits; near zero, of its smallest numbers times 16.
    restored = from_fp16(stored_map[:, :, 2:4, 5:], torch.float32)
    assert torch.allclose(restored, activations, rtol=2**-11, atol=2**-21)
    assert stored_map[:, :, :2].count_nonzero() == 0
