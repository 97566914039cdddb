import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from transfer.backbones import registry
from transfer.errors import WeightsUnavailable
from transfer.settings import Backbone


def backbones_by_name(folder: Path) -> dict[str, registry.BackboneInfo]:
    return {info.name: info for info in registry.list_backbones(folder)}


def test_every_backbone_that_can_be_named_is_listed_once(tmp_path: Path) -> None:
    listed = [info.name for info in registry.list_backbones(tmp_path)]

    assert listed == [str(backbone) for backbone in Backbone if backbone is not Backbone.AUTO]
    assert registry.SCORES.keys() <= set(listed)


def test_installed_backbones_are_present_with_their_size(tmp_path: Path) -> None:
    compact = Path(registry.__file__).with_name("compact.safetensors")
    listed = backbones_by_name(tmp_path)

    assert listed["compact"].is_present
    assert listed["compact"].size_bytes == compact.stat().st_size
    assert listed["vgg19"].is_present
    assert listed["vgg19"].size_bytes == pytest.approx(20e6, rel=0.01)


def test_a_backbone_before_its_download_is_absent_and_says_how_to_get_it(tmp_path: Path) -> None:
    absent = backbones_by_name(tmp_path)["vgg19-torchvision"]
    (tmp_path / "vgg19-torchvision.safetensors").write_bytes(b"1234")
    present = backbones_by_name(tmp_path)["vgg19-torchvision"]

    assert not absent.is_present
    assert absent.size_bytes == pytest.approx(52e6, rel=0.01)
    assert f"fetches 548 MB and keeps 52 MB in {tmp_path}" in absent.remedy
    assert present.is_present
    assert present.size_bytes == 4


def test_vgg19_without_its_wheel_is_absent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> None:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "distribution", absent)

    assert not backbones_by_name(tmp_path)["vgg19"].is_present
    assert backbones_by_name(tmp_path)["vgg19"].size_bytes is None


def test_only_measured_backbones_have_a_score(tmp_path: Path) -> None:
    listed = backbones_by_name(tmp_path)

    assert listed["vgg19-torchvision"].score is None
    better, worse = listed["vgg19"].score, listed["compact"].score
    assert better is not None
    assert worse is not None
    assert better.style < worse.style


def test_without_a_home_the_error_asks_for_a_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", homeless)

    with pytest.raises(WeightsUnavailable, match="name a folder with --weights-dir"):
        registry.list_backbones()


def test_the_registry_does_not_import_torch() -> None:
    code = "import sys, transfer.backbones.registry; sys.exit('torch' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
