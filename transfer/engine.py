"""A painting from beginning to end: optimization after Gatys, Ecker & Bethge (CVPR 2016)."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from transfer import pyramid
from transfer.backbones import compact, vgg19, vgg19_torchvision
from transfer.backbones.vgg import CONTENT_LAYER, STYLE_LAYERS, VggBackbone
from transfer.checkpoints import Checkpoint, identity_of
from transfer.errors import ImageTooSmall, InvalidSetting, MemoryExceeded, StyleMissing
from transfer.images import fitted_size, resized, to_image, to_tensor
from transfer.losses import ContentTarget, StyleTarget, content_loss, roughness, style_loss
from transfer.optimize import minimize
from transfer.progress import Ledger, OnProgress, Progress
from transfer.renditions import Canvas, canvas
from transfer.settings import Rendition, Settings
from transfer.statistics import averaged, statistics

__all__ = [
    "OnProgress",
    "OnRendition",
    "Painter",
    "Painting",
    "Progress",
    "content_weight",
    "paint",
]

_LOADERS = {compact.NAME: compact.load, vgg19.NAME: vgg19.load}
_MEMORY_SIGNS = ("allocate memory", "could not create a primitive", "bad_alloc")
"""Seen when a process runs into its limit: from torch's allocator, oneDNN, and C++."""
_NOISE = 0.02
"""What the seed decides: noise on the start, below what the eye notices."""
_SMOOTHNESS = 2.0
"""Weight of `roughness`: takes the colored speckle off flat places and costs no brushwork."""


@dataclass(frozen=True)
class Painting:
    """What `paint` returns."""

    renditions: Mapping[Rendition, Image.Image]
    evaluations: int
    seconds: float
    backbones: tuple[str, ...]
    """In the order in which they painted."""


OnRendition = Callable[[Rendition, Image.Image], None]


def content_weight(strength: float) -> float:
    """Weight of the relative content loss: 4 for strength 0, 1/4 for 0.5, 1/64 for 1.

    At 1/4, vgg19 finds the content as far away (0.4 to 0.45 of 1 - correlation at relu4_2) as
    in the pictures that the first implementations became known by.
    """
    return float(0.25 * 16.0 ** (1.0 - 2.0 * strength))


class Painter:
    """Keeps backbones ready, so that a worker loads each once.

    Args:
        device: ``"cpu"``, ``"cuda"``, or ``"auto"`` for CUDA where there is one.
        threads: CPU threads of the whole process; 0 leaves the choice to torch.
        weights_dir: where downloaded weights are kept; None for `catalog.default_weights_dir`.

    Raises:
        InvalidSetting: if the device is unknown or absent.
    """

    def __init__(
        self, device: str = "auto", threads: int = 0, weights_dir: Path | None = None
    ) -> None:
        has_cuda = torch.cuda.is_available()
        if device not in {"auto", "cpu", "cuda"} or (device == "cuda" and not has_cuda):
            wanted = "auto, cpu or cuda" if has_cuda else "auto or cpu (there is no CUDA here)"
            raise InvalidSetting("device", wanted, device)
        self.device = torch.device("cuda" if has_cuda and device != "cpu" else "cpu")
        if threads > 0:
            torch.set_num_threads(threads)
        self._loaders = _LOADERS | {
            vgg19_torchvision.NAME: partial(vgg19_torchvision.load, weights_dir=weights_dir)
        }
        self._backbones: dict[str, VggBackbone] = {}

    def backbone(self, name: str) -> VggBackbone:
        """The backbone of that name, loaded at its first use."""
        if name not in self._backbones:
            self._backbones[name] = self._loaders[name](self.device)
        return self._backbones[name]

    def paint(
        self,
        content: Image.Image,
        styles: Sequence[Image.Image],
        settings: Settings,
        on_progress: OnProgress | None = None,
        *,
        on_rendition: OnRendition | None = None,
        checkpoint: bytes | None = None,
    ) -> Painting:
        """See `paint`."""
        try:
            return self._paint(content, styles, settings, on_progress, on_rendition, checkpoint)
        except (torch.OutOfMemoryError, MemoryError) as error:
            raise MemoryExceeded(settings.long_edge_px) from error
        except RuntimeError as error:
            # What torch and oneDNN raise on the CPU has no class of its own.
            if not any(sign in str(error) for sign in _MEMORY_SIGNS):
                raise
            raise MemoryExceeded(settings.long_edge_px) from error

    def _paint(
        self,
        content: Image.Image,
        styles: Sequence[Image.Image],
        settings: Settings,
        on_progress: OnProgress | None,
        on_rendition: OnRendition | None,
        checkpoint: bytes | None,
    ) -> Painting:
        began = time.monotonic()
        photo, paints = self._pictures(content, styles, settings.long_edge_px)
        plans = pyramid.plans(settings, photo.shape[2], photo.shape[3])
        identity = identity_of(settings, plans, [photo, *paints])
        earlier = None if checkpoint is None else Checkpoint.from_bytes(checkpoint, identity)
        finished = {} if earlier is None else dict(earlier.finished)
        ledger = Ledger(plans, identity, finished, on_progress)
        painted: Tensor | None = None
        for number, (rendition, steps) in enumerate(plans.items()):
            if rendition in finished:
                for step in steps:
                    ledger.finished(step)
                shown = to_tensor(finished[rendition]).to(self.device)
            else:
                scene = canvas(rendition, photo, paints, painted)
                resumed = earlier if earlier and earlier.rendition == number else None
                shown = scene.shown(self._painted(scene, number, steps, settings, ledger, resumed))
                finished[rendition] = to_image(shown)
                if on_rendition is not None:
                    on_rendition(rendition, finished[rendition])
            # Later renditions begin with the first: it alone was painted from scratch.
            painted = shown if painted is None else painted
        backbones = dict.fromkeys(step.backbone for steps in plans.values() for step in steps)
        seconds = time.monotonic() - began
        return Painting(finished, ledger.done, seconds, tuple(backbones))

    def _pictures(
        self, content: Image.Image, styles: Sequence[Image.Image], long_edge_px: int
    ) -> tuple[Tensor, list[Tensor]]:
        if not styles:
            raise StyleMissing
        width, height = content.size
        _check_size("content", min(height, width))
        _check_size("content", min(fitted_size(height, width, long_edge_px)))
        for style in styles:
            _check_size("style", min(style.size))
        return (
            to_tensor(content, long_edge_px).to(self.device),
            # Never enlarged: a blurred style would teach the painting to be blurred.
            [
                to_tensor(style, min(long_edge_px, max(style.size))).to(self.device)
                for style in styles
            ],
        )

    def _painted(
        self,
        scene: Canvas,
        rendition: int,
        steps: Sequence[pyramid.Step],
        settings: Settings,
        ledger: Ledger,
        resumed: Checkpoint | None,
    ) -> Tensor:
        """The image of one rendition, painted from coarse to fine."""
        first = steps[0]
        image = resized(scene.start, first.height, first.width)
        if rendition == 0:
            image = _with_noise(image, settings.seed)
        if resumed is not None:
            image = resumed.image.to(self.device)
        for number, step in enumerate(steps):
            if resumed is None or number >= resumed.step:
                done = resumed.evaluations if resumed and number == resumed.step else 0
                objective = self._objective(scene, step, content_weight(settings.strength))
                image = resized(image, step.height, step.width)
                on_evaluation = ledger.evaluated(scene, rendition, number, done)
                left = step.evaluations - done
                image = minimize(image, objective, left, on_evaluation).clamp(0.0, 1.0)
            ledger.finished(step)
        return image

    def _objective(
        self, scene: Canvas, step: pyramid.Step, weight: float
    ) -> Callable[[Tensor], Tensor]:
        """The loss of an image at one scale, its targets computed once."""
        backbone = self.backbone(step.backbone)
        with torch.no_grad():
            content = resized(scene.content, step.height, step.width)
            seen = _features(backbone, content, (CONTENT_LAYER,))[CONTENT_LAYER]
            content_target = ContentTarget.of(seen)
            style_targets = _style_targets(backbone, scene.styles, step.long_edge_px)

        def objective(image: Tensor) -> Tensor:
            features = _features(backbone, image, (*STYLE_LAYERS, CONTENT_LAYER))
            style = sum(style_loss(features[layer], style_targets[layer]) for layer in STYLE_LAYERS)
            return (
                style / len(STYLE_LAYERS)
                + weight * content_loss(features[CONTENT_LAYER], content_target)
                + _SMOOTHNESS * roughness(image)
            )

        return objective


def paint(
    content: Image.Image,
    styles: Sequence[Image.Image],
    settings: Settings,
    on_progress: OnProgress | None = None,
    *,
    on_rendition: OnRendition | None = None,
    checkpoint: bytes | None = None,
    painter: Painter | None = None,
) -> Painting:
    """Paint one picture in the style of others.

    Args:
        content: what is painted; any size and mode.
        styles: how; one or more, of any size and mode. The statistics of several are averaged.
        settings: everything else that decides how it looks.
        on_progress: called after each evaluation; what it raises passes through.
        on_rendition: called with each rendition as soon as it is finished.
        checkpoint: from `Progress.checkpoint`: goes on from there. Renditions that were finished
            before are in the result, but ``on_rendition`` does not hear of them again.
        painter: keeps the backbones between paintings; a new one if there is none.

    Raises:
        StyleMissing: if ``styles`` is empty.
        ImageTooSmall: if a picture, or the painting at this size, is too small or too elongated.
        WeightsUnavailable: if a backbone's weights cannot be read.
        CheckpointUnusable: if the checkpoint is damaged, or of other pictures or settings.
        MemoryExceeded: if the device has too little memory.
    """
    painter = painter or Painter()
    return painter.paint(
        content,
        styles,
        settings,
        on_progress,
        on_rendition=on_rendition,
        checkpoint=checkpoint,
    )


def _check_size(role: str, short_edge_px: int) -> None:
    if short_edge_px < pyramid.MIN_EDGE_PX:
        raise ImageTooSmall(role, short_edge_px, pyramid.MIN_EDGE_PX)


def _features(backbone: VggBackbone, image: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
    return backbone.features(image.expand(-1, 3, -1, -1), layers)


def _style_targets(
    backbone: VggBackbone, styles: Sequence[Tensor], long_edge_px: int
) -> dict[str, StyleTarget]:
    """The averaged statistics of all styles, seen at the size of the painting."""
    seen = []
    for style in styles:
        height, width = style.shape[2:]
        if long_edge_px < max(height, width):
            height, width = fitted_size(height, width, long_edge_px)
        # An elongated style is seen larger, so that its short side survives four poolings.
        enlarged = max(1.0, pyramid.MIN_EDGE_PX * 2 / min(height, width))
        style = resized(style, round(height * enlarged), round(width * enlarged))
        features = _features(backbone, style, STYLE_LAYERS)
        seen.append({layer: statistics(features[layer]) for layer in STYLE_LAYERS})
    return {layer: StyleTarget.of(averaged([one[layer] for one in seen])) for layer in STYLE_LAYERS}


def _with_noise(image: Tensor, seed: int) -> Tensor:
    # Drawn on the CPU, so that one seed means one start on every device.
    generator = torch.Generator().manual_seed(seed)
    return image + _NOISE * torch.randn(image.shape, generator=generator).to(image)
