"""The command line: ``python -m transfer CONTENT STYLE [STYLE...] -o out.png``.

``python -m transfer backbones`` lists the backbones; a photo of that name is ``./backbones``.
"""

import argparse
import io
import os
import signal
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from PIL import Image

from transfer.backbones import registry
from transfer.command_line import add_settings, parse_bytes, parse_settings
from transfer.errors import TransferError
from transfer.settings import Backbone, Precision, Rendition

if TYPE_CHECKING:
    from transfer.engine import Progress

_FORMATS: dict[str, dict[str, Any]] = {
    ".png": {"format": "PNG", "compress_level": 1},  # 0.4 s instead of 1.9 s at 2048 px
    ".jpg": {"format": "JPEG", "quality": 95},
    ".jpeg": {"format": "JPEG", "quality": 95},
    ".webp": {"format": "WEBP", "quality": 95},
}

_EVERYWHERE = Path("everywhere")
"""Word for a style without a mask among styles with masks."""

_BACKBONES = "backbones"


class OutputUnwritable(TransferError):
    """The result cannot be stored where it was asked for."""


class _Parser(argparse.ArgumentParser):
    """Parser that answers a mistake with one sentence, without the usage."""

    def error(self, message: str) -> NoReturn:
        raise TransferError(f"{message[:1].upper()}{message[1:]}; --help shows what is possible.")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return 0 if it is done, 2 on a mistake, 130 on Ctrl-C."""
    words = sys.argv[1:] if arguments is None else arguments
    try:
        if words and words[0] == _BACKBONES:
            _run_backbones(_backbones_parser().parse_args(words[1:]))
        else:
            _run(_parser().parse_args(words))
    except TransferError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
        return 128 + signal.SIGINT
    return 0


def _run(options: argparse.Namespace) -> None:
    settings = parse_settings(options, animation=options.animation is not None)
    max_memory = None if options.max_memory is None else parse_bytes(options.max_memory)
    outputs = output_paths(options.output, settings.renditions)
    _check_outputs(outputs.values())
    if options.animation is not None:
        _check_animation(options.animation)
    # Spins of threads that wait for each other (docs/engine.md); libgomp reads it as torch loads.
    os.environ.setdefault("GOMP_SPINCOUNT", "5000")
    # Imported only after the options are checked: torch takes seconds.
    from transfer.engine import BasePainting, Painter
    from transfer.imaging.images import read_image, read_mask
    from transfer.memory.malloc import configure_malloc

    configure_malloc(is_limited=max_memory is not None)
    content = read_image(options.content)
    styles = [read_image(path) for path in options.styles]
    masks = [None if path == _EVERYWHERE else read_mask(path) for path in options.mask]
    base = None if options.base is None else BasePainting(read_image(options.base))
    painter = Painter(
        options.device, options.threads, options.weights_dir, max_memory, options.precision
    )
    if settings.backbone is Backbone.VGG19_TORCHVISION:
        _download(options.weights_dir)
    line = _ProgressLine()
    try:
        painting = painter.paint(content, styles, settings, line.show, masks=masks, base=base)
    finally:
        line.end()
    for rendition, path in outputs.items():
        _save(painting.renditions[rendition], path)
    if painting.animation is not None:
        _write(painting.animation, options.animation)
    tile_px = painting.memory_plan.tile_px
    in_parts = tile_px is not None and tile_px < settings.long_edge_px
    print(
        f"{painting.evaluations} evaluations of {' and '.join(painting.backbones)}"
        f" in {painting.seconds:.1f} s{f', in parts of {tile_px} px' * in_parts}",
        file=sys.stderr,
    )


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="python -m transfer",
        description="Paint a photo in the style of others.",
        epilog=f"`python -m transfer {_BACKBONES}` lists the backbones.",
    )
    add = parser.add_argument
    add("content", type=Path, metavar="CONTENT", help="the photo")
    add("styles", type=Path, nargs="+", metavar="STYLE", help="pictures whose style it takes")
    add("-o", "--output", type=Path, required=True, help=f"ends in {', '.join(_FORMATS)}")
    add(
        "--mask",
        type=Path,
        action="append",
        default=[],
        metavar="PICTURE",
        help="where a style goes: white here, black not, gray in part; in the photo's shape;"
        f" once per style, in their order, {_EVERYWHERE} for no mask",
    )
    add(
        "--from",
        type=Path,
        metavar="PAINTING",
        dest="base",
        help="continue an earlier painting of the photo, larger or for longer",
    )
    add("--animation", type=Path, metavar="FILE.webp", help="an animated WebP of the evaluations")
    add_settings(parser)
    add("--device", default="auto", help="auto, cpu or cuda (%(default)s)")
    add("--threads", type=int, default=0, help="CPU threads, 0 for torch's choice (%(default)s)")
    add(
        "--precision",
        type=Precision,
        choices=list(Precision),
        default=Precision.AUTO,
        help="precision of gradients and of what tiles keep: half where the processor is fast at it"
        " (%(default)s)",
    )
    add("--max-memory", metavar="2GB", help="memory to keep within, by tiles if need be (by size)")
    _add_weights_dir(parser)
    return parser


def _backbones_parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog=f"python -m transfer {_BACKBONES}",
        description="List the backbones: size, license, whether they are present, score.",
    )
    parser.add_argument(
        "--download",
        choices=[str(Backbone.VGG19_TORCHVISION)],
        help="fetch these weights first; what is there already is not fetched again",
    )
    _add_weights_dir(parser)
    return parser


def _add_weights_dir(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--weights-dir", type=Path, help="folder of downloaded weights (~/.cache/pic2paint)"
    )


def _run_backbones(options: argparse.Namespace) -> None:
    if options.download:
        _download(options.weights_dir)
    print(_table(registry.list_backbones(options.weights_dir)))


def _table(entries: Sequence[registry.BackboneInfo]) -> str:
    """Return one line per backbone, remedies for missing ones, and the meaning of the score."""
    rows = [("name", "size", "present", "score", "license")]
    for entry in entries:
        size = "unknown" if entry.size_bytes is None else f"{entry.size_bytes / 1e6:.1f} MB"
        score = entry.score
        figures = "not measured" if score is None else f"{score.style:.2f} / {score.content:.2f}"
        rows.append((entry.name, size, "yes" if entry.is_present else "no", figures, entry.license))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    missing = [f"{entry.name}: {entry.remedy}." for entry in entries if not entry.is_present]
    return "\n".join([*lines, "", *missing, registry.SCORE_MEANS])


def _download(weights_dir: Path | None) -> None:
    """Fetch torchvision's weights, unless they are there already."""
    from transfer.backbones import vgg19_torchvision

    vgg19_torchvision.fetch(weights_dir, progress=sys.stderr.isatty())


def output_paths(output: Path, renditions: Sequence[Rendition]) -> dict[Rendition, Path]:
    """Return the path of each rendition: the first as given, the others with their names added."""
    paths = {renditions[0]: output}
    for rendition in renditions[1:]:
        paths[rendition] = output.with_name(f"{output.stem}-{rendition}{output.suffix}")
    return paths


def _check_outputs(paths: Iterable[Path]) -> None:
    """Refuse unwritable outputs, before anything is painted."""
    for path in paths:
        if path.suffix.lower() not in _FORMATS:
            wanted = ", ".join(_FORMATS)
            raise OutputUnwritable(f"The output must end in one of {wanted}, not {path.name!r}.")
        if path.is_dir():
            raise OutputUnwritable(f"{path} is a folder, name a file in it.")
        try:
            with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}."):
                pass
        except OSError as error:
            raise OutputUnwritable(f"{path} cannot be written: {error.strerror}.") from None


def _check_animation(path: Path) -> None:
    if path.suffix.lower() != ".webp":
        raise OutputUnwritable(f"The animation must end in .webp, not {path.name!r}.")
    _check_outputs([path])


def _save(image: Image.Image, path: Path) -> None:
    encoded = io.BytesIO()
    image.save(encoded, **_FORMATS[path.suffix.lower()])
    _write(encoded.getvalue(), path)


def _write(data: bytes, path: Path) -> None:
    """Write a file under a temporary name first, so that nobody sees half a picture."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        temporary.write_bytes(data)
        temporary.replace(path)
    except OSError as error:
        raise OutputUnwritable(f"{path} cannot be written: {error.strerror}.") from None
    finally:
        temporary.unlink(missing_ok=True)


class _ProgressLine:
    """One line on stderr: rewritten on a terminal, once per tenth elsewhere."""

    def __init__(self) -> None:
        self._is_terminal = sys.stderr.isatty()
        self._last_step = -1

    def show(self, progress: "Progress") -> None:
        """Print the progress if it has come a step further."""
        step = int(progress.fraction * (100 if self._is_terminal else 10))
        if step == self._last_step:
            return
        self._last_step = step
        text = (
            f"{progress.fraction:4.0%}  {progress.rendition} at {progress.long_edge_px} px, "
            f"evaluation {progress.evaluation} of {progress.evaluations}"
        )
        if self._is_terminal:
            print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)
        else:
            print(text, file=sys.stderr, flush=True)

    def end(self) -> None:
        if self._is_terminal and self._last_step >= 0:
            print(file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
