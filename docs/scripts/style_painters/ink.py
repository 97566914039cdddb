"""Mountains, mist and pines, in pen and wash."""

import numpy as np
from PIL import Image, ImageDraw

from .brushwork import (
    Field,
    blur,
    colors,
    fractal,
    jitter,
    mix,
    plane_of,
    sample,
    smoothstep,
    trace,
)

PAPER, INK, WASH, VERMILION = colors("f0e4c9 1d1b26 7d8796 d8492f")
SUN = 0.66, 0.17
"""Center of the sun in the ink picture, picture widths."""


def ink_scene(shape: tuple[int, int], rng: np.random.Generator) -> tuple[Field, Field, list[Field]]:
    """Mountains in mist below a sun.

    Returns:
        tone (0..1, 1 is black) and hatch direction (radians), each (height, width), and the y of
        every ridge from far to near, each (width,).
    """
    height, width = shape
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    from_sun = np.hypot(x - SUN[0] * width, y - SUN[1] * width) / width
    cloud = smoothstep(0.1, 1.5, fractal(shape, 230, rng, stretch=4))
    tone = (
        (0.14 + 0.55 * smoothstep(0.10, 0.75, from_sun)) * (1 - 0.95 * cloud) * (from_sun > 0.078)
    )
    angle = np.arctan2(y - SUN[1] * width, x - SUN[0] * width) + np.pi / 2
    ridges = []
    for level, size, cell, dark in (
        (0.42, 0.10, 620, 0.50), (0.54, 0.10, 800, 0.70),
        (0.68, 0.09, 700, 0.92), (0.86, 0.04, 900, 0.45),
    ):  # fmt: skip
        # Folding the noise at zero turns round hills into sharp peaks.
        peaks = np.exp(-1.6 * np.abs(fractal((4, width), cell, rng)[0]))
        crest = (
            level + size * (0.5 - 1.5 * peaks) + 0.006 * fractal((4, width), 60, rng)[0]
        ) * height
        ridges.append(crest)
        below = np.maximum(y - crest, 0)
        # Spurs run downhill and lean away from the peaks; the sun stands behind them, right.
        lean = x - 0.5 * below + 34 * fractal(shape, 200, rng)
        spurs = blur(fractal(shape, 300, rng, stretch=0.6), 9) - 5 * np.interp(lean, x[0], peaks)
        turned = -np.gradient(spurs, axis=1) - 0.4 * np.gradient(spurs, axis=0)
        shadow = smoothstep(-0.7, 1.3, blur(turned / turned.std(), 5))
        mist = np.exp(-((below / (0.15 * height)) ** 1.5))
        here = y > crest
        tone = np.where(here, dark * mist * (0.27 + 0.95 * shadow) + 0.02, tone)
        angle = np.where(here, 1.9 - 0.9 * (0.5 - shadow) + 0.2 * np.sin(below / 60), angle)
    return np.clip(tone, 0, 1), angle, ridges


def pen_line(
    draw: ImageDraw.ImageDraw, path: Field, press: Field, rng: np.random.Generator
) -> None:
    """Draw a pen stroke along path, (n, 2); width and blackness follow press, (n,), 0..1."""
    for a, b, force in zip(path[:-1], path[1:], press[:-1], strict=True):
        if force > 0.10:
            shade = int(85 - 65 * force + rng.uniform(0, 20))
            draw.line((a[0], a[1], b[0], b[1]), fill=shade, width=round(1.4 + 2.7 * force))


def hatch(
    draw: ImageDraw.ImageDraw,
    tone: Field,
    angle: Field,
    span: tuple[float, float],
    rng: np.random.Generator,
) -> None:
    """Lay patches of parallel pen strokes wherever the tone lies above the span's lower end.

    Args:
        draw: an L picture, white paper.
        tone: 0..1, 1 is black.
        angle: direction of the strokes, radians.
        span: tone at which strokes begin, and at which they reach full pressure.
        rng: shakes the hand.
    """
    for start in jitter((tone.shape[0], tone.shape[1]), 44, rng):
        heading = float(sample(angle, start)) + rng.normal(0, 0.06)
        ahead = np.array([np.cos(heading), np.sin(heading)])
        side = np.array([-ahead[1], ahead[0]])
        rows = (
            start
            + side * (np.arange(-4, 5)[:, None] * rng.uniform(6, 8))
            + rng.normal(0, 2, (9, 2))
        )
        length = rng.uniform(60, 100)
        paths = trace(angle, rows - ahead * length / 2, length, 8)
        # The pen lands firmly and is flicked off.
        press = smoothstep(*span, sample(tone, paths)) * np.sin(np.linspace(0.6, 3.0, 9))
        for path, weight in zip(paths, press, strict=True):
            pen_line(draw, path, weight, rng)


def pine(draw: ImageDraw.ImageDraw, foot: Field, tall: float, rng: np.random.Generator) -> None:
    """Brush a pine: a trunk, and drooping boughs that widen downward."""
    x, y = float(foot[0]), float(foot[1])
    draw.line((x, y, x, y - tall), fill=12, width=max(3, int(tall / 34)))
    for level in np.linspace(0.04, 0.86, int(tall / 7)):
        reach = tall * 0.27 * level**0.8 * rng.uniform(0.55, 1.15)
        top = y - tall * (1 - level)
        for way in (-1, 1):
            tip = x + way * reach, top + 0.32 * reach + rng.normal(0, 2)
            draw.line((x, top, *tip), fill=int(rng.uniform(8, 45)), width=int(rng.uniform(3, 6)))
            draw.line(
                (x + way * reach * 0.5, top + 0.1 * reach, tip[0], tip[1] + 6), fill=25, width=3
            )


def blots(shape: tuple[int, int], rng: np.random.Generator) -> Field:
    """Three flicks of the pen, near the corners: coverage (height, width), 0..1."""
    height, width = shape
    image = Image.new("L", (width, height), 0)
    draw = ImageDraw.Draw(image)
    for at_x, at_y, count in ((0.14, 0.90, 60), (0.93, 0.07, 30), (0.07, 0.08, 25)):
        for size in 2.5 + 12 * rng.random(count) ** 12:
            cx, cy = rng.normal(at_x * width, 130), rng.normal(at_y * height, 70)
            draw.ellipse((cx - size, cy - size, cx + 1.3 * size, cy + size), fill=255)
    spread = plane_of(image)
    return smoothstep(0.35, 0.6, blur(spread, 2) + 0.3 * fractal(shape, 22, rng) * blur(spread, 5))


def wash(tone: Field, rng: np.random.Generator) -> Field:
    """Warm paper under thin washes, with a red sun: (height, width, 3), 0..1."""
    shape = height, width = tone.shape[0], tone.shape[1]
    fiber = fractal(shape, 12, rng, stretch=3) + fractal(shape, 20, rng)
    paper: Field = PAPER * (1 + 0.010 * fiber + 0.015 * fractal(shape, 500, rng))[..., None]
    wander = 0.05 * fractal(shape, 160, rng)
    pools = blur(tone, 16) + wander
    y, x = np.mgrid[0:height, 0:width] / width
    sun = 0.068 - np.hypot(x - SUN[0], y - SUN[1]) + 0.02 * wander
    layers = [(pools - level, 0.05, WASH, 0.30) for level in (0.16, 0.30, 0.46)]
    for depth, soft, pigment, strength in [*layers, (sun, 0.003, VERMILION, 0.80)]:
        # Pigment gathers where a wash dries: its rim is darker than its middle.
        flood = smoothstep(-soft, soft, depth)
        rim = flood * (1 - smoothstep(soft, 3 * soft, depth))
        thickness = strength * flood * (0.85 + 0.06 * fiber + wander) + 0.12 * rim
        paper = mix(paper, paper * (pigment / PAPER), thickness)
    return paper


def paint_ink(rng: np.random.Generator) -> Field:
    """Paint mountains hatched with a pen over washes on warm paper: (height, width, 3), 0..1."""
    shape = height, width = 1536, 2048
    tone, angle, ridges = ink_scene(shape, rng)
    blank = Image.new("L", (width, height), 255)
    ink = 1 - blots(shape, rng)
    for turn, low, high in (
        (0.0, 0.05, 0.60),
        (0.7, 0.34, 0.78),
        (-0.6, 0.54, 0.95),
        (1.5, 0.74, 1.05),
    ):
        sheet = blank.copy()
        hatch(ImageDraw.Draw(sheet), tone, angle + turn, (low, high), rng)
        ink *= plane_of(sheet)
    pen = ImageDraw.Draw(blank)
    columns = np.arange(0, width, 8)
    for ridge, strength in zip(ridges, (0.45, 0.65, 0.9, 0.5), strict=True):
        press = np.clip(strength * (0.8 + 0.5 * fractal((4, width), 120, rng)[0]), 0, 1.2)
        pen_line(pen, np.stack([columns, ridge[columns]], axis=1), press[columns], rng)
    for ridge, count, tall, stand in ((ridges[2], 70, 70, 0.3), (ridges[3], 60, 230, -0.1)):
        grove = fractal((4, width), 420, rng)[0]
        for column in rng.integers(0, width, count):
            if grove[column] > stand:
                foot = np.array([column, ridge[column] + rng.uniform(0.0, 0.3) * tall])
                pine(pen, foot, tall * rng.uniform(0.45, 1.3), rng)
    ink *= plane_of(blank)
    return mix(wash(tone, rng), INK * np.ones((*shape, 3)), 0.96 * (1 - ink))
