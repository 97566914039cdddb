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

from transfer.engine import BasePainting, Painter
from transfer.engine import PaintResult as Painted
from transfer.errors import CheckpointUnusable, TransferError
from transfer.memory.budget import MAX_MEMORY_MIN, free_cache
from transfer.memory.malloc import configure_malloc
from transfer.settings import Backbone, Rendition
from webapp.extensions import get_config, get_storage
from webapp.models import State
from webapp.orders import leases, schedule
from webapp.orders.leases import Lease
from webapp.storage import cleanup
from webapp.storage.encoding import encode
from webapp.storage.files import THUMBNAIL_EDGES_PX, DiskFull, Storage
from webapp.worker import inputs, peak_memory
from webapp.worker.reporter import CancelRequested, Reporter, Superseded, TimeUp, WorkerStopping

logger = logging.getLogger(__name__)

_FULL_DISK = {errno.ENOSPC, errno.EDQUOT}


class SignalFlag:
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


stop_requested = SignalFlag()
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
        configure_malloc(is_limited=bool(limit))
        _engine = Painter(
            threads=get_config().torch_threads,
            max_memory=limit if limit >= MAX_MEMORY_MIN else None,
        )
        for name in (Backbone.COMPACT, Backbone.VGG19):
            _engine.backbone(name)
    return _engine


def paint_next() -> None:
    """Lease the painting whose turn it is, and paint it; nothing happens if none waits."""
    if stop_requested.is_set():
        return
    lease = schedule.claim(worker_name())
    if lease is None:
        return
    started = time.monotonic()
    logger.info("painting %s: attempt %s begins", lease.public_id, lease.attempt_id)
    try:
        outcome = _paint(lease)
    except BaseException:
        # Whatever it was, it is not known to be the painting's fault: it is tried again.
        logger.exception("painting %s: attempt broke off", lease.public_id)
        leases.interrupt(lease)
        cleanup.delete_unlisted(lease.painting_id, lease.public_id)
        raise
    seconds = time.monotonic() - started
    logger.info("painting %s: %s after %.1f s", lease.public_id, outcome, seconds)


def _paint(lease: Lease) -> str:
    storage = get_storage()
    application = current_app._get_current_object()  # type: ignore[attr-defined]
    reporter = Reporter(
        application, lease, storage, stop_requested.is_set, get_config().max_painting_minutes * 60
    )
    # What is freed is kept for later: after a painting of 448 px, one of 128 px seemed to take
    # 874 MB, and after this 537.
    free_cache(warm_up().device)
    peak_memory.reset_peak()
    try:
        with reporter:
            _optimize(lease, storage, reporter)
    except Superseded:
        cleanup.delete_unlisted(lease.painting_id, lease.public_id)
        return "superseded"
    except WorkerStopping:
        leases.release(lease)
        return "handed back"
    except CancelRequested:
        _store_partial(lease, storage, reporter)
        return _finished(lease, State.CANCELLED)
    except TimeUp:
        return _finished(
            lease,
            State.FAILED,
            f"It took longer than {get_config().max_painting_minutes} minutes, which is the limit "
            "here. Try a smaller size or less effort.",
        )
    except TransferError as error:
        return _finished(lease, State.FAILED, str(error))
    except OSError as error:
        logger.exception("painting %s: a file could not be read or written", lease.public_id)
        return _finished(lease, State.FAILED, _file_trouble(error))
    return _finished(lease, State.DONE)


def _optimize(lease: Lease, storage: Storage, reporter: Reporter) -> None:
    order = inputs.load(lease, storage)

    def paint(checkpoint: bytes | None, base: BasePainting | None) -> Painted:
        return warm_up().paint(
            order.content,
            order.styles,
            order.settings,
            on_progress=reporter.on_progress,
            on_rendition=lambda kind, image: _store(lease, storage, kind, image),
            on_state=lambda state: _store_state(lease, storage, state),
            checkpoint=checkpoint,
            base=base,
        )

    checkpoint = storage.read_checkpoint(lease.public_id, lease.checkpoint_attempt_id)
    base = order.base
    beginnings: list[tuple[bytes | None, BasePainting | None]] = []
    if checkpoint is not None:
        beginnings.append((checkpoint, base))
    if base is not None and base.state is not None:
        beginnings.append((None, base))
    # The photo, and the image of an earlier painting, are always good.
    beginnings.append((None, base and BasePainting(base.image)))
    painted = _first_usable(lease, paint, beginnings)
    if painted.animation is not None:
        storage.write(storage.animation(lease.public_id, lease.attempt_id), painted.animation)
        if not leases.add_animation(lease):
            raise Superseded


def _first_usable(
    lease: Lease,
    paint: Callable[[bytes | None, BasePainting | None], Painted],
    beginnings: Sequence[tuple[bytes | None, BasePainting | None]],
) -> Painted:
    """Paint from the first of these that can be gone on from; from the last one in any case."""
    for beginning in beginnings[:-1]:
        try:
            return paint(*beginning)
        except CheckpointUnusable as error:
            # Written by another version, or damaged: starting over is slower, but right.
            logger.warning("painting %s: begins anew: %s", lease.public_id, error)
    return paint(*beginnings[-1])


def _store(
    lease: Lease,
    storage: Storage,
    kind: Rendition,
    image: Image.Image,
    *,
    is_partial: bool = False,
) -> None:
    """Store a rendition with its thumbnails, then list it."""
    painting_id, attempt_id = lease.public_id, lease.attempt_id
    storage.refuse_if_full(get_config().min_free_bytes)
    # Level 1 takes a fifth of the default's time for files 17 % larger (2048 px: 0.37 s).
    full = encode(image, "PNG", compress_level=1)
    storage.write(storage.rendition(painting_id, kind, attempt_id), full)
    for edge_px in THUMBNAIL_EDGES_PX:
        small = image.copy()
        small.thumbnail((edge_px, edge_px), Image.Resampling.LANCZOS)
        path = storage.rendition_thumbnail(painting_id, kind, attempt_id, edge_px)
        storage.write(path, encode(small, "WEBP", quality=82, method=4))
    if not leases.add_rendition(lease, kind, image.width, image.height, is_partial=is_partial):
        raise Superseded


def _store_state(lease: Lease, storage: Storage, state: bytes) -> None:
    """Store what the optimizer knew, for painting on; without room for it, that still works."""
    if len(state) > get_config().max_optimizer_state_bytes:
        return
    try:
        storage.refuse_if_full(get_config().min_free_bytes + len(state))
        storage.write(storage.optimizer(lease.public_id, lease.attempt_id), state)
    except OSError as error:
        logger.warning("painting %s: its optimizer's state is not kept: %s", lease.public_id, error)
        return
    if not leases.add_state(lease, len(state)):
        raise Superseded
    try:
        cleanup.evict_states()
    except (OSError, OperationalError) as error:
        # The watchman tries again; nobody's painting fails for it.
        logger.warning("no room made among optimizers' states: %s", error)


def _store_partial(lease: Lease, storage: Storage, reporter: Reporter) -> None:
    """List the image so far as an unfinished rendition, if it can be stored."""
    if reporter.latest is None:
        return
    image = reporter.latest.preview(reporter.latest.long_edge_px)
    try:
        _store(lease, storage, reporter.latest.rendition, image, is_partial=True)
    except OSError as error:
        logger.warning("painting %s: unfinished image not kept: %s", lease.public_id, error)


def _finished(lease: Lease, state: State, failure: str | None = None) -> str:
    is_held = leases.finish(lease, state, failure, peak_memory.peak_bytes())
    cleanup.delete_unlisted(lease.painting_id, lease.public_id)
    return state.value if is_held else "superseded"


def _file_trouble(error: OSError) -> str:
    if isinstance(error, DiskFull) or error.errno in _FULL_DISK:
        return "The disk is full. Ask the owner of the site to make room, then try again."
    if isinstance(error, FileNotFoundError):
        return "One of its pictures is no longer there. Upload it again."
    return "A file could not be read or written. The owner of the site finds details in the log."
