"""A river at evening, in dots."""

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
    mix,
    plane_of,
    ramp,
    sample,
    smoothstep,
)


def draw_river(shape: tuple[int, int], rng: np.random.Generator) -> Field:
    """Draw the picture under the dots: a river at evening, sails, poplars and a shaded bank."""
    height, width = shape
    y, x = np.mgrid[0:height, 0:width] / width
    horizon, aspect = 0.315, height / width
    sky = ramp(np.clip(y / horizon + 0.05 * fractal(shape, 300, rng, 4), 0, 1),
               "3f6fc0 6f98d8 a3b9e2 e3c9d6 f8d2a6 fbc873")  # fmt: skip
    cloud = smoothstep(0.3, 1.5, fractal(shape, 330, rng, stretch=3.2)) * smoothstep(0.33, 0.1, y)
    sky = mix(sky, ramp(np.clip(3 * y, 0, 1), "fff3dc f9c8b4 f0a08c"), 0.8 * cloud)
    sun = np.hypot(x - 0.63, y - 0.245)
    sky = mix(sky, colors("fff0b0")[0], np.exp(-((sun / 0.10) ** 2)))
    wavy = fractal((4, width), 420, rng)[0]
    sky = mix(sky, colors("8c86c4")[0], y > horizon - 0.040 - 0.018 * wavy)
    bushes = fractal((4, width), 90, rng)[0]
    leafy = smoothstep(-1, 1, fractal(shape, 40, rng))
    trees = y > horizon - 0.016 - 0.008 * bushes
    for at, tall in ((0.80, 0.15), (0.835, 0.19), (0.87, 0.165), (0.91, 0.21), (0.955, 0.18)):
        spread = 0.014 * np.sqrt(np.clip((y - horizon + tall) / tall, 0, 1)) + 0.003 * bushes
        trees |= (np.abs(x - at) < spread) & (y > horizon - tall)
    sky = mix(sky, ramp(leafy, "27406e 2f6a5c 5f9450 c2b84e"), trees & (y < horizon + 0.01))
    for at, tall in ((0.50, 0.13), (0.70, 0.09), (0.565, 0.06)):
        up = (horizon + 0.006 - y) / tall
        sky = mix(sky, colors("fff4e0")[0], (up > 0) & (x > at) & (x - at < 0.30 * tall * (1 - up)))
        sky = mix(
            sky, colors("f2b58c")[0], (up > 0) & (x < at) & (at - x < 0.18 * tall * (0.8 - up))
        )
    ripple = fractal(shape, 60, rng, stretch=6) * np.clip(y - horizon, 0, 1)
    mirror = np.stack([x * width + 60 * ripple, (2 * horizon - y + 0.22 * ripple) * width], axis=-1)
    water = mix(sample(sky, mirror) * np.array([0.93, 0.93, 1.0]), colors("2f62b4")[0],
                np.clip(0.08 + 1.5 * (y - horizon), 0, 1))  # fmt: skip
    glitter = smoothstep(0.2, 1.2, fractal(shape, 34, rng, 5)) * np.exp(-(((x - 0.63) / 0.09) ** 2))
    scene = mix(sky, mix(water, colors("ffe08a")[0], 0.85 * glitter), y > horizon)
    shore = 0.42 + 0.33 * x**1.2 + 0.012 * np.sin(16 * x) + 0.006 * bushes
    grass = fractal(shape, 120, rng, stretch=3)
    field = ramp(smoothstep(-1.6, 1.6, grass + 3 * (aspect - y)), "6f9a2f a9bf3c e0d257 f4df86")
    shade = smoothstep(-0.3, 0.3, np.sin(24 * (y - 0.32 * x) + 1.2 * grass) - 0.1)
    field = mix(field, ramp(smoothstep(-1, 1, grass), "2b3f86 2f6e78 3f8a5a"), 0.85 * shade)
    poppies = (fractal(shape, 26, rng) > 1.7) & (y > shore + 0.05)
    field = mix(field, colors("e8482f")[0], poppies)
    scene = mix(scene, field, y > shore)
    return mix(scene, *oak(x, y, rng))


def oak(x: Field, y: Field, rng: np.random.Generator) -> tuple[Field, Field]:
    """Draw a great tree at the left: its colors (height, width, 3) and coverage (height, width)."""
    shape = x.shape[0], x.shape[1]
    edge = 0.02 * fractal(shape, 90, rng)
    girth = 0.013 + 1.1 * np.clip(y - 0.44, 0, 1) ** 2 + 0.1 * edge
    trunk = np.abs(x - 0.145 - 0.03 * np.sin(6 * y) - 0.12 * edge) < girth
    cover = (trunk & (y > 0.2) & (y < 0.575 + 0.6 * edge)).astype(np.float64)
    leaves = np.ones((*shape, 3)) * colors("3a2350")[0]
    for _ in range(46):
        turn, far = rng.uniform(0, 2 * np.pi), np.sqrt(rng.random())
        cx, cy, size = (
            0.14 + 0.20 * far * np.cos(turn),
            0.17 + 0.16 * far * np.sin(turn),
            rng.uniform(0.035, 0.07),
        )
        clump = size - np.hypot(x - cx, (y - cy) * 1.25) + edge > 0
        facing = 0.45 + 0.35 * ((x - cx) - (y - cy)) / size + 5 * edge + 0.15 * np.cos(turn)
        leaves[clump] = ramp(
            np.clip(facing[clump], 0, 1), "182a5e 1d4f66 2f7d4c 79a83a d8c94a f6e27c"
        )
        cover[clump] = 1
    return leaves, cover


def divide_colors(rgb: Field, rng: np.random.Generator) -> Field:
    """Divide colors, shape (n, 3), as a pointillist does: neighbors in hue, some complements."""
    count = len(rgb)
    gray = rgb.mean(axis=1, keepdims=True)
    chroma = 1.22 * (rgb - gray) + rng.normal(0, 0.035, rgb.shape)
    turn = np.array([0.0, 0.65, -0.65, np.pi])[rng.choice(4, count, p=[0.46, 0.24, 0.20, 0.10])]
    axis = np.ones(3) / np.sqrt(3)
    # Rodrigues' rotation about the gray axis, to which chroma is perpendicular.
    turned = chroma * np.cos(turn)[:, None] + np.cross(axis, chroma) * np.sin(turn)[:, None]
    divided_rgb: Field = np.clip(gray * (1 + rng.normal(0, 0.10, (count, 1))) + turned, 0, 1)
    return divided_rgb


def paint_points(rng: np.random.Generator) -> Field:
    """Paint the evening river in four layers of dots: (height, width, 3), 0..1."""
    shape = 1536, 2048
    scene = draw_river(shape, rng)
    base = Image.fromarray(
        (mix(scene, colors("d9a874")[0], np.full(shape, 0.35)) * 255).astype(np.uint8)
    )
    relief = Image.new("L", base.size, 60)
    paint, build = ImageDraw.Draw(base), ImageDraw.Draw(relief)
    for radius, pitch in ((11.0, 14.0), (8.5, 11.5), (6.8, 10.0), (5.2, 12.0)):
        dots = jitter(shape, pitch, rng)
        for (x, y), rgb in zip(dots, divide_colors(sample(scene, dots), rng), strict=True):
            wide, tall = radius * rng.uniform(0.75, 1.2, 2)
            box = (x - wide, y - tall, x + wide, y + tall)
            paint.ellipse(box, fill=ink_of(rgb))
            build.ellipse(box, fill=int(rng.uniform(110, 230)))
    return light(plane_of(base), blur(plane_of(relief), 1.6), 1.1)
