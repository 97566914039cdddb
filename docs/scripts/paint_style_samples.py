"""Paint the four style samples: swirls, glass, ink and points.

Needs only numpy and Pillow; the same seed gives the same pictures. About a minute on one core:

    python docs/scripts/paint_style_samples.py --out static/samples
"""

import argparse
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image
from style_painters.brushwork import Field
from style_painters.glass import paint_glass
from style_painters.ink import paint_ink
from style_painters.points import paint_points
from style_painters.swirls import paint_swirls

WORK_SCALE = 2
"""Painters work this many times larger than the file, each way."""

MAX_FILE_BYTES = 350_000
"""Four of these are shown together on the studio page, so each stays light."""

PAINTERS: dict[str, Callable[[np.random.Generator], Field]] = {
    "swirls": paint_swirls,
    "glass": paint_glass,
    "ink": paint_ink,
    "points": paint_points,
}


def encode(rgb: Field) -> bytes:
    """Halve a painting (0..1) and store it as the best JPEG below the size limit."""
    image = Image.fromarray((np.clip(rgb, 0, 1) * 255).round().astype(np.uint8)).reduce(WORK_SCALE)
    for quality in range(92, 60, -2):
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=quality, optimize=True, progressive=True)
        if buffer.tell() <= MAX_FILE_BYTES:
            break
    return buffer.getvalue()


def main() -> None:
    """Paint the styles asked for into a folder."""
    parser = argparse.ArgumentParser(description="Paint the style samples.")
    parser.add_argument(
        "--out", type=Path, default=Path("static/samples"), help="folder for the pictures"
    )
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--only", choices=list(PAINTERS), help="paint this one style")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    for index, (name, paint) in enumerate(PAINTERS.items()):
        if arguments.only in (None, name):
            data = encode(paint(np.random.default_rng([arguments.seed, index])))
            (arguments.out / f"style-{name}.jpg").write_bytes(data)
            print(f"style-{name}.jpg: {len(data) // 1000} kB")


if __name__ == "__main__":
    main()
