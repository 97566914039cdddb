import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from transfer.backbones import registry
from transfer.errors import WeightsUnavailable
from transfer.settings import Backbone


def entries(folder: Path) -> dict[str, registry.BackboneInfo]:
    return {entry.name: entry for entry in registry.list_backbones(folder)}


def test_every_backbone_that_can_be_named_is_listed_once(tmp_path: Path) -> None:
    listed = [entry.name for entry in registry.list_backbones(tmp_path)]

    assert listed == [str(backbone) for backbone in Backbone if backbone is not Backbone.AUTO]
    assert registry.SCORES.keys() <= set(listed)


def test_what_is_installed_is_present_with_its_size(tmp_path: Path) -> None:
    compact = Path(registry.__file__).with_name("compact.safetensors")
    found = entries(tmp_path)

    assert found["compact"].is_present
    assert found["compact"].size_bytes == compact.stat().st_size
    assert found["vgg19"].is_present
    assert found["vgg19"].size_bytes == pytest.approx(20e6, rel=0.01)


def test_what_was_not_downloaded_is_absent_and_says_how_to_get_it(tmp_path: Path) -> None:
    absent = entries(tmp_path)["vgg19-torchvision"]
    (tmp_path / "vgg19-torchvision.safetensors").write_bytes(b"1234")
    present = entries(tmp_path)["vgg19-torchvision"]

    assert not absent.is_present
    assert absent.size_bytes == pytest.approx(52e6, rel=0.01)
    assert f"fetches 548 MB and keeps 52 MB in {tmp_path}" in absent.remedy
    assert present.is_present
    assert present.size_bytes == 4


def test_vgg19_without_its_wheel_is_absent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> None:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "distribution", absent)

    assert not entries(tmp_path)["vgg19"].is_present
    assert entries(tmp_path)["vgg19"].size_bytes is None


def test_only_what_was_measured_has_a_score(tmp_path: Path) -> None:
    found = entries(tmp_path)

    assert found["vgg19-torchvision"].score is None
    better, worse = found["vgg19"].score, found["compact"].score
    assert better is not None
    assert worse is not None
    assert better.style < worse.style


def test_without_a_home_a_folder_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", homeless)

    with pytest.raises(WeightsUnavailable, match="name a folder with --weights-dir"):
        registry.list_backbones()


def test_the_catalog_does_not_import_torch() -> None:
    code = "import sys, transfer.backbones.registry; sys.exit('torch' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
