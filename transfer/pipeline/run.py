"""One run: from the request through all renditions and levels to the result."""

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
from transfer.pipeline.face_detection import mask_style_faces, photo_protection
from transfer.pipeline.level import LevelProblem, optimize_level
from transfer.pipeline.progress import OnProgress, ProgressTracker
from transfer.pipeline.renditions import RenditionTask, initial_image, rendition_task
from transfer.planning import pyramid
from transfer.settings import Rendition, Settings

OnRendition = Callable[[Rendition, Image.Image], None]
OnState = Callable[[bytes], None]


@dataclass(frozen=True)
class PaintResult:
    """Result of `Painter.paint`."""

    renditions: Mapping[Rendition, Image.Image]
    evaluations: int
    """Number of evaluations done, without those before a checkpoint."""
    seconds: float
    backbones: tuple[str, ...]
    """Names of the backbones, in the order in which they painted."""
    animation: bytes | None = None
    """Animated WebP of the first rendition's evaluations, if the settings ask for it."""
    memory_plan: MemoryPlan = field(default_factory=MemoryPlan)
    """Most frugal memory plan that any level needed."""


@dataclass(frozen=True)
class Callbacks:
    """Functions to call while a painting is painted; see `Painter.paint`."""

    on_progress: OnProgress | None = None
    on_rendition: OnRendition | None = None
    on_state: OnState | None = None


@dataclass(frozen=True)
class PaintRequest:
    """Inputs of one run; see `Painter.paint`."""

    content: Image.Image
    styles: Sequence[Image.Image]
    masks: Sequence[Image.Image | None]
    settings: Settings
    base: BasePainting | None = None
    checkpoint: bytes | None = None


class PaintRun:
    """One run: the pictures as tensors, the schedules, and the renditions finished so far.

    Args:
        request: inputs of the run.
        callbacks: functions to call meanwhile.
        device: device that paints.
        graphs: True to replay evaluations from CUDA graphs.

    Raises:
        TransferError: see `Painter.paint`.
    """

    def __init__(
        self,
        request: PaintRequest,
        callbacks: Callbacks,
        device: torch.device,
        *,
        graphs: bool = False,
    ) -> None:
        self._started = time.monotonic()
        self._request = request
        self._callbacks = callbacks
        self._device = device
        self._graphs = graphs
        settings, base = request.settings, request.base
        if base is not None:
            check_fits(base, settings, request.content)
        self._photo, self._regions = _load_pictures(request, device)
        self._protection_map: Tensor | None = None
        if settings.keep_faces > 0:
            self._find_faces()
        self.height, self.width = self._photo.shape[2:]
        self._schedules = pyramid.schedules(
            settings, self.height, self.width, None if base is None else base.long_edge_px
        )
        first_levels = self._schedules[settings.renditions[0]]
        run_fingerprint = fingerprint(
            settings,
            self._schedules,
            self._photo,
            self._regions,
            None if base is None else base.digest,
        )
        self._optimizer_fingerprint = optimizer_fingerprint(
            settings, first_levels[-1], self._photo, self._regions
        )
        resumed = None
        if request.checkpoint is not None:
            resumed = Checkpoint.from_bytes(request.checkpoint, run_fingerprint, device)
        elif base is not None and base.state is not None:
            resumed = Checkpoint.from_bytes(base.state, self._optimizer_fingerprint, device)
        # Dropped when its rendition begins: its optimizer state is of no use beyond one level.
        self._resumed = resumed
        self._finished = {} if resumed is None else dict(resumed.finished)
        self._recorder: Recorder | None = None
        if settings.animation:
            evaluations = sum(level.evaluations for level in first_levels)
            frames = None if resumed is None else resumed.frames
            self._recorder = Recorder(evaluations, self.height, self.width, frames)
        self._tracker = ProgressTracker(
            self._schedules, run_fingerprint, self._finished, callbacks.on_progress, self._recorder
        )

    def _find_faces(self) -> None:
        """Protect the photo's faces; where it has none, keep those of the styles out of it."""
        content, settings = self._request.content, self._request.settings
        found = photo_protection(content, settings.long_edge_px)
        if found is None:
            self._regions = mask_style_faces(self._regions)
        else:
            self._protection_map = found.to(self._device)

    def run(self, backbone: Callable[[str], VggBackbone], budget: Budget) -> PaintResult:
        """Paint all renditions that are not finished yet.

        Args:
            backbone: returns the backbone of a name.
            budget: memory of the run.
        """
        settings = self._request.settings
        first: Tensor | None = None
        for number, (rendition, levels) in enumerate(self._schedules.items()):
            if rendition in self._finished:
                for level in levels:
                    self._tracker.finish_level(level)
            else:
                # The task is made in the call, so that its start is freed as soon as possible.
                self._finished[rendition] = self._paint_rendition(
                    rendition_task(rendition, self._photo, self._regions, first, settings),
                    number,
                    levels,
                    backbone,
                    budget,
                )
                self._report_rendition(rendition, is_first=number == 0)
            if first is None:
                # Later renditions start from the first, which alone was painted from scratch.
                # From its eight bits, so that a resumed run starts them from the same.
                first = to_tensor(self._finished[rendition]).to(self._device)
        backbones = dict.fromkeys(
            level.backbone for levels in self._schedules.values() for level in levels
        )
        return PaintResult(
            renditions=self._finished,
            evaluations=self._tracker.done,
            seconds=time.monotonic() - self._started,
            backbones=tuple(backbones),
            animation=None if self._recorder is None else self._recorder.to_bytes(),
            memory_plan=budget.lowest,
        )

    def _paint_rendition(
        self,
        task: RenditionTask,
        rendition: int,
        levels: Sequence[pyramid.Level],
        backbone: Callable[[str], VggBackbone],
        budget: Budget,
    ) -> Image.Image:
        """Paint one rendition from coarse to fine, from where its checkpoint was taken."""
        settings, base = self._request.settings, self._request.base
        height, width = levels[0].height, levels[0].width
        first_level, done, multiplier, optimizer_state = 0, 0, 1.0, None
        resumed = self._resumed
        if resumed is not None and resumed.rendition == rendition:
            self._resumed = None
            first_level, done, multiplier = resumed.level, resumed.evaluations, resumed.multiplier
            image, optimizer_state = resumed.image, resumed.optimizer_state
        elif rendition > 0:
            image = resize(task.start, height, width)
        elif base is not None:
            image = base_image(base, task.start.shape[1], height, width).to(self._device)
        else:
            image = initial_image(task, height, width, settings.start, settings.seed)
        del resumed
        task = replace(task, start=image, protection_map=self._protection_map)
        run_all = settings.advanced.evaluations is not None or base is not None
        for number, level in enumerate(levels):
            if number >= first_level:
                penalty = ContentPenalty.of_stage(
                    level.stage, settings, level.backbone, level.long_edge_px, multiplier
                )
                problem = LevelProblem(
                    backbone(level.backbone), task, level, settings, penalty, run_all, self._graphs
                )
                on_evaluation = partial(
                    self._tracker.record_evaluation, task, rendition, number, multiplier
                )
                image = optimize_level(image, problem, on_evaluation, budget, done, optimizer_state)
                done, optimizer_state, multiplier = 0, None, penalty.multiplier
            self._tracker.finish_level(level)
        return to_image(task.to_rgb(image))

    def _report_rendition(self, rendition: Rendition, *, is_first: bool) -> None:
        image = self._finished[rendition]
        if is_first and self._recorder is not None:
            self._recorder.close(image)
        if self._callbacks.on_rendition is not None:
            self._callbacks.on_rendition(rendition, image)
        # After the picture, which somebody waits for.
        position = self._tracker.position() if is_first else None
        if self._callbacks.on_state is not None and position is not None:
            state = final_state(position, self._optimizer_fingerprint)
            del position
            if state is not None:
                self._callbacks.on_state(state)


def _load_pictures(
    request: PaintRequest, device: torch.device
) -> tuple[Tensor, tuple[Region, ...]]:
    """Check the pictures; return the photo at the painting's size, and the styles' regions."""
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
    tensors = [_load_style(style, settings).to(device) for style in styles]
    return photo, build_regions(tensors, weights, masks, request.content.size, *photo.shape[2:])


def _load_style(style: Image.Image, settings: Settings) -> Tensor:
    # Enlarged only if the brush size asks for it: a blurred style teaches blurred strokes.
    long_edge_px = min(settings.long_edge_px, max(style.size))
    return to_tensor(style, round(settings.brush_size * long_edge_px))


def _check_size(role: str, short_edge_px: int) -> None:
    if short_edge_px < pyramid.MIN_EDGE_PX:
        raise ImageTooSmall(role, short_edge_px, pyramid.MIN_EDGE_PX)
