"""What L-BFGS remembers of a step: a vector as large as the image, whole or in half the room."""

from collections.abc import Iterator
from typing import Protocol

import torch
from torch import Tensor

_CHUNK = 1 << 20
"""Values converted together."""


class Remembered(Protocol):
    """A vector of which only two things are asked."""

    def dot(self, other: Tensor) -> Tensor:
        """Its product with another vector of its shape, shape ()."""

    def add_to(self, result: Tensor, factor: Tensor, sign: float) -> None:
        """Add ``sign * factor`` times it to another vector."""


class Exact:
    """As it came, without a copy."""

    def __init__(self, vector: Tensor) -> None:
        self._vector = vector

    def dot(self, other: Tensor) -> Tensor:
        """See `Remembered`."""
        return torch.dot(self._vector.flatten(), other.flatten())

    def add_to(self, result: Tensor, factor: Tensor, sign: float) -> None:
        """See `Remembered`."""
        result.addcmul_(self._vector, factor, value=sign)


class Halved:
    """In half precision relative to its largest value: gradients are smaller than that can hold.

    Rounded to 11 binary digits.
    """

    def __init__(self, vector: Tensor) -> None:
        flat = vector.flatten()
        self._scale = torch.maximum(flat.max(), -flat.min()).clamp_min(torch.finfo(flat.dtype).tiny)
        self._values = torch.empty(flat.shape, dtype=torch.float16, device=flat.device)
        for chunk in _chunks(flat):
            self._values[chunk] = flat[chunk] / self._scale

    def dot(self, other: Tensor) -> Tensor:
        """See `Remembered`."""
        flat = other.flatten()
        total = torch.zeros((), dtype=torch.float64, device=flat.device)
        for chunk in _chunks(flat):
            total += torch.dot(self._values[chunk].to(flat.dtype), flat[chunk])
        return (total * self._scale).to(flat.dtype)

    def add_to(self, result: Tensor, factor: Tensor, sign: float) -> None:
        """See `Remembered`."""
        flat = result.view(-1)
        factor = factor * self._scale
        for chunk in _chunks(flat):
            flat[chunk].addcmul_(self._values[chunk].to(flat.dtype), factor, value=sign)


def _chunks(flat: Tensor) -> Iterator[slice]:
    for begin in range(0, flat.numel(), _CHUNK):
        yield slice(begin, begin + _CHUNK)
