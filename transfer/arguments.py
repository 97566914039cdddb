"""The settings of a painting as arguments of the command line."""

import argparse
import re

from transfer.errors import InvalidSetting
from transfer.settings import (
    BRUSH_SIZE_MAX,
    BRUSH_SIZE_MIN,
    LAYERS,
    Backbone,
    ColorMap,
    Effort,
    Expert,
    Pooling,
    Rendition,
    Settings,
    Start,
)


def add_settings(parser: argparse.ArgumentParser) -> None:
    """One argument for each field of `Settings` but animation, with its default."""
    defaults = Settings()
    add = parser.add_argument
    add("--size", type=int, default=defaults.long_edge_px, help="long edge, px (%(default)s)")
    add("--strength", type=float, default=defaults.strength, help="0 to 1 (%(default)s)")
    for name, kind in (("effort", Effort), ("backbone", Backbone)):
        default = str(getattr(defaults, name))
        add(f"--{name}", choices=[str(one) for one in kind], default=default, help=f"({default})")
    add(
        "--colors",
        default=",".join(defaults.renditions),
        help=f"one or more of {', '.join(Rendition)}, commas between (%(default)s)",
    )
    add("--seed", type=int, default=defaults.seed, help="same seed, same picture (%(default)s)")
    add(
        "--style-weights",
        default="",
        metavar="W,W...",
        help="one per style, only their ratios count (all alike)",
    )
    add(
        "--brush-size",
        type=float,
        default=defaults.brush_size,
        help=f"size of strokes, {BRUSH_SIZE_MIN:g} to {BRUSH_SIZE_MAX:g} (%(default)s)",
    )
    add("--smoothness", type=float, default=defaults.smoothness, help="0 to 1 (%(default)s)")
    add(
        "--start",
        choices=[str(one) for one in Start],
        default=str(defaults.start),
        help="the image before the first evaluation (%(default)s)",
    )
    add(
        "--color-map",
        choices=[str(one) for one in ColorMap],
        default=str(defaults.color_map),
        help="how the style gets the photo's palette in histogram (%(default)s)",
    )
    _add_expert(parser, defaults.expert)


def settings_of(options: argparse.Namespace, *, animation: bool) -> Settings:
    """What the parsed arguments ask for.

    Raises:
        InvalidSetting: if a value is out of range or unknown.
    """
    return Settings(
        long_edge_px=options.size,
        strength=options.strength,
        effort=Effort(options.effort),
        backbone=Backbone(options.backbone),
        renditions=_renditions(options.colors),
        seed=options.seed,
        style_weights=_style_weights(options.style_weights),
        brush_size=options.brush_size,
        smoothness=options.smoothness,
        start=Start(options.start),
        color_map=ColorMap(options.color_map),
        animation=animation,
        expert=Expert(
            content_weight=options.content_weight,
            smoothness_weight=options.smoothness_weight,
            style_layers=_style_layers(options.style_layers),
            content_layer=options.content_layer,
            pooling=Pooling(options.pooling),
            evaluations=options.evaluations,
        ),
    )


def memory_bytes(text: str) -> int:
    """An amount of memory such as ``2GB``, ``800 MB`` or ``2147483648``, in bytes.

    Raises:
        InvalidSetting: if it is none.
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmgt]?)(i?)b?", text.strip().lower())
    if found is None or (found[3] and not found[2]):
        raise InvalidSetting("max memory", "an amount such as 2GB or 800MB", text)
    base = 1024 if found[3] else 1000
    return int(float(found[1]) * base ** " kmgt".index(found[2] or " "))


def _add_expert(parser: argparse.ArgumentParser, defaults: Expert) -> None:
    add = parser.add_argument_group("for experts").add_argument
    add(
        "--content-weight",
        type=float,
        help="fixed weight of the content loss, instead of --strength",
    )
    add("--smoothness-weight", type=float, help="of the roughness, instead of --smoothness")
    add(
        "--style-layers",
        default=",".join(layer for layer, _ in defaults.style_layers),
        metavar="LAYER[=W],...",
        help=f"of {', '.join(LAYERS)}; weight 1 where there is none (%(default)s)",
    )
    add("--content-layer", help="one of the same (relu4_2, with compact relu4_1)")
    add(
        "--pooling",
        choices=[str(one) for one in Pooling],
        default=str(defaults.pooling),
        help="(%(default)s)",
    )
    add("--evaluations", type=int, help="of the first rendition, about, instead of --effort's")


def _renditions(names: str) -> tuple[Rendition, ...]:
    try:
        return tuple(Rendition(name.strip()) for name in names.split(","))
    except ValueError:
        wanted = f"one or more of {', '.join(Rendition)}, with commas between"
        raise InvalidSetting("colors", wanted, names) from None


def _style_weights(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(weight) for weight in text.split(",")) if text else ()
    except ValueError:
        raise InvalidSetting("style weights", "numbers with commas between", text) from None


def _style_layers(text: str) -> tuple[tuple[str, float], ...]:
    pairs = [part.partition("=") for part in text.split(",")]
    try:
        return tuple((layer.strip(), float(weight or 1.0)) for layer, _, weight in pairs)
    except ValueError:
        wanted = "layers with commas between, each alone or as layer=weight"
        raise InvalidSetting("style layers", wanted, text) from None
