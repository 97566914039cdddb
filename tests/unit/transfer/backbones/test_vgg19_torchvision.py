import importlib
import io
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType

import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from tests.servers import free_port
from tests.unit.transfer.weights_server import WeightsServer, serving
from transfer.__main__ import main
from transfer.backbones import vgg19_torchvision
from transfer.backbones.vgg import CONTENT_LAYER, CONVOLUTIONS, STYLE_LAYERS
from transfer.backbones.vgg19_torchvision import NAME, Source, fetch, find_source
from transfer.engine import Painter
from transfer.errors import WeightsUnavailable
from transfer.settings import Backbone, Effort, Settings

LAYERS = (*STYLE_LAYERS, CONTENT_LAYER)
FILE_NAME = "vgg19-torchvision.safetensors"


def narrow_vgg19() -> nn.Sequential:
    """torchvision's own VGG-19 with a sixteenth of its channels, and other weights each time."""
    find_source()  # makes torchvision importable beside any torch
    from torchvision.models import vgg

    layers: nn.Sequential = vgg.make_layers(
        [width if width == "M" else width // 16 for width in vgg.cfgs["E"]]
    )
    for convolution in layers:
        if isinstance(convolution, nn.Conv2d):
            nn.init.kaiming_normal_(convolution.weight)
            assert convolution.bias is not None
            nn.init.normal_(convolution.bias, std=0.1)
    return layers


def weights_file(layers: nn.Sequential, *, is_zip: bool = False) -> bytes:
    """Return the file that torchvision would publish; the old format by default, as theirs is."""
    state = {f"features.{key}": value for key, value in layers.state_dict().items()}
    state["classifier.0.weight"] = torch.zeros(2, 2)
    file = io.BytesIO()
    torch.save(state, file, _use_new_zipfile_serialization=is_zip)
    return file.getvalue()


def expected_features(layers: nn.Sequential, image: Tensor) -> dict[str, Tensor]:
    """Compute features with torchvision's modules and normalization; only the borders are ours."""
    from torchvision.models import VGG19_Weights
    from torchvision.transforms.functional import normalize

    preset = VGG19_Weights.IMAGENET1K_V1.transforms()
    activations = normalize(image, preset.mean, preset.std)
    names = iter([layer.replace("conv", "relu") for stage in CONVOLUTIONS for layer in stage])
    features = {}
    for module in list(layers)[:30]:
        if isinstance(module, nn.Conv2d):
            module.padding_mode = "reflect"
        activations = module(activations)
        if isinstance(module, nn.ReLU):
            features[next(names)] = activations.clone()
    return features


@dataclass
class Published:
    """Network as torchvision would publish it, on a server of this test."""

    layers: nn.Sequential
    server: WeightsServer

    @property
    def source(self) -> Source:
        return replace(find_source(), url=self.server.url)


@pytest.fixture
def network() -> Iterator[Published]:
    torch.manual_seed(0)
    layers = narrow_vgg19()
    with serving(weights_file(layers)) as server:
        yield Published(layers, server)


def painter_of(folder: Path) -> Painter:
    return Painter("cpu", threads=1, weights_dir=folder)


def test_torchvision_says_where_its_weights_are_and_how_it_normalizes() -> None:
    source = find_source()

    assert source.url == "https://download.pytorch.org/models/vgg19-dcbb9e9d.pth"
    assert source.mean == (0.485, 0.456, 0.406)
    assert source.std == (0.229, 0.224, 0.225)


@pytest.mark.parametrize("is_zip", [False, True])
def test_features_are_those_of_torchvisions_own_modules(tmp_path: Path, is_zip: bool) -> None:
    torch.manual_seed(1)
    layers = narrow_vgg19()
    image = torch.rand(1, 3, 48, 64)
    with serving(weights_file(layers, is_zip=is_zip)) as server:
        fetch(tmp_path, source=Published(layers, server).source)

    features = painter_of(tmp_path).backbone(NAME).features(image, LAYERS)

    with torch.no_grad():
        expected = expected_features(layers, image)
    for layer in LAYERS:
        assert expected[layer].max() > 0.1
        assert torch.allclose(features[layer], expected[layer], rtol=1e-4, atol=1e-4), layer


def test_only_the_convolutions_that_are_used_are_stored(tmp_path: Path, network: Published) -> None:
    path = fetch(tmp_path, source=network.source)

    weights = vgg19_torchvision.read_weights(path)
    assert list(weights) == [layer for stage in CONVOLUTIONS for layer in stage]
    # conv5_2 to conv5_4 and the classifier are gone, and so is the download.
    assert path.stat().st_size < 0.7 * len(network.server.content)
    assert [file.name for file in tmp_path.iterdir()] == [FILE_NAME]


def test_the_downloaded_backbone_paints_alone(
    tmp_path: Path, network: Published, content: Image.Image, style: Image.Image
) -> None:
    fetch(tmp_path, source=network.source)
    settings = Settings(long_edge_px=64, effort=Effort.DRAFT, backbone=Backbone.VGG19_TORCHVISION)

    painting = painter_of(tmp_path).paint(content, [style], settings)

    assert painting.backbones == (NAME,)


def test_the_download_happens_once(
    tmp_path: Path, network: Published, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2):
        fetch(tmp_path, source=network.source)

    assert network.server.asked == 1
    assert capsys.readouterr() == ("", "")


def test_before_the_download_the_error_is_one_sentence_and_compact_still_works(
    tmp_path: Path,
) -> None:
    painter = painter_of(tmp_path / "absent")

    with pytest.raises(WeightsUnavailable) as caught:
        painter.backbone(NAME)

    assert str(caught.value) == (
        f"The weights of the backbone vgg19-torchvision cannot be used: they are not in"
        f" {tmp_path / 'absent'} yet;"
        " `python -m transfer backbones --download vgg19-torchvision` fetches them."
    )
    assert painter.backbone("compact").name == "compact"
    assert not (tmp_path / "absent").exists()


def test_a_damaged_file_is_refused_and_fetched_anew(tmp_path: Path, network: Published) -> None:
    path = fetch(tmp_path, source=network.source)
    path.write_bytes(path.read_bytes()[:-100])

    with pytest.raises(WeightsUnavailable, match=r"is damaged; .+ fetches it anew"):
        painter_of(tmp_path).backbone(NAME)

    fetch(tmp_path, source=network.source)
    assert painter_of(tmp_path).backbone(NAME).name == NAME
    assert network.server.asked == 2


def fetch_error(folder: Path, source: Source) -> str:
    """Return the error that `fetch` raises; nothing must be left in the folder."""
    with pytest.raises(WeightsUnavailable) as caught:
        fetch(folder, source=source)
    assert not folder.is_dir() or list(folder.iterdir()) == []
    sentence = str(caught.value)
    assert sentence.startswith(f"The weights of the backbone {NAME} cannot be used: ")
    assert sentence.endswith(".")
    assert "\n" not in sentence
    return sentence


def test_a_connection_that_breaks_off_leaves_nothing(tmp_path: Path, network: Published) -> None:
    network.server.break_after = 50_000
    assert f"{network.server.url} came in part" in fetch_error(tmp_path, network.source)

    network.server.break_after = None
    assert fetch(tmp_path, source=network.source) == tmp_path / FILE_NAME


def test_a_file_of_another_hash_is_refused(tmp_path: Path, network: Published) -> None:
    network.server.digest = "01234567"

    assert "vgg19-01234567.pth came in part or is not VGG-19; try again" in fetch_error(
        tmp_path, network.source
    )


def test_the_error_repeats_the_refusal_of_the_server(tmp_path: Path, network: Published) -> None:
    network.server.status = 404

    assert f"127.0.0.1:{network.server.port} does not send them (Not Found)" in fetch_error(
        tmp_path, network.source
    )


def test_without_a_connection_the_error_names_the_server(
    tmp_path: Path, network: Published
) -> None:
    network.server.port = free_port()

    sentence = fetch_error(tmp_path, network.source)
    assert f"127.0.0.1:{network.server.port} does not send them (Connection refused)" in sentence
    assert "check the connection to the internet and try again" in sentence


def test_the_error_names_the_folder_of_a_full_disk(tmp_path: Path, network: Published) -> None:
    """In a process of its own, whose files may not grow: as on a full disk."""
    code = (
        "import resource, signal, sys\n"
        "from dataclasses import replace\n"
        "from pathlib import Path\n"
        "from transfer.backbones.vgg19_torchvision import fetch, find_source\n"
        "from transfer.errors import WeightsUnavailable\n"
        "source = replace(find_source(), url=sys.argv[2])\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        "try: fetch(Path(sys.argv[1]), source=source)\n"
        "except WeightsUnavailable as error: print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path), network.server.url],
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout.endswith(
        f"{tmp_path} cannot be written (File too large); make room or name another folder.\n"
    )
    assert list(tmp_path.iterdir()) == []


def test_another_network_is_refused(tmp_path: Path) -> None:
    file = io.BytesIO()
    torch.save({"features.0.weight": torch.zeros(4, 3, 3, 3)}, file)
    with serving(file.getvalue()) as server:
        source = Published(nn.Sequential(), server).source
        assert "is not VGG-19; try again" in fetch_error(tmp_path, source)


def test_code_in_the_file_does_not_run(tmp_path: Path) -> None:
    mark = tmp_path / "mark"

    class Code:
        def __reduce__(self) -> tuple[object, ...]:
            return (Path.touch, (mark,))

    file = io.BytesIO()
    torch.save({"features.0.weight": Code()}, file)
    with serving(file.getvalue()) as server:
        source = Published(nn.Sequential(), server).source
        assert "is not VGG-19" in fetch_error(tmp_path, source)

    assert not mark.exists()


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path, network: Published) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(WeightsUnavailable, match=r"/file/folder cannot be written \(Not a dir"):
        fetch(tmp_path / "file" / "folder", source=network.source)


def test_without_torchvision_the_error_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def absent(name: str) -> ModuleType:
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(importlib, "import_module", absent)

    with pytest.raises(WeightsUnavailable, match=r"the package torchvision.+ is not installed"):
        fetch(tmp_path)


@pytest.mark.parametrize("is_terminal", [True, False])
def test_the_command_downloads_and_lists(
    tmp_path: Path,
    network: Published,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    is_terminal: bool,
) -> None:
    source = network.source
    monkeypatch.setattr(vgg19_torchvision, "find_source", lambda: source)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: is_terminal)

    assert main(["backbones", "--weights-dir", str(tmp_path), "--download", NAME]) == 0

    printed = capsys.readouterr()
    if is_terminal:
        assert printed.err.startswith(f'Downloading: "{source.url}"')
        # With or without tqdm.
        assert re.search(r"\r100(\.0)?%", printed.err)
    else:
        assert printed.err == ""
    assert printed.out.startswith("name ")
    row = next(line for line in printed.out.splitlines() if line.startswith(NAME))
    assert row.split()[1:4] == [f"{(tmp_path / FILE_NAME).stat().st_size / 1e6:.1f}", "MB", "yes"]


def test_a_painting_downloads_first(
    tmp_path: Path,
    network: Published,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    content: Image.Image,
    style: Image.Image,
) -> None:
    sources: list[Source] = []
    monkeypatch.setattr(vgg19_torchvision, "find_source", lambda: sources[-1])
    content.save(tmp_path / "content.png")
    style.save(tmp_path / "style.png")
    arguments = [
        *(str(tmp_path / "content.png"), str(tmp_path / "style.png")),
        *("-o", str(tmp_path / "out.png"), "--size", "64", "--effort", "draft", "--threads", "1"),
        *("--backbone", NAME, "--weights-dir", str(tmp_path / "weights")),
    ]

    there = network.source
    sources.append(replace(there, url=f"http://127.0.0.1:{free_port()}/vgg19.pth"))
    assert main(arguments) == 2
    printed = capsys.readouterr().err
    assert printed.startswith(f"The weights of the backbone {NAME} cannot be used: ")
    assert "Connection refused" in printed
    assert printed.count("\n") == 1
    assert not (tmp_path / "out.png").exists()

    sources.append(there)
    assert main(arguments) == 0
    assert f"evaluations of {NAME} in" in capsys.readouterr().err
    assert (tmp_path / "out.png").exists()
