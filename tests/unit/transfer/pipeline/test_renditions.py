import pytest
import torch
from PIL import Image
from torch import Tensor

from transfer.imaging.color import luminance, match_color_statistics
from transfer.imaging.images import to_tensor
from transfer.imaging.masks import Region
from transfer.pipeline.renditions import RenditionTask, initial_image, rendition_task
from transfer.settings import ColorMap, Rendition, Settings, Start


@pytest.fixture
def photo(content: Image.Image) -> Tensor:
    return to_tensor(content)


@pytest.fixture
def palette(style: Image.Image) -> Tensor:
    return to_tensor(style)


def build_task(
    rendition: Rendition, content: Tensor, styles: list[Tensor], painted: Tensor | None
) -> RenditionTask:
    return rendition_task(
        rendition, content, [Region(tuple(styles), None, None)], painted, Settings()
    )


def mean_color(image: Tensor) -> Tensor:
    return image.mean(dim=(0, 2, 3))


def test_styled_starts_as_the_photo_in_the_colors_of_the_style(
    photo: Tensor, palette: Tensor
) -> None:
    task = build_task(Rendition.STYLED, photo, [palette], None)

    assert torch.equal(task.content, photo)
    assert torch.equal(task.regions[0].styles[0], palette)
    assert torch.allclose(mean_color(task.start), mean_color(palette), atol=0.05)


def test_several_styles_share_the_palette(photo: Tensor, palette: Tensor) -> None:
    white = torch.ones(1, 3, 40, 40)

    task = build_task(Rendition.STYLED, photo, [palette, white], None)

    halfway = (mean_color(palette) + 1) / 2
    assert torch.allclose(mean_color(task.start), halfway, atol=0.06)


def test_histogram_gives_the_style_the_palette_of_the_photo(photo: Tensor, palette: Tensor) -> None:
    task = build_task(Rendition.HISTOGRAM, photo, [palette], None)

    assert torch.allclose(mean_color(task.regions[0].styles[0]), mean_color(photo), atol=0.05)
    assert torch.allclose(task.start, photo, atol=0.1)


def test_histogram_starts_from_the_painting_with_the_hues_of_the_photo(
    photo: Tensor, palette: Tensor
) -> None:
    painted = palette[:, :, :60].repeat(1, 1, 1, 2)[:, :, :, :80]

    task = build_task(Rendition.HISTOGRAM, photo, [palette], painted)

    hues, wanted = (
        torch.nn.functional.avg_pool2d(image - luminance(image), 20)
        for image in (task.start, photo)
    )
    assert torch.nn.functional.cosine_similarity(hues.flatten(), wanted.flatten(), dim=0) > 0.8


def test_luminance_paints_lightness_and_shows_the_hues_of_the_photo(
    photo: Tensor, palette: Tensor
) -> None:
    task = build_task(Rendition.LUMINANCE, photo, [palette], None)

    assert task.content.shape == task.start.shape == (1, 1, 60, 80)
    assert task.regions[0].styles[0].mean().item() == pytest.approx(
        luminance(photo).mean().item(), abs=0.02
    )
    assert torch.allclose(task.to_rgb(task.start), photo, atol=0.02)
    assert task.to_rgb(task.start[:, :, ::2, ::2]).shape == (1, 3, 30, 40)


def left_half(photo: Tensor) -> Tensor:
    guide = torch.zeros_like(photo[:, :1])
    guide[:, :, :, : photo.shape[3] // 2] = 1.0
    return guide


@pytest.mark.parametrize("rendition", Rendition)
@pytest.mark.parametrize("is_later", [False, True])
def test_outside_its_regions_a_rendition_starts_from_and_shows_the_photo(
    photo: Tensor, palette: Tensor, rendition: Rendition, is_later: bool
) -> None:
    regions = [Region((palette,), None, left_half(photo))]
    painted = photo.flip(1) if is_later else None

    task = rendition_task(rendition, photo, regions, painted, Settings())

    half = photo.shape[3] // 2
    if not is_later:
        outside = task.start[..., half:]
        assert torch.equal(outside, task.content[..., half:])
        assert task.start[..., :half].sub(task.content[..., :half]).abs().mean() < 0.5
    shown = task.to_rgb(torch.zeros_like(task.content))
    assert torch.equal(shown[..., half:], photo[..., half:])
    assert shown[..., :half].max() < 0.01


def test_a_region_starts_in_the_palette_of_its_own_style(photo: Tensor, palette: Tensor) -> None:
    white = torch.full((1, 3, 40, 40), 0.9)
    left = left_half(photo)
    regions = [Region((palette,), None, left), Region((white,), None, 1.0 - left)]

    start = rendition_task(Rendition.STYLED, photo, regions, None, Settings()).start

    half = photo.shape[3] // 2
    assert torch.allclose(mean_color(start[..., :half]), mean_color(palette), atol=0.05)
    assert torch.allclose(start[..., half:], torch.tensor(0.9), atol=0.05)


def test_a_heavier_style_gives_more_of_its_palette(photo: Tensor) -> None:
    black, white = torch.zeros(1, 3, 20, 20), torch.ones(1, 3, 20, 20)
    regions = [Region((black, white), (1.0, 3.0), None)]

    start = rendition_task(Rendition.STYLED, photo, regions, None, Settings()).start

    # Clipping at white costs some of the mean.
    assert start.mean().item() == pytest.approx(0.75, abs=0.08)


def test_each_start_is_the_image_that_its_name_says(photo: Tensor, palette: Tensor) -> None:
    def initial(start: Start, seed: int = 0) -> Tensor:
        settings = Settings(start=start)
        task = rendition_task(
            Rendition.STYLED, photo, [Region((palette,), None, None)], None, settings
        )
        return initial_image(task, 30, 40, start, seed)

    small = torch.nn.functional.avg_pool2d(photo, 2)
    assert (initial(Start.CONTENT) - small).abs().mean() < 0.05
    assert torch.allclose(mean_color(initial(Start.RECOLORED)), mean_color(palette), atol=0.05)
    noise = initial(Start.NOISE)
    assert 0.0 <= noise.min() <= noise.max() <= 1.0
    correlation = torch.corrcoef(torch.stack([noise.flatten(), small.flatten()]))[0, 1]
    assert abs(correlation) < 0.1
    assert torch.equal(noise, initial(Start.NOISE))
    assert not torch.equal(noise, initial(Start.NOISE, seed=1))


@pytest.mark.parametrize("kind", ColorMap)
def test_histogram_uses_the_map_that_was_asked_for(
    photo: Tensor, palette: Tensor, kind: ColorMap
) -> None:
    regions = [Region((palette,), None, None)]
    task = rendition_task(Rendition.HISTOGRAM, photo, regions, None, Settings(color_map=kind))

    assert torch.equal(task.regions[0].styles[0], match_color_statistics(palette, photo, kind))
