"""Copy the photo samples out of scikit-image's own data, so that their origin can be checked.

Needs scikit-image, a development dependency; the licenses are in NOTICE. A few seconds:

    python docs/scripts/copy_photo_samples.py --out static/samples
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from skimage import data

PHOTOS: dict[str, Callable[[], NDArray[np.uint8]]] = {
    # CC0 by the photographer, Stefan van der Walt.
    "cat": data.chelsea,
    # CC0 by the photographer, Rachel Michetti; courtesy of Pikolo Espresso Bar.
    "coffee": data.coffee,
    # Released into the public domain by SpaceX.
    "rocket": data.rocket,
}

JPEG_QUALITY = 93


def copy_photo(name: str, folder: Path) -> Path:
    """Store one photo at its original size as JPEG; answer where."""
    path = folder / f"photo-{name}.jpg"
    image = Image.fromarray(PHOTOS[name]())
    # Whiskers and rigging suffer from halved chroma; the files stay small without it.
    image.save(path, "JPEG", quality=JPEG_QUALITY, subsampling=0, optimize=True, progressive=True)
    return path


def main() -> None:
    """Copy all photos into a folder."""
    parser = argparse.ArgumentParser(description="Copy the photo samples from scikit-image.")
    parser.add_argument("--out", type=Path, default=Path("static/samples"), help="target folder")
    folder: Path = parser.parse_args().out
    folder.mkdir(parents=True, exist_ok=True)
    for name in PHOTOS:
        path = copy_photo(name, folder)
        print(f"{path.name}: {path.stat().st_size // 1000} kB")


if __name__ == "__main__":
    main()
