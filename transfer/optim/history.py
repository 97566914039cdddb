"""Length of the L-BFGS history: how many curvature pairs, and the memory they take. Free of torch.

Pages estimate the memory of paintings with it, too.
"""

PAINTING_HISTORY = 10
"""Curvature pairs in the L-BFGS history of a painting where memory allows, in half precision. The
loss is half a percent above that of 20 in single precision; with 6 it is one percent above (four
pairs, draft, 512 px)."""

SHORTER_HISTORIES = (6, 4, 3, 2)
"""Numbers of curvature pairs to try where memory is short, from the longest history on."""

DEFAULT_HISTORY = 20
"""Number of curvature pairs that `lbfgs.minimize` stores unless told otherwise; 10 to 20 paint as
well as 100, which take more memory than the network."""

STORED_HISTORY_MAX_BYTES = 192_000_000
"""Largest L-BFGS history that is stored in checkpoints. 10 pairs are 20 vectors as long as the
image in half precision: 24 MB at 512 px and 94 MB at 1024 px."""

_FP16_BYTES = 2


def history_bytes(pairs: int, values: int) -> int:
    """Return the bytes of so many curvature pairs, two vectors of ``values`` numbers each."""
    return 2 * pairs * values * _FP16_BYTES
