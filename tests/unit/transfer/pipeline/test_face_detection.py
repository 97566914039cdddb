import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps
from torch import Tensor

from tests.unit.transfer.conftest import picture
from tests.unit.transfer.portrait import EYES, face, group
from transfer.faces import weights
from transfer.imaging.images import to_tensor
from transfer.imaging.masks import Region
from transfer.pipeline import face_detection
from transfer.pipeline.face_detection import mask_style_faces, photo_protection


@pytest.fixture(autouse=True)
def detector_is_loaded_anew() -> Iterator[None]:
    face_detection._load_detector.cache_clear()
    yield
    face_detection._load_detector.cache_clear()


def protected_places(found: Tensor) -> int:
    """Return the number of separate places of a map, found by flooding."""
    is_kept = found[0, 0].numpy() > 0
    places = 0
    while is_kept.any():
        places += 1
        flood = np.zeros_like(is_kept)
        flood[tuple(np.argwhere(is_kept)[0])] = True
        grown = -1
        while flood.sum() != grown:
            grown = flood.sum()
            padded = np.pad(flood, 1)
            flood = (
                flood | padded[2:, 1:-1] | padded[:-2, 1:-1] | padded[1:-1, 2:] | padded[1:-1, :-2]
            )
            flood &= is_kept
        is_kept &= ~flood
    return places


@pytest.mark.parametrize(("long_edge_px", "map_px"), [(64, 512), (300, 600), (4096, 768)])
def test_a_face_is_protected_at_its_eyes(long_edge_px: int, map_px: int) -> None:
    found = photo_protection(face(), long_edge_px)

    assert found is not None
    assert found.shape == (1, 1, map_px, map_px)
    for x, y in EYES:
        # Eyes are found to a tenth of their distance; the map is 1 up to 0.18 of it.
        assert found[0, 0, round(y * map_px / 170), round(x * map_px / 170)] == 1.0
    assert found[0, 0, -1, 0] == 0.0


def test_the_same_photo_has_the_same_protection_bit_for_bit() -> None:
    first, second = (photo_protection(face(), 256) for _ in range(2))

    assert first is not None
    assert second is not None
    assert torch.equal(first, second)


@pytest.mark.parametrize("mode", ["L", "RGBA", "P"])
def test_faces_are_found_in_photos_of_other_modes(mode: str) -> None:
    assert photo_protection(face().convert(mode), 256) is not None


@pytest.mark.parametrize(
    ("rows", "columns", "face_px", "spacing_px"), [(6, 10, 60, 100), (2, 3, 24, 170)]
)
def test_each_face_of_a_group_is_protected(
    rows: int, columns: int, face_px: int, spacing_px: int
) -> None:
    """Sixty faces; and six whose boxes are 12 to 14 px wide where faces are looked for."""
    photo = group(rows, columns, face_px, spacing_px)

    found = photo_protection(photo, 256)

    assert found is not None
    assert protected_places(found) == rows * columns


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda photo: photo.crop((0, 0, 170, 105)), id="no mouth"),
        pytest.param(lambda photo: photo.crop((55, 0, 170, 170)), id="at the border"),
        pytest.param(ImageOps.flip, id="upside down"),
        pytest.param(lambda photo: photo.rotate(90), id="lying"),
    ],
)
def test_a_face_that_is_hard_to_find_is_protected_or_not(
    change: Callable[[Image.Image], Image.Image],
) -> None:
    found = photo_protection(change(face()), 256)

    if found is not None:
        assert found.isfinite().all()
        assert found.min() == 0.0
        assert 0.5 < found.max() <= 1.0


@pytest.mark.parametrize(
    "photo",
    [
        pytest.param(Image.new("RGB", (300, 200), (90, 120, 60)), id="one color"),
        pytest.param(picture(120, 160, 3), id="waves"),
        pytest.param(Image.new("L", (4096, 64), 50), id="too elongated for the detector"),
    ],
)
def test_a_photo_without_faces_has_no_protection(photo: Image.Image) -> None:
    assert photo_protection(photo, 512) is None


def styles_of(*styles: Image.Image) -> tuple[Region, ...]:
    return (Region(tuple(to_tensor(style) for style in styles), None, None),)


def test_the_faces_of_a_style_are_masked() -> None:
    style = picture(300, 400, 4)
    style.paste(face(), (200, 60))

    ((mask, other),) = (
        region.style_masks for region in mask_style_faces(styles_of(style, picture(80, 90, 5)))
    )

    assert other is None
    assert mask is not None
    assert mask.shape == (1, 1, 384, 512)
    x, y = (sum(place) / 2 for place in zip(*EYES, strict=True))
    assert mask[0, 0, round((60 + y) * 1.28), round((200 + x) * 1.28)] == 0.0
    assert (mask[..., :250] == 1.0).all()


def test_a_style_without_a_face_stays_as_it_is() -> None:
    regions = styles_of(picture(80, 90, 5), picture(12, 600, 6))

    assert mask_style_faces(regions) == regions


def test_a_style_that_is_nearly_all_face_stays_whole() -> None:
    regions = styles_of(face().crop((40, 20, 135, 150)))

    assert mask_style_faces(regions) == regions


@pytest.mark.parametrize("is_there", [False, True])
def test_without_the_weights_faces_are_off_and_the_log_says_so_once(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    is_there: bool,
) -> None:
    monkeypatch.setattr(weights, "_path", lambda network: tmp_path / f"{network}.lz4")
    if is_there:
        (tmp_path / "pnet.lz4").write_bytes(b"damaged")

    with caplog.at_level(logging.WARNING):
        assert photo_protection(face(), 256) is None
        assert photo_protection(face(), 512) is None
        assert mask_style_faces(styles_of(face()))[0].style_masks == ()

    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "install mtcnn 1.0.0" in record.getMessage()
