import math
from dataclasses import replace

import pytest
import torch

from transfer.faces.detector import Box, Face, Point
from transfer.faces.protection import face_map, protection_map

HEIGHT, WIDTH = 120, 160


def face(x: float = 80.0, y: float = 60.0, half: float = 20.0) -> Face:
    """Return a face around a center, with a box of ``2 half`` by ``2.4 half``."""
    return Face(
        Box(x - half, y - 1.2 * half, x + half, y + 1.2 * half),
        0.99,
        Point(x - 0.5 * half, y - 0.4 * half),
        Point(x + 0.5 * half, y - 0.4 * half),
        Point(x, y),
        Point(x - 0.4 * half, y + 0.5 * half),
        Point(x + 0.4 * half, y + 0.5 * half),
    )


def test_eyes_and_mouth_are_kept_whole_and_the_rest_of_the_face_in_part() -> None:
    found = protection_map([face()], HEIGHT, WIDTH)[0, 0]

    # Centers of both eyes and of the mouth, then the nose, outside of the discs of 6 px.
    assert [found[y, x] for y, x in ((52, 70), (52, 90), (70, 80))] == [1.0, 1.0, 1.0]
    assert found[60, 80] == pytest.approx(0.6)
    # The ellipse has radii of 26 and 31.2 px, and ends at 1.15 of them.
    assert found[60, 80 + 22] == pytest.approx(0.6)
    assert found[60, 80 + 26] == pytest.approx(0.6 * 0.15 / 0.3)
    assert found[60, 80 + 30] == 0.0
    assert found[60 + 36, 80] == 0.0
    assert found[60 + 35, 80] > 0.0
    # Between an eye and its surroundings the map falls without a step larger than its slope.
    assert found.diff(dim=1).abs().max() < 1.0 / (0.8 * 6.0) + 1e-6


def test_a_face_map_is_one_in_the_face() -> None:
    found = face_map([face()], HEIGHT, WIDTH)[0, 0]

    assert (found[45:76, 65:96] == 1.0).all()
    assert found[60, 80 + 26] == pytest.approx(0.5)
    assert found.count_nonzero() < math.pi * (1.15 * 26) * (1.15 * 31.2) * 1.01


def test_several_faces_have_the_largest_value_of_each() -> None:
    faces = [face(40.0, 50.0), face(65.0, 55.0), face(120.0, 90.0, 5.0)]

    together = protection_map(faces, HEIGHT, WIDTH)

    alone = torch.stack([protection_map([one], HEIGHT, WIDTH) for one in faces])
    assert torch.equal(together, alone.amax(dim=0))


@pytest.mark.parametrize("center", [(0.0, 60.0), (159.0, 60.0), (80.0, 0.0), (80.0, 119.0)])
def test_a_face_at_the_border_is_the_part_of_one_inside(center: tuple[float, float]) -> None:
    x, y = center

    found = protection_map([face(x, y)], HEIGHT, WIDTH)

    larger = protection_map([face(x + 50, y + 50)], HEIGHT + 100, WIDTH + 100)
    assert torch.equal(found, larger[..., 50:-50, 50:-50])
    assert found.max() > 0.5


def test_a_face_outside_changes_nothing() -> None:
    for x, y in ((-200.0, 60.0), (400.0, 60.0), (80.0, -300.0), (80.0, 500.0)):
        assert protection_map([face(x, y)], HEIGHT, WIDTH).count_nonzero() == 0


def test_no_face_needs_no_protection() -> None:
    assert torch.equal(protection_map([], 3, 5), torch.zeros(1, 1, 3, 5))
    assert torch.equal(face_map([], 3, 5), torch.zeros(1, 1, 3, 5))


def test_an_impossible_face_does_no_harm() -> None:
    flat = replace(face(), box=Box(30.0, 40.0, 30.0, 40.0), right_eye=face().left_eye)

    assert torch.equal(
        protection_map([flat, face()], HEIGHT, WIDTH), protection_map([face()], HEIGHT, WIDTH)
    )
