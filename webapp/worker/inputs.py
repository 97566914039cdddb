"""What a painting is painted from: pictures, settings, the painting that it goes on from."""

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
    """What the engine is given."""

    content: Image.Image
    styles: list[Image.Image]
    settings: Settings
    base: BasePainting | None


class BasePaintingRemoved(TransferError):
    """The painting that was to be gone on from is gone for good."""

    def __init__(self) -> None:
        super().__init__(
            "The painting that this one was to go on from has been removed. "
            "Use “Try with changes” to paint it from the beginning."
        )


def load(lease: Lease, storage: Storage) -> PaintInputs:
    """Everything that is needed to paint.

    Raises:
        BasePaintingRemoved: if it goes on from a painting that is gone.
        OSError: if a picture cannot be read.
    """
    painting = db.session.get_one(Painting, lease.painting_id)
    order = PaintInputs(
        _opened(storage, painting.content.public_id),
        [_opened(storage, style.public_id) for style in painting.styles],
        painting.settings,
        _proof(painting, storage),
    )
    # Painting takes a minute; a read transaction open for as long would hold back SQLite's
    # checkpoints.
    db.session.rollback()
    return order


def _proof(painting: Painting, storage: Storage) -> BasePainting | None:
    """The earlier painting that this one goes on from.

    Raises:
        BasePaintingRemoved: if it is not there any more.
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
            shown = image.convert("RGB")
    except FileNotFoundError:
        raise BasePaintingRemoved from None
    state = None
    # At a larger size the optimizer has other values to know about.
    if earlier.optimizer_attempt_id is not None and painting.long_edge_px == painting.base_px:
        with suppress(OSError):
            state = storage.optimizer(earlier.public_id, earlier.optimizer_attempt_id).read_bytes()
    return BasePainting(shown, state)


def _opened(storage: Storage, picture_id: str) -> Image.Image:
    with Image.open(storage.picture(picture_id), formats=("JPEG",)) as image:
        return image.convert("RGB")
