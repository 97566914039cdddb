import torch

from transfer.optim.history import (
    DEFAULT_HISTORY,
    PAINTING_HISTORY,
    SHORTER_HISTORIES,
    history_bytes,
)
from transfer.optim.stored_vectors import Fp16Vector


def test_the_bytes_are_those_of_the_stored_vectors() -> None:
    vector = Fp16Vector.of(torch.linspace(-1.0, 1.0, 3 * 5 * 7))

    assert history_bytes(PAINTING_HISTORY, 3 * 5 * 7) == PAINTING_HISTORY * 2 * vector.values.nbytes


def test_histories_only_become_shorter() -> None:
    lengths = [DEFAULT_HISTORY, PAINTING_HISTORY, *SHORTER_HISTORIES]

    assert lengths == sorted(set(lengths), reverse=True)
    assert lengths[-1] >= 1
