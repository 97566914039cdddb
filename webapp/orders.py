"""What an owner may do to a painting after ordering it, whatever the worker does meanwhile."""

from sqlalchemy import update
from sqlalchemy.engine import CursorResult

from webapp import leftovers
from webapp.extensions import writing
from webapp.models import Painting, PaintingStyle, State, new_public_id, now

_FINAL = [state for state in State if state.is_final]


def cancel(painting: Painting) -> bool:
    """Cancel a painting.

    Returns:
        True if a worker has it and will stop at its next evaluation; False if it is over at
        once, or was over already.
    """
    painting_id, public_id = painting.id, painting.public_id
    if _change(painting, [State.QUEUED], state=State.CANCELLED, finished_at=now()):
        # Of an earlier attempt that was interrupted or handed back.
        leftovers.clear(painting_id, public_id)
        return False
    return _change(painting, [State.RUNNING], is_cancel_requested=True)


def retry(painting: Painting) -> bool:
    """Put a failed or cancelled painting at the end of the line; False if it is neither."""
    return _change(
        painting,
        [State.FAILED, State.CANCELLED],
        state=State.QUEUED,
        queued_at=now(),
        finished_at=None,
        failure=None,
        progress=0.0,
        # The last attempt's preview was deleted when it ended.
        preview_version=0,
        interruptions=0,
        checkpoint_id=None,
        animation_id=None,
        is_cancel_requested=False,
        trashed_at=None,
    )


def again(painting: Painting) -> str:
    """Order the same once more; the public id of the new painting."""
    copied = {
        name: getattr(painting, name)
        for name in (
            *("owner_id", "content_id", "long_edge_px", "strength"),
            *("effort", "backbone", "colors", "seed", "brush_size", "smoothness", "start"),
        )
    }
    styles = [(link.picture_id, link.weight) for link in painting.style_links]
    with writing() as database:
        copy = Painting(
            form_token=new_public_id(),
            style_links=[
                PaintingStyle(position=position, picture_id=style_id, weight=weight)
                for position, (style_id, weight) in enumerate(styles)
            ],
            **copied,
        )
        database.add(copy)
    return copy.public_id


def move_to_trash(painting: Painting) -> bool:
    """Take a finished painting off the wall; False while it is queued or running."""
    return _change(painting, _FINAL, trashed_at=now())


def restore(painting: Painting) -> bool:
    """Put a painting back on the wall."""
    return _change(painting, _FINAL, trashed_at=None)


def _change(painting: Painting, states: list[State], **values: object) -> bool:
    """One conditional UPDATE: a worker may change the state at the same moment."""
    painting_id = painting.id
    with writing() as database:
        result = database.execute(
            update(Painting)
            .where(Painting.id == painting_id, Painting.state.in_(states))
            .values(**values)
            .execution_options(synchronize_session=False)
        )
        assert isinstance(result, CursorResult)  # noqa: S101  what an UPDATE returns
        return result.rowcount == 1
