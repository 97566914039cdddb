"""What L-BFGS remembers of a step: a vector as large as the image, whole or in half the room."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol, Self

import torch
from torch import Tensor

_CHUNK = 1 << 20
"""Values converted together."""


class StoredVector(Protocol):
    """A vector of which only two things are asked."""

    values: Tensor
    scale: Tensor
    """The vector is `values`, flattened or not, times this."""

    def dot(self, other: Tensor) -> Tensor:
        """Its product with another vector of its shape, shape ()."""

    def dot_stored(self, other: Self) -> Tensor:
        """Its product with another one remembered in the same way, shape ()."""

    def add_to(self, result: Tensor, factor: Tensor, sign: float) -> None:
        """Add ``sign * factor`` times it to another vector."""


class ExactVector:
    """As it came, without a copy."""

    def __init__(self, values: Tensor) -> None:
        self.values = values
        self.scale = values.new_ones(())

    def dot(self, other: Tensor) -> Tensor:
        """See `StoredVector`."""
        return torch.dot(self.values.flatten(), other.flatten())

    def dot_stored(self, other: Self) -> Tensor:
        """See `StoredVector`."""
        return self.dot(other.values)

    def add_to(self, result: Tensor, factor: Tensor, sign: float) -> None:
        """See `StoredVector`."""
        result.addcmul_(self.values, factor, value=sign)


class Fp16Vector:
    """In half precision relative to its largest value: gradients are smaller than that can hold.

    Rounded to 11 binary digits.

    Args:
        values: relative to the largest, float16, shape (N,).
        scale: the largest, shape ().
    """

    def __init__(self, values: Tensor, scale: Tensor) -> None:
        self.values = values
        self.scale = scale

    @classmethod
    def of(cls, vector: Tensor, minus: Tensor | None = None) -> Self:
        """Rounded from a vector of any shape, or from its difference to another one.

        A difference is never there as a whole: it would be as large as the image.
        """
        flat = vector.flatten()
        less = None if minus is None else minus.flatten()

        def part(chunk: slice) -> Tensor:
            return flat[chunk] if less is None else flat[chunk] - less[chunk]

        largest = [part(chunk).abs().max() for chunk in _chunks(flat)]
        scale = torch.stack(largest).max().clamp_min(torch.finfo(flat.dtype).tiny)
        values = torch.empty(flat.shape, dtype=torch.float16, device=flat.device)
        for chunk in _chunks(flat):
            values[chunk] = part(chunk) / scale
        return cls(values, scale)

    def dot(self, other: Tensor) -> Tensor:
        """See `StoredVector`."""
        flat = other.flatten()
        total = torch.zeros((), dtype=torch.float64, device=flat.device)
        for chunk in _chunks(flat):
            total += torch.dot(self.values[chunk].to(flat.dtype), flat[chunk])
        return (total * self.scale).to(flat.dtype)

    def dot_stored(self, other: Self) -> Tensor:
        """See `StoredVector`."""
        total = torch.zeros((), dtype=torch.float64, device=self.values.device)
        for chunk in _chunks(self.values):
            total += torch.dot(self.values[chunk].float(), other.values[chunk].float())
        return (total * self.scale * other.scale).to(self.scale.dtype)

    def add_to(self, result: Tensor, factor: Tensor, sign: float) -> None:
        """See `StoredVector`."""
        flat = result.view(-1)
        factor = factor * self.scale
        for chunk in _chunks(flat):
            flat[chunk].addcmul_(self.values[chunk].to(flat.dtype), factor, value=sign)


@dataclass(frozen=True)
class CurvaturePair:
    """A step, and how the gradient changed along it."""

    step: StoredVector
    change: StoredVector
    inverse: Tensor
    """1 / (step * change), shape ()."""
    square: Tensor
    """change * change, shape ()."""


def _chunks(flat: Tensor) -> Iterator[slice]:
    for begin in range(0, flat.numel(), _CHUNK):
        yield slice(begin, begin + _CHUNK)
