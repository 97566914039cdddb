"""The way back through a network of fixed weights: the gradient with respect to its input.

By hand instead of by autograd, for three reasons. Autograd keeps the input of every convolution
with its border beside the output, and writes every sum of gradients anew; here a layer's own share
is added in place. Autograd has the gradient in the precision of the activations; but a gradient
that is rounded is off by as much as it was rounded, while a style's loss is a small difference of
large sums, whose activations have to be computed exactly. And nothing is left behind that only the
end of a graph would free.
"""

from collections.abc import Callable, Collection, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from transfer.settings import Pooling, Precision

Add = Callable[[str, Tensor, Tensor | None], Tensor | None]
"""From a layer, its activations, and the gradient with respect to these so far (or None), the
gradient with the layer's own share. It may be changed in place."""


def dtype_back(device: torch.device, precision: Precision) -> torch.dtype:
    """The type of gradients on their way back.

    With Intel's matrix units (AMX) convolutions in bfloat16 take a fifth to an eighth of the time.
    The cosine with the gradient in single precision is 0.99999 where a painting begins and 0.9997
    after 100 evaluations (whole pictures; tiles: 0.99 and 0.97), and the loss falls as fast
    (docs/engine.md).
    """
    has_units = (
        device.type == "cpu"
        and bool(torch.backends.mkldnn.enabled)
        and torch.cpu.get_capabilities().get("amx_bf16", False)
    )
    if precision is Precision.AUTO:
        precision = Precision.HALF if has_units else Precision.SINGLE
    return torch.bfloat16 if precision is Precision.HALF else torch.float32


def pad_reflect(activations: Tensor) -> Tensor:
    """A border of one position around (1, C, H, W), mirrored; repeated where there is only one."""
    return F.pad(
        activations, (1, 1, 1, 1), mode="replicate" if _is_thin(activations) else "reflect"
    )


def flip_kernel(kernel: Tensor) -> Tensor:
    """The kernel (C, C', 3, 3) with which the way back convolves."""
    return kernel.flip(2, 3).transpose(0, 1)


class SavedForBackward:
    """What the way back through some stages has to know of the way there.

    With fixed weights that is little: of a convolution and its ReLU where they were positive, of a
    pooling which position was the largest; and the activations of the layers that are looked at.

    Args:
        kernels: `flip_kernel`, by convolution.
        layers: that are looked at.
        dtype: of the gradients.
        is_packed: whether it is to be kept for long: in less room, which takes time.
    """

    def __init__(
        self,
        kernels: Mapping[str, Tensor],
        layers: Collection[str],
        dtype: torch.dtype,
        *,
        is_packed: bool,
    ) -> None:
        self._kernels = kernels
        self._layers = set(layers)
        self._dtype = dtype
        self._is_packed = is_packed
        self._steps: list[_SavedConvolution | _SavedPooling] = []

    def save_convolution(
        self,
        layer: str,
        activations: Tensor,
        recompute: Callable[[], Tensor] | None,
        *,
        is_last: bool,
    ) -> None:
        """A convolution and its ReLU.

        Args:
            layer: its name.
            activations: its output, shape (1, C, H, W); not to be changed any more.
            recompute: computes them anew, if that is quick; a packed trace keeps this instead.
            is_last: whether it is its stage's last one, so that a pooling follows if anything does.
        """
        positive: Tensor | Callable[[], Tensor] | None
        is_seen = layer in self._layers
        if is_last and not is_seen:
            positive = None  # The pooling tells.
        elif self._is_packed and recompute is not None:
            positive = recompute
        else:
            positive = self._kept(activations, is_whole=is_seen)
        self._steps.append(_SavedConvolution(layer, positive, is_thin=_is_thin(activations)))

    def pool(self, activations: Tensor, pooling: Pooling) -> Tensor:
        """What a pooling makes of the layer before it, shape (1, C, H // 2, W // 2)."""
        before = self._steps[-1]
        assert isinstance(before, _SavedConvolution)  # noqa: S101 - no pooling follows another
        if pooling is Pooling.MAX:
            found, places = F.max_pool2d(activations, 2, return_indices=True)
            if self._is_packed:
                places = places.to(torch.int32)
        else:
            found, places = F.avg_pool2d(activations, 2), None
            if before.positive is None:
                before.positive = self._kept(activations, is_whole=False)
        # Where the largest of four is not positive, none is.
        positive = self._kept(found, is_whole=False) if before.positive is None else None
        self._steps.append(_SavedPooling(activations.shape, places, positive))
        return found

    def backward(self, add: Add, grad_output: Tensor | None) -> Tensor | None:
        """The gradient with respect to the input; once, since what is remembered is given back.

        Args:
            add: the shares of the layers that are looked at.
            grad_output: with respect to the map behind the last stage, if there is one.

        Returns:
            of the input's shape, None if nothing depends on it.
        """
        gradient = None if grad_output is None else grad_output.to(self._dtype)
        while self._steps:
            step = self._steps.pop()
            if isinstance(step, _SavedPooling):
                gradient = None if gradient is None else step.back(gradient)
                continue
            if callable(step.positive):
                step.positive = step.positive().to(self._dtype)
            if step.layer in self._layers:
                assert step.positive is not None  # noqa: S101 - it was seen, so it is kept
                gradient = add(step.layer, step.positive, gradient)
            if gradient is not None:
                gradient = step.back(gradient, self._kernels[step.layer.replace("relu", "conv")])
        return gradient

    def _kept(self, activations: Tensor, *, is_whole: bool) -> Tensor:
        """What tells where they were positive: the activations themselves, or a byte for each.

        Bytes take longer to make and to use than two bytes of bfloat16: a twentieth of an
        evaluation, for a fifth of its memory (compact, 4096 px, traces from the third stage on).
        """
        if self._is_packed and not is_whole:
            return activations > 0
        return activations.to(self._dtype)


class _SavedConvolution:
    def __init__(
        self, layer: str, positive: Tensor | Callable[[], Tensor] | None, *, is_thin: bool
    ) -> None:
        self.layer = layer
        self.positive = positive
        """Where it was, or what computes that; None if the pooling behind it tells."""
        self._is_thin = is_thin

    def back(self, gradient: Tensor, kernel: Tensor) -> Tensor:
        if isinstance(self.positive, Tensor):
            gradient = _where(self.positive, gradient)
        padded = F.conv2d(gradient, kernel, padding=2)
        # What the border copied goes back to where it was copied from.
        near, far = (1, -2) if self._is_thin else (2, -3)
        padded[:, :, near] += padded[:, :, 0]
        padded[:, :, far] += padded[:, :, -1]
        padded[..., near] += padded[..., 0]
        padded[..., far] += padded[..., -1]
        return padded[:, :, 1:-1, 1:-1]


class _SavedPooling:
    def __init__(self, shape: torch.Size, places: Tensor | None, positive: Tensor | None) -> None:
        self._shape = shape
        self._places = places
        """Of the largest, as torch counts them; None for averages."""
        self._positive = positive
        """What it made, if that has to tell where the layer before was positive."""

    def back(self, gradient: Tensor) -> Tensor:
        if self._positive is not None:
            gradient = _where(self._positive, gradient)
        gradient = gradient.contiguous(memory_format=torch.channels_last)
        # Of the input, torch only asks for shape, layout and type.
        before = torch.empty(
            self._shape,
            dtype=gradient.dtype,
            device=gradient.device,
            memory_format=torch.channels_last,
        )
        window = [2, 2], [2, 2], [0, 0]
        found: Tensor
        if self._places is None:
            found = torch.ops.aten.avg_pool2d_backward(gradient, before, *window, False, True, None)
        else:
            found = torch.ops.aten.max_pool2d_with_indices_backward(
                gradient, before, *window, [1, 1], False, self._places.long()
            )
        return found


def _where(positive: Tensor, gradient: Tensor) -> Tensor:
    if positive.dtype == torch.bool:
        return gradient * positive.to(gradient.dtype)
    found: Tensor = torch.ops.aten.threshold_backward(gradient, positive, 0)
    return found


def _is_thin(activations: Tensor) -> bool:
    return min(activations.shape[2:]) < 2
