"""Job of the worker: one painting, from its claim to its stored renditions."""

import errno
import logging
import os
import socket
import time
from collections.abc import Callable, Sequence

from flask import current_app
from PIL import Image
from sqlalchemy.exc import OperationalError

from transfer.engine import BasePainting, Painter, PaintResult
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
from webapp.storage.files import DiskFull, Storage
from webapp.storage.thumbnails import RENDITION_EDGES_PX, make_thumbnail
from webapp.worker import inputs, peak_memory
from webapp.worker.reporter import CancelRequested, Reporter, Superseded, TimeUp, WorkerStopping

logger = logging.getLogger(__name__)

_FULL_DISK = {errno.ENOSPC, errno.EDQUOT}


class SignalFlag:
    """Flag that a signal handler may set.

    No `threading.Event`: its lock may be held by the very thread that the signal interrupts.
    """

    def __init__(self) -> None:
        self._is_set = False

    def set(self) -> None:
        """Set the flag for good."""
        self._is_set = True

    def is_set(self) -> bool:
        """Return whether the flag is set."""
        return self._is_set


stop_requested = SignalFlag()
"""Flag that is set when this process is asked to end: the running painting is queued again."""

_engine: Painter | None = None


def worker_name() -> str:
    """Return the name of this process in attempts and heartbeats."""
    return f"{socket.gethostname()}:{os.getpid()}"[:80]


def warm_up() -> Painter:
    """Return this process's engine, with its weights in memory; the first call makes it."""
    global _engine
    if _engine is None:
        # A limit below what torch itself takes cannot be kept by planning; the process's own holds.
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
        # An unforeseen error need not be the painting's fault: it is tried again.
        logger.exception("painting %s: attempt interrupted", lease.public_id)
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
    # glibc keeps freed pages, which inflates the next peak: after a painting of 448 px, one of
    # 128 px seemed to take 874 MB, and with this 537.
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
        return "returned to the queue"
    except CancelRequested:
        _store_partial(lease, storage, reporter)
        return _finish(lease, State.CANCELLED)
    except TimeUp:
        return _finish(
            lease,
            State.FAILED,
            f"It took longer than {get_config().max_painting_minutes} minutes, which is the limit "
            "here. Try a smaller size or less effort.",
        )
    except TransferError as error:
        return _finish(lease, State.FAILED, str(error))
    except OSError as error:
        logger.exception("painting %s: a file could not be read or written", lease.public_id)
        return _finish(lease, State.FAILED, _file_failure_reason(error))
    return _finish(lease, State.DONE)


def _optimize(lease: Lease, storage: Storage, reporter: Reporter) -> None:
    loaded = inputs.load(lease, storage)

    def paint(checkpoint: bytes | None, base: BasePainting | None) -> PaintResult:
        return warm_up().paint(
            loaded.content,
            loaded.styles,
            loaded.settings,
            on_progress=reporter.on_progress,
            on_rendition=lambda kind, image: _store(lease, storage, kind, image),
            on_state=lambda state: _store_state(lease, storage, state),
            checkpoint=checkpoint,
            base=base,
        )

    checkpoint = storage.read_checkpoint(lease.public_id, lease.checkpoint_attempt_id)
    base = loaded.base
    starts: list[tuple[bytes | None, BasePainting | None]] = []
    if checkpoint is not None:
        starts.append((checkpoint, base))
    if base is not None and base.state is not None:
        starts.append((None, base))
    # Starting from the photo, or from the image of an earlier painting, always works.
    starts.append((None, base and BasePainting(base.image)))
    result = _paint_from_first_usable(lease, paint, starts)
    if result.animation is not None:
        storage.write(storage.animation(lease.public_id, lease.attempt_id), result.animation)
        if not leases.add_animation(lease):
            raise Superseded


def _paint_from_first_usable(
    lease: Lease,
    paint: Callable[[bytes | None, BasePainting | None], PaintResult],
    starts: Sequence[tuple[bytes | None, BasePainting | None]],
) -> PaintResult:
    """Paint from the first usable pair of checkpoint and earlier painting; the last one is."""
    for start in starts[:-1]:
        try:
            return paint(*start)
        except CheckpointUnusable as error:
            # Written by another version, or damaged: starting over is slower, but correct.
            logger.warning("painting %s: begins anew: %s", lease.public_id, error)
    return paint(*starts[-1])


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
    for edge_px in RENDITION_EDGES_PX:
        path = storage.rendition_thumbnail(painting_id, kind, attempt_id, edge_px)
        storage.write(path, make_thumbnail(image, edge_px))
    if not leases.add_rendition(lease, kind, image.width, image.height, is_partial=is_partial):
        raise Superseded


def _store_state(lease: Lease, storage: Storage, state: bytes) -> None:
    """Store the final optimizer state if there is space; paintings can be continued without it."""
    if len(state) > get_config().max_optimizer_state_bytes:
        return
    try:
        storage.refuse_if_full(get_config().min_free_bytes + len(state))
        storage.write(storage.optimizer(lease.public_id, lease.attempt_id), state)
    except OSError as error:
        logger.warning("painting %s: its optimizer state is not kept: %s", lease.public_id, error)
        return
    if not leases.add_state(lease, len(state)):
        raise Superseded
    try:
        cleanup.evict_states()
    except (OSError, OperationalError) as error:
        # The reaper tries again; no painting fails for it.
        logger.warning("old optimizer states not deleted: %s", error)


def _store_partial(lease: Lease, storage: Storage, reporter: Reporter) -> None:
    """List the image so far as a partial rendition, if it can be stored."""
    if reporter.latest is None:
        return
    image = reporter.latest.preview(reporter.latest.long_edge_px)
    try:
        _store(lease, storage, reporter.latest.rendition, image, is_partial=True)
    except OSError as error:
        logger.warning("painting %s: partial image not kept: %s", lease.public_id, error)


def _finish(lease: Lease, state: State, failure_reason: str | None = None) -> str:
    is_held = leases.finish(lease, state, failure_reason, peak_memory.peak_bytes())
    cleanup.delete_unlisted(lease.painting_id, lease.public_id)
    return state.value if is_held else "superseded"


def _file_failure_reason(error: OSError) -> str:
    if isinstance(error, DiskFull) or error.errno in _FULL_DISK:
        return "The disk is full. Ask the owner of the site to make room, then try again."
    if isinstance(error, FileNotFoundError):
        return "One of its pictures is no longer there. Upload it again."
    return "A file could not be read or written. The owner of the site finds details in the log."
