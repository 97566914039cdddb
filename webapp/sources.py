"""What a painting is painted from: pictures, settings, the painting that it goes on from."""

from contextlib import suppress
from dataclasses import dataclass

from PIL import Image
from sqlalchemy import select

from transfer.engine import Proof
from transfer.errors import TransferError
from transfer.settings import Rendition, Settings
from webapp.attempts import Claim
from webapp.extensions import db
from webapp.models import Painting
from webapp.storage import Storage


@dataclass(frozen=True)
class Order:
    """What the engine is given."""

    content: Image.Image
    styles: list[Image.Image]
    settings: Settings
    proof: Proof | None


class ProofRemoved(TransferError):
    """The painting that was to be gone on from is gone for good."""

    def __init__(self) -> None:
        super().__init__(
            "The painting that this one was to go on from has been removed. "
            "Use “Try with changes” to paint it from the beginning."
        )


def load(claim: Claim, storage: Storage) -> Order:
    """Everything that is needed to paint.

    Raises:
        ProofRemoved: if it goes on from a painting that is gone.
        OSError: if a picture cannot be read.
    """
    painting = db.session.get_one(Painting, claim.painting_id)
    order = Order(
        _opened(storage, painting.content.public_id),
        [_opened(storage, style.public_id) for style in painting.styles],
        painting.settings,
        _proof(painting, storage),
    )
    # Painting takes a minute; a read transaction open for as long would hold back SQLite's
    # checkpoints.
    db.session.rollback()
    return order


def _proof(painting: Painting, storage: Storage) -> Proof | None:
    """The earlier painting that this one goes on from.

    Raises:
        ProofRemoved: if it is not there any more.
    """
    if painting.proof_id is None:
        return None
    earlier = db.session.scalar(select(Painting).where(Painting.public_id == painting.proof_id))
    if earlier is None or earlier.cover is None:
        raise ProofRemoved
    path = storage.rendition(
        earlier.public_id, Rendition(earlier.cover.kind), earlier.cover.attempt_id
    )
    try:
        with Image.open(path, formats=("PNG",)) as image:
            shown = image.convert("RGB")
    except FileNotFoundError:
        raise ProofRemoved from None
    state = None
    # At a larger size the optimizer has other values to know about.
    if earlier.state_id is not None and painting.long_edge_px == painting.proof_px:
        with suppress(OSError):
            state = storage.optimizer(earlier.public_id, earlier.state_id).read_bytes()
    return Proof(shown, state)


def _opened(storage: Storage, picture_id: str) -> Image.Image:
    with Image.open(storage.picture(picture_id), formats=("JPEG",)) as image:
        return image.convert("RGB")
