"""The backward pass through a network of fixed weights: the gradient with respect to its input.

It is written by hand, not left to autograd, for three reasons. Autograd keeps the padded input of
every convolution beside the output, and writes every sum of gradients anew; here a layer's own
gradient is added in place. Autograd computes gradients in the precision of the activations; but a
rounded gradient is off by no more than its rounding, while a style's loss is a small difference of
large sums, whose activations have to be computed exactly. And memory is given back step by step,
not at the end of a graph.
"""

from collections.abc import Callable, Collection, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from transfer.settings import Pooling, Precision

AddLayerGradient = Callable[[str, Tensor, Tensor | None], Tensor | None]
"""Callback that adds a layer's own gradient: it is given the layer's name, its activations and the
gradient with respect to them so far (or None), and returns the sum. It may change the gradient in
place."""


def gradient_dtype(device: torch.device, precision: Precision) -> torch.dtype:
    """Return the type in which gradients are computed.

    With Intel's matrix units (AMX) convolutions in bfloat16 take a fifth to an eighth of the time.
    The cosine with the gradient in single precision is 0.99999 where a painting begins and 0.9997
    after 100 evaluations (whole pictures; tiles: 0.99 and 0.97), and the loss falls as fast
    (docs/engine.md).
    """
    has_matrix_units = (
        device.type == "cpu"
        and bool(torch.backends.mkldnn.enabled)
        and torch.cpu.get_capabilities().get("amx_bf16", False)
    )
    if precision is Precision.AUTO:
        precision = Precision.HALF if has_matrix_units else Precision.SINGLE
    return torch.bfloat16 if precision is Precision.HALF else torch.float32


def pad_reflect(activations: Tensor) -> Tensor:
    """Pad (1, C, H, W) by one position on each side, mirrored; an edge of one is repeated."""
    return F.pad(
        activations, (1, 1, 1, 1), mode="replicate" if _is_thin(activations) else "reflect"
    )


def flip_kernel(kernel: Tensor) -> Tensor:
    """Return the kernel, shape (C, C', 3, 3), with which the backward pass convolves."""
    return kernel.flip(2, 3).transpose(0, 1)


class SavedForBackward:
    """Activations that a forward pass through some stages saves for the backward pass.

    With fixed weights that is little: where the output of a convolution and its ReLU was positive,
    which position of a pooling's window was the largest, and the activations of the layers that the
    loss looks at.

    Args:
        kernels: `flip_kernel` of each convolution, by name.
        layers: names of the layers that the loss looks at.
        dtype: type of the gradients.
        is_packed: whether to save in less memory, which takes time; for what is kept for long.
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
        """Save a convolution and its ReLU.

        Args:
            layer: name of the layer.
            activations: its output, shape (1, C, H, W); must not be changed afterwards.
            recompute: computes the output anew, if that is quick; saved instead of the output where
                it has to be packed.
            is_last: whether it is its stage's last one, so that a pooling follows if anything does.
        """
        output: Tensor | Callable[[], Tensor] | None
        is_in_loss = layer in self._layers
        if is_last and not is_in_loss:
            output = None  # The pooling behind it saves enough.
        elif self._is_packed and recompute is not None:
            output = recompute
        else:
            output = self._pack(activations, needs_values=is_in_loss)
        self._steps.append(_SavedConvolution(layer, output, is_thin=_is_thin(activations)))

    def pool(self, activations: Tensor, pooling: Pooling) -> Tensor:
        """Pool the output of the last convolution to (1, C, H // 2, W // 2), and save the step."""
        convolution = self._steps[-1]
        assert isinstance(convolution, _SavedConvolution)  # noqa: S101 - no pooling follows another
        if pooling is Pooling.MAX:
            pooled, indices = F.max_pool2d(activations, 2, return_indices=True)
            if self._is_packed:
                indices = indices.to(torch.int32)
        else:
            pooled, indices = F.avg_pool2d(activations, 2), None
            if convolution.output is None:
                convolution.output = self._pack(activations, needs_values=False)
        # Where the largest of four is not positive, none is.
        output = self._pack(pooled, needs_values=False) if convolution.output is None else None
        self._steps.append(_SavedPooling(activations.shape, indices, output))
        return pooled

    def backward(
        self, add_layer_gradient: AddLayerGradient, grad_output: Tensor | None
    ) -> Tensor | None:
        """Return the gradient with respect to the input; once, since it frees what was saved.

        Args:
            add_layer_gradient: called with each layer that the loss looks at, the last one first.
            grad_output: gradient with respect to the map behind the last stage, if there is one.

        Returns:
            the gradient, of the input's shape, or None if nothing depends on the input.
        """
        gradient = None if grad_output is None else grad_output.to(self._dtype)
        while self._steps:
            step = self._steps.pop()
            if isinstance(step, _SavedPooling):
                gradient = None if gradient is None else step.backward(gradient)
                continue
            if callable(step.output):
                step.output = step.output().to(self._dtype)
            if step.layer in self._layers:
                assert step.output is not None  # noqa: S101 - saved, for the loss looks at it
                gradient = add_layer_gradient(step.layer, step.output, gradient)
            if gradient is not None:
                kernel = self._kernels[step.layer.replace("relu", "conv")]
                gradient = step.backward(gradient, kernel)
        return gradient

    def _pack(self, activations: Tensor, *, needs_values: bool) -> Tensor:
        """Return the activations, or only a byte for each that says whether it is positive.

        Bytes take longer to make and to use than two bytes of bfloat16: a twentieth of an
        evaluation, for a fifth of its memory (compact, 4096 px, saved from the third stage on).
        """
        if self._is_packed and not needs_values:
            return activations > 0
        return activations.to(self._dtype)


class _SavedConvolution:
    def __init__(
        self, layer: str, output: Tensor | Callable[[], Tensor] | None, *, is_thin: bool
    ) -> None:
        self.layer = layer
        self.output = output
        """Output of the ReLU or where it was positive, or a function that computes the output; None
        if the pooling behind it saved that."""
        self._is_thin = is_thin

    def backward(self, gradient: Tensor, kernel: Tensor) -> Tensor:
        if isinstance(self.output, Tensor):
            gradient = _relu_backward(self.output, gradient)
        padded = F.conv2d(gradient, kernel, padding=2)
        # The border's gradient goes to the positions that the border was copied from.
        near, far = (1, -2) if self._is_thin else (2, -3)
        padded[:, :, near] += padded[:, :, 0]
        padded[:, :, far] += padded[:, :, -1]
        padded[..., near] += padded[..., 0]
        padded[..., far] += padded[..., -1]
        return padded[:, :, 1:-1, 1:-1]


class _SavedPooling:
    def __init__(
        self, input_shape: torch.Size, indices: Tensor | None, output: Tensor | None
    ) -> None:
        self._input_shape = input_shape
        self._indices = indices
        """Positions of the maxima, as torch counts them; None for averages."""
        self._output = output
        """Pooled activations or where they were positive, if the convolution saved neither."""

    def backward(self, gradient: Tensor) -> Tensor:
        if self._output is not None:
            gradient = _relu_backward(self._output, gradient)
        gradient = gradient.contiguous(memory_format=torch.channels_last)
        # torch reads only the shape, layout and type of the input.
        inputs = torch.empty(
            self._input_shape,
            dtype=gradient.dtype,
            device=gradient.device,
            memory_format=torch.channels_last,
        )
        window = [2, 2], [2, 2], [0, 0]
        grad_input: Tensor
        if self._indices is None:
            grad_input = torch.ops.aten.avg_pool2d_backward(
                gradient, inputs, *window, False, True, None
            )
        else:
            grad_input = torch.ops.aten.max_pool2d_with_indices_backward(
                gradient, inputs, *window, [1, 1], False, self._indices.long()
            )
        return grad_input


def _relu_backward(output: Tensor, gradient: Tensor) -> Tensor:
    if output.dtype == torch.bool:
        return gradient * output.to(gradient.dtype)
    grad_input: Tensor = torch.ops.aten.threshold_backward(gradient, output, 0)
    return grad_input


def _is_thin(activations: Tensor) -> bool:
    return min(activations.shape[2:]) < 2
