"""Inputs of a painting: pictures, settings, and the earlier painting that it continues."""

from contextlib import suppress
from dataclasses import dataclass

from PIL import Image
from sqlalchemy import select

from transfer.engine import BasePainting
from transfer.errors import TransferError
from transfer.settings import Rendition, Settings
from webapp.extensions import db
from webapp.models import Painting
from webapp.orders.leases import Lease
from webapp.storage.files import Storage


@dataclass(frozen=True)
class PaintInputs:
    """Inputs that the engine gets."""

    content: Image.Image
    styles: list[Image.Image]
    settings: Settings
    base: BasePainting | None


class BasePaintingRemoved(TransferError):
    """The painting that was to be continued has been removed for good."""

    def __init__(self) -> None:
        super().__init__(
            "The painting that this one was to continue has been removed. "
            "Use “Try with changes” to paint it from the beginning."
        )


def load(lease: Lease, storage: Storage) -> PaintInputs:
    """Load the inputs of a leased painting.

    Raises:
        BasePaintingRemoved: if it continues a painting that has been removed.
        OSError: if a picture cannot be read.
    """
    painting = db.session.get_one(Painting, lease.painting_id)
    inputs = PaintInputs(
        _open_picture(storage, painting.content.public_id),
        [_open_picture(storage, style.public_id) for style in painting.styles],
        painting.settings,
        _load_base(painting, storage),
    )
    # Painting takes a minute; a read transaction open for as long would hold back SQLite's
    # checkpoints.
    db.session.rollback()
    return inputs


def _load_base(painting: Painting, storage: Storage) -> BasePainting | None:
    """Return the earlier painting that this one continues, if there is one.

    Raises:
        BasePaintingRemoved: if it has been removed.
    """
    if painting.base_painting_id is None:
        return None
    earlier = db.session.scalar(
        select(Painting).where(Painting.public_id == painting.base_painting_id)
    )
    if earlier is None or earlier.cover is None:
        raise BasePaintingRemoved
    path = storage.rendition(
        earlier.public_id, Rendition(earlier.cover.kind), earlier.cover.attempt_id
    )
    try:
        with Image.open(path, formats=("PNG",)) as image:
            cover = image.convert("RGB")
    except FileNotFoundError:
        raise BasePaintingRemoved from None
    state = None
    # The state fits pixels of one size only.
    if earlier.optimizer_attempt_id is not None and painting.long_edge_px == painting.base_px:
        with suppress(OSError):
            state = storage.optimizer(earlier.public_id, earlier.optimizer_attempt_id).read_bytes()
    return BasePainting(cover, state)


def _open_picture(storage: Storage, picture_id: str) -> Image.Image:
    with Image.open(storage.picture(picture_id), formats=("JPEG",)) as image:
        return image.convert("RGB")
