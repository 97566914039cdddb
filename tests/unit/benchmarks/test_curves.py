import pytest

from benchmarks.qualitylib.curves import style_at
from benchmarks.qualitylib.distances import Distances

CURVE = (Distances(0.6, 0.3), Distances(0.5, 0.4), Distances(0.45, 0.6))


@pytest.mark.parametrize("curve", [CURVE, CURVE[::-1], (CURVE[1], CURVE[0], CURVE[2])])
@pytest.mark.parametrize(
    ("content", "style", "is_extrapolated"),
    [
        (0.3, 0.6, False),
        (0.35, 0.55, False),
        (0.4, 0.5, False),
        (0.5, 0.475, False),
        (0.6, 0.45, False),
        # The line through the two nearest points goes on, not the one through all.
        (0.2, 0.7, True),
        (0.8, 0.4, True),
    ],
)
def test_linear_between_points_and_beyond_them(
    curve: tuple[Distances, ...], content: float, style: float, is_extrapolated: bool
) -> None:
    interpolated = style_at(curve, content)

    assert interpolated is not None
    assert interpolated.style == pytest.approx(style)
    assert interpolated.is_extrapolated is is_extrapolated


@pytest.mark.parametrize("curve", [(), CURVE[:1], (Distances(0.6, 0.3), Distances(0.5, 0.3))])
def test_fewer_than_two_content_distances_are_no_curve(curve: tuple[Distances, ...]) -> None:
    assert style_at(curve, 0.3) is None


def test_of_equal_content_distances_the_better_counts() -> None:
    interpolated = style_at([*CURVE, Distances(0.9, 0.4), Distances(0.8, 0.3)], 0.35)

    assert interpolated is not None
    assert interpolated.style == pytest.approx(0.55)
    assert not interpolated.is_extrapolated
