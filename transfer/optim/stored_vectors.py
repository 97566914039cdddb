"""Vectors of the L-BFGS history, each as large as the image: exact or in half precision."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol, Self

import torch
from torch import Tensor

_CHUNK_VALUES = 1 << 20
"""Number of values converted at a time."""


class StoredVector(Protocol):
    """Vector that supports products and sums."""

    values: Tensor
    """Values of the vector divided by `scale`, in its shape or flattened."""
    scale: Tensor
    """Factor on `values`, shape ()."""

    def dot(self, other: Tensor) -> Tensor:
        """Return the product with another vector of the same shape; shape ()."""

    def dot_stored(self, other: Self) -> Tensor:
        """Return the product with another vector stored in the same way; shape ()."""

    def add_to(self, result: Tensor, factor: Tensor, sign: float) -> None:
        """Add ``sign * factor`` times the vector to ``result`` in place; factor: shape ()."""


class ExactVector:
    """Vector as it was given, without a copy."""

    def __init__(self, values: Tensor) -> None:
        self.values = values
        self.scale = values.new_ones(())

    def dot(self, other: Tensor) -> Tensor:
        """Implement `StoredVector`."""
        return torch.dot(self.values.flatten(), other.flatten())

    def dot_stored(self, other: Self) -> Tensor:
        """Implement `StoredVector`."""
        return self.dot(other.values)

    def add_to(self, result: Tensor, factor: Tensor, sign: float) -> None:
        """Implement `StoredVector`."""
        result.addcmul_(self.values, factor, value=sign)


class Fp16Vector:
    """Vector in half precision, rounded to 11 binary digits.

    The values are relative to the largest, because float16 cannot hold numbers as small as
    gradients.

    Args:
        values: values divided by ``scale``, float16, shape (N,).
        scale: the largest absolute value, shape ().
    """

    def __init__(self, values: Tensor, scale: Tensor) -> None:
        self.values = values
        self.scale = scale

    @classmethod
    def of(cls, vector: Tensor, minus: Tensor | None = None) -> Self:
        """Round a vector of any shape, or its difference to another one.

        The difference is computed in chunks: as a whole it would be as large as the image.
        """
        flat = vector.flatten()
        flat_minus = None if minus is None else minus.flatten()

        def difference(chunk: slice) -> Tensor:
            return flat[chunk] if flat_minus is None else flat[chunk] - flat_minus[chunk]

        largest = [difference(chunk).abs().max() for chunk in _chunks(flat)]
        scale = torch.stack(largest).max().clamp_min(torch.finfo(flat.dtype).tiny)
        values = torch.empty(flat.shape, dtype=torch.float16, device=flat.device)
        for chunk in _chunks(flat):
            values[chunk] = difference(chunk) / scale
        return cls(values, scale)

    def dot(self, other: Tensor) -> Tensor:
        """Implement `StoredVector`."""
        flat = other.flatten()
        total = torch.zeros((), dtype=torch.float64, device=flat.device)
        for chunk in _chunks(flat):
            total += torch.dot(self.values[chunk].to(flat.dtype), flat[chunk])
        return (total * self.scale).to(flat.dtype)

    def dot_stored(self, other: Self) -> Tensor:
        """Implement `StoredVector`."""
        total = torch.zeros((), dtype=torch.float64, device=self.values.device)
        for chunk in _chunks(self.values):
            total += torch.dot(self.values[chunk].float(), other.values[chunk].float())
        return (total * self.scale * other.scale).to(self.scale.dtype)

    def add_to(self, result: Tensor, factor: Tensor, sign: float) -> None:
        """Implement `StoredVector`."""
        flat = result.view(-1)
        factor = factor * self.scale
        for chunk in _chunks(flat):
            flat[chunk].addcmul_(self.values[chunk].to(flat.dtype), factor, value=sign)


@dataclass(frozen=True)
class CurvaturePair:
    """Step of the optimizer, and the change of the gradient along it."""

    step: StoredVector
    change: StoredVector
    inverse: Tensor
    """Inverse of the product of step and change, shape ()."""
    square: Tensor
    """Product of the change with itself, shape ()."""


def _chunks(flat: Tensor) -> Iterator[slice]:
    for begin in range(0, flat.numel(), _CHUNK_VALUES):
        yield slice(begin, begin + _CHUNK_VALUES)
