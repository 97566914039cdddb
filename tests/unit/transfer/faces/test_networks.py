"""The networks against NumPy on (height, width, channels), as Keras defines their layers."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from transfer.faces.networks import (
    OutputNetwork,
    ProposalNetwork,
    RefinementNetwork,
    scale_colors,
)
from transfer.faces.weights import read_weights

Array = NDArray[np.float64]
RTOL, ATOL = 1e-4, 1e-5
"""Rounding of float32 over the thousand products of a dense layer."""


def prelu(values: Array, slopes: Array) -> Array:
    chosen: Array = np.where(values > 0, values, values * slopes)
    return chosen


def convolve(maps: Array, kernel: Array, bias: Array, slopes: Array) -> Array:
    windows = sliding_window_view(maps, kernel.shape[:2], axis=(0, 1))
    return prelu(np.einsum("yxchw,hwco->yxo", windows, kernel) + bias, slopes)


def pool(maps: Array, edge: int, padding: str) -> Array:
    if padding == "same":
        pads = [max((-(-size // 2) - 1) * 2 + edge - size, 0) for size in maps.shape[:2]]
        sides = [(pad // 2, pad - pad // 2) for pad in pads]
        maps = np.pad(maps, [*sides, (0, 0)], constant_values=-np.inf)
    windows: Array = sliding_window_view(maps, (edge, edge), axis=(0, 1))[::2, ::2]
    highest: Array = windows.max(axis=(3, 4))
    return highest


def softmax(values: Array) -> Array:
    powers: Array = np.exp(values - values.max(axis=-1, keepdims=True))
    shares: Array = powers / powers.sum(axis=-1, keepdims=True)
    return shares


def trunk(maps: Array, weights: Sequence[Array], pools: Sequence[tuple[int, str] | None]) -> Array:
    for at, pooling in enumerate(pools):
        maps = convolve(maps, *weights[3 * at : 3 * at + 3])
        if pooling:
            maps = pool(maps, *pooling)
    return maps


def numpy_weights(network: str) -> list[Array]:
    return [array.double().numpy() for array in read_weights(network)]


def images(generator: torch.Generator, count: int, *size: int) -> tuple[torch.Tensor, list[Array]]:
    scaled = scale_colors(torch.rand(count, 3, *size, generator=generator))
    return scaled, [one.permute(1, 2, 0).double().numpy() for one in scaled]


def assert_close(actual: torch.Tensor, expected: Any) -> None:
    np.testing.assert_allclose(actual.numpy(), np.stack(expected), rtol=RTOL, atol=ATOL)


def test_colors_are_scaled_as_in_training() -> None:
    scaled = scale_colors(torch.tensor([0.0, 0.5, 1.0]))

    assert scaled.tolist() == [-127.5 / 128, 0.0, 127.5 / 128]


def test_proposal_network_agrees_with_numpy(generator: torch.Generator) -> None:
    weights = numpy_weights("pnet")
    # An odd and an even edge after the first convolution, which "same" pads unlike each other.
    scaled, arrays = images(generator, 2, 25, 32)

    offsets, is_face = ProposalNetwork.load()(scaled)

    maps = [trunk(one, weights, [(2, "same"), None, None]) for one in arrays]
    assert_close(offsets, [one @ weights[9][0, 0] + weights[10] for one in maps])
    assert_close(is_face, [softmax(one @ weights[11][0, 0] + weights[12])[..., 1] for one in maps])


def test_refinement_network_agrees_with_numpy(generator: torch.Generator) -> None:
    weights = numpy_weights("rnet")
    scaled, arrays = images(generator, 3, 24, 24)

    offsets, is_face = RefinementNetwork.load()(scaled)

    maps = [trunk(one, weights, [(3, "same"), (3, "valid"), None]) for one in arrays]
    # Keras permutes height and width before it flattens.
    flat = [one.transpose(1, 0, 2).ravel() for one in maps]
    hidden = [prelu(one @ weights[9] + weights[10], weights[11]) for one in flat]
    assert_close(offsets, [one @ weights[12] + weights[13] for one in hidden])
    assert_close(is_face, [softmax(one @ weights[14] + weights[15])[1] for one in hidden])


def test_output_network_agrees_with_numpy(generator: torch.Generator) -> None:
    weights = numpy_weights("onet")
    scaled, arrays = images(generator, 3, 48, 48)

    offsets, landmarks, is_face = OutputNetwork.load()(scaled)

    pools = [(3, "same"), (3, "valid"), (2, "same"), None]
    flat = [trunk(one, weights, pools).transpose(1, 0, 2).ravel() for one in arrays]
    hidden = [prelu(one @ weights[12] + weights[13], weights[14]) for one in flat]
    assert_close(offsets, [one @ weights[15] + weights[16] for one in hidden])
    assert_close(landmarks, [one @ weights[17] + weights[18] for one in hidden])
    assert_close(is_face, [softmax(one @ weights[19] + weights[20])[1] for one in hidden])
