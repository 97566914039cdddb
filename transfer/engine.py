"""A painting from beginning to end: optimization after Gatys, Ecker & Bethge (CVPR 2016)."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from transfer import pyramid
from transfer.animation import Recorder
from transfer.backbones import compact, vgg19, vgg19_torchvision
from transfer.backbones.vgg import VggBackbone
from transfer.checkpoints import Checkpoint, identity_of
from transfer.descent import Goal, descended
from transfer.errors import ImageTooSmall, InvalidSetting, MaskCount, MemoryExceeded, StyleMissing
from transfer.images import fitted_size, resized, to_image, to_tensor
from transfer.memory import (
    MAX_MEMORY_MIN,
    Budget,
    Rung,
    default_budget,
    is_exhausted,
)
from transfer.progress import Ledger, OnProgress, Progress
from transfer.regions import Region, regions
from transfer.renditions import Canvas, begun, canvas
from transfer.settings import Rendition, Settings
from transfer.strength import Hold

__all__ = [
    "OnProgress",
    "OnRendition",
    "Painter",
    "Painting",
    "Progress",
    "paint",
]

_LOADERS = {compact.NAME: compact.load, vgg19.NAME: vgg19.load}


@dataclass(frozen=True)
class Painting:
    """What `paint` returns."""

    renditions: Mapping[Rendition, Image.Image]
    evaluations: int
    seconds: float
    backbones: tuple[str, ...]
    """In the order in which they painted."""
    animation: bytes | None = None
    """How the first rendition came about, as an animated WebP, if the settings ask for it."""
    memory: Rung = field(default_factory=Rung)
    """What gave way to keep within the memory, at the step that had to go farthest."""


OnRendition = Callable[[Rendition, Image.Image], None]


class Painter:
    """Keeps backbones ready, so that a worker loads each once.

    Args:
        device: ``"cpu"``, ``"cuda"``, or ``"auto"`` for CUDA where there is one.
        threads: CPU threads of the whole process; 0 leaves the choice to torch.
        weights_dir: where downloaded weights are kept; None for `catalog.default_weights_dir`.
        max_memory: bytes that painting may take: of the whole process, libraries included, on a
            CPU; of the device's memory on CUDA. None for `memory.default_budget`.

    Raises:
        InvalidSetting: if the device is unknown or absent, or the memory too little to begin.
    """

    def __init__(
        self,
        device: str = "auto",
        threads: int = 0,
        weights_dir: Path | None = None,
        max_memory: int | None = None,
    ) -> None:
        has_cuda = torch.cuda.is_available()
        if device not in {"auto", "cpu", "cuda"} or (device == "cuda" and not has_cuda):
            wanted = "auto, cpu or cuda" if has_cuda else "auto or cpu (there is no CUDA here)"
            raise InvalidSetting("device", wanted, device)
        self.device = torch.device("cuda" if has_cuda and device != "cpu" else "cpu")
        if max_memory is not None and max_memory < MAX_MEMORY_MIN:
            wanted = f"at least {MAX_MEMORY_MIN / 1e9:g} GB"
            raise InvalidSetting("max memory", wanted, f"{max_memory / 1e9:g} GB")
        self._max_memory = max_memory
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
        masks: Sequence[Image.Image | None] = (),
        on_rendition: OnRendition | None = None,
        checkpoint: bytes | None = None,
    ) -> Painting:
        """See `paint`."""
        try:
            return self._paint(
                content, styles, masks, settings, on_progress, on_rendition, checkpoint
            )
        except (RuntimeError, MemoryError) as error:
            if not is_exhausted(error):
                raise
            raise MemoryExceeded(settings.long_edge_px) from error

    def _paint(
        self,
        content: Image.Image,
        styles: Sequence[Image.Image],
        masks: Sequence[Image.Image | None],
        settings: Settings,
        on_progress: OnProgress | None,
        on_rendition: OnRendition | None,
        checkpoint: bytes | None,
    ) -> Painting:
        began = time.monotonic()
        photo, places = self._pictures(content, styles, masks, settings)
        plans = pyramid.plans(settings, photo.shape[2], photo.shape[3])
        identity = identity_of(settings, plans, photo, places)
        earlier = None if checkpoint is None else Checkpoint.from_bytes(checkpoint, identity)
        finished = {} if earlier is None else dict(earlier.finished)
        recorder = _recorder(settings, plans, photo, earlier)
        ledger = Ledger(plans, identity, finished, on_progress, recorder)
        total = self._max_memory or default_budget(photo.shape[2], photo.shape[3], self.device)
        budget = Budget(total, self.device, is_strict=self._max_memory is not None)
        painted: Tensor | None = None
        for number, (rendition, steps) in enumerate(plans.items()):
            if rendition in finished:
                for step in steps:
                    ledger.finished(step)
                shown = to_tensor(finished[rendition]).to(self.device)
            else:
                resumed = earlier if earlier and earlier.rendition == number else None
                # Made in the call, so that its start is not held any longer than it is needed.
                shown = self._painted(
                    canvas(rendition, photo, places, painted, settings),
                    number,
                    steps,
                    settings,
                    ledger,
                    resumed,
                    budget,
                )
                finished[rendition] = to_image(shown)
                if recorder is not None and number == 0:
                    recorder.close(finished[rendition])
                if on_rendition is not None:
                    on_rendition(rendition, finished[rendition])
            # Later renditions begin with the first: it alone was painted from scratch.
            painted = shown if painted is None else painted
        backbones = dict.fromkeys(step.backbone for steps in plans.values() for step in steps)
        animation = None if recorder is None else recorder.to_bytes()
        seconds = time.monotonic() - began
        return Painting(finished, ledger.done, seconds, tuple(backbones), animation, budget.lowest)

    def _pictures(
        self,
        content: Image.Image,
        styles: Sequence[Image.Image],
        masks: Sequence[Image.Image | None],
        settings: Settings,
    ) -> tuple[Tensor, tuple[Region, ...]]:
        """The photo at the size of the painting, and which styles go where."""
        if not styles:
            raise StyleMissing
        weights = settings.style_weights or (1.0,) * len(styles)
        if len(weights) != len(styles):
            wanted = f"one for each style, {len(styles)} in all"
            raise InvalidSetting("style weights", wanted, settings.style_weights)
        if masks and len(masks) != len(styles):
            raise MaskCount(len(masks), len(styles))
        width, height = content.size
        _check_size("content", min(height, width))
        _check_size("content", min(fitted_size(height, width, settings.long_edge_px)))
        for style in styles:
            _check_size("style", min(style.size))
        photo = to_tensor(content, settings.long_edge_px).to(self.device)
        seen = [self._style(style, settings) for style in styles]
        return photo, regions(seen, weights, masks, content.size, *photo.shape[2:])

    def _style(self, style: Image.Image, settings: Settings) -> Tensor:
        # Not enlarged unless the brush asks for it: a blurred style teaches blurred strokes.
        long_edge_px = min(settings.long_edge_px, max(style.size))
        return to_tensor(style, round(settings.brush_size * long_edge_px)).to(self.device)

    def _painted(
        self,
        scene: Canvas,
        rendition: int,
        steps: Sequence[pyramid.Step],
        settings: Settings,
        ledger: Ledger,
        resumed: Checkpoint | None,
        budget: Budget,
    ) -> Tensor:
        """One rendition as it is shown, painted from coarse to fine."""
        first = steps[0]
        if resumed is not None:
            image = resumed.image.to(self.device)
        elif rendition == 0:
            image = begun(scene, first.height, first.width, settings.start, settings.seed)
        else:
            image = resized(scene.start, first.height, first.width)
        scene = replace(scene, start=image)
        grip = 1.0 if resumed is None else resumed.grip
        for number, step in enumerate(steps):
            if resumed is None or number >= resumed.step:
                done = resumed.evaluations if resumed and number == resumed.step else 0
                hold = Hold.of(settings, step.backbone, step.long_edge_px, grip)
                hears = partial(ledger.evaluated, scene, rendition, number, grip)
                goal = Goal(self.backbone(step.backbone), scene, step, settings, hold)
                image = descended(image, goal, hears, done, budget)
                grip = hold.grip
            ledger.finished(step)
        return scene.shown(image)


def paint(
    content: Image.Image,
    styles: Sequence[Image.Image],
    settings: Settings,
    on_progress: OnProgress | None = None,
    *,
    masks: Sequence[Image.Image | None] = (),
    on_rendition: OnRendition | None = None,
    checkpoint: bytes | None = None,
    painter: Painter | None = None,
) -> Painting:
    """Paint one picture in the style of others.

    Args:
        content: what is painted; any size and mode.
        styles: how; one or more, of any size and mode. The statistics of several are averaged by
            their weights; one of weight 0 is left out, and its mask with it.
        settings: everything else that decides how it looks.
        masks: where each style goes, in the shape of the content at any size: white here, black
            not, gray in part; None: everywhere. Where none goes, the photo stays. Empty for no
            masks at all.
        on_progress: called after each evaluation; what it raises passes through.
        on_rendition: called with each rendition as soon as it is finished.
        checkpoint: from `Progress.checkpoint`: goes on from there. Renditions that were finished
            before are in the result, but ``on_rendition`` does not hear of them again.
        painter: keeps the backbones between paintings; a new one if there is none.

    Raises:
        StyleMissing: if ``styles`` is empty.
        InvalidSetting: if there are not as many style weights as styles.
        MaskCount: if there are not as many masks as styles.
        MaskUnusable: if a mask has another shape than the content, or is black everywhere.
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
        masks=masks,
        on_rendition=on_rendition,
        checkpoint=checkpoint,
    )


def _recorder(
    settings: Settings,
    plans: Mapping[Rendition, Sequence[pyramid.Step]],
    photo: Tensor,
    earlier: Checkpoint | None,
) -> Recorder | None:
    if not settings.animation:
        return None
    evaluations = sum(step.evaluations for step in plans[settings.renditions[0]])
    frames = None if earlier is None else earlier.frames
    return Recorder(evaluations, photo.shape[2], photo.shape[3], frames)


def _check_size(role: str, short_edge_px: int) -> None:
    if short_edge_px < pyramid.MIN_EDGE_PX:
        raise ImageTooSmall(role, short_edge_px, pyramid.MIN_EDGE_PX)
