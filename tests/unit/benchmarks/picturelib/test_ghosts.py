import pytest
import torch
from torch import Tensor

from benchmarks.picturelib.ghosts import ghost_share, nearest
from tests.seeds import seeded
from transfer.errors import ShapeError


def features(seed: int, height: int = 20, width: int = 24) -> Tensor:
    """Activations of a texture that never repeats."""
    return torch.rand(1, 16, height, width, generator=seeded(seed))


def test_the_style_itself_is_one_copy() -> None:
    style = features(1)

    rows, columns = nearest(style, style)

    down, across = torch.meshgrid(torch.arange(18), torch.arange(22), indexing="ij")
    assert torch.equal(rows, down)
    assert torch.equal(columns, across)
    assert ghost_share(style, style) == 1


def test_moved_copies_count_and_brightness_does_not() -> None:
    style = features(1)
    moved = style[:, :, 5:17, 3:20] * 1.0

    rows, columns = nearest(moved, style)

    assert [int(rows[0, 0]), int(columns[0, 0])] == [5, 3]
    assert ghost_share(moved, style) == 1


def test_share_is_that_of_the_part_which_is_copied() -> None:
    style, picture = features(1), features(2, 30, 40)
    picture[:, :, 10:22, 12:32] = style[:, :, 4:16, 2:22]

    share = ghost_share(picture, style)

    # The picture has 26 x 36 neighborhoods with four neighbors. 10 x 18 lie within the copy of
    # 12 x 20 positions, 8 x 16 with all their neighbors; 14 x 22 touch it, 12 x 20 with theirs.
    assert 8 * 16 / (26 * 36) <= share <= 12 * 20 / (26 * 36)


def test_another_texture_has_none() -> None:
    assert ghost_share(features(2), features(1)) < 0.01


def test_shuffled_positions_have_none() -> None:
    style = features(1)
    order = torch.randperm(20 * 24, generator=seeded(3))
    shuffled = style.flatten(2)[:, :, order].reshape(style.shape)

    assert ghost_share(shuffled, style) < 0.01


@pytest.mark.parametrize("shapes", [((4, 9), (9, 9)), ((9, 9), (9, 4))])
def test_too_few_positions_are_refused(shapes: tuple[tuple[int, int], ...]) -> None:
    picture, style = (features(1, *shape) for shape in shapes)

    with pytest.raises(ShapeError, match="H and W at least 5"):
        ghost_share(picture, style)
