"""Functions that the painters of the style samples share: noise, palettes, light, placing strokes.

All lengths are pixels of the picture being painted; pictures are floats, (height, width, 3), 0..1.
"""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Field = NDArray[np.float64]


def fractal(
    shape: tuple[int, int], cell_px: float, rng: np.random.Generator, stretch: float = 1.0
) -> Field:
    """Smooth noise in four octaves.

    Args:
        shape: height, width.
        cell_px: size of the coarsest feature.
        rng: source of the noise.
        stretch: how many times wider than tall the features are.

    Returns:
        shape (height, width), mean 0, standard deviation 1.
    """
    height, width = shape
    total = np.zeros(shape)
    for octave in range(4):
        cell = max(cell_px / 2**octave, 2.0)
        rows, columns = int(height / cell) + 3, int(width / (cell * stretch)) + 3
        grid = Image.fromarray(rng.standard_normal((rows, columns)).astype(np.float32))
        layer = grid.resize((width, height), Image.Resampling.BICUBIC)
        total += np.asarray(layer, dtype=np.float64) * 0.5**octave
    normalized: Field = (total - total.mean()) / total.std()
    return normalized


def blur(plane: Field, sigma_px: float) -> Field:
    """Gaussian blur with mirrored borders, shape (height, width), any range."""
    pad = int(3 * sigma_px) + 1
    padded = np.pad(plane, pad, mode="reflect")
    height, width = padded.shape
    squared = np.fft.fftfreq(height)[:, None] ** 2 + np.fft.rfftfreq(width) ** 2
    spectrum = np.fft.rfft2(padded) * np.exp(-2 * (np.pi * sigma_px) ** 2 * squared)
    blurred: Field = np.fft.irfft2(spectrum, s=padded.shape)[pad:-pad, pad:-pad]
    return blurred


def smoothstep(low: float, high: float, value: Field) -> Field:
    """0 below ``low``, 1 above ``high``, smooth between."""
    t = np.clip((value - low) / (high - low), 0, 1)
    smooth: Field = t * t * (3 - 2 * t)
    return smooth


def colors(hexes: str) -> Field:
    """Space-separated RRGGBB colors as shape (n, 3), 0..1."""
    return np.array([list(bytes.fromhex(code)) for code in hexes.split()]) / 255


def ramp(value: Field, hexes: str) -> Field:
    """Evenly spaced colors read off at ``value`` (0..1): shape (..., 3), 0..1."""
    stops = colors(hexes)
    at = np.linspace(0, 1, len(stops))
    return np.stack([np.interp(value, at, stops[:, c]) for c in range(3)], axis=-1)


def mix(under: Field, over: Field, amount: Field | NDArray[np.bool_]) -> Field:
    """``over`` laid on ``under``, both (..., 3), with opacity ``amount`` (height, width), 0..1."""
    mixed: Field = under + (over - under) * amount[..., None]
    return mixed


def plane_of(image: Image.Image) -> Field:
    """Convert an image to floats, 0..1."""
    return np.asarray(image, dtype=np.float64) / 255


def light(rgb: Field, relief: Field, gain: float) -> Field:
    """Light a relief (any range) from the upper left: matte shading, and shine on wet ridges."""
    slope_y, slope_x = np.gradient(relief)
    facing = gain * (slope_x + 1.3 * slope_y)
    shade = np.clip(facing, -0.4, 0.4)[..., None]
    shine = np.clip(facing - 0.28, 0, 0.5)[..., None]
    lit: Field = rgb * (1 + shade) + 0.5 * shine * np.array([1.0, 0.97, 0.9])
    return lit


def jitter(shape: tuple[int, int], pitch_px: float, rng: np.random.Generator) -> Field:
    """Points of a shaken grid in random order, shape (n, 2) as x, y."""
    height, width = shape
    # Strokes that enter from outside must be there too, or the left border stays bare.
    y, x = np.mgrid[-60 : height + 60 : pitch_px, -60 : width + 60 : pitch_px]
    points = np.stack([x.ravel(), y.ravel()], axis=1)
    points = points + rng.uniform(-0.6, 0.6, points.shape) * pitch_px
    return rng.permutation(points)


def sample(plane: Field, points: Field) -> Field:
    """Values of a plane, (height, width, ...), at points (..., 2) as x, y; borders extend."""
    x = np.clip(points[..., 0], 0, plane.shape[1] - 1).astype(np.int64)
    y = np.clip(points[..., 1], 0, plane.shape[0] - 1).astype(np.int64)
    picked: Field = plane[y, x]
    return picked


def trace(angle: Field, starts: Field, length_px: float, steps: int) -> Field:
    """Follow a direction field (radians) from each start: shape (n, steps + 1, 2)."""
    path = [starts]
    for _ in range(steps):
        heading = sample(angle, path[-1])
        move = np.stack([np.cos(heading), np.sin(heading)], axis=1)
        path.append(path[-1] + move * length_px / steps)
    return np.stack(path, axis=1)


def ink_of(rgb: Field) -> tuple[int, int, int]:
    """Convert one color, shape (3,), 0..1, to Pillow's 0..255."""
    r, g, b = (int(255 * min(max(float(c), 0.0), 1.0)) for c in rgb)
    return r, g, b
