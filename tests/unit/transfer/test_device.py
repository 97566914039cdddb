from pathlib import Path

import pytest
import torch

from transfer.device import describe_device, find_obstacle

TOO_OLD = "The NVIDIA driver on your system is too old (found version 11040)"


def add_card(root: Path, vendor: str = "0x10de", kind: str = "0x030000") -> None:
    device = root / "sys" / "bus" / "pci" / "devices" / "0000:01:00.0"
    device.mkdir(parents=True)
    (device / "vendor").write_text(f"{vendor}\n")
    (device / "class").write_text(f"{kind}\n")


def add_driver(root: Path) -> None:
    folder = root / "proc" / "driver" / "nvidia"
    folder.mkdir(parents=True)
    # The first line of that file on a machine with this driver.
    (folder / "version").write_text(
        "NVRM version: NVIDIA UNIX x86_64 Kernel Module  470.57.02  Tue Jul 13 16:14:05 UTC 2021\n"
    )


def add_device_file(root: Path) -> None:
    (root / "dev").mkdir()
    for name in ("nvidia0", "nvidiactl"):
        (root / "dev" / name).touch()


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """Return the root of a machine whose NVIDIA GPU should work."""
    add_card(tmp_path)
    add_driver(tmp_path)
    add_device_file(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("vendor", "kind"),
    [("0x1002", "0x030000"), ("0x10de", "0x040300")],
    ids=["another maker's card", "the sound device of a card"],
)
def test_no_nvidia_gpu(vendor: str, kind: str, tmp_path: Path) -> None:
    assert find_obstacle("13.0", "", root=tmp_path, environ={}) == "there is no NVIDIA GPU"

    add_card(tmp_path, vendor, kind)
    assert find_obstacle("13.0", "", root=tmp_path, environ={}) == "there is no NVIDIA GPU"


@pytest.mark.parametrize("kind", ["0x030000", "0x030200"], ids=["VGA", "3D"])
def test_no_driver(kind: str, tmp_path: Path) -> None:
    add_card(tmp_path, kind=kind)

    assert "its driver is not installed" in find_obstacle("13.0", "", root=tmp_path, environ={})


def test_pytorch_for_the_cpu_only(machine: Path) -> None:
    obstacle = find_obstacle(None, "Torch not compiled with CUDA enabled", root=machine, environ={})

    assert "a build for the CPU only" in obstacle
    assert "TORCH_INDEX_URL" in obstacle


@pytest.mark.parametrize("value", ["", "-1"])
def test_gpu_hidden_by_the_environment(value: str, machine: Path) -> None:
    environ = {"CUDA_VISIBLE_DEVICES": value}

    obstacle = find_obstacle("13.0", "No CUDA GPUs are available", root=machine, environ=environ)

    assert "CUDA_VISIBLE_DEVICES hides it" in obstacle


def test_gpu_that_the_container_was_not_given(tmp_path: Path) -> None:
    add_driver(tmp_path)
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev" / "nvidiactl").touch()

    obstacle = find_obstacle("13.0", "No CUDA GPUs are available", root=tmp_path, environ={})

    assert "no GPU is visible here" in obstacle


def test_driver_too_old(machine: Path) -> None:
    obstacle = find_obstacle("13.0", TOO_OLD, root=machine, environ={"CUDA_VISIBLE_DEVICES": "0"})

    assert "driver 470.57.02 is too old for PyTorch's CUDA 13.0" in obstacle


def test_any_other_reason_is_in_the_words_of_torch(machine: Path) -> None:
    obstacle = find_obstacle("13.0", "CUDA unknown error", root=machine, environ={})

    assert obstacle.endswith("PyTorch cannot use it: CUDA unknown error")


def test_the_description_of_the_cpu_is_one_sentence() -> None:
    description = describe_device(torch.device("cpu"))

    assert description.startswith("Painting on the CPU")
    assert description.endswith(".")
    assert "\n" not in description
