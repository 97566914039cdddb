import pytest
import torch

from benchmarks.picturelib.blur import blur
from benchmarks.picturelib.borders import BORDER_PX, border_detail
from tests.seeds import seeded
from transfer.errors import ShapeError


def noise(height: int = 200, width: int = 240) -> torch.Tensor:
    return torch.rand(1, 3, height, width, generator=seeded(0), dtype=torch.float64) * 100


def test_even_detail_gives_one() -> None:
    down, across = torch.meshgrid(torch.arange(200), torch.arange(240), indexing="ij")
    checkers = ((down + across) % 2).double().expand(1, 3, 200, 240) * 100

    # Reflected on a pixel, checkers go on as they were.
    assert border_detail(checkers) == pytest.approx(1)


def test_weaker_frame_gives_how_much_weaker_it_is() -> None:
    picture = noise() - 50
    frame = torch.ones(200, 240, dtype=torch.bool)
    frame[BORDER_PX:-BORDER_PX, BORDER_PX:-BORDER_PX] = False
    picture[:, :, frame] *= 0.4

    # The blur reaches across the frame's inner edge, a sixteenth of its width.
    assert border_detail(picture) == pytest.approx(0.4, abs=0.04)


def test_soft_frame_is_found() -> None:
    picture = noise()
    soft = blur(picture, 1.5)
    soft[:, :, 8:-8, 8:-8] = picture[:, :, 8:-8, 8:-8]

    # Half of the frame lost nearly all of its detail.
    assert border_detail(soft) == pytest.approx(0.5**0.5, abs=0.05)
    assert border_detail(picture) == pytest.approx(1, abs=0.05)


def test_the_middle_does_not_count() -> None:
    picture = noise()
    calm = picture.clone()
    calm[:, :, 60:-60, 60:-60] = 50

    assert border_detail(calm) == pytest.approx(border_detail(picture))


def test_flat_pictures_have_even_borders() -> None:
    assert border_detail(torch.full((1, 3, 64, 64), 50.0)) == 1


def test_pictures_without_an_inside_are_refused() -> None:
    with pytest.raises(ShapeError, match="H and W above 32"):
        border_detail(noise(32, 80))
