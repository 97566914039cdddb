import pytest
import torch
from PIL import Image

from transfer.engine import Painter
from transfer.errors import InvalidSetting, MemoryExceeded
from transfer.settings import Effort, Rendition, Settings


@pytest.mark.parametrize("device", ["tpu", "cuda"])
def test_a_device_that_is_not_there_is_refused(
    monkeypatch: pytest.MonkeyPatch, device: str
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)

    with pytest.raises(InvalidSetting, match="there is no CUDA here"):
        Painter(device)


def test_graphs_are_refused_on_a_cpu() -> None:
    with pytest.raises(InvalidSetting, match="graphs must be off without CUDA"):
        Painter("cpu", graphs=True)


def test_a_backbone_is_loaded_once(painter: Painter) -> None:
    assert painter.backbone("compact") is painter.backbone("compact")


def test_a_painter_with_default_arguments_paints(content: Image.Image, style: Image.Image) -> None:
    settings = Settings(long_edge_px=64, effort=Effort.DRAFT)

    painting = Painter().paint(content, [style], settings)

    assert set(painting.renditions) == {Rendition.STYLED}


def test_running_out_of_memory_is_an_error_that_names_the_size(
    painter: Painter, content: Image.Image, style: Image.Image
) -> None:
    def on_progress(progress: object) -> None:
        raise torch.OutOfMemoryError("x")

    settings = Settings(long_edge_px=64, effort=Effort.DRAFT)
    with pytest.raises(MemoryExceeded, match="not enough memory to paint at 64 px"):
        painter.paint(content, [style], settings, on_progress)
