"""One painting, from its pictures to its renditions."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import torch
from PIL import Image
from torch import Tensor

from transfer import pyramid
from transfer.animation import Recorder
from transfer.backbones.vgg import VggBackbone
from transfer.checkpoints import Checkpoint, identity_of, kinship_of
from transfer.descent import Goal, descended
from transfer.errors import ImageTooSmall, InvalidSetting, MaskCount, StyleMissing
from transfer.images import fitted_size, resized, to_image, to_tensor
from transfer.ladder import Rung
from transfer.memory import Budget
from transfer.progress import Ledger, OnProgress
from transfer.proofs import Proof, check_fits, opened, state_of
from transfer.regions import Region, regions
from transfer.renditions import Canvas, begun, canvas
from transfer.settings import Rendition, Settings
from transfer.strength import Hold

OnRendition = Callable[[Rendition, Image.Image], None]
OnState = Callable[[bytes], None]


@dataclass(frozen=True)
class Painting:
    """What `engine.paint` returns."""

    renditions: Mapping[Rendition, Image.Image]
    evaluations: int
    seconds: float
    backbones: tuple[str, ...]
    """In the order in which they painted."""
    animation: bytes | None = None
    """How the first rendition came about, as an animated WebP, if the settings ask for it."""
    memory: Rung = field(default_factory=Rung)
    """What gave way to keep within the memory, at the step that had to go farthest."""


@dataclass(frozen=True)
class Listeners:
    """Who hears of a painting while it is painted."""

    progress: OnProgress | None = None
    rendition: OnRendition | None = None
    state: OnState | None = None


@dataclass(frozen=True)
class Sitter:
    """What is painted, and how: pictures and settings."""

    content: Image.Image
    styles: Sequence[Image.Image]
    masks: Sequence[Image.Image | None]
    settings: Settings
    proof: Proof | None = None
    """An earlier painting that this one goes on from."""


class Commission:
    """One painting.

    Args:
        sitter: what is painted.
        device: where.
        listeners: who hears of it.
        checkpoint: from `Progress.checkpoint`: goes on from there.
        graphs: whether evaluations are played back from CUDA graphs.

    Raises:
        TransferError: as `engine.paint` says.
    """

    def __init__(
        self,
        sitter: Sitter,
        device: torch.device,
        listeners: Listeners,
        checkpoint: bytes | None,
        *,
        graphs: bool = False,
    ) -> None:
        self._began = time.monotonic()
        self._device = device
        self._graphs = graphs
        self._listeners = listeners
        settings, proof = sitter.settings, sitter.proof
        self._settings = settings
        if proof is not None:
            check_fits(proof, settings, sitter.content)
        self._proof = proof
        self._photo, self._regions = _pictures(sitter, device)
        self.height, self.width = self._photo.shape[2:]
        proof_px = None if proof is None else proof.long_edge_px
        self._plans = pyramid.plans(settings, self.height, self.width, proof_px)
        pictures = self._photo, self._regions
        digest = None if proof is None else proof.digest
        identity = identity_of(settings, self._plans, *pictures, digest)
        last = self._plans[settings.renditions[0]][-1]
        place = last.backbone, last.height, last.width
        self._kinship = kinship_of(settings, place, *pictures)
        earlier = None
        if checkpoint is not None:
            earlier = Checkpoint.from_bytes(checkpoint, identity, device)
        elif proof is not None and proof.state is not None:
            earlier = Checkpoint.from_bytes(proof.state, self._kinship, device)
        if proof is not None:
            self._proof = replace(proof, state=None)  # It is read, and large.
        self._finished = {} if earlier is None else dict(earlier.finished)
        # Taken from here when its time has come: its memory is of no use beyond its step.
        self._resumable = {} if earlier is None else {earlier.rendition: earlier}
        self._recorder = self._new_recorder(earlier)
        self._ledger = Ledger(
            self._plans, identity, self._finished, listeners.progress, self._recorder
        )

    def _new_recorder(self, earlier: Checkpoint | None) -> Recorder | None:
        if not self._settings.animation:
            return None
        evaluations = sum(step.evaluations for step in self._plans[self._settings.renditions[0]])
        frames = None if earlier is None else earlier.frames
        return Recorder(evaluations, self.height, self.width, frames)

    def painted(self, backbone: Callable[[str], VggBackbone], budget: Budget) -> Painting:
        """Paint it.

        Args:
            backbone: the network of a name.
            budget: of memory.
        """
        first: Tensor | None = None
        for number, (rendition, steps) in enumerate(self._plans.items()):
            if rendition in self._finished:
                for step in steps:
                    self._ledger.finished(step)
            else:
                # Made in the call, so that its start is not held any longer than it is needed.
                self._finished[rendition] = self._rendition(
                    canvas(rendition, self._photo, self._regions, first, self._settings),
                    number,
                    steps,
                    backbone,
                    budget,
                )
                self._tell(rendition, is_first=number == 0)
            if first is None:
                # Later renditions begin with the first: it alone was painted from scratch. As it
                # is stored, so that it makes no difference whether it was painted just now.
                first = to_tensor(self._finished[rendition]).to(self._device)
        backbones = dict.fromkeys(step.backbone for steps in self._plans.values() for step in steps)
        return Painting(
            self._finished,
            self._ledger.done,
            time.monotonic() - self._began,
            tuple(backbones),
            None if self._recorder is None else self._recorder.to_bytes(),
            budget.lowest,
        )

    def _rendition(
        self,
        scene: Canvas,
        rendition: int,
        steps: Sequence[pyramid.Step],
        backbone: Callable[[str], VggBackbone],
        budget: Budget,
    ) -> Image.Image:
        """One rendition as it is shown, painted from coarse to fine."""
        settings = self._settings
        size = steps[0].height, steps[0].width
        is_patient = settings.expert.evaluations is not None or self._proof is not None
        begin, done, grip, memory = 0, 0, 1.0, None
        resumed = self._resumable.pop(rendition, None)
        if resumed is not None:
            begin, done, grip = resumed.step, resumed.evaluations, resumed.grip
            image, memory = resumed.image, resumed.memory
        elif rendition > 0:
            image = resized(scene.start, *size)
        elif self._proof is not None:
            image = opened(self._proof, scene.start.shape[1], *size).to(self._device)
        else:
            image = begun(scene, *size, settings.start, settings.seed)
        del resumed
        scene = replace(scene, start=image)
        for number, step in enumerate(steps):
            if number >= begin:
                hold = Hold.of(settings, step.backbone, step.long_edge_px, grip)
                hears = partial(self._ledger.evaluated, scene, rendition, number, grip)
                about = backbone(step.backbone), scene, step, settings, hold
                goal = Goal(*about, is_patient, self._graphs)
                image = descended(image, goal, hears, budget, done, memory)
                done, memory, grip = 0, None, hold.grip
            self._ledger.finished(step)
        return to_image(scene.shown(image))

    def _tell(self, rendition: Rendition, *, is_first: bool) -> None:
        image = self._finished[rendition]
        if is_first and self._recorder is not None:
            self._recorder.close(image)
        if self._listeners.rendition is not None:
            self._listeners.rendition(rendition, image)
        # After the picture, which somebody waits for.
        standing = self._ledger.standing() if is_first else None
        if self._listeners.state is not None and standing is not None:
            state = state_of(standing, self._kinship)
            del standing
            if state is not None:
                self._listeners.state(state)


def _pictures(sitter: Sitter, device: torch.device) -> tuple[Tensor, tuple[Region, ...]]:
    """The photo at the size of the painting, and which styles go where."""
    settings, styles, masks = sitter.settings, sitter.styles, sitter.masks
    if not styles:
        raise StyleMissing
    weights = settings.style_weights or (1.0,) * len(styles)
    if len(weights) != len(styles):
        wanted = f"one for each style, {len(styles)} in all"
        raise InvalidSetting("style weights", wanted, settings.style_weights)
    if masks and len(masks) != len(styles):
        raise MaskCount(len(masks), len(styles))
    width, height = sitter.content.size
    _check_size("content", min(height, width))
    _check_size("content", min(fitted_size(height, width, settings.long_edge_px)))
    for style in styles:
        _check_size("style", min(style.size))
    photo = to_tensor(sitter.content, settings.long_edge_px).to(device)
    seen = [_style(style, settings).to(device) for style in styles]
    return photo, regions(seen, weights, masks, sitter.content.size, *photo.shape[2:])


def _style(style: Image.Image, settings: Settings) -> Tensor:
    # Not enlarged unless the brush asks for it: a blurred style teaches blurred strokes.
    long_edge_px = min(settings.long_edge_px, max(style.size))
    return to_tensor(style, round(settings.brush_size * long_edge_px))


def _check_size(role: str, short_edge_px: int) -> None:
    if short_edge_px < pyramid.MIN_EDGE_PX:
        raise ImageTooSmall(role, short_edge_px, pyramid.MIN_EDGE_PX)
