import math
from itertools import chain
from pathlib import Path

import pytest
import skimage
import torch
from PIL import Image
from torch import Tensor

from transfer.errors import ShapeError
from transfer.faces.detector import PAINTING, PHOTO, Face, FaceDetector
from transfer.imaging.images import to_tensor

EYES = (203.0, 99.0), (246.0, 101.0)
"""Pupils of the astronaut, picked by hand in the picture of 512 x 512 px."""


@pytest.fixture(scope="module")
def detector() -> FaceDetector:
    return FaceDetector.load()


@pytest.fixture(scope="module")
def astronaut() -> Tensor:
    """Shape (1, 3, 256, 192): a portrait, at half of its size."""
    with Image.open(Path(skimage.__file__).parent / "data" / "astronaut.png") as picture:
        image = to_tensor(picture)
    return torch.nn.functional.avg_pool2d(image, 2)[..., :192]


def eye_error(face: Face, eyes: tuple[tuple[float, float], ...]) -> float:
    """Larger distance of an eye from where it is, over the distance of the eyes."""
    places = (face.left_eye, face.right_eye)
    return max(map(math.dist, places, eyes)) / math.dist(*eyes)


def test_a_face_and_its_eyes_are_found(detector: FaceDetector, astronaut: Tensor) -> None:
    ((face,),) = detector.detect(astronaut)

    # A tenth of the eye distance: half the width of an iris and a bit.
    assert eye_error(face, tuple((x / 2, y / 2) for x, y in EYES)) < 0.1
    assert face.eye_distance == pytest.approx(math.dist(*EYES) / 2, rel=0.1)
    assert face.box.left < face.left_eye.x < face.nose.x < face.right_eye.x < face.box.right
    assert face.box.top < face.nose.y < face.mouth_left.y < face.box.bottom
    assert 0.99 < face.score <= 1


def test_a_batch_gives_what_its_images_give_alone(
    detector: FaceDetector, astronaut: Tensor, generator: torch.Generator
) -> None:
    images = torch.cat(
        [
            astronaut,
            torch.rand(astronaut.shape, generator=generator),
            astronaut.flip(3),
            torch.full_like(astronaut, 0.5),
        ]
    )

    together = detector.detect(images, PAINTING)

    alone = [detector.detect(image[None], PAINTING)[0] for image in images]
    assert [len(faces) for faces in together] == [len(faces) for faces in alone]
    assert len(together[0]) >= 1
    assert len(together[2]) >= 1
    assert together[3] == []
    for one, other in zip(chain(*together), chain(*alone), strict=True):
        # Sums of float32 in another order, by 256 px.
        assert one.box == pytest.approx(other.box, abs=0.01)
        assert one.left_eye == pytest.approx(other.left_eye, abs=0.01)
        assert one.score == pytest.approx(other.score, abs=1e-4)


def test_mirrored_face_has_mirrored_eyes(detector: FaceDetector, astronaut: Tensor) -> None:
    ((face,),) = detector.detect(astronaut.flip(3))

    (left, right) = ((191 - x / 2, y / 2) for x, y in EYES)
    assert eye_error(face, (right, left)) < 0.1


def test_small_faces_are_left_out_when_only_large_ones_are_wanted(
    detector: FaceDetector, astronaut: Tensor
) -> None:
    ((face,),) = detector.detect(astronaut)
    width = face.box.right - face.box.left

    assert detector.detect(astronaut, PHOTO, min_face_px=round(2 * width)) == [[]]


def test_few_proposals_are_enough_for_a_face(detector: FaceDetector, astronaut: Tensor) -> None:
    all_looked_at, few = (detector.detect(astronaut, max_candidates=most)[0] for most in (None, 30))

    assert len(few) == len(all_looked_at) == 1
    assert eye_error(few[0], tuple((x / 2, y / 2) for x, y in EYES)) < 0.1
    assert detector.detect(astronaut, max_candidates=0) == [[]]


def test_pictures_without_a_face_have_none(detector: FaceDetector) -> None:
    down, across = torch.meshgrid(torch.arange(96.0), torch.arange(128.0), indexing="ij")
    waves = torch.stack([down / 9, across / 7, (down + across) / 8]).sin() / 2 + 0.5

    assert detector.detect(waves[None]) == [[]]


@pytest.mark.parametrize("shape", [(3, 40, 40), (1, 1, 40, 40), (1, 3, 11, 40)])
def test_other_shapes_are_refused(detector: FaceDetector, shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match="images must have shape"):
        detector.detect(torch.zeros(shape))
