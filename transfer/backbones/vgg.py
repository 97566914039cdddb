"""The convolutions of VGG-19 up to relu5_1 (Simonyan & Zisserman, arXiv 1409.1556), any width."""

from collections.abc import Callable, Collection, Mapping
from functools import cached_property, partial

import torch
import torch.nn.functional as F
from torch import Tensor

from transfer.backbones.backward import SavedForBackward, flip_kernel, gradient_dtype
from transfer.backbones.backward import pad_reflect as pad_reflect
from transfer.errors import ShapeError
from transfer.settings import CONTENT_LAYER as CONTENT_LAYER
from transfer.settings import STYLE_LAYERS as STYLE_LAYERS
from transfer.settings import Pooling, Precision

CONVOLUTIONS = (
    ("conv1_1", "conv1_2"),
    ("conv2_1", "conv2_2"),
    ("conv3_1", "conv3_2", "conv3_3", "conv3_4"),
    ("conv4_1", "conv4_2", "conv4_3", "conv4_4"),
    ("conv5_1",),
)
"""Names of the convolutions, one row per stage; a 2 x 2 pooling lies between stages."""

_FIRST = CONVOLUTIONS[0][0]

MIN_EDGE_PX = 16
"""Shortest edge of an image: four poolings leave one position of it at relu5_1."""

MEAN_BGR = (103.939, 116.779, 123.68)
"""Mean color of the training set, which was subtracted from BGR, 0..255."""

Weights = Mapping[str, tuple[Tensor, Tensor]]
"""Kernel (out, in, 3, 3) and bias (out,) by convolution, for BGR input as VGG-19 was trained."""

OnFeatures = Callable[[str, Tensor], None]
"""Callback that is given a layer's name and its activations, shape (1, C, H, W)."""


class VggBackbone:
    """Named feature layers of a network with the topology of VGG-19.

    Two departures from the network as published: borders are reflected instead of zero
    (zeros paint a frame around the picture), and the input is RGB in [0, 1], the original
    scaling being folded into the first convolution.

    Args:
        name: name of the network.
        weights: weights of its convolutions.
        device: device that it computes on.
        precision: precision of gradients; see `Precision`.
    """

    def __init__(
        self,
        name: str,
        weights: Weights,
        device: torch.device,
        precision: Precision = Precision.AUTO,
    ) -> None:
        self.name = name
        self.device = device
        self.gradient_dtype = gradient_dtype(device, precision)
        """Type of gradients."""
        self._weights = {
            layer: (
                _channels_last(kernel.to(device, torch.float32)),
                bias.to(device, torch.float32),
            )
            for layer, (kernel, bias) in _fold_input_scaling(weights).items()
        }
        self._flipped_kernels = {
            layer: _channels_last(flip_kernel(kernel).to(self.gradient_dtype))
            for layer, (kernel, _) in self._weights.items()
        }

    @property
    def is_fp16(self) -> bool:
        """True if gradients are in half precision."""
        return self.gradient_dtype.itemsize == 2

    @cached_property
    def _rounded_weights(self) -> dict[str, tuple[Tensor, Tensor]]:
        """Weights in the precision of gradients."""
        return {
            layer: (kernel.to(self.gradient_dtype), bias.to(self.gradient_dtype))
            for layer, (kernel, bias) in self._weights.items()
        }

    def features(
        self, image: Tensor, layers: Collection[str], pooling: Pooling = Pooling.MAX
    ) -> dict[str, Tensor]:
        """Return the activations of the named layers.

        Args:
            image: RGB, shape (1, 3, H, W), range [0, 1], both edges at least `MIN_EDGE_PX`.
            layers: names such as ``"relu4_2"``.
            pooling: kind of pooling between stages; averages are smaller than maxima, and are not
                rescaled.

        Returns:
            activations by layer, shape (1, C, H', W'), not negative.

        Raises:
            ShapeError: if ``image`` has another shape.
            KeyError: if there is no such layer.
        """
        if image.ndim != 4 or image.shape[:2] != (1, 3) or min(image.shape[2:]) < MIN_EDGE_PX:
            expected = f"(1, 3, H, W) with H and W at least {MIN_EDGE_PX}"
            raise ShapeError("image", expected, tuple(image.shape))
        activations: dict[str, Tensor] = {}
        stages = range(len(CONVOLUTIONS))
        self.run(image, stages, layers, activations.__setitem__, pooling, has_map=False)
        return activations

    def run(
        self,
        activations: Tensor,
        stages: range,
        layers: Collection[str],
        on_features: OnFeatures,
        pooling: Pooling = Pooling.MAX,
        *,
        has_map: bool,
        saved: SavedForBackward | None = None,
        low_precision: bool = False,
    ) -> Tensor | None:
        """Compute some stages.

        Args:
            activations: input of the first of these stages, shape (1, C, H, W): the image, or the
                pooled output of the stage before.
            stages: numbers of the stages, from 0 on.
            layers: names of the layers, all in these stages, to pass to ``on_features``.
            on_features: called with each of the layers, as soon as it is computed.
            pooling: see `features`.
            has_map: whether to pool and return the output of the last stage, too.
            saved: saves what the backward pass needs; None leaves that to autograd.
            low_precision: whether to compute in the precision of gradients all but the first
                convolution, which is quick, and a small difference of large numbers.

        Returns:
            the pooled output of the last stage, or None without ``has_map``.

        Raises:
            KeyError: if one of the layers is not in these stages.
        """
        remaining = set(layers)
        activations = _channels_last(activations)
        for stage in stages:
            if stage > stages.start:
                activations = self._pool(activations, pooling, saved)
            for convolution in CONVOLUTIONS[stage]:
                inputs = activations
                activations = self._convolve(inputs, convolution, low_precision=low_precision)
                layer = convolution.replace("conv", "relu")
                if saved is not None:
                    recompute: Callable[[], Tensor] | None = None
                    if convolution == _FIRST:
                        recompute = partial(
                            self._convolve, inputs, convolution, low_precision=low_precision
                        )
                    is_last = convolution == CONVOLUTIONS[stage][-1]
                    saved.save_convolution(layer, activations, recompute, is_last=is_last)
                if layer in remaining:
                    on_features(layer, activations)
                    remaining.remove(layer)
                    if not remaining and not has_map:
                        return None
        if remaining:
            raise KeyError(f"unknown layers: {sorted(remaining)}")
        return self._pool(activations, pooling, saved) if has_map else None

    def start_saving(self, layers: Collection[str], *, is_packed: bool = False) -> SavedForBackward:
        """Return an empty `SavedForBackward` for `run`, for a loss that looks at these layers."""
        return SavedForBackward(
            self._flipped_kernels, layers, self.gradient_dtype, is_packed=is_packed
        )

    def _convolve(self, activations: Tensor, convolution: str, *, low_precision: bool) -> Tensor:
        is_exact = convolution == _FIRST or not low_precision
        kernel, bias = (self._weights if is_exact else self._rounded_weights)[convolution]
        padded = pad_reflect(_channels_last(activations.to(kernel.dtype)))
        output = F.conv2d(padded, kernel, bias).relu_()
        return output.to(self.gradient_dtype) if low_precision else output

    def _pool(
        self, activations: Tensor, pooling: Pooling, saved: SavedForBackward | None
    ) -> Tensor:
        if saved is not None:
            return saved.pool(activations, pooling)
        if pooling is Pooling.MAX:
            return F.max_pool2d(activations, 2)
        return F.avg_pool2d(activations, 2)


def _channels_last(tensor: Tensor) -> Tensor:
    """Return the tensor in the layout in which convolutions are fastest."""
    return tensor.contiguous(memory_format=torch.channels_last)


def _fold_input_scaling(weights: Weights) -> dict[str, tuple[Tensor, Tensor]]:
    """Return weights for RGB in [0, 1]; exact because borders are reflected, never zero."""
    folded = dict(weights)
    kernel, bias = weights["conv1_1"]
    kernel = kernel.double()
    mean = torch.tensor(MEAN_BGR, dtype=torch.float64, device=kernel.device)
    shift = torch.einsum("oihw,i->o", kernel, mean)
    folded["conv1_1"] = (kernel.flip(1) * 255.0, bias.double() - shift)
    return folded
