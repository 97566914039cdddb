"""What the worker runs: one painting, from its claim to its stored renditions."""

import errno
import logging
import os
import socket
import time
from collections.abc import Callable, Sequence

from flask import current_app
from PIL import Image
from sqlalchemy.exc import OperationalError

from transfer.engine import Painter, Proof
from transfer.engine import Painting as Painted
from transfer.errors import CheckpointUnusable, TransferError
from transfer.heap import arrange_heap
from transfer.memory import MAX_MEMORY_MIN, free_cache
from transfer.settings import Backbone, Rendition
from webapp import attempts, footprint, leftovers, schedule, sources
from webapp.attempts import Claim
from webapp.encoding import encoded
from webapp.extensions import get_config, get_storage
from webapp.models import State
from webapp.reporting import CancelRequested, Reporter, StopRequested, Superseded, TimeUp
from webapp.storage import THUMBNAIL_EDGES_PX, DiskFull, Storage

logger = logging.getLogger(__name__)

_FULL_DISK = {errno.ENOSPC, errno.EDQUOT}


class Flag:
    """Something that a signal handler may set.

    No `threading.Event`: its lock may be held by the very thread that the signal interrupts.
    """

    def __init__(self) -> None:
        self._is_set = False

    def set(self) -> None:
        """Raise it; it stays up."""
        self._is_set = True

    def is_set(self) -> bool:
        """Whether it is up."""
        return self._is_set


stop_requested = Flag()
"""Set when this process is asked to end: the running painting goes back into the line."""

_engine: Painter | None = None


def worker_name() -> str:
    """How this process is called in attempts and signs of life."""
    return f"{socket.gethostname()}:{os.getpid()}"[:80]


def warm_up() -> Painter:
    """This process's engine, with its weights in memory; made by the first call."""
    global _engine
    if _engine is None:
        # Less than torch itself takes is not kept by painting otherwise; the limit still holds.
        limit = get_config().max_memory_bytes
        arrange_heap(is_limited=bool(limit))
        _engine = Painter(
            threads=get_config().threads, max_memory=limit if limit >= MAX_MEMORY_MIN else None
        )
        for name in (Backbone.COMPACT, Backbone.VGG19):
            _engine.backbone(name)
    return _engine


def paint_next() -> None:
    """Claim the painting whose turn it is, and paint it; nothing happens if none waits."""
    if stop_requested.is_set():
        return
    claim = schedule.claim(worker_name())
    if claim is None:
        return
    started = time.monotonic()
    logger.info("painting %s: attempt %s begins", claim.public_id, claim.attempt_id)
    try:
        outcome = _paint(claim)
    except BaseException:
        # Whatever it was, it is not known to be the painting's fault: it is tried again.
        logger.exception("painting %s: attempt broke off", claim.public_id)
        attempts.interrupt(claim)
        leftovers.clear(claim.painting_id, claim.public_id)
        raise
    seconds = time.monotonic() - started
    logger.info("painting %s: %s after %.1f s", claim.public_id, outcome, seconds)


def _paint(claim: Claim) -> str:
    storage = get_storage()
    application = current_app._get_current_object()  # type: ignore[attr-defined]
    reporter = Reporter(
        application, claim, storage, stop_requested.is_set, get_config().max_painting_minutes * 60
    )
    # What is freed is kept for later: after a painting of 448 px, one of 128 px seemed to take
    # 874 MB, and after this 537.
    free_cache(warm_up().device)
    footprint.forget_peak()
    try:
        with reporter:
            _optimize(claim, storage, reporter)
    except Superseded:
        leftovers.clear(claim.painting_id, claim.public_id)
        return "superseded"
    except StopRequested:
        attempts.hand_back(claim)
        return "handed back"
    except CancelRequested:
        _keep_unfinished(claim, storage, reporter)
        return _finished(claim, State.CANCELLED)
    except TimeUp:
        return _finished(
            claim,
            State.FAILED,
            f"It took longer than {get_config().max_painting_minutes} minutes, which is the limit "
            "here. Try a smaller size or less effort.",
        )
    except TransferError as error:
        return _finished(claim, State.FAILED, str(error))
    except OSError as error:
        logger.exception("painting %s: a file could not be read or written", claim.public_id)
        return _finished(claim, State.FAILED, _file_trouble(error))
    return _finished(claim, State.DONE)


def _optimize(claim: Claim, storage: Storage, reporter: Reporter) -> None:
    order = sources.load(claim, storage)

    def paint(checkpoint: bytes | None, proof: Proof | None) -> Painted:
        return warm_up().paint(
            order.content,
            order.styles,
            order.settings,
            on_progress=reporter.on_progress,
            on_rendition=lambda kind, image: _store(claim, storage, kind, image),
            on_state=lambda state: _store_state(claim, storage, state),
            checkpoint=checkpoint,
            proof=proof,
        )

    checkpoint = storage.read_checkpoint(claim.public_id, claim.checkpoint_id)
    proof = order.proof
    beginnings: list[tuple[bytes | None, Proof | None]] = []
    if checkpoint is not None:
        beginnings.append((checkpoint, proof))
    if proof is not None and proof.state is not None:
        beginnings.append((None, proof))
    # The photo, and the image of an earlier painting, are always good.
    beginnings.append((None, proof and Proof(proof.image)))
    painted = _first_usable(claim, paint, beginnings)
    if painted.animation is not None:
        storage.write(storage.animation(claim.public_id, claim.attempt_id), painted.animation)
        if not attempts.add_animation(claim):
            raise Superseded


def _first_usable(
    claim: Claim,
    paint: Callable[[bytes | None, Proof | None], Painted],
    beginnings: Sequence[tuple[bytes | None, Proof | None]],
) -> Painted:
    """Paint from the first of these that can be gone on from; from the last one in any case."""
    for beginning in beginnings[:-1]:
        try:
            return paint(*beginning)
        except CheckpointUnusable as error:
            # Written by another version, or damaged: starting over is slower, but right.
            logger.warning("painting %s: begins anew: %s", claim.public_id, error)
    return paint(*beginnings[-1])


def _store(
    claim: Claim,
    storage: Storage,
    kind: Rendition,
    image: Image.Image,
    *,
    is_unfinished: bool = False,
) -> None:
    """Store a rendition with its thumbnails, then list it."""
    painting_id, attempt_id = claim.public_id, claim.attempt_id
    storage.refuse_if_full(get_config().min_free_bytes)
    # Level 1 takes a fifth of the default's time for files 17 % larger (2048 px: 0.37 s).
    full = encoded(image, "PNG", compress_level=1)
    storage.write(storage.rendition(painting_id, kind, attempt_id), full)
    for edge_px in THUMBNAIL_EDGES_PX:
        small = image.copy()
        small.thumbnail((edge_px, edge_px), Image.Resampling.LANCZOS)
        path = storage.rendition_thumbnail(painting_id, kind, attempt_id, edge_px)
        storage.write(path, encoded(small, "WEBP", quality=82, method=4))
    if not attempts.add_rendition(
        claim, kind, image.width, image.height, is_unfinished=is_unfinished
    ):
        raise Superseded


def _store_state(claim: Claim, storage: Storage, state: bytes) -> None:
    """Store what the optimizer knew, for painting on; without room for it, that still works."""
    if len(state) > get_config().max_states_bytes:
        return
    try:
        storage.refuse_if_full(get_config().min_free_bytes + len(state))
        storage.write(storage.optimizer(claim.public_id, claim.attempt_id), state)
    except OSError as error:
        logger.warning("painting %s: its optimizer's state is not kept: %s", claim.public_id, error)
        return
    if not attempts.add_state(claim, len(state)):
        raise Superseded
    try:
        leftovers.make_room()
    except (OSError, OperationalError) as error:
        # The watchman tries again; nobody's painting fails for it.
        logger.warning("no room made among optimizers' states: %s", error)


def _keep_unfinished(claim: Claim, storage: Storage, reporter: Reporter) -> None:
    """List the image so far as an unfinished rendition, if it can be stored."""
    if reporter.latest is None:
        return
    image = reporter.latest.preview(reporter.latest.long_edge_px)
    try:
        _store(claim, storage, reporter.latest.rendition, image, is_unfinished=True)
    except OSError as error:
        logger.warning("painting %s: unfinished image not kept: %s", claim.public_id, error)


def _finished(claim: Claim, state: State, failure: str | None = None) -> str:
    is_held = attempts.finish(claim, state, failure, footprint.peak_bytes())
    leftovers.clear(claim.painting_id, claim.public_id)
    return state.value if is_held else "superseded"


def _file_trouble(error: OSError) -> str:
    if isinstance(error, DiskFull) or error.errno in _FULL_DISK:
        return "The disk is full. Ask the owner of the site to make room, then try again."
    if isinstance(error, FileNotFoundError):
        return "One of its pictures is no longer there. Upload it again."
    return "A file could not be read or written. The owner of the site finds details in the log."
