"""A leaded window with a sun, hills, a river and poppies."""

import numpy as np
from numpy.typing import NDArray

from .brushwork import (
    Field,
    blur,
    colors,
    fractal,
    light,
    mix,
    smoothstep,
)

Labels = NDArray[np.int64]
Mask = NDArray[np.bool_]


def nearest_seed(points: Field, seeds: Field, weights: Field) -> Labels:
    """Owner of each point (n, 2) in the power diagram of seeds (m, 2) with weights (m,)."""
    bias = (seeds**2).sum(axis=1) - weights
    parts = np.array_split(points, len(points) // 100_000 + 1)
    return np.concatenate([np.argmin(bias - 2 * part @ seeds.T, axis=1) for part in parts])


def shards(u: Field, v: Field, count: int, rng: np.random.Generator) -> Labels:
    """Cut a region with coordinates u, v, shape (n,), into relaxed cells: labels 0..count-1."""
    points = np.stack([u, v], axis=1)
    few = points[rng.choice(len(points), min(len(points), 20_000), replace=False)]
    seeds = few[:count].copy()
    # Unequal weights give large panes beside small ones; relaxing alone makes all alike.
    weights = rng.uniform(0, 0.35, count) * np.ptp(u) * np.ptp(v) / count
    for _ in range(5):
        owner = nearest_seed(few, seeds, weights)
        size = np.bincount(owner, minlength=count)
        for axis in (0, 1):
            mean = np.bincount(owner, few[:, axis], count) / np.maximum(size, 1)
            # A cell that lost all its points waits where it is.
            seeds[:, axis] = np.where(size > 0, mean, seeds[:, axis])
    return nearest_seed(points, seeds, weights)


def edge_distance(edges: Mask, reach_px: int) -> Field:
    """Distance to the nearest edge pixel, exact up to ``reach_px`` and clipped there."""
    squared = np.where(edges, 0.0, float(reach_px**2))
    for _ in range(2):
        squared = squared.T
        best = squared.copy()
        for step in range(1, reach_px):
            np.minimum(best[step:], squared[:-step] + step**2, out=best[step:])
            np.minimum(best[:-step], squared[step:] + step**2, out=best[:-step])
        squared = best
    return np.sqrt(squared)


def glass_design(shape: tuple[int, int], rng: np.random.Generator) -> tuple[Labels, Field, Field]:
    """Draw a sun over hills, a river and poppies.

    Returns:
        pane labels (height, width), pane colors (n, 3), distance from the sun (picture widths).
    """
    height, width = shape
    y, x = np.mgrid[0:height, 0:width] / width
    radius, turn = np.hypot(x - 0.55, y - 0.40), np.arctan2(y - 0.40, x - 0.55)
    far, mid, front = (
        level + size * np.sin(pace * x + start) + 0.02 * np.sin(11 * x)
        for level, size, pace, start in (
            (0.80, 0.05, 5, 0.3),
            (0.91, 0.06, 4, 2.4),
            (1.06, 0.05, 6, 0.9),
        )
    )
    course = 0.52 + 0.55 * (y - 0.80) * np.sin(11 * (y - 0.80))
    river = (np.abs(x - course) < 0.03 + 0.28 * (y - 0.80)) & (y > far)
    plans: list[tuple[Mask, Field, Field, int, str]] = [
        ((radius > 0.47) & (y < 0.87), 0.8 * radius, 0.45 * turn, 60,
         "1d2f8f 27469f 3b2f8c 5b2f91 2878b8 1f5fb4"),
        ((radius > 0.30) & (radius < 0.52 + 0.03 * np.sin(9 * turn)), 0.5 * radius, 0.35 * turn, 44,
         "7a2a8c a8327f c73a6b 5b3fb0 d3527a 3f63c4"),
        ((radius > 0.16) & (radius < 0.34 + 0.03 * np.cos(12 * turn)), radius, 1.2 * turn, 34,
         "e0572f e8812c d93a45 f0a53a c42f52"),
        (radius < 0.20 + 0.02 * np.cos(16 * turn), 0 * radius, turn, 16,
         "f8c63c f3a62b fbdc6a f08e2a"),
        (radius < 0.10, x, y, 7, "fbe28a fbd560 fdecb4"),
        ((y > far) & (y < mid + 0.02), 0.5 * x, y - far, 22, "1f7a8b 2a8f92 17688f 4aa5aa"),
        ((y > mid) & (y < front + 0.02), 0.6 * x, y - mid, 34,
         "2f8f3f 5aa843 1e7a4a 8cb63c 3f9a58"),
        (y > front, x, 0.8 * (y - front), 36, "14603f 1f7a3a 0f5248 3c8a35 6b9a2e"),
        (river, 0.5 * x, 1.1 * y, 34, "3aa7d6 2b7fc4 7cc9dd 2a62b0 a9dfe0"),
    ]  # fmt: skip
    for cx, cy, size in (
        (0.12, 1.07, 0.055),
        (0.27, 1.15, 0.045),
        (0.86, 1.10, 0.06),
        (0.73, 1.18, 0.04),
    ):
        bloom = np.hypot(x - cx, y - cy)
        petals = np.arctan2(y - cy, x - cx)
        plans.append((bloom < size * (1 + 0.12 * np.cos(5 * petals)), 0 * x, petals, 5,
                      "d3202f e8402f b5152f f0603a"))  # fmt: skip
        plans.append((bloom < 0.3 * size, x, y, 1, "2a1235"))
    labels, tints = np.zeros(shape, dtype=np.int64), np.zeros((0, 3))
    for where, u, v, count, palette in plans:
        labels[where] = len(tints) + shards(u[where], v[where], count, rng)
        choice = colors(palette)
        tints = np.concatenate([tints, choice[rng.integers(0, len(choice), count)]])
    return labels, np.clip(tints + rng.normal(0, 0.03, tints.shape), 0, 1), radius


def glass_color(labels: Labels, tints: Field, radius: Field, rng: np.random.Generator) -> Field:
    """Panes with streaks, an inner gradient each, and the sun behind them: (h, w, 3), 0..1+."""
    shape, count = (labels.shape[0], labels.shape[1]), len(tints)
    y, x = np.mgrid[0 : shape[0], 0 : shape[1]]
    size = np.maximum(np.bincount(labels.ravel(), minlength=count), 1)
    center_x, center_y = (np.bincount(labels.ravel(), p.ravel(), count) / size for p in (x, y))
    lean = rng.uniform(0, 2 * np.pi, count)
    across = (x - center_x[labels]) * np.cos(lean)[labels]
    across += (y - center_y[labels]) * np.sin(lean)[labels]
    across = np.clip(across / np.sqrt(size)[labels], -1, 1)
    kinds = ((70, 5), (300, 0.15), (90, 1))
    grain = np.stack([fractal(shape, cell, rng, stretch) for cell, stretch in kinds])
    streaks = np.take_along_axis(grain, (labels % 3)[None], axis=0)[0]
    glass = tints[labels] * (1 + 0.32 * across + 0.17 * streaks)[..., None]
    # Flashed glass: the thin side of a pane lets more white light through.
    glass = mix(glass, np.ones(3), np.clip(0.22 * across + 0.07 * streaks, 0, 0.4))
    backlit: Field = glass * (0.92 + 0.28 * np.exp(-((radius / 0.45) ** 2)))[..., None]
    return backlit


def paint_glass(rng: np.random.Generator) -> Field:
    """Paint a leaded window, lit from behind: (height, width, 3), 0..1."""
    shape = 2048, 1640
    labels, tints, radius = glass_design(shape, rng)
    corner = [labels[:-1, :-1], labels[1:, :-1], labels[:-1, 1:], labels[1:, 1:]]
    borders = np.pad(sum((corner[0] != c).astype(int) for c in corner[1:]), (0, 1))
    kinds = np.sort(np.stack(corner), axis=0)
    joints = np.pad((np.diff(kinds, axis=0) != 0).sum(axis=0) > 1, (0, 1)).astype(np.float64)
    distance = blur(edge_distance(borders > 0, 48), 1.2)
    # Lead comes are drawn by hand; solder thickens them where three or more meet.
    half_width = 8.0 + 1.1 * fractal(shape, 120, rng) + np.minimum(blur(joints, 9) * 2200, 6)
    inside = np.clip(distance / half_width, 0, 1)
    glass = glass_color(labels, tints, radius, rng)
    hammered = blur(fractal(shape, 18, rng), 1.2)
    glass = light(glass, hammered, 0.33) * (0.66 + 0.34 * smoothstep(6, 40, distance))[..., None]
    bead = np.sqrt(1 - inside**2) + 0.03 * fractal(shape, 9, rng)
    lead = light(np.full((*shape, 3), 0.13) * np.array([0.95, 1.0, 1.15]), bead, 3.2)
    window = mix(lead, glass, smoothstep(0.85, 1.05, distance / half_width))
    halo = np.stack([blur(np.clip(window[..., c] - 0.45, 0, 1), 26) for c in range(3)], axis=-1)
    return window + 0.38 * halo
