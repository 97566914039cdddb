"""Measure how exactly tiles give the gradient of the whole picture.

For the six fixed pairs of the quality benchmark (five with `--pairs 5`), at each tile size: the
photo itself, with a little noise, is the image; its gradient is computed at once and in
tiles, and compared.

    python -m benchmarks.tiles [--backbone compact] [--size 1024] [--tile 512 256 128]
                               [--pairs 6] [--pictures DIR]

Takes a minute for compact at 1024 px on one core.
"""

import sys

import torch

from benchmarks.common.commandline import Parser, run_program
from benchmarks.common.pairs import FIXED_PAIRS, Pair, named_pairs
from transfer.backbones.vgg import VggBackbone
from transfer.engine import Painter
from transfer.imaging.images import read_image, to_tensor
from transfer.imaging.masks import Region
from transfer.objective.builder import build_objective
from transfer.pipeline.renditions import RenditionTask
from transfer.settings import Backbone, Precision, Settings

_NOISE = 0.05
"""Standard deviation of the noise, without which the content has no gradient."""


def main() -> None:
    """Measure and print."""
    parser = Parser("benchmarks.tiles", __doc__)
    parser.add_pictures()
    backbones = [str(one) for one in Backbone if one is not Backbone.AUTO]
    parser.add_argument("--backbone", choices=backbones, default="compact")
    parser.add_argument("--size", type=int, default=1024, help="long edge, px (%(default)s)")
    parser.add_argument("--tile", type=int, nargs="+", default=[512, 256, 128], metavar="PX")
    parser.add_argument("--pairs", type=int, default=len(FIXED_PAIRS), help="(%(default)s)")
    options = parser.parse_args()
    pairs = named_pairs(options.pictures, FIXED_PAIRS[: options.pairs])
    # In single precision: in half, rounding is all that there is to see.
    backbone = Painter(precision=Precision.SINGLE).backbone(options.backbone)
    print(f"{options.backbone}, {options.size} px; difference from the whole picture's gradient,")
    print("largest / largest and Frobenius / Frobenius\n")
    print(f"{'pair':<28}" + "".join(f"{f'tiles of {tile} px':>22}" for tile in options.tile))
    worst = 0.0
    for pair in pairs:
        cells = [_deviation(backbone, pair, options.size, tile) for tile in options.tile]
        worst = max(worst, *(largest for largest, _ in cells))
        text = "".join(f"{f'{largest:.1e}  {norm:.1e}':>22}" for largest, norm in cells)
        print(f"{pair.name:<28}{text}", flush=True)
    print(f"\nworst: {worst:.1e}")


def _deviation(backbone: VggBackbone, pair: Pair, size: int, tile_px: int) -> tuple[float, float]:
    """Return the relative difference of the gradients: of largest values, and of norms."""
    content = to_tensor(read_image(pair.content), size)
    style = to_tensor(read_image(pair.style), size)
    canvas = RenditionTask(content, (Region((style,), None, None),), content, lambda image: image)
    generator = torch.Generator().manual_seed(0)
    image = content + _NOISE * torch.randn(content.shape, generator=generator)
    about = (
        backbone,
        canvas.content,
        canvas.regions,
        content.shape[2],
        content.shape[3],
        Settings(long_edge_px=size),
    )
    _, whole = build_objective(*about)(image)
    _, tiled = build_objective(*about, tile_px=tile_px)(image)
    apart = tiled - whole
    return float(apart.abs().max() / whole.abs().max()), float(apart.norm() / whole.norm())


if __name__ == "__main__":
    sys.exit(run_program(main, "Stopped."))
