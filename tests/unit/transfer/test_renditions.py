import pytest
import torch
from PIL import Image
from torch import Tensor

from transfer.color import luminance
from transfer.images import to_tensor
from transfer.renditions import canvas
from transfer.settings import Rendition


@pytest.fixture
def photo(content: Image.Image) -> Tensor:
    return to_tensor(content)


@pytest.fixture
def paint(style: Image.Image) -> Tensor:
    return to_tensor(style)


def mean_color(image: Tensor) -> Tensor:
    return image.mean(dim=(0, 2, 3))


def test_styled_starts_as_the_photo_in_the_colors_of_the_style(
    photo: Tensor, paint: Tensor
) -> None:
    scene = canvas(Rendition.STYLED, photo, [paint], None)

    assert torch.equal(scene.content, photo)
    assert torch.equal(scene.styles[0], paint)
    assert torch.allclose(mean_color(scene.start), mean_color(paint), atol=0.05)


def test_several_styles_share_the_palette(photo: Tensor, paint: Tensor) -> None:
    white = torch.ones(1, 3, 40, 40)

    scene = canvas(Rendition.STYLED, photo, [paint, white], None)

    halfway = (mean_color(paint) + 1) / 2
    assert torch.allclose(mean_color(scene.start), halfway, atol=0.06)


def test_histogram_gives_the_style_the_palette_of_the_photo(photo: Tensor, paint: Tensor) -> None:
    scene = canvas(Rendition.HISTOGRAM, photo, [paint], None)

    assert torch.allclose(mean_color(scene.styles[0]), mean_color(photo), atol=0.05)
    assert torch.allclose(scene.start, photo, atol=0.1)


def test_histogram_goes_on_from_the_painting_with_hues_in_their_place(
    photo: Tensor, paint: Tensor
) -> None:
    painted = paint[:, :, :60].repeat(1, 1, 1, 2)[:, :, :, :80]

    scene = canvas(Rendition.HISTOGRAM, photo, [paint], painted)

    hues, wanted = (
        torch.nn.functional.avg_pool2d(one - luminance(one), 20) for one in (scene.start, photo)
    )
    assert torch.nn.functional.cosine_similarity(hues.flatten(), wanted.flatten(), dim=0) > 0.8


def test_luminance_paints_lightness_and_shows_the_hues_of_the_photo(
    photo: Tensor, paint: Tensor
) -> None:
    scene = canvas(Rendition.LUMINANCE, photo, [paint], None)

    assert scene.content.shape == scene.start.shape == (1, 1, 60, 80)
    assert scene.styles[0].mean().item() == pytest.approx(luminance(photo).mean().item(), abs=0.02)
    assert torch.allclose(scene.shown(scene.start), photo, atol=0.02)
    assert scene.shown(scene.start[:, :, ::2, ::2]).shape == (1, 3, 30, 40)
