"""One painting, from its pictures to its renditions."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import torch
from PIL import Image
from torch import Tensor

from transfer.backbones.vgg import VggBackbone
from transfer.errors import ImageTooSmall, InvalidSetting, MaskCount, StyleMissing
from transfer.imaging.animation import Recorder
from transfer.imaging.images import fit_size, resize, to_image, to_tensor
from transfer.imaging.masks import Region, build_regions
from transfer.memory.budget import Budget
from transfer.memory.plan import MemoryPlan
from transfer.objective.content_penalty import ContentPenalty
from transfer.pipeline.base_painting import BasePainting, base_image, check_fits, final_state
from transfer.pipeline.checkpoints import Checkpoint, fingerprint, optimizer_fingerprint
from transfer.pipeline.level import LevelProblem, optimize_level
from transfer.pipeline.progress import OnProgress, ProgressTracker
from transfer.pipeline.renditions import RenditionTask, initial_image, rendition_task
from transfer.planning import pyramid
from transfer.settings import Rendition, Settings

OnRendition = Callable[[Rendition, Image.Image], None]
OnState = Callable[[bytes], None]


@dataclass(frozen=True)
class PaintResult:
    """What `engine.paint` returns."""

    renditions: Mapping[Rendition, Image.Image]
    evaluations: int
    seconds: float
    backbones: tuple[str, ...]
    """In the order in which they painted."""
    animation: bytes | None = None
    """How the first rendition came about, as an animated WebP, if the settings ask for it."""
    memory_plan: MemoryPlan = field(default_factory=MemoryPlan)
    """What gave way to keep within the memory, at the step that had to go farthest."""


@dataclass(frozen=True)
class Callbacks:
    """Who hears of a painting while it is painted."""

    progress: OnProgress | None = None
    rendition: OnRendition | None = None
    state: OnState | None = None


@dataclass(frozen=True)
class PaintRequest:
    """What is painted, and how: pictures and settings."""

    content: Image.Image
    styles: Sequence[Image.Image]
    masks: Sequence[Image.Image | None]
    settings: Settings
    base: BasePainting | None = None
    """An earlier painting that this one goes on from."""


class PaintRun:
    """One painting.

    Args:
        request: what is painted.
        device: where.
        callbacks: who hears of it.
        checkpoint: from `Progress.checkpoint`: goes on from there.
        graphs: whether evaluations are played back from CUDA graphs.

    Raises:
        TransferError: as `engine.paint` says.
    """

    def __init__(
        self,
        request: PaintRequest,
        device: torch.device,
        callbacks: Callbacks,
        checkpoint: bytes | None,
        *,
        graphs: bool = False,
    ) -> None:
        self._began = time.monotonic()
        self._device = device
        self._graphs = graphs
        self._callbacks = callbacks
        settings, base = request.settings, request.base
        self._settings = settings
        if base is not None:
            check_fits(base, settings, request.content)
        self._base = base
        self._photo, self._regions = _pictures(request, device)
        self.height, self.width = self._photo.shape[2:]
        base_px = None if base is None else base.long_edge_px
        self._plans = pyramid.schedules(settings, self.height, self.width, base_px)
        pictures = self._photo, self._regions
        digest = None if base is None else base.digest
        expected = fingerprint(settings, self._plans, *pictures, digest)
        last = self._plans[settings.renditions[0]][-1]
        place = last.backbone, last.height, last.width
        self._optimizer_fingerprint = optimizer_fingerprint(settings, place, *pictures)
        earlier = None
        if checkpoint is not None:
            earlier = Checkpoint.from_bytes(checkpoint, expected, device)
        elif base is not None and base.state is not None:
            earlier = Checkpoint.from_bytes(base.state, self._optimizer_fingerprint, device)
        if base is not None:
            self._base = replace(base, state=None)  # It is read, and large.
        self._finished = {} if earlier is None else dict(earlier.finished)
        # Taken from here when its time has come: its memory is of no use beyond its step.
        self._resumable = {} if earlier is None else {earlier.rendition: earlier}
        self._recorder = self._new_recorder(earlier)
        self._tracker = ProgressTracker(
            self._plans, expected, self._finished, callbacks.progress, self._recorder
        )

    def _new_recorder(self, earlier: Checkpoint | None) -> Recorder | None:
        if not self._settings.animation:
            return None
        evaluations = sum(level.evaluations for level in self._plans[self._settings.renditions[0]])
        frames = None if earlier is None else earlier.frames
        return Recorder(evaluations, self.height, self.width, frames)

    def run(self, backbone: Callable[[str], VggBackbone], budget: Budget) -> PaintResult:
        """Paint it.

        Args:
            backbone: the network of a name.
            budget: of memory.
        """
        first: Tensor | None = None
        for number, (rendition, levels) in enumerate(self._plans.items()):
            if rendition in self._finished:
                for level in levels:
                    self._tracker.finished(level)
            else:
                # Made in the call, so that its start is not held any longer than it is needed.
                self._finished[rendition] = self._rendition(
                    rendition_task(rendition, self._photo, self._regions, first, self._settings),
                    number,
                    levels,
                    backbone,
                    budget,
                )
                self._tell(rendition, is_first=number == 0)
            if first is None:
                # Later renditions begin with the first: it alone was painted from scratch. As it
                # is stored, so that it makes no difference whether it was painted just now.
                first = to_tensor(self._finished[rendition]).to(self._device)
        backbones = dict.fromkeys(
            level.backbone for levels in self._plans.values() for level in levels
        )
        return PaintResult(
            self._finished,
            self._tracker.done,
            time.monotonic() - self._began,
            tuple(backbones),
            None if self._recorder is None else self._recorder.to_bytes(),
            budget.lowest,
        )

    def _rendition(
        self,
        task: RenditionTask,
        rendition: int,
        levels: Sequence[pyramid.Level],
        backbone: Callable[[str], VggBackbone],
        budget: Budget,
    ) -> Image.Image:
        """One rendition as it is shown, painted from coarse to fine."""
        settings = self._settings
        size = levels[0].height, levels[0].width
        run_all = settings.advanced.evaluations is not None or self._base is not None
        begin, done, multiplier, optimizer_state = 0, 0, 1.0, None
        resumed = self._resumable.pop(rendition, None)
        if resumed is not None:
            begin, done, multiplier = resumed.level, resumed.evaluations, resumed.multiplier
            image, optimizer_state = resumed.image, resumed.optimizer_state
        elif rendition > 0:
            image = resize(task.start, *size)
        elif self._base is not None:
            image = base_image(self._base, task.start.shape[1], *size).to(self._device)
        else:
            image = initial_image(task, *size, settings.start, settings.seed)
        del resumed
        task = replace(task, start=image)
        for number, level in enumerate(levels):
            if number >= begin:
                penalty = ContentPenalty.of(
                    settings, level.backbone, level.long_edge_px, multiplier
                )
                on_evaluation = partial(
                    self._tracker.evaluation_callback, task, rendition, number, multiplier
                )
                about = backbone(level.backbone), task, level, settings, penalty
                problem = LevelProblem(*about, run_all, self._graphs)
                image = optimize_level(image, problem, on_evaluation, budget, done, optimizer_state)
                done, optimizer_state, multiplier = 0, None, penalty.multiplier
            self._tracker.finished(level)
        return to_image(task.shown(image))

    def _tell(self, rendition: Rendition, *, is_first: bool) -> None:
        image = self._finished[rendition]
        if is_first and self._recorder is not None:
            self._recorder.close(image)
        if self._callbacks.rendition is not None:
            self._callbacks.rendition(rendition, image)
        # After the picture, which somebody waits for.
        position = self._tracker.position() if is_first else None
        if self._callbacks.state is not None and position is not None:
            state = final_state(position, self._optimizer_fingerprint)
            del position
            if state is not None:
                self._callbacks.state(state)


def _pictures(request: PaintRequest, device: torch.device) -> tuple[Tensor, tuple[Region, ...]]:
    """The photo at the size of the painting, and which styles go where."""
    settings, styles, masks = request.settings, request.styles, request.masks
    if not styles:
        raise StyleMissing
    weights = settings.style_weights or (1.0,) * len(styles)
    if len(weights) != len(styles):
        wanted = f"one for each style, {len(styles)} in all"
        raise InvalidSetting("style weights", wanted, settings.style_weights)
    if masks and len(masks) != len(styles):
        raise MaskCount(len(masks), len(styles))
    width, height = request.content.size
    _check_size("content", min(height, width))
    _check_size("content", min(fit_size(height, width, settings.long_edge_px)))
    for style in styles:
        _check_size("style", min(style.size))
    photo = to_tensor(request.content, settings.long_edge_px).to(device)
    seen = [_style(style, settings).to(device) for style in styles]
    return photo, build_regions(seen, weights, masks, request.content.size, *photo.shape[2:])


def _style(style: Image.Image, settings: Settings) -> Tensor:
    # Not enlarged unless the brush asks for it: a blurred style teaches blurred strokes.
    long_edge_px = min(settings.long_edge_px, max(style.size))
    return to_tensor(style, round(settings.brush_size * long_edge_px))


def _check_size(role: str, short_edge_px: int) -> None:
    if short_edge_px < pyramid.MIN_EDGE_PX:
        raise ImageTooSmall(role, short_edge_px, pyramid.MIN_EDGE_PX)
