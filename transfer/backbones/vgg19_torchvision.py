"""VGG-19 as torchvision trained it on ImageNet: downloaded once, trimmed, kept in a folder."""

import contextlib
import importlib
import io
import pickle
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from types import ModuleType
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit

import safetensors
import safetensors.torch
import torch
import torch.hub
from torch import Tensor

from transfer.backbones.registry import DOWNLOAD_COMMAND, torchvision_file
from transfer.backbones.vgg import CONVOLUTIONS, MEAN_BGR, VggBackbone
from transfer.errors import WeightsUnavailable
from transfer.settings import Precision

NAME = "vgg19-torchvision"


@dataclass(frozen=True)
class Source:
    """Address of the weights, and the mean and deviation that normalize RGB in [0, 1] for them."""

    url: str
    """Address that ends in ``-<first digits of its SHA-256>.pth``, which check the file."""
    mean: tuple[float, ...]
    std: tuple[float, ...]


def load(
    device: torch.device, precision: Precision = Precision.AUTO, weights_dir: Path | None = None
) -> VggBackbone:
    """Load the weights that `fetch` has downloaded into ``weights_dir``.

    Raises:
        WeightsUnavailable: if the weights were not fetched, or their file is damaged.
    """
    weights = read_weights(torchvision_file(weights_dir))
    return VggBackbone(NAME, weights, device, precision)


def read_weights(path: Path) -> dict[str, tuple[Tensor, Tensor]]:
    """Read kernels (out, in, 3, 3) and biases (out,), float32, for BGR 0..255 minus the mean color.

    Raises:
        WeightsUnavailable: if the file is missing or damaged.
    """
    try:
        stored = safetensors.torch.load(path.read_bytes())
        return {
            layer: (stored[f"{layer}.weight"], stored[f"{layer}.bias"])
            for stage in CONVOLUTIONS
            for layer in stage
        }
    except (FileNotFoundError, NotADirectoryError):
        raise WeightsUnavailable(
            NAME, f"they are not in {path.parent} yet; `{DOWNLOAD_COMMAND}` fetches them."
        ) from None
    except (OSError, KeyError, safetensors.SafetensorError):
        raise WeightsUnavailable(
            NAME, f"{path} is damaged; `{DOWNLOAD_COMMAND}` fetches it anew."
        ) from None


def fetch(
    weights_dir: Path | None = None, *, progress: bool = False, source: Source | None = None
) -> Path:
    """Download the weights and keep the convolutions, unless they are here; return their path.

    Args:
        weights_dir: folder for the file; made if it is missing, None for
            `registry.default_weights_dir`.
        progress: whether stderr shows how much was downloaded.
        source: None for torchvision's own.

    Raises:
        WeightsUnavailable: if the download or the disk fails, or the file is not VGG-19.
    """
    path = torchvision_file(weights_dir)
    with contextlib.suppress(WeightsUnavailable):
        read_weights(path)
        return path
    source = source or find_source()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Renamed at the end, on one disk: nobody ever reads half a file.
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            weights = _trim(_download(source.url, folder, progress=progress), source)
            trimmed = Path(folder) / path.name
            trimmed.write_bytes(safetensors.torch.save(weights))
            trimmed.replace(path)
    except (RuntimeError, pickle.UnpicklingError, KeyError):
        # RuntimeError: another hash; so a connection that broke off is found out, too.
        raise WeightsUnavailable(
            NAME, f"the file from {source.url} came in part or is not VGG-19; try again."
        ) from None
    except OSError as error:
        reason = f"{path.parent} cannot be written ({error.strerror})"
        raise WeightsUnavailable(NAME, f"{reason}; make room or name another folder.") from None
    return path


def find_source() -> Source:
    """Return the source as the installed torchvision states it.

    Raises:
        WeightsUnavailable: if torchvision is missing.
    """
    weights = _torchvision_models().VGG19_Weights.IMAGENET1K_V1
    preset = weights.transforms()
    return Source(weights.url, tuple(preset.mean), tuple(preset.std))


def _trim(stored: Mapping[str, Tensor], source: Source) -> dict[str, Tensor]:
    """Return the convolutions up to conv5_1, for the input that `VggBackbone` gives all networks.

    torchvision's network sees RGB in [0, 1], normalized; ours sees BGR in 0..255, minus another
    mean color. The two differ by a factor and a term per channel, which the weights of the first
    convolution absorb: exactly, because borders are reflected, and so are normalized too.

    The weights stay float32: half precision would save 26 MB of 52, for a relative error of 3e-4 in
    each layer (measured with the weights of `vgg19`).

    Raises:
        KeyError: if a layer is missing.
    """
    weights = {}
    index = 0
    for stage in CONVOLUTIONS:
        for layer in stage:
            for part in ("weight", "bias"):
                weights[f"{layer}.{part}"] = stored[f"features.{index}.{part}"].float().contiguous()
            index += 2  # the convolution and its ReLU
        index += 1  # the pooling
    kernel = weights["conv1_1.weight"].double()
    mean = torch.tensor(source.mean, dtype=torch.float64)
    std = torch.tensor(source.std, dtype=torch.float64)
    offset = (torch.tensor(MEAN_BGR, dtype=torch.float64).flip(0) / 255.0 - mean) / std
    bias = weights["conv1_1.bias"].double() + torch.einsum("oihw,i->o", kernel, offset)
    kernel = (kernel / (255.0 * std).reshape(1, 3, 1, 1)).flip(1)
    return weights | {"conv1_1.weight": kernel.float().contiguous(), "conv1_1.bias": bias.float()}


def _download(url: str, folder: str, *, progress: bool) -> Mapping[str, Tensor]:
    try:
        # torch.hub prints to stdout, where the command line prints its results.
        with contextlib.redirect_stdout(sys.stderr if progress else io.StringIO()):
            # Tensors only, no code: eight digits of a hash stop accidents, not attacks.
            return torch.hub.load_state_dict_from_url(
                url, folder, "cpu", progress, check_hash=True, weights_only=True
            )
    except (URLError, HTTPException, ConnectionError, TimeoutError) as error:
        if isinstance(error, HTTPError):
            error.close()
        cause = getattr(error, "reason", error)
        reason = getattr(cause, "strerror", None) or cause
        raise WeightsUnavailable(
            NAME,
            f"{urlsplit(url).netloc} does not send them ({reason});"
            " check the connection to the internet and try again.",
        ) from None


def _torchvision_models() -> ModuleType:
    """Import `torchvision.models` beside any torch.

    A torchvision that was built for CUDA cannot load its operators beside a torch without, and its
    import stops at the first one that it describes (pytorch/vision#9077). It needs them for
    detection only, so it is enough to declare that they exist.

    Raises:
        WeightsUnavailable: if torchvision is not installed.
    """
    try:
        return importlib.import_module("torchvision.models")
    except ImportError:
        raise WeightsUnavailable(
            NAME, "the package torchvision, which knows where they are, is not installed."
        ) from None
    except RuntimeError as error:
        if "operator torchvision::" not in str(error):
            raise
    for operator in ("nms", "qnms"):
        schema = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
        torch.library.define(f"torchvision::{operator}", schema)
    return importlib.import_module("torchvision.models")
