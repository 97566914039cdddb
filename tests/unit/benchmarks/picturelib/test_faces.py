from pathlib import Path

import pytest
import skimage
from PIL import Image, ImageFilter

from benchmarks.picturelib.faces import Faces, compare_faces, eye_offset, faces
from tests.unit.benchmarks.fakes import picture
from transfer.faces.detector import Box, Face, FaceDetector, Point


def face(left: float, top: float, size: float = 40.0) -> Face:
    """A face whose eyes are half of its size apart."""
    points = [(0.25, 0.4), (0.75, 0.4), (0.5, 0.6), (0.3, 0.8), (0.7, 0.8)]
    places = (Point(left + x * size, top + y * size) for x, y in points)
    return Face(Box(left, top, left + size, top + size), 0.9, *places)


@pytest.fixture(scope="module")
def detector() -> FaceDetector:
    return FaceDetector.load()


@pytest.fixture(scope="module")
def astronaut() -> Image.Image:
    with Image.open(Path(skimage.__file__).parent / "data" / "astronaut.png") as photo:
        return photo.convert("RGB").crop((0, 0, 400, 300))


def test_offset_is_in_eye_distances_of_the_photo() -> None:
    assert eye_offset(face(10, 10), face(14, 13)) == pytest.approx(5 / 20)
    # Twice as large about the same corner: eyes move by (10, 16) and (30, 16) px.
    assert eye_offset(face(0, 0), face(0, 0, 80)) == pytest.approx((356**0.5 + 1156**0.5) / 2 / 20)


def test_each_face_has_its_nearest_one() -> None:
    photo = [face(10, 10), face(100, 10), face(200, 10)]

    found = compare_faces(photo, [face(102, 10), face(150, 90), face(16, 18), face(10, 11)])

    assert (found.count, found.found) == (3, 2)
    assert found.eye_offset == pytest.approx((1 / 20 + 2 / 20) / 2)


def test_a_face_elsewhere_is_not_the_same_one() -> None:
    assert compare_faces([face(10, 10)], [face(10, 22)]) == Faces(1, 0, None)
    assert compare_faces([face(10, 10)], []) == Faces(1, 0, None)
    assert compare_faces([], [face(10, 10)]) == Faces(0, 0, None)


def test_face_is_found_in_a_soft_and_moved_picture(
    detector: FaceDetector, astronaut: Image.Image
) -> None:
    soft = astronaut.filter(ImageFilter.GaussianBlur(1.5)).resize((200, 150))
    moved = astronaut.transform(astronaut.size, Image.Transform.AFFINE, (1, 0, -6, 0, 1, 0))

    still, shifted = (faces(detector, one, astronaut) for one in (soft, moved))

    assert (still.count, still.found) == (1, 1)
    assert still.eye_offset is not None
    assert still.eye_offset < 0.06
    # Moved to the right by 6 px, where the eyes are 43 px apart.
    assert shifted.eye_offset == pytest.approx(6 / 43, abs=0.04)


def test_lost_face_is_counted(detector: FaceDetector, astronaut: Image.Image) -> None:
    painted = astronaut.copy()
    painted.paste((90, 60, 40), (170, 40, 280, 170))

    assert faces(detector, painted, astronaut) == Faces(1, 0, None)


def test_photo_without_faces_has_none(detector: FaceDetector, astronaut: Image.Image) -> None:
    assert faces(detector, astronaut, picture(300, 400, 1)) == Faces(0, 0, None)
