"""MTCNN: faces and their landmarks, found in three passes.

After Zhang, Zhang, Li & Qiao, "Joint Face Detection and Alignment using Multi-task Cascaded
Convolutional Networks" (arXiv 1604.02878), with the weights, thresholds and scales of the package
mtcnn 1.0.0. Departures: crops of large faces are smoothed (see `boxes.crop`), and a box suppresses
others only if it stays itself, as in the paper's own code.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple, Self

import torch
import torch.nn.functional as F
from torch import Tensor

from transfer.errors import ShapeError
from transfer.faces import boxes as geometry
from transfer.faces.networks import (
    OUTPUT_PX,
    PROPOSAL_CELL_PX,
    PROPOSAL_STRIDE_PX,
    REFINEMENT_PX,
    OutputNetwork,
    ProposalNetwork,
    RefinementNetwork,
    scale_colors,
)

MIN_FACE_PX = 20
"""Edge of the smallest face that is looked for."""
_SCALE_FACTOR = 0.709
"""Factor from one size of the picture to the next: half the area."""
_BATCH = 128
"""Crops that are looked at together: a thousand at once would take a tenth of a gigabyte."""
_OVERLAP_OF_SCALE = 0.5
_OVERLAP = 0.7


class Thresholds(NamedTuple):
    """Least probability of a face that each network has to give."""

    proposal: float
    refinement: float
    output: float


PHOTO = Thresholds(0.6, 0.7, 0.8)
"""Thresholds of the package, made for photos."""
PAINTING = Thresholds(0.5, 0.5, 0.5)
"""Thresholds for paintings, whose faces the networks were not trained on."""


class Point(NamedTuple):
    """A position in px."""

    x: float
    y: float


class Box(NamedTuple):
    """Edges of a box in px."""

    left: float
    top: float
    right: float
    bottom: float


@dataclass(frozen=True)
class Face:
    """A face in a picture; left and right are those of the picture."""

    box: Box
    score: float
    """Probability, from 0 to 1."""
    left_eye: Point
    right_eye: Point
    nose: Point
    mouth_left: Point
    mouth_right: Point

    @property
    def eye_distance(self) -> float:
        """Distance between the eyes, px."""
        return math.dist(self.left_eye, self.right_eye)


@dataclass(frozen=True)
class _Candidates:
    """Boxes that may hold a face."""

    image: Tensor
    """Index in the batch of the image that each box lies in, shape (N,)."""
    boxes: Tensor
    """Shape (N, 4)."""
    scores: Tensor
    """Shape (N,)."""

    def select(self, which: Tensor) -> "_Candidates":
        """Return those at these indices, or those where a mask is true."""
        return _Candidates(self.image[which], self.boxes[which], self.scores[which])

    def best(self, most: int | None) -> "_Candidates":
        """Return so many of the highest scores, all images together; None: all."""
        if most is None or len(self.scores) <= most:
            return self
        return self.select(self.scores.argsort(descending=True, stable=True)[:most])

    def suppressed(self, most: float, *, by_smaller: bool = False) -> Tensor:
        """Return the indices of those that stay after suppression in each image."""
        indices = [
            where[
                geometry.suppress(
                    self.boxes[where], self.scores[where], most, by_smaller=by_smaller
                )
            ]
            for where in (
                (self.image == image).nonzero()[:, 0] for image in set(self.image.tolist())
            )
        ]
        return torch.cat(indices) if indices else self.image[:0]

    def crops(self, images: Tensor, edge_px: int) -> Tensor:
        """Return the content of the boxes, shape (N, 3, edge_px, edge_px)."""
        crops = images.new_zeros(len(self.image), 3, edge_px, edge_px)
        for image in set(self.image.tolist()):
            is_here = self.image == image
            crops[is_here] = geometry.crop(images[image], self.boxes[is_here], edge_px)
        return crops


@dataclass(frozen=True)
class FaceDetector:
    """The three networks, loaded."""

    proposal: ProposalNetwork
    refinement: RefinementNetwork
    output: OutputNetwork

    @classmethod
    def load(cls) -> Self:
        """Read the weights; the detector computes on the CPU.

        Raises:
            FaceWeightsUnavailable: if they cannot be read.
        """
        return cls(ProposalNetwork.load(), RefinementNetwork.load(), OutputNetwork.load())

    @torch.no_grad()
    def detect(
        self,
        images: Tensor,
        thresholds: Thresholds = PHOTO,
        min_face_px: int = MIN_FACE_PX,
        max_candidates: int | None = None,
    ) -> list[list[Face]]:
        """Find the faces of each image, best first.

        Args:
            images: RGB, shape (N, 3, H, W), range [0, 1], on the CPU.
            thresholds: least probabilities.
            min_face_px: edge of the smallest face to look for.
            max_candidates: number of the proposals, the most probable ones, that are looked at
                more closely: busy pictures have thousands, each of which takes time. None: all.

        Raises:
            ShapeError: if ``images`` has another shape, or an edge below 12 px.
        """
        if images.ndim != 4 or images.shape[1] != 3 or min(images.shape[2:]) < PROPOSAL_CELL_PX:
            wanted = f"(N, 3, H, W) with H and W at least {PROPOSAL_CELL_PX}"
            raise ShapeError("images", wanted, tuple(images.shape))
        scaled = scale_colors(images)
        candidates = self._propose(scaled, thresholds.proposal, min_face_px, max_candidates)
        candidates = self._refine(scaled, candidates, thresholds.refinement)
        found: list[list[Face]] = [[] for _ in images]
        for image, face in self._place(scaled, candidates, thresholds.output):
            found[image].append(face)
        return found

    def _propose(
        self, images: Tensor, threshold: float, min_face_px: int, most: int | None
    ) -> _Candidates:
        """Look at every cell of the images at each of their sizes."""
        height, width = images.shape[2:]
        empty = torch.zeros(0)
        found = [_Candidates(empty.long(), empty.reshape(0, 4), empty)]
        scale = PROPOSAL_CELL_PX / min_face_px
        while min(height, width) * scale >= PROPOSAL_CELL_PX:
            size = math.ceil(height * scale), math.ceil(width * scale)
            offsets, scores = self.proposal(F.interpolate(images, size, mode="area"))
            image, row, column = (scores > threshold).nonzero(as_tuple=True)
            corners = torch.stack([column, row, column, row], dim=1) * float(PROPOSAL_STRIDE_PX)
            corners[:, 2:] += PROPOSAL_CELL_PX
            boxes = corners + PROPOSAL_CELL_PX * offsets[image, row, column]
            boxes = boxes * torch.tensor([width / size[1], height / size[0]]).repeat(2)
            at_scale = _Candidates(image, boxes, scores[image, row, column]).best(most)
            found.append(at_scale.select(at_scale.suppressed(_OVERLAP_OF_SCALE)))
            scale *= _SCALE_FACTOR
        joined = _Candidates(
            torch.cat([one.image for one in found]),
            torch.cat([one.boxes for one in found]),
            torch.cat([one.scores for one in found]),
        )
        joined = joined.best(most)
        return joined.select(joined.suppressed(_OVERLAP))

    def _refine(self, images: Tensor, candidates: _Candidates, threshold: float) -> _Candidates:
        boxes = geometry.square(candidates.boxes)
        candidates = _Candidates(candidates.image, boxes, candidates.scores)
        crops = torch.split(candidates.crops(images, REFINEMENT_PX), _BATCH)
        offsets, scores = map(torch.cat, zip(*map(self.refinement, crops), strict=True))
        moved = _Candidates(candidates.image, geometry.move(boxes, offsets), scores)
        moved = moved.select(scores > threshold)
        return moved.select(moved.suppressed(_OVERLAP))

    def _place(
        self, images: Tensor, candidates: _Candidates, threshold: float
    ) -> list[tuple[int, Face]]:
        """Look closely, and return each face with the index of its image, best first."""
        boxes = geometry.square(candidates.boxes)
        candidates = _Candidates(candidates.image, boxes, candidates.scores)
        crops = torch.split(candidates.crops(images, OUTPUT_PX), _BATCH)
        offsets, landmarks, scores = map(torch.cat, zip(*map(self.output, crops), strict=True))
        sizes = boxes[:, 2:] - boxes[:, :2] + 1.0
        # (N, 2, 5): x and y of the five. The 1 px belongs to how MTCNN's boxes were counted.
        points = landmarks.reshape(-1, 2, 5) * sizes[:, :, None] + boxes[:, :2, None] - 1.0
        moved = _Candidates(candidates.image, geometry.move(boxes, offsets), scores)
        is_face = scores > threshold
        moved, points = moved.select(is_face), points[is_face]
        chosen = moved.suppressed(_OVERLAP, by_smaller=True)
        moved, points = moved.select(chosen), points[chosen]
        return [
            (image, Face(Box(*box), score, *(Point(*place) for place in places)))
            for image, box, score, places in zip(
                moved.image.tolist(),
                moved.boxes.tolist(),
                moved.scores.tolist(),
                points.transpose(1, 2).tolist(),
                strict=True,
            )
        ]
