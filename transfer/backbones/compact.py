"""A quarter-width VGG-19 that ships with the project; `docs/compact.md` says how it was made."""

from importlib import resources

import safetensors
import safetensors.torch
import torch

from transfer.backbones import registry
from transfer.backbones.vgg import CONVOLUTIONS, VggBackbone
from transfer.errors import WeightsUnavailable
from transfer.settings import Precision

NAME = "compact"
DATA_FILE = registry.COMPACT_FILE


def load(device: torch.device, precision: Precision = Precision.AUTO) -> VggBackbone:
    """Load the distilled network, whose file is in half precision.

    Raises:
        WeightsUnavailable: if the file is missing or damaged.
    """
    try:
        stored = safetensors.torch.load(
            resources.files("transfer.backbones").joinpath(DATA_FILE).read_bytes()
        )
        weights = {
            layer: (stored[f"{layer}.weight"], stored[f"{layer}.bias"])
            for stage in CONVOLUTIONS
            for layer in stage
        }
    except (OSError, KeyError, safetensors.SafetensorError):
        raise WeightsUnavailable(
            NAME, f"{DATA_FILE} is missing or damaged; install the project again."
        ) from None
    return VggBackbone(NAME, weights, device, precision)
