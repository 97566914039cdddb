import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from transfer.errors import MaskUnusable
from transfer.imaging.masks import Region, build_regions, coverage

HEIGHT, WIDTH = 60, 80
STYLE = torch.full((1, 3, 20, 20), 0.5)


def mask(values: np.ndarray) -> Image.Image:
    return Image.fromarray((255 * values).round().astype(np.uint8))


def columns(start: float, end: float) -> np.ndarray:
    values = np.zeros((HEIGHT, WIDTH))
    values[:, round(start * WIDTH) : round(end * WIDTH)] = 1.0
    return values


def placed(
    masks: list[Image.Image | None],
    weights: tuple[float, ...] | None = None,
    size: tuple[int, int] = (WIDTH, HEIGHT),
) -> tuple[Region, ...]:
    weights = weights or (1.0,) * len(masks)
    return build_regions([STYLE] * len(masks), weights, masks, size, HEIGHT, WIDTH)


def guides(found: tuple[Region, ...]) -> list[Tensor]:
    return [region.guide[0, 0] for region in found if region.guide is not None]


def test_without_masks_all_styles_share_one_region() -> None:
    for masks in ([], [None, None]):
        (whole,) = build_regions([STYLE, STYLE], (2.0, 2.0), masks, (WIDTH, HEIGHT), HEIGHT, WIDTH)
        assert len(whole.styles) == 2
        assert whole.weights is None
        assert whole.guide is None
        assert whole.area == 1.0
        assert coverage([whole]) is None
    (penalty,) = build_regions([STYLE, STYLE], (1.0, 2.0), [], (WIDTH, HEIGHT), HEIGHT, WIDTH)
    assert penalty.weights == (1.0, 2.0)


def test_white_is_in_black_is_out_and_the_edge_is_soft() -> None:
    (left,) = guides(placed([mask(columns(0, 0.5))]))

    assert torch.equal(left[:, :36], torch.ones(HEIGHT, 36))
    assert torch.equal(left[:, 44:], torch.zeros(HEIGHT, 36))
    edge = left[0, 36:44]
    assert torch.all(edge[:-1] >= edge[1:])
    assert ((edge > 0.1) & (edge < 0.9)).any()


def test_gray_is_how_strongly() -> None:
    (half,) = guides(placed([mask(np.full((HEIGHT, WIDTH), 0.5))]))

    assert torch.allclose(half, torch.tensor(0.5), atol=0.01)


def test_masks_side_by_side_cover_everything() -> None:
    found = placed([mask(columns(0, 0.5)), mask(columns(0.5, 1))])

    covered = coverage(found)
    assert covered is not None
    assert torch.allclose(covered, torch.ones(()), atol=0.01)
    assert sum(region.area for region in found) == pytest.approx(1.0, abs=0.01)


def test_where_masks_overlap_styles_share_by_weight() -> None:
    found = placed([mask(columns(0, 1)), None], weights=(3.0, 1.0))

    first, second = guides(found)
    assert torch.allclose(first, torch.tensor(0.75))
    assert torch.allclose(second, torch.tensor(0.25))


def test_half_and_half_of_two_styles_is_a_whole_painting() -> None:
    gray = mask(np.full((HEIGHT, WIDTH), 128 / 255))

    covered = coverage(placed([gray, gray]))

    assert covered is not None
    assert torch.equal(covered, torch.ones(1, 1, HEIGHT, WIDTH))


def test_a_style_of_no_weight_is_left_out_with_its_mask() -> None:
    black = Image.new("L", (WIDTH, HEIGHT))

    (only,) = placed([mask(columns(0, 0.5)), black], weights=(1.0, 0.0))

    assert torch.equal(guides((only,))[0], guides(placed([mask(columns(0, 0.5))]))[0])
    (whole,) = placed([None, mask(columns(0, 0.5))], weights=(1.0, 0.0))
    assert whole.guide is None


@pytest.mark.parametrize("size", [(40, 30), (8, 6), (161, 120), (159, 120), (800, 600)])
def test_a_mask_may_have_another_size(size: tuple[int, int]) -> None:
    small = mask(columns(0, 0.5)).resize(size)

    (left,) = guides(placed([small]))

    assert left.shape == (HEIGHT, WIDTH)
    assert left[:, :20].min() > 0.9
    assert left[:, 60:].max() < 0.1


@pytest.mark.parametrize("size", [(60, 80), (80, 80), (80, 57), (83, 60), (800, 590), (1, 60)])
def test_a_mask_of_another_shape_is_refused(size: tuple[int, int]) -> None:
    sentence = (
        r"^Mask 2 cannot be used: it must have the shape of the photo, 80 × 60 px or the same at"
        rf" another size, not {size[0]} × {size[1]} px\.$"
    )
    with pytest.raises(MaskUnusable, match=sentence) as caught:
        placed([None, Image.new("L", size, 255)])

    assert caught.value.number == 2


@pytest.mark.parametrize(
    "black",
    [
        Image.new("L", (WIDTH, HEIGHT)),
        Image.new("RGB", (WIDTH, HEIGHT)),
        Image.new("1", (WIDTH, HEIGHT)),
        Image.new("RGBA", (WIDTH, HEIGHT), (255, 255, 255, 0)),
        Image.new("I;16", (WIDTH, HEIGHT)),
    ],
    ids=lambda image: image.mode,
)
def test_a_mask_that_is_black_everywhere_is_refused(black: Image.Image) -> None:
    with pytest.raises(MaskUnusable, match=r"^Mask 1 .+ its style would go nowhere"):
        placed([black, None])


@pytest.mark.parametrize(
    "white",
    [
        Image.new("1", (WIDTH, HEIGHT), 1),
        Image.new("RGB", (WIDTH, HEIGHT), "white"),
        Image.new("RGBA", (WIDTH, HEIGHT), "white"),
        Image.new("I;16", (WIDTH, HEIGHT), 65535),
    ],
    ids=lambda image: image.mode,
)
def test_masks_come_in_every_mode(white: Image.Image) -> None:
    (whole,) = guides(placed([white]))

    assert torch.equal(whole, torch.ones(HEIGHT, WIDTH))


def test_what_is_too_small_to_see_is_refused() -> None:
    values = np.zeros((600, 800))
    values[300, 400] = 0.1

    with pytest.raises(MaskUnusable, match="black everywhere"):
        placed([mask(values)])  # a hundredth of a pixel here: less than one step of gray
    values[296:304, 396:404] = 1.0
    (dot,) = guides(placed([mask(values)]))
    assert 0 < dot.sum() < 2
