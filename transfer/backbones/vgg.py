"""The convolutions of VGG-19 up to relu5_1 (Simonyan & Zisserman, arXiv 1409.1556), any width."""

from collections.abc import Callable, Collection, Mapping
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from transfer.backbones import lean
from transfer.backbones.lean import reflected as reflected
from transfer.errors import ShapeError
from transfer.settings import CONTENT_LAYER as CONTENT_LAYER
from transfer.settings import STYLE_LAYERS as STYLE_LAYERS
from transfer.settings import Pooling

CONVOLUTIONS = (
    ("conv1_1", "conv1_2"),
    ("conv2_1", "conv2_2"),
    ("conv3_1", "conv3_2", "conv3_3", "conv3_4"),
    ("conv4_1", "conv4_2", "conv4_3", "conv4_4"),
    ("conv5_1",),
)
"""One row per stage; a 2 x 2 pooling lies between stages."""

MIN_EDGE_PX = 16
"""Four poolings leave one position of a 16 px edge at relu5_1."""

MEAN_BGR = (103.939, 116.779, 123.68)
"""The network was trained on BGR, 0..255, minus this mean color of its training set."""

Weights = Mapping[str, tuple[Tensor, Tensor]]
"""Kernel (out, in, 3, 3) and bias (out,) by convolution, for BGR input as VGG-19 was trained."""


class VggBackbone:
    """Named feature layers of a network with the topology of VGG-19.

    Two departures from the network as published: borders are reflected instead of zero
    (zeros paint a frame around the picture), and the input is RGB in [0, 1], the original
    scaling being folded into the first convolution.
    """

    def __init__(self, name: str, weights: Weights, device: torch.device) -> None:
        self.name = name
        self.device = device
        self._weights = {
            layer: (
                kernel.to(device, torch.float32).contiguous(memory_format=torch.channels_last),
                bias.to(device, torch.float32),
            )
            for layer, (kernel, bias) in _folded(weights).items()
        }

    def features(
        self,
        image: Tensor,
        layers: Collection[str],
        pooling: Pooling = Pooling.MAX,
        *,
        is_lean: bool = False,
    ) -> dict[str, Tensor]:
        """Activations of the named layers.

        Args:
            image: RGB, shape (1, 3, H, W), range [0, 1], both edges at least `MIN_EDGE_PX`.
            layers: names such as ``"relu4_2"``.
            pooling: between stages; averages are smaller than maxima, and are not rescaled.
            is_lean: the same activations, and the same gradient but for rounding, in half the
                memory; see `transfer.backbones.lean`.

        Returns:
            by name, shape (1, C, H', W'), not negative.

        Raises:
            ShapeError: if ``image`` has another shape.
        """
        if image.ndim != 4 or image.shape[:2] != (1, 3) or min(image.shape[2:]) < MIN_EDGE_PX:
            wanted = f"(1, 3, H, W) with H and W at least {MIN_EDGE_PX}"
            raise ShapeError("image", wanted, tuple(image.shape))
        stages = range(len(CONVOLUTIONS))
        found, _ = self.stages(image, stages, layers, pooling, has_map=False, is_lean=is_lean)
        return found

    def stages(
        self,
        activations: Tensor,
        stages: range,
        layers: Collection[str],
        pooling: Pooling = Pooling.MAX,
        *,
        has_map: bool,
        is_lean: bool = False,
    ) -> tuple[dict[str, Tensor], Tensor | None]:
        """Some stages, from what the one before left after its pooling.

        Args:
            activations: the image for the first stage, otherwise a map, shape (1, C, H, W).
            stages: which, from 0 on.
            layers: that are wanted of them.
            pooling: see `features`.
            has_map: whether the map behind the last one is wanted, too.
            is_lean: see `features`.

        Returns:
            layers by name, and the map behind, if it is wanted.
        """
        found: dict[str, Tensor] = {}
        wanted = set(layers)
        activations = activations.contiguous(memory_format=torch.channels_last)
        # Where nothing has to be remembered, torch's own functions are quicker.
        is_lean = is_lean and torch.is_grad_enabled()
        convolved = lean.convolved if is_lean else _convolved
        pooled = (_LEAN_POOLED if is_lean else _POOLED)[pooling]
        for stage in stages:
            if stage > stages.start:
                activations = pooled(activations)
            for convolution in CONVOLUTIONS[stage]:
                kernel, bias = self._weights[convolution]
                activations = convolved(activations, kernel, bias)
                name = convolution.replace("conv", "relu")
                if name in wanted:
                    found[name] = activations
                    if len(found) == len(wanted) and not has_map:
                        return found, None
        if missing := wanted - found.keys():
            raise KeyError(f"unknown layers: {sorted(missing)}")
        return found, pooled(activations) if has_map else None


def _convolved(activations: Tensor, kernel: Tensor, bias: Tensor) -> Tensor:
    return F.conv2d(reflected(activations), kernel, bias).relu_()


_POOLED: Mapping[Pooling, Callable[[Tensor], Tensor]] = {
    Pooling.MAX: partial(F.max_pool2d, kernel_size=2),
    Pooling.AVERAGE: partial(F.avg_pool2d, kernel_size=2),
}
_LEAN_POOLED = {Pooling.MAX: lean.max_pooled, Pooling.AVERAGE: lean.average_pooled}


def _folded(weights: Weights) -> dict[str, tuple[Tensor, Tensor]]:
    """The same network for RGB in [0, 1]; exact because borders are reflected, never zero."""
    folded = dict(weights)
    kernel, bias = weights["conv1_1"]
    kernel = kernel.double()
    mean = torch.tensor(MEAN_BGR, dtype=torch.float64, device=kernel.device)
    shift = torch.einsum("oihw,i->o", kernel, mean)
    folded["conv1_1"] = (kernel.flip(1) * 255.0, bias.double() - shift)
    return folded
