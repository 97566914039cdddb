"""The device that paints in a sentence, and the reason why it is not a GPU."""

import os
import re
from collections.abc import Mapping
from pathlib import Path

import torch

_NVIDIA = "0x10de"
_DISPLAY_CLASS = "0x03"
"""PCI class of VGA and 3D controllers; an NVIDIA card's sound device has another."""


def describe_device(device: torch.device) -> str:
    """Return a sentence that names the device that paints."""
    if device.type == "cuda":
        return f"Painting on the GPU: {torch.cuda.get_device_name(device)}."
    if torch.cuda.is_available():
        return "Painting on the CPU, not on the GPU, as asked."
    obstacle = find_obstacle(torch.version.cuda, _cuda_error())
    return f"Painting on the CPU: {obstacle}."


def find_obstacle(
    torch_cuda: str | None,
    cuda_error: str,
    *,
    root: Path = Path("/"),
    environ: Mapping[str, str] = os.environ,
) -> str:
    """Return the reason why no NVIDIA GPU paints, without asking torch.

    Args:
        torch_cuda: CUDA version that torch was built for, such as ``"13.0"``; None for a CPU build.
        cuda_error: message of CUDA when torch tried to use it.
        root: root folder of the system.
        environ: environment variables.
    """
    driver = _driver_version(root)
    if driver is None:
        if not _has_card(root):
            return "there is no NVIDIA GPU"
        return "there is an NVIDIA GPU, but its driver is not installed, or not loaded"
    if torch_cuda is None:
        return (
            "there is an NVIDIA GPU, but the installed PyTorch is a build for the CPU only "
            "(TORCH_INDEX_URL chooses where it is installed from)"
        )
    if environ.get("CUDA_VISIBLE_DEVICES") in {"", "-1", "NoDevFiles"}:
        return "there is an NVIDIA GPU, but CUDA_VISIBLE_DEVICES hides it"
    if not any((root / "dev").glob("nvidia[0-9]*")):
        return (
            "there is an NVIDIA driver, but no GPU is visible here: no device file /dev/nvidia0 "
            "(a container must be given the GPU)"
        )
    if "too old" in cuda_error:
        return (
            f"there is an NVIDIA GPU, but its driver {driver} is too old for PyTorch's "
            f"CUDA {torch_cuda}; install a newer one"
        )
    return f"there is an NVIDIA GPU, but PyTorch cannot use it: {cuda_error}"


def _cuda_error() -> str:
    """Return the first sentence of torch's error about CUDA; empty if CUDA works."""
    try:
        torch.zeros(1, device="cuda")
    # A build without CUDA raises AssertionError, one that finds no GPU RuntimeError.
    except (AssertionError, RuntimeError) as error:
        return re.split(r"[.\n](?:\s|$)", str(error), maxsplit=1)[0]
    return ""


def _driver_version(root: Path) -> str | None:
    """Return the version of the loaded NVIDIA kernel driver."""
    try:
        text = (root / "proc" / "driver" / "nvidia" / "version").read_text()
    except OSError:
        return None
    version = re.search(r"\b\d+\.\d+(\.\d+)?\b", text)
    return version[0] if version else "of unknown version"


def _has_card(root: Path) -> bool:
    """Return whether an NVIDIA graphics card is on the PCI bus, with or without a driver."""
    for vendor in (root / "sys" / "bus" / "pci" / "devices").glob("*/vendor"):
        try:
            kind = vendor.with_name("class").read_text()
            if vendor.read_text().strip() == _NVIDIA and kind.startswith(_DISPLAY_CLASS):
                return True
        except OSError:
            continue
    return False
