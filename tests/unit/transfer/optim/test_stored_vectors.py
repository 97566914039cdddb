from functools import partial

import pytest
import torch

from tests.seeds import seeded
from transfer.optim import stored_vectors
from transfer.optim.stored_vectors import ExactVector, Fp16Vector

SHAPE = (1, 3, 5, 7)


@pytest.mark.parametrize("chunk", [8, 1 << 20])
@pytest.mark.parametrize("scale", [1e-12, 1.0, 1e6])
def test_fp16_products_are_those_of_the_rounded_vector(
    monkeypatch: pytest.MonkeyPatch, scale: float, chunk: int
) -> None:
    monkeypatch.setattr(stored_vectors, "_CHUNK_VALUES", chunk)
    draw = partial(torch.randn, SHAPE, generator=seeded(0))
    vector, other = scale * draw(), draw()

    stored = Fp16Vector.of(vector)

    restored = (stored.values.double() * stored.scale.double()).reshape(SHAPE)
    # float16 rounds to 11 binary digits, of the largest value at the least.
    assert torch.allclose(restored.float(), vector, rtol=2**-11, atol=2**-24 * scale * 5)
    expected = (restored * other.double()).sum().float()
    assert torch.allclose(stored.dot(other), expected, rtol=1e-4, atol=1e-5 * scale)
    square = restored.square().sum().float()
    assert torch.allclose(stored.dot_stored(stored), square, rtol=1e-5, atol=0)


@pytest.mark.parametrize("kind", [ExactVector, Fp16Vector.of])
def test_a_vector_is_added_with_its_factor_and_sign(
    kind: type[ExactVector] | partial[Fp16Vector],
) -> None:
    vector = torch.arange(105.0).reshape(SHAPE)
    result = torch.ones(SHAPE)

    kind(vector).add_to(result, torch.tensor(0.5), -1.0)

    assert torch.allclose(result, 1 - 0.5 * vector, atol=0.5 * 104 * 2**-11)


def test_a_difference_is_stored_without_the_vectors() -> None:
    draw = partial(torch.randn, SHAPE, generator=seeded(0))
    vector, minus = draw(), draw()

    assert torch.equal(Fp16Vector.of(vector, minus).values, Fp16Vector.of(vector - minus).values)


def test_a_vector_of_zeros_is_stored() -> None:
    stored = Fp16Vector.of(torch.zeros(SHAPE))

    assert stored.dot(torch.ones(SHAPE)) == 0
    assert stored.scale > 0
