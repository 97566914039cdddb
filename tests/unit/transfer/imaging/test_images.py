from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from transfer.errors import ImageUnreadable, NotFinite, ShapeError
from transfer.imaging.images import (
    as_gray,
    as_rgb,
    fit_size,
    read_image,
    resize,
    to_image,
    to_tensor,
)


def test_tensor_and_back_changes_no_pixel(content: Image.Image) -> None:
    tensor = to_tensor(content)

    assert tensor.shape == (1, 3, 60, 80)
    assert 0.0 <= tensor.min() <= tensor.max() <= 1.0
    assert np.array_equal(np.asarray(to_image(tensor)), np.asarray(content))


def test_values_outside_the_range_are_clipped() -> None:
    tensor = torch.tensor([-1.0, 0.5, 2.0]).reshape(1, 3, 1, 1)

    assert to_image(tensor).getpixel((0, 0)) == (0, 128, 255)


def test_a_tensor_of_another_shape_is_no_image() -> None:
    with pytest.raises(ShapeError, match=r"image must have shape \(1, 3, H, W\), not \(3, 4, 4\)"):
        to_image(torch.zeros(3, 4, 4))


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGBA", "CMYK", "YCbCr", "I;16", "I", "F"])
def test_every_mode_becomes_rgb(mode: str) -> None:
    gray = Image.new("L", (4, 4), 255)
    image = Image.new(mode, (4, 4), 65535) if mode == "I;16" else gray.convert(mode)

    assert as_rgb(image).mode == "RGB"
    assert as_rgb(image).getpixel((0, 0)) == (255, 255, 255)


def test_transparent_parts_become_white() -> None:
    assert as_rgb(Image.new("RGBA", (1, 1), (255, 0, 0, 0))).getpixel((0, 0)) == (255, 255, 255)


def test_transparent_parts_of_a_mask_become_black() -> None:
    mask = Image.new("RGBA", (2, 1), (255, 255, 255, 0))
    mask.putpixel((1, 0), (255, 255, 255, 255))

    assert list(as_gray(mask).tobytes()) == [0, 255]
    assert list(as_gray(Image.new("RGB", (1, 1), "white")).tobytes()) == [255]


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_no_numbers_are_refused(value: float) -> None:
    values = np.full((4, 5), 0.5, dtype=np.float32)
    values[1, 2] = value

    with pytest.raises(NotFinite, match="1 of its 20 values"):
        as_rgb(Image.fromarray(values))
    tensor = torch.from_numpy(values).expand(1, 3, 4, 5)
    with pytest.raises(NotFinite, match="3 of its 60 values"):
        to_image(tensor)


@given(height=st.integers(1, 5000), width=st.integers(1, 5000), long_edge_px=st.integers(64, 8192))
def test_fitted_size_keeps_the_shape(height: int, width: int, long_edge_px: int) -> None:
    fitted = fit_size(height, width, long_edge_px)

    assert max(fitted) == long_edge_px
    short = min(height, width) * long_edge_px / max(height, width)
    assert abs(min(fitted) - short) <= 1.0


def test_resized_keeps_one_color_and_the_mean() -> None:
    flat = torch.full((1, 3, 40, 56), 0.3)
    assert torch.allclose(resize(flat, 17, 23), torch.tensor(0.3))

    ramp = torch.linspace(0, 1, 64).expand(1, 3, 64, 64)
    assert resize(ramp, 16, 16).mean().item() == pytest.approx(0.5, abs=1e-3)


def test_resized_does_not_alias() -> None:
    checkerboard = (torch.arange(64)[:, None] + torch.arange(64)) % 2 * torch.ones(1, 3, 1, 1)

    inner = resize(checkerboard, 16, 16)[:, :, 2:-2, 2:-2]

    assert torch.allclose(inner, torch.tensor(0.5), atol=0.02)


def test_a_photo_is_read_upright(tmp_path: Path) -> None:
    image = Image.new("RGB", (20, 10))
    exif = Image.Exif()
    exif[274] = 6  # orientation: turned by a quarter
    image.save(tmp_path / "photo.jpg", exif=exif)

    assert read_image(tmp_path / "photo.jpg").size == (10, 20)


@pytest.mark.parametrize("content", [b"", b"no image", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0"])
def test_a_file_that_is_no_image_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "picture.png"
    path.write_bytes(content)

    with pytest.raises(ImageUnreadable, match="cannot be read as an image"):
        read_image(path)


def test_a_cut_off_file_is_refused(tmp_path: Path, content: Image.Image) -> None:
    path = tmp_path / "picture.jpg"
    content.save(path)
    path.write_bytes(path.read_bytes()[:600])

    with pytest.raises(ImageUnreadable):
        read_image(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ImageUnreadable, match=r"absent\.png does not exist"):
        read_image(tmp_path / "absent.png")


def test_a_bomb_is_not_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.new("L", (100, 100)).save(tmp_path / "bomb.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)

    with pytest.raises(ImageUnreadable, match="too many pixels"):
        read_image(tmp_path / "bomb.png")
