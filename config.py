"""Settings of the site: addresses, limits, sizes, retries; read once from the environment."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

PROJECT_ROOT = Path(__file__).resolve().parent
SECRET_KEY_MIN_CHARS = 32


class ConfigError(Exception):
    """Missing or unusable setting; the message names the variable and says what to do."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """Settings of one installation; tests build it by hand."""

    secret_key: str
    """Key that signs sessions and form tokens. No default: `make run` makes one in the instance
    folder."""
    instance_dir: Path
    """Folder of everything that must survive: database, files, secret key, queue."""
    database_url: str
    redis_url: str
    is_https: bool = False
    """True behind a TLS proxy: cookies are marked Secure, and HSTS is sent."""
    proxy_hops: int = 0
    """Number of proxies in front that are believed about the client's address (X-Forwarded-For)."""
    max_upload_bytes: int = 30_000_000
    """Largest file of an upload; a request may carry several and its form fields."""
    max_upload_pixels: int = 50_000_000
    """Most pixels of an upload: decoded RGB of this size takes 150 MB, and a phone's largest photos
    have 50 MP."""
    min_upload_side_px: int = 32
    """Shortest side of an upload: less is too little for style statistics."""
    max_upload_aspect: float = 20.0
    """Largest ratio of an upload's sides; beyond it the short side vanishes at painting size."""
    max_stored_edge_px: int = 4096
    """Long edge of stored uploads: as large as any painting, smaller than a camera's photos."""
    max_long_edge_px: int = 2048
    """Long edge of the largest painting that can be ordered."""
    gallery_page_size: int = 24
    """Number of paintings on one gallery page."""
    min_free_bytes: int = 500_000_000
    """Free space kept on the disk: with less, uploads and paintings are refused."""
    max_optimizer_state_bytes: int = 4_000_000_000
    """Disk space for final optimizer states, with which paintings are continued; 24 MB each at
    512 px, 94 MB at 1024 px. The oldest are deleted first."""
    max_open_paintings: int = 50
    """Most queued and running paintings of one person."""
    max_crashes: int = 3
    """Number of crashes in a row after which a painting is not tried again."""
    max_pictures: int = 2000
    """Most uploads of one person."""
    max_painting_minutes: int = 120
    """Longest time of one attempt; 0: no limit."""
    max_memory_bytes: int = 0
    """Most private memory of a worker; 0: no limit."""
    trash_days: int = 30
    """Days after which paintings in the trash are removed for good."""
    torch_threads: int = 0
    """Number of CPU threads of one worker; 0 leaves the choice to torch."""
    login_rate: str = "10 per minute"
    """Most log-in attempts from one address, in Flask-Limiter's notation."""

    @property
    def files_dir(self) -> Path:
        """Folder of uploads, previews and renditions."""
        return self.instance_dir / "files"

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> "Config":
        """Build the configuration from environment variables.

        Raises:
            ConfigError: a variable is missing or not usable; the message names it.
        """
        instance_dir = Path(
            environ.get("PIC2PAINT_INSTANCE") or PROJECT_ROOT / "instance"
        ).resolve()
        redis_url = environ.get("REDIS_URL") or _private_redis_url(instance_dir)
        return cls(
            secret_key=_secret_key(environ, instance_dir),
            instance_dir=instance_dir,
            database_url=environ.get("DATABASE_URL")
            or f"sqlite:///{instance_dir / 'pic2paint.db'}",
            redis_url=redis_url,
            is_https=_boolean(environ, "PIC2PAINT_HTTPS", default=cls.is_https),
            proxy_hops=_whole_number(environ, "PIC2PAINT_PROXY_HOPS", cls.proxy_hops),
            max_upload_bytes=_whole_number(
                environ, "PIC2PAINT_MAX_UPLOAD_BYTES", cls.max_upload_bytes, least=1
            ),
            max_upload_pixels=_whole_number(
                environ, "PIC2PAINT_MAX_UPLOAD_PIXELS", cls.max_upload_pixels, least=1
            ),
            max_long_edge_px=_whole_number(
                environ, "PIC2PAINT_MAX_LONG_EDGE_PX", cls.max_long_edge_px, least=128
            ),
            min_free_bytes=_whole_number(environ, "PIC2PAINT_MIN_FREE_BYTES", cls.min_free_bytes),
            max_optimizer_state_bytes=_whole_number(
                environ, "PIC2PAINT_MAX_OPTIMIZER_STATE_BYTES", cls.max_optimizer_state_bytes
            ),
            max_open_paintings=_whole_number(
                environ, "PIC2PAINT_MAX_OPEN_PAINTINGS", cls.max_open_paintings, least=1
            ),
            max_pictures=_whole_number(
                environ, "PIC2PAINT_MAX_PICTURES", cls.max_pictures, least=1
            ),
            max_painting_minutes=_whole_number(
                environ, "PIC2PAINT_MAX_PAINTING_MINUTES", cls.max_painting_minutes
            ),
            max_memory_bytes=_whole_number(
                environ, "PIC2PAINT_MAX_MEMORY_BYTES", cls.max_memory_bytes
            ),
            max_crashes=_whole_number(environ, "PIC2PAINT_MAX_CRASHES", cls.max_crashes, least=1),
            gallery_page_size=_whole_number(
                environ, "PIC2PAINT_GALLERY_PAGE_SIZE", cls.gallery_page_size, least=1
            ),
            trash_days=_whole_number(environ, "PIC2PAINT_TRASH_DAYS", cls.trash_days, least=1),
            torch_threads=_whole_number(environ, "PIC2PAINT_TORCH_THREADS", cls.torch_threads),
        )


def secret_key_file(instance_dir: Path) -> Path:
    """Return the file in which the start command keeps the secret key that it made."""
    return instance_dir / "secret_key"


def redis_url_file(instance_dir: Path) -> Path:
    """Return the file with the queue's address, for commands typed while the site runs."""
    return instance_dir / "run" / "redis_url"


def device_file(instance_dir: Path) -> Path:
    """Return the file in which the worker names its device, for the start command."""
    return instance_dir / "run" / "device"


def _private_redis_url(instance_dir: Path) -> str:
    try:
        return redis_url_file(instance_dir).read_text().strip()
    except OSError:
        raise ConfigError(
            "REDIS_URL is not set, and no site runs here; `make run` starts a Redis and sets it."
        ) from None


def read_secret_key(instance_dir: Path) -> str:
    """Return the key that the start command made.

    Raises:
        ConfigError: if there is none, or it is too short to be safe.
    """
    path = secret_key_file(instance_dir)
    try:
        key = path.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        raise ConfigError(
            f"SECRET_KEY is not set and {path} does not exist; `make run` makes it."
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from error
    if len(key) < SECRET_KEY_MIN_CHARS:
        raise ConfigError(f"{path} holds no usable key; delete it and start again.")
    return key


def _secret_key(environ: Mapping[str, str], instance_dir: Path) -> str:
    key = environ.get("SECRET_KEY", "")
    if not key:
        return read_secret_key(instance_dir)
    if len(key) < SECRET_KEY_MIN_CHARS:
        raise ConfigError(f"SECRET_KEY must have at least {SECRET_KEY_MIN_CHARS} characters.")
    return key


def _whole_number(environ: Mapping[str, str], name: str, default: int, *, least: int = 0) -> int:
    text = environ.get(name)
    if text is None or text == "":
        return default
    try:
        number = int(text)
    except ValueError:
        number = least - 1
    if number < least:
        raise ConfigError(f"{name} must be a whole number of at least {least}, not {text!r}.")
    return number


def _boolean(environ: Mapping[str, str], name: str, *, default: bool) -> bool:
    text = environ.get(name, "").lower()
    if text == "":
        return default
    if text in {"1", "true", "yes", "on"}:
        return True
    if text in {"0", "false", "no", "off"}:
        return False
    raise ConfigError(f"{name} must be 1 or 0, not {text!r}.")
