"""A night sky of vortices, in bristle strokes."""

import numpy as np
from PIL import Image, ImageDraw

from .brushwork import (
    Field,
    blur,
    colors,
    fractal,
    ink_of,
    jitter,
    light,
    plane_of,
    ramp,
    sample,
    smoothstep,
    trace,
)

VORTICES = (
    (0.31, 0.30, 0.21, 1.0), (0.72, 0.21, 0.13, -1.0), (0.80, 0.57, 0.15, 1.0),
    (0.52, 0.57, 0.10, -1.0), (0.13, 0.66, 0.10, -1.0), (0.97, 0.33, 0.07, -1.0),
    (0.55, 0.06, 0.08, 1.0), (0.05, 0.08, 0.07, -1.0),
)  # fmt: skip
"""Center x, center y, radius (all in picture widths) and sense of rotation."""

SWIRL_PALETTE = "070d2b 0f2260 174a94 1f74b0 2f9aa6 6dbfae c4dcb8 f6ecc2 fbd766 f6b02c ea7a24"


def swirl_plan(shape: tuple[int, int], rng: np.random.Generator) -> tuple[Field, Field]:
    """Tone (0..1, dark to glowing) and stroke direction (radians) of the swirling sky.

    Both come from one stream function, so that bands of color run along the strokes.
    """
    height, width = shape
    y, x = np.mgrid[0:height, 0:width] / width
    stream = 0.30 * y + 0.012 * fractal(shape, 700, rng, stretch=1.6)
    turn, glow = np.zeros(shape), np.zeros(shape)
    for cx, cy, radius, spin in VORTICES:
        near = ((x - cx) ** 2 + (y - cy) ** 2) / radius**2
        stream += spin * 0.75 * radius * np.exp(-near)
        # Arms wind outward only if the bands also turn once per revolution.
        turn += spin * np.exp(-0.8 * near) * np.arctan2(y - cy, x - cx)
        glow = np.maximum(
            glow, 0.95 * np.exp(-(2.2 + 50 * radius) * near) + 0.30 * np.exp(-1.6 * near)
        )
    slope_y, slope_x = np.gradient(stream)
    angle = np.arctan2(-slope_x, slope_y) + 0.12 * fractal(shape, 160, rng)
    bands = np.sin(2 * np.pi * 19 * stream + 2 * turn + 0.5 * fractal(shape, 300, rng))
    sink = smoothstep(0.50, 0.80, y + 0.05 * np.sin(7 * x + 1))
    tone = 0.27 + 0.17 * bands + 0.06 * fractal(shape, 220, rng) - 0.17 * sink + 0.62 * glow
    return np.clip(tone, 0, 1), angle


def brush(
    draws: tuple[ImageDraw.ImageDraw, ImageDraw.ImageDraw],
    path: Field,
    width_px: float,
    rgb: Field,
    rng: np.random.Generator,
) -> None:
    """Draw one stroke, bristle by bristle, into a color picture and a relief picture."""
    along = path[-1] - path[0]
    side = np.array([-along[1], along[0]]) / (np.hypot(*along) + 1e-6)
    count = max(3, int(width_px / 3.2))
    for offset in np.linspace(-0.5, 0.5, count):
        # A round brush: outer bristles touch down later and lift earlier.
        lift = int(abs(offset) * 3.2 + rng.uniform(0, 1.6))
        bristle = path[lift : len(path) - lift // 2] + side * offset * width_px
        if len(bristle) < 2:
            continue
        points = [(float(px), float(py)) for px, py in bristle]
        load = rgb * (1 + rng.normal(0, 0.07)) + rng.normal(0, 0.012, 3)
        ridge = int(np.clip(95 + 130 * abs(offset) + rng.normal(0, 38), 0, 255))
        draws[0].line(points, fill=ink_of(load), width=5)
        draws[1].line(points, fill=ridge, width=5)


def paint_swirls(rng: np.random.Generator) -> Field:
    """Paint a night sky of vortices in thick bristle strokes: (height, width, 3), 0..1."""
    shape = 1600, 2048
    tone, angle = swirl_plan(shape, rng)
    base = Image.fromarray((ramp(tone * 0.7, SWIRL_PALETTE) * 255).astype(np.uint8))
    relief = Image.new("L", base.size, 90)
    draws = ImageDraw.Draw(base), ImageDraw.Draw(relief)
    for width_px, length_px, pitch_px in (
        (46, 330, 44),
        (30, 230, 27),
        (19, 150, 19),
        (10, 110, 20),
    ):
        starts = jitter(shape, pitch_px, rng)
        paths = trace(angle, starts, length_px, 12)
        tones = sample(tone, paths[:, 6]) + rng.normal(0, 0.055, len(starts))
        loads = ramp(np.clip(tones, 0, 1), SWIRL_PALETTE)
        # A few strokes of violet and rose keep the blues from going flat.
        accent = (rng.random(len(starts)) < 0.05) & (tones < 0.5)
        loads[accent] = 0.45 * loads[accent] + 0.55 * colors("8a6cc0")[0]
        for path, load in zip(paths, loads, strict=True):
            brush(draws, path, width_px * rng.uniform(0.7, 1.15), load, rng)
    return light(plane_of(base), blur(plane_of(relief), 1.3), 2.6)
