"""Database tables: accounts, pictures, paintings, attempts, workers, and flags of the site."""

import secrets
from datetime import UTC, datetime
from enum import StrEnum

from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    DateTime,
    Dialect,
    ForeignKey,
    Index,
    String,
    UniqueConstraint,
)
from sqlalchemy.orm import Mapped, mapped_column, relationship
from sqlalchemy.types import TypeDecorator

from transfer.settings import Settings, read, settings_in
from webapp.extensions import Base

TITLE_MAX_CHARS = 120
NAME_MAX_CHARS = 40
_DEFAULTS = Settings()


def now() -> datetime:
    """Return the current time; every time in the database is UTC."""
    return datetime.now(UTC)


def new_public_id() -> str:
    """Return an id that cannot be guessed: 128 random bits in 22 URL-safe characters."""
    return secrets.token_urlsafe(16)


class UtcDateTime(TypeDecorator[datetime]):
    """Column of times with time zone on every database; SQLite itself stores naive ones."""

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Return the naive UTC time to store."""
        return None if value is None else value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Return the stored time as aware UTC."""
        return None if value is None else value.replace(tzinfo=UTC)


class State(StrEnum):
    """State of a painting: queued -> running -> done | failed | cancelled."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        """True if nothing more happens to the painting unless somebody asks for it."""
        return self in {State.DONE, State.FAILED, State.CANCELLED}


class Outcome(StrEnum):
    """Outcome of an attempt."""

    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"
    """The worker died or lost its lease: the painting went back into the queue."""
    RETURNED = "returned"
    """The worker was asked to stop and returned the painting: not counted as a crash."""


class User(Base):
    """Person with an account. The first one owns the site."""

    __tablename__ = "user"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(NAME_MAX_CHARS))
    name_key: Mapped[str] = mapped_column(String(NAME_MAX_CHARS * 3), unique=True)
    """Name as it is compared: case-folded."""
    password_hash: Mapped[str] = mapped_column(String(255))
    is_owner: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)


class LoginSession(Base):
    """Logged-in browser. Logging out deletes the row, which makes a copied cookie useless."""

    __tablename__ = "login_session"

    token_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    """SHA-256 of the token in the cookie, hexadecimal."""
    user_id: Mapped[int] = mapped_column(ForeignKey("user.id", ondelete="CASCADE"), index=True)
    seen_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)

    user: Mapped[User] = relationship()


class Invitation(Base):
    """Invitation of one person; the link that the owner passes on carries its signed id."""

    __tablename__ = "invitation"

    id: Mapped[int] = mapped_column(primary_key=True)
    public_id: Mapped[str] = mapped_column(String(22), unique=True, default=new_public_id)
    note: Mapped[str] = mapped_column(String(TITLE_MAX_CHARS), default="")
    """Name or note by which the owner knows the invited person."""
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)
    used_by_id: Mapped[int | None] = mapped_column(ForeignKey("user.id", ondelete="SET NULL"))
    used_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

    used_by: Mapped[User | None] = relationship()

    @property
    def is_open(self) -> bool:
        """True if an account can still be made with the invitation."""
        return self.used_at is None and self.expires_at > now()


class Picture(Base):
    """Uploaded image as `uploads.validate` made it: upright sRGB without metadata."""

    __tablename__ = "picture"
    __table_args__ = (UniqueConstraint("owner_id", "sha256"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    public_id: Mapped[str] = mapped_column(String(22), unique=True, default=new_public_id)
    owner_id: Mapped[int] = mapped_column(ForeignKey("user.id", ondelete="CASCADE"), index=True)
    title: Mapped[str] = mapped_column(String(TITLE_MAX_CHARS))
    width: Mapped[int]
    height: Mapped[int]
    sha256: Mapped[str] = mapped_column(String(64))
    """SHA-256 of the stored file, hexadecimal: the same upload twice is one picture."""
    is_style: Mapped[bool]
    """Role in which it was last used; only sorts the shelves of the studio."""
    used_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)

    def mark_used(self, *, is_style: bool) -> None:
        """Put the picture first on the shelf of this role."""
        self.is_style = is_style
        self.used_at = now()


class Painting(Base):
    """Ordered painting: its settings, its state, and what was made of it."""

    __tablename__ = "painting"
    __table_args__ = (
        CheckConstraint("progress >= 0 AND progress <= 1", name="progress"),
        # The gallery's keyset, and the trash beside it.
        Index("ix_painting_wall", "owner_id", "trashed_at", "id"),
        # The scheduler looks only at open paintings, however many were ever painted.
        Index("ix_painting_open", "state", "id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    public_id: Mapped[str] = mapped_column(String(22), unique=True, default=new_public_id)
    owner_id: Mapped[int] = mapped_column(ForeignKey("user.id", ondelete="CASCADE"))
    idempotency_key: Mapped[str] = mapped_column(String(64), unique=True)
    """Token of the form that ordered it: sent twice, it makes one painting."""
    content_id: Mapped[int] = mapped_column(ForeignKey("picture.id"), index=True)

    long_edge_px: Mapped[int]
    strength: Mapped[float]
    effort: Mapped[str] = mapped_column(String(16))
    backbone: Mapped[str] = mapped_column(String(32))
    method: Mapped[str] = mapped_column(String(32), default=_DEFAULTS.method)
    rendition_names: Mapped[list[str]] = mapped_column(JSON)
    """Names of the renditions to make, in painting order."""
    seed: Mapped[int]
    brush_size: Mapped[float] = mapped_column(default=_DEFAULTS.brush_size)
    smoothness: Mapped[float] = mapped_column(default=_DEFAULTS.smoothness)
    keep_faces: Mapped[float] = mapped_column(default=_DEFAULTS.keep_faces)
    start: Mapped[str] = mapped_column(String(16), default=_DEFAULTS.start.value)
    base_painting_id: Mapped[str | None] = mapped_column(String(22))
    """Public id of the earlier painting that this one continues; no foreign key, because the
    earlier one may be removed for good before or after."""
    base_px: Mapped[int | None]
    """Long edge of the earlier painting in px."""

    state: Mapped[str] = mapped_column(String(16), default=State.QUEUED)
    queued_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
    started_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """Time when the latest attempt began."""
    finished_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    progress: Mapped[float] = mapped_column(default=0.0)
    preview_version: Mapped[int] = mapped_column(default=0)
    """Number of previews stored so far; 0: there is none yet."""
    is_cancel_requested: Mapped[bool] = mapped_column(default=False)
    failure_reason: Mapped[str | None] = mapped_column(String(500))
    """Reason of the failure, in a sentence for the painting's owner."""
    trashed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

    attempt_id: Mapped[str | None] = mapped_column(String(32))
    """Attempt that may write to this row; every write of a worker names it."""
    heartbeat: Mapped[int] = mapped_column(default=0)
    """Number of the attempt's heartbeats. Other workers watch whether it grows, by their own
    monotonic clocks: a lease with an end in wall-clock time would break when the clock is set."""
    checkpoint_attempt_id: Mapped[str | None] = mapped_column(String(32))
    """Attempt whose checkpoint the next attempt resumes from."""
    resume_progress: Mapped[float] = mapped_column(default=0.0)
    """Progress at which the latest attempt began; its own pace is reckoned from there."""
    animation_attempt_id: Mapped[str | None] = mapped_column(String(32))
    """Attempt that stored the animation; None: none is stored."""
    optimizer_attempt_id: Mapped[str | None] = mapped_column(String(32))
    """Attempt that stored the final state of the optimizer; None: it is not kept."""
    optimizer_bytes: Mapped[int | None] = mapped_column(BigInteger)
    """Size of the stored optimizer state in bytes; the oldest states are deleted first."""
    crash_count: Mapped[int] = mapped_column(default=0)
    """Number of attempts in a row that ended with their worker's death."""

    owner: Mapped[User] = relationship()
    content: Mapped[Picture] = relationship()
    style_links: Mapped[list["PaintingStyle"]] = relationship(
        order_by="PaintingStyle.position", cascade="all, delete-orphan"
    )
    renditions: Mapped[list["RenditionFile"]] = relationship(
        order_by="RenditionFile.id", cascade="all, delete-orphan"
    )

    @property
    def styles(self) -> list[Picture]:
        """Style pictures in the order in which they were chosen."""
        return [link.picture for link in self.style_links]

    @property
    def title(self) -> str:
        """Title made of the photo's title and those of the style pictures."""
        styles = " and ".join(style.title for style in self.styles)
        return f"{self.content.title} in the style of {styles}"

    @property
    def settings(self) -> Settings:
        """Settings with which the engine paints it."""
        columns = {name: getattr(self, column) for name, column in SETTING_COLUMNS.items()}
        weights = tuple(link.weight for link in self.style_links)
        return Settings(**read(Settings, columns), style_weights=weights, animation=True)

    @classmethod
    def from_settings(cls, settings: Settings, **values: object) -> "Painting":
        """Return a new painting of these settings; ``values`` are its other columns."""
        columns = {column: getattr(settings, name) for name, column in SETTING_COLUMNS.items()}
        return cls(**columns, **values)

    @property
    def cover(self) -> "RenditionFile | None":
        """Rendition that stands for the painting in the gallery."""
        return self.renditions[0] if self.renditions else None


SETTING_COLUMNS = {"renditions": "rendition_names"} | {
    name: name for name in settings_in(Settings) if name in Painting.__table__.columns
}
"""Columns that hold settings, by the field of `Settings`."""


class PaintingStyle(Base):
    """Style picture of a painting."""

    __tablename__ = "painting_style"

    painting_id: Mapped[int] = mapped_column(
        ForeignKey("painting.id", ondelete="CASCADE"), primary_key=True
    )
    position: Mapped[int] = mapped_column(primary_key=True)
    picture_id: Mapped[int] = mapped_column(ForeignKey("picture.id"), index=True)
    weight: Mapped[float] = mapped_column(default=1.0)
    """Weight of the style relative to the painting's other styles."""

    picture: Mapped[Picture] = relationship()


class RenditionFile(Base):
    """Output image of a painting."""

    __tablename__ = "rendition"
    __table_args__ = (UniqueConstraint("painting_id", "kind"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    painting_id: Mapped[int] = mapped_column(ForeignKey("painting.id", ondelete="CASCADE"))
    kind: Mapped[str] = mapped_column(String(16))
    attempt_id: Mapped[str] = mapped_column(String(32))
    """Attempt that stored it; part of the file's name, so that no other attempt overwrites it."""
    width: Mapped[int]
    height: Mapped[int]
    is_partial: Mapped[bool] = mapped_column(default=False)
    """True for the best image so far of a cancelled painting."""


class Attempt(Base):
    """One run of a worker at a painting. Fair shares are reckoned from these rows."""

    __tablename__ = "attempt"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    painting_id: Mapped[int | None] = mapped_column(
        ForeignKey("painting.id", ondelete="SET NULL"), index=True
    )
    """Painting that was worked on; None once it is removed: the time was used all the same."""
    user_id: Mapped[int] = mapped_column(ForeignKey("user.id", ondelete="CASCADE"))
    worker: Mapped[str] = mapped_column(String(80))
    started_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
    ended_at: Mapped[datetime | None] = mapped_column(UtcDateTime, index=True)
    """End of the attempt; indexed, since the scheduler adds up the last hours only."""
    outcome: Mapped[str | None] = mapped_column(String(16))
    is_resumed: Mapped[bool] = mapped_column(default=False)
    """True if it resumed a checkpoint: then its time says nothing about a whole painting."""
    peak_bytes: Mapped[int | None] = mapped_column(BigInteger)
    """Peak resident memory of the worker meanwhile; None where the system does not report it."""


class WorkerHeartbeat(Base):
    """Worker process and its last heartbeat; kept for a day after its end, for the owner."""

    __tablename__ = "worker_heartbeat"

    name: Mapped[str] = mapped_column(String(80), primary_key=True)
    started_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
    seen_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
    is_stopped: Mapped[bool] = mapped_column(default=False)
    """True if the worker has ended in good order."""


class SiteFlag(Base):
    """Flag that the owner has set for all processes at once, such as a pause."""

    __tablename__ = "site_flag"

    name: Mapped[str] = mapped_column(String(32), primary_key=True)
    since: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
