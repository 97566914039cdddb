"""The three networks of MTCNN (Zhang, Zhang, Li & Qiao, arXiv 1604.02878, figure 2).

All take RGB scaled to about [-1, 1] by `scale_colors`. Boxes are given as offsets of the left, top,
right and bottom edge in units of the box, landmarks as positions in the box: x of both eyes, the
nose and both corners of the mouth, then y of the same.
"""

from dataclasses import dataclass
from typing import NamedTuple, Self

import torch.nn.functional as F
from torch import Tensor

from transfer.faces.weights import read_weights

PROPOSAL_CELL_PX = 12
"""Edge of what one output position of the proposal network sees."""
PROPOSAL_STRIDE_PX = 2
REFINEMENT_PX = 24
"""Edge of the crops that the refinement network takes."""
OUTPUT_PX = 48
"""Edge of the crops that the output network takes."""


def scale_colors(images: Tensor) -> Tensor:
    """Scale RGB in [0, 1] as the networks were trained: 8-bit values, less 127.5, over 128."""
    return (images * 255.0 - 127.5) / 128.0


class _Convolution(NamedTuple):
    """A convolution without padding, its PReLU, and the max pooling behind it."""

    kernel: Tensor
    """Shape (out, in, height, width)."""
    bias: Tensor
    slopes: Tensor
    pool_px: int
    """Edge of the pooling's window, at stride 2; 0 for none."""
    is_padded: bool
    """True if a window may reach over the right and the lower edge (Keras' "same")."""

    def __call__(self, maps: Tensor) -> Tensor:
        maps = F.prelu(F.conv2d(maps, self.kernel, self.bias), self.slopes)
        if self.pool_px == 0:
            return maps
        return F.max_pool2d(maps, self.pool_px, 2, ceil_mode=self.is_padded)


class _Dense(NamedTuple):
    """A dense layer of the shape (in, out), with a PReLU unless it is an output."""

    matrix: Tensor
    bias: Tensor
    slopes: Tensor | None = None

    def __call__(self, rows: Tensor) -> Tensor:
        rows = rows @ self.matrix + self.bias
        return rows if self.slopes is None else F.prelu(rows, self.slopes)


@dataclass(frozen=True)
class ProposalNetwork:
    """P-Net: looks at every 12 px cell of a picture of any size."""

    trunk: tuple[_Convolution, ...]
    box: _Dense
    is_face: _Dense

    @classmethod
    def load(cls) -> Self:
        """Read the weights.

        Raises:
            FaceWeightsUnavailable: if they cannot be read.
        """
        arrays = read_weights("pnet")
        trunk = _trunk(arrays[:9], ((2, True), (0, False), (0, False)))
        # Kernels of one pixel: dense layers at each position.
        box, is_face = (_Dense(arrays[at][0, 0], arrays[at + 1]) for at in (9, 11))
        return cls(trunk, box, is_face)

    def __call__(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return each cell's offsets and its probability of a face.

        Args:
            images: shape (N, 3, H, W), scaled by `scale_colors`, both edges at least 12.

        Returns:
            offsets, shape (N, H', W', 4), and probabilities, shape (N, H', W').
        """
        rows = _run(self.trunk, images).permute(0, 2, 3, 1)
        return self.box(rows), self.is_face(rows).softmax(dim=-1)[..., 1]


@dataclass(frozen=True)
class RefinementNetwork:
    """R-Net: looks at crops of 24 px."""

    trunk: tuple[_Convolution, ...]
    hidden: _Dense
    box: _Dense
    is_face: _Dense

    @classmethod
    def load(cls) -> Self:
        """Read the weights.

        Raises:
            FaceWeightsUnavailable: if they cannot be read.
        """
        arrays = read_weights("rnet")
        trunk = _trunk(arrays[:9], ((3, True), (3, False), (0, False)))
        return cls(trunk, _Dense(*arrays[9:12]), _Dense(*arrays[12:14]), _Dense(*arrays[14:]))

    def __call__(self, crops: Tensor) -> tuple[Tensor, Tensor]:
        """Return offsets, shape (N, 4), and probabilities of a face, shape (N,).

        Args:
            crops: shape (N, 3, 24, 24), scaled by `scale_colors`.
        """
        hidden = self.hidden(_flatten(_run(self.trunk, crops)))
        return self.box(hidden), self.is_face(hidden).softmax(dim=1)[:, 1]


@dataclass(frozen=True)
class OutputNetwork:
    """O-Net: looks at crops of 48 px, and places the landmarks."""

    trunk: tuple[_Convolution, ...]
    hidden: _Dense
    box: _Dense
    landmarks: _Dense
    is_face: _Dense

    @classmethod
    def load(cls) -> Self:
        """Read the weights.

        Raises:
            FaceWeightsUnavailable: if they cannot be read.
        """
        arrays = read_weights("onet")
        trunk = _trunk(arrays[:12], ((3, True), (3, False), (2, True), (0, False)))
        heads = (_Dense(*arrays[at : at + 2]) for at in (15, 17, 19))
        return cls(trunk, _Dense(*arrays[12:15]), *heads)

    def __call__(self, crops: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return offsets (N, 4), landmarks (N, 10) and probabilities of a face (N,).

        Args:
            crops: shape (N, 3, 48, 48), scaled by `scale_colors`.
        """
        hidden = self.hidden(_flatten(_run(self.trunk, crops)))
        return (
            self.box(hidden),
            self.landmarks(hidden),
            self.is_face(hidden).softmax(dim=1)[:, 1],
        )


def _trunk(arrays: list[Tensor], pools: tuple[tuple[int, bool], ...]) -> tuple[_Convolution, ...]:
    """Build convolutions from three arrays each, and the poolings behind them."""
    return tuple(
        _Convolution(kernel.permute(3, 2, 0, 1).contiguous(), bias, slopes.flatten(), *pool)
        for kernel, bias, slopes, pool in zip(
            arrays[::3], arrays[1::3], arrays[2::3], pools, strict=True
        )
    )


def _run(trunk: tuple[_Convolution, ...], maps: Tensor) -> Tensor:
    for convolution in trunk:
        maps = convolution(maps)
    return maps


def _flatten(maps: Tensor) -> Tensor:
    """Flatten (N, C, H, W) in the order W, H, C, in which the weights of MTCNN were trained."""
    return maps.permute(0, 3, 2, 1).flatten(1)
