"""torchvision's VGG-19, trained anew on ImageNet: fetched once, trimmed, kept in a folder."""

import importlib
import os
import pickle
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from transfer.backbones.catalog import DOWNLOAD_COMMAND, torchvision_file
from transfer.backbones.download import (
    DownloadFailed,
    OnDownload,
    download,
    exclusive,
    on_disk,
    part_of,
)
from transfer.backbones.vgg import CONVOLUTIONS, MEAN_BGR, VggBackbone
from transfer.errors import WeightsUnavailable
from transfer.settings import Precision

NAME = "vgg19-torchvision"

_declared: list[torch.library.Library] = []
"""An operator is forgotten with the library that declared it."""


@dataclass(frozen=True)
class Source:
    """Where the weights are, and the input that they were trained on."""

    url: str
    sha256_prefix: str
    """Eight hexadecimal digits or more."""
    mean: tuple[float, ...]
    """Of red, green and blue, subtracted from values in [0, 1]."""
    std: tuple[float, ...]
    """Of red, green and blue; divides what is left."""


def load(
    device: torch.device,
    precision: Precision = Precision.AUTO,
    weights_dir: Path | None = None,
) -> VggBackbone:
    """VGG-19 as torchvision trained it. Never downloads: see `fetch`.

    Args:
        device: where it computes.
        precision: of gradients.
        weights_dir: where `fetch` has put it; None for `catalog.default_weights_dir`.

    Raises:
        WeightsUnavailable: if the weights were not fetched, or their file is damaged.
    """
    weights = read_weights(torchvision_file(weights_dir))
    return VggBackbone(NAME, weights, device, precision)


def read_weights(path: Path) -> dict[str, tuple[Tensor, Tensor]]:
    """Kernels (out, in, 3, 3) and biases, float32, for BGR 0..255 minus the mean color.

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
    weights_dir: Path | None = None,
    on_progress: OnDownload | None = None,
    source: Source | None = None,
) -> Path:
    """Download the weights and keep the convolutions, unless they are here already.

    Several processes may do so at once: one works, the others wait for it.

    Args:
        weights_dir: where to keep them; made if it is missing, None for
            `catalog.default_weights_dir`.
        on_progress: gets the bytes received and those to come; what it raises passes through.
        source: another one than torchvision's own.

    Returns:
        the file for `read_weights`.

    Raises:
        WeightsUnavailable: if they cannot be had, for whatever reason; nothing that is half done
            is ever taken for whole.
    """
    kept = torchvision_file(weights_dir)
    if _is_sound(kept):
        return kept
    source = source or published()
    whole = kept.with_name(source.url.rpartition("/")[2])

    def on_wait() -> None:
        try:
            received = part_of(whole).stat().st_size
        except OSError:
            return  # the other process has not begun, or has come to the end
        if on_progress is not None:
            on_progress(received, None)

    try:
        with on_disk(kept.parent):
            kept.parent.mkdir(parents=True, exist_ok=True)
        with exclusive(kept.with_suffix(".lock"), on_wait):
            if not _is_sound(kept):
                download(source.url, whole, source.sha256_prefix, on_progress)
                _write(_trimmed_file(whole, source), kept)
                with on_disk(whole):
                    whole.unlink()
    except DownloadFailed as error:
        raise WeightsUnavailable(NAME, str(error)) from None
    return kept


def published() -> Source:
    """The source as the installed torchvision states it.

    Raises:
        WeightsUnavailable: if torchvision is missing, or gives no hash.
    """
    weights = _torchvision_models().VGG19_Weights.IMAGENET1K_V1
    digits = re.search(r"-([0-9a-f]{8,})\.pth$", weights.url)
    if digits is None:
        raise WeightsUnavailable(
            NAME, f"torchvision gives no hash in {weights.url}; install the project again."
        )
    preset = weights.transforms()
    return Source(weights.url, digits.group(1), tuple(preset.mean), tuple(preset.std))


def trimmed(stored: Mapping[str, Tensor], source: Source) -> dict[str, Tensor]:
    """The convolutions up to conv5_1, for the input that `VggBackbone` gives all its networks.

    torchvision's network sees RGB in [0, 1], normalized; ours sees BGR in 0..255, minus another
    mean color. Either is the other times a factor plus a term per channel, so the first
    convolution can take the difference into its weights: exactly, because borders are reflected,
    and what is reflected has been normalized too.

    Args:
        stored: torchvision's state dict, any width.
        source: says how its input was normalized.

    Returns:
        ``"conv1_1.weight"`` and so on, float32. Half precision would save 26 MB of 52, for a
        relative error of 3e-4 in each layer (measured with the weights of `vgg19`).

    Raises:
        KeyError: if a layer is missing.
    """
    weights = {}
    place = 0
    for stage in CONVOLUTIONS:
        for layer in stage:
            for part in ("weight", "bias"):
                weights[f"{layer}.{part}"] = stored[f"features.{place}.{part}"].float().contiguous()
            place += 2  # the convolution and its ReLU
        place += 1  # the pooling
    kernel = weights["conv1_1.weight"].double()
    mean = torch.tensor(source.mean, dtype=torch.float64)
    std = torch.tensor(source.std, dtype=torch.float64)
    offset = (torch.tensor(MEAN_BGR, dtype=torch.float64).flip(0) / 255.0 - mean) / std
    bias = weights["conv1_1.bias"].double() + torch.einsum("oihw,i->o", kernel, offset)
    kernel = (kernel / (255.0 * std).reshape(1, 3, 1, 1)).flip(1)
    return weights | {
        "conv1_1.weight": kernel.float().contiguous(),
        "conv1_1.bias": bias.float(),
    }


def _trimmed_file(path: Path, source: Source) -> dict[str, Tensor]:
    """What is kept of torchvision's file.

    Raises:
        WeightsUnavailable: if it is not the state dict of this network; then it is removed.
    """
    try:
        # weights_only: the file can hold tensors, but no code; eight digits of a hash stop
        # accidents, not attacks. Not mapped into memory: files as old as this one cannot be.
        return trimmed(torch.load(path, map_location="cpu", weights_only=True), source)
    except (pickle.UnpicklingError, KeyError):
        path.unlink()
        raise WeightsUnavailable(
            NAME, f"the file from {source.url} is no VGG-19 and was removed; try again."
        ) from None


def _is_sound(path: Path) -> bool:
    try:
        read_weights(path)
    except WeightsUnavailable:
        return False
    return True


def _write(weights: Mapping[str, Tensor], path: Path) -> None:
    """Under a temporary name first, so that nobody ever reads half a file."""
    temporary = path.with_suffix(".new")
    content = safetensors.torch.save(dict(weights))
    try:
        with on_disk(path):
            with temporary.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _torchvision_models() -> ModuleType:
    """`torchvision.models`, beside any torch.

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
    library = torch.library.Library("torchvision", "FRAGMENT")  # type: ignore[no-untyped-call]
    _declared.append(library)
    for operator in ("nms", "qnms"):
        schema = f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
        library.define(schema)  # type: ignore[no-untyped-call]
    return importlib.import_module("torchvision.models")
