"""Curves of style over content distance, to compare engines at equal content distance.

Whoever changes less of the photo keeps more of it and takes on less of the style, so one point says
little. An engine's strengths make a curve, and the curve can be asked at the other's point.
"""

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass

from benchmarks.qualitylib.distances import Distances


@dataclass(frozen=True)
class StyleAt:
    """Style distance of a curve at a given content distance."""

    style: float
    is_extrapolated: bool
    """True if that content distance lies outside the curve."""


def style_at(curve: Iterable[Distances], content: float) -> StyleAt | None:
    """Interpolate a curve's style distance at a content distance, linearly between points.

    Outside, the line through the two points nearest to that end goes on.

    Args:
        curve: one point per strength, in any order.
        content: the content distance to ask at.

    Returns:
        nothing if fewer than two points have different content distances.
    """
    # Of points with the same content distance the best one stays: it is sorted to the end.
    best = {
        point.content: point.style
        for point in sorted(curve, key=lambda point: (point.content, -point.style))
    }
    contents = list(best)
    if len(contents) < 2:
        return None
    right = min(max(bisect_left(contents, content), 1), len(contents) - 1)
    start, end = contents[right - 1], contents[right]
    share = (content - start) / (end - start)
    style = best[start] + share * (best[end] - best[start])
    return StyleAt(style, not contents[0] <= content <= contents[-1])
