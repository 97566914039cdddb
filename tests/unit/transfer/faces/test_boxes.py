import pytest
import torch
from torch import Tensor

from transfer.faces.boxes import areas, crop, move, square, suppress


def random_boxes(generator: torch.Generator, count: int) -> Tensor:
    corners = torch.rand(count, 2, generator=generator) * 60
    return torch.cat([corners, corners + 5 + 40 * torch.rand(count, 2, generator=generator)], 1)


def overlap(one: list[float], other: list[float]) -> float:
    """Share of the union of two boxes that both cover."""
    width = max(0.0, min(one[2], other[2]) - max(one[0], other[0]))
    height = max(0.0, min(one[3], other[3]) - max(one[1], other[1]))
    sizes = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (one, other))
    return width * height / (sizes - width * height)


@pytest.mark.parametrize("most", [0.3, 0.5, 0.7])
def test_suppression_agrees_with_its_definition(generator: torch.Generator, most: float) -> None:
    boxes, scores = random_boxes(generator, 200), torch.rand(200, generator=generator)

    chosen = suppress(boxes, scores, most)

    stay: list[int] = []
    for at in sorted(range(200), key=lambda at: -float(scores[at])):
        if all(overlap(boxes[at].tolist(), boxes[other].tolist()) <= most for other in stay):
            stay.append(at)
    assert 1 < len(stay) < 200
    assert chosen.tolist() == stay


def test_suppression_by_the_smaller_box_removes_what_lies_within() -> None:
    boxes = torch.tensor([[0.0, 0, 10, 10], [2, 2, 4, 4], [9, 9, 19, 19]])
    scores = torch.tensor([0.9, 0.8, 0.7])

    assert suppress(boxes, scores, 0.7).tolist() == [0, 1, 2]
    assert suppress(boxes, scores, 0.7, by_smaller=True).tolist() == [0, 2]


def test_nothing_is_left_of_nothing() -> None:
    assert suppress(torch.zeros(0, 4), torch.zeros(0), 0.5).tolist() == []


def test_squares_have_the_center_and_the_longer_edge() -> None:
    boxes = square(torch.tensor([[10.0, 20, 30, 24], [0, 0, 6, 8]]))

    assert boxes.tolist() == [[10, 12, 30, 32], [-1, 0, 7, 8]]
    assert areas(boxes).tolist() == [400, 64]


def test_edges_move_in_units_of_the_box_and_its_last_pixel() -> None:
    boxes = move(torch.tensor([[10.0, 20, 29, 59]]), torch.tensor([[0.1, -0.1, 0.5, 0.25]]))

    assert boxes.tolist() == [[12, 16, 39, 69]]


def test_crop_of_a_gradient_has_the_coordinates_of_its_box() -> None:
    down, across = torch.meshgrid(torch.arange(64.0), torch.arange(80.0), indexing="ij")
    # Of one, two and eight px between samples: from the image, its half and its eighth.
    boxes = torch.tensor([[3.0, 4, 14, 15], [8, 9, 30, 31], [0, 0, 63, 63], [20, 4, 31, 15]])

    crops = crop(torch.stack([across, down, across + down]), boxes, 12)

    steps = torch.linspace(0, 1, 12)
    for box, cut in zip(boxes, crops, strict=True):
        inside = slice(1, -1)  # coarse levels end before the image's last pixels
        wanted_across = (box[0] + (box[2] - box[0]) * steps).expand(12, 12)
        wanted_down = (box[1] + (box[3] - box[1]) * steps)[:, None].expand(12, 12)
        torch.testing.assert_close(cut[0, inside, inside], wanted_across[inside, inside])
        torch.testing.assert_close(cut[1, inside, inside], wanted_down[inside, inside])
        torch.testing.assert_close(cut[2], cut[0] + cut[1])


def test_crop_is_zero_outside_of_the_image() -> None:
    (cut,) = crop(torch.ones(3, 20, 20), torch.tensor([[-10.0, 0, 9, 19]]), 20)

    assert (cut[:, :, :9] == 0).all()
    torch.testing.assert_close(cut[:, :, 11:], torch.ones(3, 20, 9))


def test_fine_texture_does_not_alias_in_a_large_crop() -> None:
    # Stripes of one px: samples five px apart would show them as wide as four samples.
    stripes = (torch.arange(96) % 2).float().expand(3, 96, 96)

    (cut,) = crop(stripes, torch.tensor([[8.0, 8, 63, 63]]), 12)

    torch.testing.assert_close(cut, torch.full((3, 12, 12), 0.5))
