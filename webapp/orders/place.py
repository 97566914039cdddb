"""Orders: place, cancel, retry, continue, trash, whatever a worker does meanwhile."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sqlalchemy import select, update

from transfer.settings import Settings
from webapp.extensions import write_transaction
from webapp.models import Painting, PaintingStyle, Picture, State, now
from webapp.orders.leases import changed_one
from webapp.storage import cleanup

_FINAL = [state for state in State if state.is_final]


@dataclass(frozen=True)
class PlacedOrder:
    """Painting that a form or a button has ordered."""

    public_id: str
    is_new: bool
    """False if the same form was sent before: it makes one painting only."""


def cancel(painting: Painting) -> bool:
    """Cancel a painting.

    Returns:
        True if a worker has the painting and will stop at its next evaluation; False if it is
        over at once, or was over already.
    """
    painting_id, public_id = painting.id, painting.public_id
    if _change(painting, [State.QUEUED], state=State.CANCELLED, finished_at=now()):
        # An earlier attempt, interrupted or returned, has left files.
        cleanup.delete_unlisted(painting_id, public_id)
        return False
    return _change(painting, [State.RUNNING], is_cancel_requested=True)


def retry(painting: Painting) -> bool:
    """Queue a failed or cancelled painting again; return False if it is neither."""
    return _change(
        painting,
        [State.FAILED, State.CANCELLED],
        state=State.QUEUED,
        queued_at=now(),
        finished_at=None,
        failure_reason=None,
        progress=0.0,
        # The last attempt's preview was deleted when it ended.
        preview_version=0,
        crash_count=0,
        checkpoint_attempt_id=None,
        animation_attempt_id=None,
        optimizer_attempt_id=None,
        optimizer_bytes=None,
        is_cancel_requested=False,
        trashed_at=None,
    )


def place(
    owner_id: int,
    token: str,
    styles: Sequence[tuple[int, float]],
    settings: Settings,
    **values: object,
) -> PlacedOrder:
    """Order a painting, once for each token of its owner.

    Args:
        owner_id: account that orders.
        token: idempotency key of the form or button that was sent.
        styles: id and weight of each style picture, in order.
        settings: settings of the painting; its ``style_weights`` are replaced by ``styles``.
        values: other columns of the painting.
    """
    token = f"{owner_id}:{token[:48]}"
    with write_transaction() as database:
        painting = database.scalar(select(Painting).where(Painting.idempotency_key == token))
        is_new = painting is None
        if painting is None:
            painting = Painting.from_settings(
                settings,
                owner_id=owner_id,
                idempotency_key=token,
                style_links=[
                    PaintingStyle(position=position, picture_id=style_id, weight=weight)
                    for position, (style_id, weight) in enumerate(styles)
                ],
                **values,
            )
            database.add(painting)
            database.get_one(Picture, painting.content_id).mark_used(is_style=False)
            for style_id, _ in styles:
                database.get_one(Picture, style_id).mark_used(is_style=True)
    return PlacedOrder(painting.public_id, is_new)


def repeat(painting: Painting, token: str) -> PlacedOrder:
    """Order the same painting once more."""
    return _place_copy(
        painting, token, painting.settings, painting.base_painting_id, painting.base_px
    )


def continue_from(painting: Painting, long_edge_px: int, token: str) -> PlacedOrder:
    """Order a painting that continues a finished one: larger, or longer at the same size."""
    settings = replace(painting.settings, long_edge_px=long_edge_px)
    return _place_copy(painting, token, settings, painting.public_id, painting.long_edge_px)


def _place_copy(
    painting: Painting,
    token: str,
    settings: Settings,
    base_painting_id: str | None,
    base_px: int | None,
) -> PlacedOrder:
    styles = [(link.picture_id, link.weight) for link in painting.style_links]
    values = {
        "content_id": painting.content_id,
        "base_painting_id": base_painting_id,
        "base_px": base_px,
    }
    return place(painting.owner_id, token, styles, settings, **values)


def move_to_trash(painting: Painting) -> bool:
    """Move a painting to the trash; return False while it is queued or running."""
    return _change(painting, _FINAL, trashed_at=now())


def restore(painting: Painting) -> bool:
    """Take a painting out of the trash."""
    return _change(painting, _FINAL, trashed_at=None)


def _change(painting: Painting, states: list[State], **values: object) -> bool:
    """Change a painting by one conditional UPDATE: a worker may change its state meanwhile."""
    painting_id = painting.id
    with write_transaction() as database:
        return changed_one(
            database.execute(
                update(Painting)
                .where(Painting.id == painting_id, Painting.state.in_(states))
                .values(**values)
                .execution_options(synchronize_session=False)
            )
        )
