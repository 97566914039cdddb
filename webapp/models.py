"""The tables: who is here, what they uploaded, what was painted, and by which attempt."""

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
    """The current time; every time in the database is UTC."""
    return datetime.now(UTC)


def new_public_id() -> str:
    """An address that cannot be guessed: 128 random bits in 22 URL-safe characters."""
    return secrets.token_urlsafe(16)


class UtcDateTime(TypeDecorator[datetime]):
    """A time with time zone on every database; SQLite stores none and returns naive values."""

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Store as naive UTC."""
        return None if value is None else value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Return as aware UTC."""
        return None if value is None else value.replace(tzinfo=UTC)


class State(StrEnum):
    """Where a painting stands: queued -> running -> done | failed | cancelled."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        """Whether nothing more happens unless somebody asks for it."""
        return self in {State.DONE, State.FAILED, State.CANCELLED}


class Outcome(StrEnum):
    """How an attempt ended."""

    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"
    """Its worker died or lost its lease: the painting went back into the queue."""
    RETURNED = "returned"
    """Its worker was asked to stop and handed the painting back: not held against it."""


class User(Base):
    """A person with an account. The first one owns the site."""

    __tablename__ = "user"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(NAME_MAX_CHARS))
    name_key: Mapped[str] = mapped_column(String(NAME_MAX_CHARS * 3), unique=True)
    """The name as it is compared: case-folded."""
    password_hash: Mapped[str] = mapped_column(String(255))
    is_owner: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)


class LoginSession(Base):
    """One logged-in browser. Logging out deletes the row, so a copied cookie dies with it."""

    __tablename__ = "login_session"

    token_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    """SHA-256 of the token in the cookie, hexadecimal."""
    user_id: Mapped[int] = mapped_column(ForeignKey("user.id", ondelete="CASCADE"), index=True)
    seen_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)

    user: Mapped[User] = relationship()


class Invitation(Base):
    """A place for one more person; the link carries its signed id."""

    __tablename__ = "invitation"

    id: Mapped[int] = mapped_column(primary_key=True)
    public_id: Mapped[str] = mapped_column(String(22), unique=True, default=new_public_id)
    note: Mapped[str] = mapped_column(String(TITLE_MAX_CHARS), default="")
    """For whom it is, in the owner's words."""
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)
    used_by_id: Mapped[int | None] = mapped_column(ForeignKey("user.id", ondelete="SET NULL"))
    used_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

    used_by: Mapped[User | None] = relationship()

    @property
    def is_open(self) -> bool:
        """Whether it still lets somebody in."""
        return self.used_at is None and self.expires_at > now()


class Picture(Base):
    """An uploaded image as intake made it: upright sRGB without metadata."""

    __tablename__ = "picture"
    __table_args__ = (UniqueConstraint("owner_id", "sha256"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    public_id: Mapped[str] = mapped_column(String(22), unique=True, default=new_public_id)
    owner_id: Mapped[int] = mapped_column(ForeignKey("user.id", ondelete="CASCADE"), index=True)
    title: Mapped[str] = mapped_column(String(TITLE_MAX_CHARS))
    width: Mapped[int]
    height: Mapped[int]
    sha256: Mapped[str] = mapped_column(String(64))
    """Of the stored file, hexadecimal: the same upload twice is one picture."""
    is_style: Mapped[bool]
    """Which role it was last used in; only sorts the shelves of the studio."""
    used_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)

    def mark_used(self, *, is_style: bool) -> None:
        """Put the picture first on the shelf of this role."""
        self.is_style = is_style
        self.used_at = now()


class Painting(Base):
    """One request and everything that came of it."""

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
    """One submitted form makes one painting, however often it is sent."""
    content_id: Mapped[int] = mapped_column(ForeignKey("picture.id"), index=True)

    long_edge_px: Mapped[int]
    strength: Mapped[float]
    effort: Mapped[str] = mapped_column(String(16))
    backbone: Mapped[str] = mapped_column(String(32))
    rendition_names: Mapped[list[str]] = mapped_column(JSON)
    """Names of the renditions to make, in painting order."""
    seed: Mapped[int]
    brush_size: Mapped[float] = mapped_column(default=_DEFAULTS.brush_size)
    smoothness: Mapped[float] = mapped_column(default=_DEFAULTS.smoothness)
    start: Mapped[str] = mapped_column(String(16), default=_DEFAULTS.start.value)
    base_painting_id: Mapped[str | None] = mapped_column(String(22))
    """Public id of an earlier painting that this one goes on from; no foreign key, because that
    one may be removed for good before or after."""
    base_px: Mapped[int | None]
    """Its long edge."""

    state: Mapped[str] = mapped_column(String(16), default=State.QUEUED)
    queued_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
    started_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """When the latest attempt began."""
    finished_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    progress: Mapped[float] = mapped_column(default=0.0)
    preview_version: Mapped[int] = mapped_column(default=0)
    """Counts stored previews; 0: there is none yet."""
    is_cancel_requested: Mapped[bool] = mapped_column(default=False)
    failure_reason: Mapped[str | None] = mapped_column(String(500))
    """Why it failed, in a sentence for its owner."""
    trashed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

    attempt_id: Mapped[str | None] = mapped_column(String(32))
    """The attempt that may write to this row; every write of a worker names it."""
    heartbeat: Mapped[int] = mapped_column(default=0)
    """Counts signs of life of the attempt. Others watch whether it moves, by their own monotonic
    clocks: a lease with an end in wall-clock time would break when the clock is set."""
    checkpoint_attempt_id: Mapped[str | None] = mapped_column(String(32))
    """The attempt whose checkpoint the next one goes on from."""
    resume_progress: Mapped[float] = mapped_column(default=0.0)
    """Where the latest attempt began: its own pace is reckoned from there."""
    animation_attempt_id: Mapped[str | None] = mapped_column(String(32))
    """The attempt that stored how it came about; None: nobody did."""
    optimizer_attempt_id: Mapped[str | None] = mapped_column(String(32))
    """The attempt that stored what its optimizer knew at the end; None: that is not kept."""
    optimizer_bytes: Mapped[int | None] = mapped_column(BigInteger)
    """Room that it takes: the oldest give way."""
    crash_count: Mapped[int] = mapped_column(default=0)
    """Attempts in a row that ended with their worker's death."""

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
        """The style pictures in the order in which they were chosen."""
        return [link.picture for link in self.style_links]

    @property
    def title(self) -> str:
        """What to call it: the photo's name and where its style comes from."""
        styles = " and ".join(style.title for style in self.styles)
        return f"{self.content.title} in the style of {styles}"

    @property
    def settings(self) -> Settings:
        """What the engine is asked for."""
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
        """The rendition that stands for the painting on the wall."""
        return self.renditions[0] if self.renditions else None


SETTING_COLUMNS = {"renditions": "rendition_names"} | {
    name: name for name in settings_in(Settings) if name in Painting.__table__.columns
}
"""Columns that hold settings, by the field of `Settings`."""


class PaintingStyle(Base):
    """A style picture of a painting."""

    __tablename__ = "painting_style"

    painting_id: Mapped[int] = mapped_column(
        ForeignKey("painting.id", ondelete="CASCADE"), primary_key=True
    )
    position: Mapped[int] = mapped_column(primary_key=True)
    picture_id: Mapped[int] = mapped_column(ForeignKey("picture.id"), index=True)
    weight: Mapped[float] = mapped_column(default=1.0)
    """How much it counts relative to the painting's other styles."""

    picture: Mapped[Picture] = relationship()


class RenditionFile(Base):
    """One output image of a painting."""

    __tablename__ = "rendition"
    __table_args__ = (UniqueConstraint("painting_id", "kind"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    painting_id: Mapped[int] = mapped_column(ForeignKey("painting.id", ondelete="CASCADE"))
    kind: Mapped[str] = mapped_column(String(16))
    attempt_id: Mapped[str] = mapped_column(String(32))
    """Part of the file's name, so that a superseded worker cannot overwrite it."""
    width: Mapped[int]
    height: Mapped[int]
    is_partial: Mapped[bool] = mapped_column(default=False)
    """The best image of a cancelled painting."""


class Attempt(Base):
    """One worker's go at a painting. Fair shares are reckoned from these rows."""

    __tablename__ = "attempt"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    painting_id: Mapped[int | None] = mapped_column(
        ForeignKey("painting.id", ondelete="SET NULL"), index=True
    )
    """None once the painting is removed: the time was used all the same."""
    user_id: Mapped[int] = mapped_column(ForeignKey("user.id", ondelete="CASCADE"))
    worker: Mapped[str] = mapped_column(String(80))
    started_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
    ended_at: Mapped[datetime | None] = mapped_column(UtcDateTime, index=True)
    """Indexed: the scheduler adds up the last hours only."""
    outcome: Mapped[str | None] = mapped_column(String(16))
    is_resumed: Mapped[bool] = mapped_column(default=False)
    """It went on from a checkpoint, so its time tells nothing of a whole painting's."""
    peak_bytes: Mapped[int | None] = mapped_column(BigInteger)
    """Most memory that its worker held meanwhile; None where the system does not tell."""


class WorkerHeartbeat(Base):
    """A worker's last sign of life; kept a day after it ended, for the owner to see."""

    __tablename__ = "worker_heartbeat"

    name: Mapped[str] = mapped_column(String(80), primary_key=True)
    started_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
    seen_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
    is_stopped: Mapped[bool] = mapped_column(default=False)
    """It said good-bye."""


class SiteFlag(Base):
    """Something the owner has switched on for all processes at once, such as a pause."""

    __tablename__ = "site_flag"

    name: Mapped[str] = mapped_column(String(32), primary_key=True)
    since: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
