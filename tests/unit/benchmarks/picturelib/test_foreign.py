import pytest
import torch
from torch import Tensor

from benchmarks.picturelib.foreign import FOREIGN_DISTANCE, foreign_share
from tests.seeds import seeded


def halves(left: tuple[float, float, float], right: tuple[float, float, float]) -> Tensor:
    """CIELAB of 64 x 100 px, one color at each side."""
    return (
        torch.tensor([left, right])
        .T.repeat_interleave(50, dim=1)[None, :, None]
        .repeat(1, 1, 64, 1)
    )


OCHRE, INK, PINK = (65.0, 10.0, 45.0), (10.0, 0.0, 0.0), (70.0, 40.0, 0.0)


def test_a_style_has_no_foreign_colors_in_itself() -> None:
    noise = torch.rand(1, 3, 60, 70, generator=seeded(0)) * 100

    assert foreign_share(noise, noise) == 0


def test_share_is_that_of_the_foreign_color() -> None:
    share = foreign_share(halves(OCHRE, PINK), halves(OCHRE, INK))

    # Where the halves blur into each other, colors get foreign 3 px sooner at most.
    assert share == pytest.approx(0.5, abs=0.03)


def test_order_of_colors_does_not_matter() -> None:
    assert foreign_share(halves(INK, OCHRE), halves(OCHRE, INK)) == 0


@pytest.mark.parametrize(("distance", "share"), [(0.9, 0.0), (1.1, 1.0)])
def test_colors_are_foreign_from_the_threshold_on(distance: float, share: float) -> None:
    moved = (OCHRE[0], OCHRE[1] + distance * FOREIGN_DISTANCE, OCHRE[2])

    assert foreign_share(halves(moved, moved), halves(OCHRE, OCHRE)) == share


def test_rare_colors_are_no_part_of_the_palette() -> None:
    style = halves(OCHRE, OCHRE).repeat(1, 1, 3, 3)
    dotted = style.clone()
    dotted[:, :, 60, 60] = torch.tensor([PINK]).T[:, 0]
    dotted[:, :, 100:108, 100:108] = torch.tensor(INK)[:, None, None]

    assert foreign_share(halves(PINK, PINK), dotted) == 1
    # 64 of 57,600 px are.
    assert foreign_share(halves(INK, INK), dotted) == 0
