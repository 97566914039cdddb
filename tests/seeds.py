"""Seeds of the tests' random numbers: the same in every run, and others on request.

`PIC2PAINT_TEST_SEED=N` shifts them all: a test should pass with any numbers.
"""

import os

import torch

_SHIFT = 1_000_003 * int(os.environ.get("PIC2PAINT_TEST_SEED", "0"))


def shifted(seed: int) -> int:
    """Return the seed to use in place of ``seed``, which a test names."""
    return seed + _SHIFT


def seeded(seed: int) -> torch.Generator:
    """Return a generator for torch that no other test draws from."""
    return torch.Generator().manual_seed(shifted(seed))
