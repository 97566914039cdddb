"""Boxes around faces: left, top, right and bottom in px, shape (N, 4)."""

import torch
import torch.nn.functional as F
from torch import Tensor


def areas(boxes: Tensor) -> Tensor:
    """Return the area of each box, shape (N,)."""
    return (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])


def suppress(boxes: Tensor, scores: Tensor, most: float, *, by_smaller: bool = False) -> Tensor:
    """Return the indices of the boxes that stay, best first (greedy non-maximum suppression).

    A box goes when it overlaps a better one that stays by more than a share of their union.

    Args:
        boxes: shape (N, 4).
        scores: shape (N,); the higher one stays.
        most: largest share of overlap that both boxes survive.
        by_smaller: take the share of the smaller box's area in place of the union's.
    """
    waiting = scores.argsort(descending=True, stable=True)
    chosen = []
    while len(waiting):
        best, waiting = waiting[0], waiting[1:]
        chosen.append(best)
        one, others = boxes[best], boxes[waiting]
        corners = torch.maximum(others[:, :2], one[:2]), torch.minimum(others[:, 2:], one[2:])
        shared = (corners[1] - corners[0]).clamp_min(0.0).prod(dim=1)
        if by_smaller:
            whole = torch.minimum(areas(others), areas(one))
        else:
            whole = areas(others) + areas(one) - shared
        waiting = waiting[shared <= most * whole]
    return torch.stack(chosen) if chosen else waiting


def square(boxes: Tensor) -> Tensor:
    """Widen or heighten each box about its center to a square."""
    centers = (boxes[:, :2] + boxes[:, 2:]) / 2
    half = (boxes[:, 2:] - boxes[:, :2]).amax(dim=1, keepdim=True) / 2
    return torch.cat([centers - half, centers + half], dim=1)


def move(boxes: Tensor, offsets: Tensor) -> Tensor:
    """Move the edges by offsets in units of the box's width and height.

    One px is added to both, as in the training of MTCNN, whose boxes include their last pixel.
    """
    sizes = boxes[:, 2:] - boxes[:, :2] + 1.0
    return boxes + offsets * torch.cat([sizes, sizes], dim=1)


def crop(image: Tensor, boxes: Tensor, edge_px: int) -> Tensor:
    """Return the content of each box at one size; what lies outside of the image is zero.

    Samples are bilinear, with the first and the last one on the box's edges, and come from the
    image halved as often as leaves a sample's distance between one and two pixels: sampled from the
    whole image, the crop of a large face would show the aliasing of a fine texture.

    Args:
        image: shape (3, H, W), both edges at least 2.
        boxes: shape (N, 4), in px of that image.
        edge_px: edge of the crops.

    Returns:
        shape (N, 3, edge_px, edge_px).
    """
    levels = [image]
    while min(levels[-1].shape[1:]) >= 4:
        levels.append(F.avg_pool2d(levels[-1], 2))
    step_px = (boxes[:, 2:] - boxes[:, :2]).amax(dim=1) / (edge_px - 1)
    depths = step_px.clamp_min(1.0).log2().floor().long().clamp_max(len(levels) - 1)
    crops = image.new_zeros(len(boxes), image.shape[0], edge_px, edge_px)
    for depth in set(depths.tolist()):
        is_here = depths == depth
        # Pixel i of a level has its center at i; the center of four lies between them.
        chosen = (boxes[is_here] + 0.5) / 2**depth - 0.5
        crops[is_here] = _sample(levels[depth], chosen, edge_px)
    return crops


def _sample(image: Tensor, boxes: Tensor, edge_px: int) -> Tensor:
    height, width = image.shape[1:]
    along = torch.linspace(0.0, 1.0, edge_px, device=image.device)
    # (N, edge_px) each, in the range [-1, 1] of `grid_sample`.
    across, down = (
        (boxes[:, at, None] + (boxes[:, at + 2] - boxes[:, at])[:, None] * along)
        * (2.0 / (size - 1))
        - 1.0
        for at, size in ((0, width), (1, height))
    )
    shape = (len(boxes), edge_px, edge_px)
    grid = torch.stack([across[:, None, :].expand(shape), down[:, :, None].expand(shape)], dim=3)
    # All boxes below each other in one grid: a batch would copy the image once a box.
    sampled = F.grid_sample(image[None], grid.reshape(1, -1, edge_px, 2), align_corners=True)
    return sampled.reshape(-1, *shape).transpose(0, 1)
