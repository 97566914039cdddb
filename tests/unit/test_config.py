import dataclasses
from pathlib import Path

import pytest

from config import PROJECT_ROOT, Config, ConfigError, read_secret_key, secret_key_file

KEY = "k" * 32


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """Return the variables that must be set."""
    return {
        "PIC2PAINT_INSTANCE": str(tmp_path),
        "REDIS_URL": "redis://localhost/0",
        "SECRET_KEY": KEY,
    }


def test_only_redis_and_key_have_to_be_set(environ: dict[str, str], tmp_path: Path) -> None:
    config = Config.from_env(environ)

    assert config.instance_dir == tmp_path
    assert config.files_dir == tmp_path / "files"
    assert config.database_url == f"sqlite:///{tmp_path}/pic2paint.db"
    assert config.redis_url == "redis://localhost/0"
    assert config.secret_key == KEY
    by_hand = Config(
        secret_key=KEY,
        instance_dir=tmp_path,
        database_url=config.database_url,
        redis_url=config.redis_url,
    )
    assert config == by_hand


def test_instance_folder_is_beside_the_code_by_default(environ: dict[str, str]) -> None:
    del environ["PIC2PAINT_INSTANCE"]

    assert Config.from_env(environ).instance_dir == PROJECT_ROOT / "instance"


def test_relative_instance_folder_becomes_absolute(
    environ: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    config = Config.from_env(environ | {"PIC2PAINT_INSTANCE": "here"})

    assert config.instance_dir == tmp_path / "here"


@pytest.mark.parametrize(
    ("variable", "text", "field", "value"),
    [
        ("DATABASE_URL", "postgresql://db/pic2paint", "database_url", "postgresql://db/pic2paint"),
        ("PIC2PAINT_HTTPS", "1", "is_https", True),
        ("PIC2PAINT_HTTPS", "Yes", "is_https", True),
        ("PIC2PAINT_HTTPS", "off", "is_https", False),
        ("PIC2PAINT_HTTPS", "", "is_https", False),
        ("PIC2PAINT_PROXY_HOPS", "2", "proxy_hops", 2),
        ("PIC2PAINT_MAX_UPLOAD_BYTES", "1000", "max_upload_bytes", 1000),
        ("PIC2PAINT_MAX_UPLOAD_PIXELS", "1000000", "max_upload_pixels", 1_000_000),
        ("PIC2PAINT_MAX_LONG_EDGE_PX", "1024", "max_long_edge_px", 1024),
        ("PIC2PAINT_MAX_LONG_EDGE_PX", "", "max_long_edge_px", 2048),
        ("PIC2PAINT_MAX_CRASHES", "5", "max_crashes", 5),
        ("PIC2PAINT_GALLERY_PAGE_SIZE", "12", "gallery_page_size", 12),
        ("PIC2PAINT_TRASH_DAYS", "7", "trash_days", 7),
        ("PIC2PAINT_TORCH_THREADS", "4", "torch_threads", 4),
    ],
)
def test_variable_sets_its_field(
    environ: dict[str, str], variable: str, text: str, field: str, value: object
) -> None:
    config = Config.from_env(environ | {variable: text})

    assert getattr(config, field) == value
    unchanged = dataclasses.replace(config, **{field: getattr(Config.from_env(environ), field)})
    assert unchanged == Config.from_env(environ)


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("PIC2PAINT_HTTPS", "maybe"),
        ("PIC2PAINT_HTTPS", "2"),
        ("PIC2PAINT_PROXY_HOPS", "-1"),
        ("PIC2PAINT_PROXY_HOPS", "one"),
        ("PIC2PAINT_MAX_UPLOAD_BYTES", "0"),
        ("PIC2PAINT_MAX_UPLOAD_BYTES", "30 MB"),
        ("PIC2PAINT_MAX_UPLOAD_PIXELS", "1e6"),
        ("PIC2PAINT_MAX_LONG_EDGE_PX", "127"),
        ("PIC2PAINT_MAX_LONG_EDGE_PX", "9" * 5000),
        ("PIC2PAINT_TRASH_DAYS", "0"),
        ("PIC2PAINT_TORCH_THREADS", "-2"),
        ("PIC2PAINT_TORCH_THREADS", "1.5"),
    ],
)
def test_unusable_value_is_named(environ: dict[str, str], variable: str, text: str) -> None:
    with pytest.raises(ConfigError, match=variable) as caught:
        Config.from_env(environ | {variable: text})

    assert repr(text) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("redis_url", [None, ""])
def test_missing_redis_is_named(environ: dict[str, str], redis_url: str | None) -> None:
    del environ["REDIS_URL"]
    if redis_url is not None:
        environ["REDIS_URL"] = redis_url

    with pytest.raises(ConfigError, match="REDIS_URL"):
        Config.from_env(environ)


@pytest.mark.parametrize("secret_key", [None, ""])
def test_key_of_the_start_command_is_used(
    environ: dict[str, str], tmp_path: Path, secret_key: str | None
) -> None:
    del environ["SECRET_KEY"]
    if secret_key is not None:
        environ["SECRET_KEY"] = secret_key
    secret_key_file(tmp_path).write_text(f"{KEY}\n")

    assert Config.from_env(environ).secret_key == KEY


def test_missing_key_is_named(environ: dict[str, str], tmp_path: Path) -> None:
    del environ["SECRET_KEY"]

    with pytest.raises(ConfigError, match="SECRET_KEY") as caught:
        Config.from_env(environ)

    assert "make run" in str(caught.value)
    assert not secret_key_file(tmp_path).exists()


@pytest.mark.parametrize("content", ["", "\n", "too short", "ä" * 40])
def test_unusable_key_is_refused(tmp_path: Path, content: str) -> None:
    secret_key_file(tmp_path).write_text(content, encoding="utf-8")

    with pytest.raises(ConfigError, match="secret_key"):
        read_secret_key(tmp_path)


def test_settings_cannot_change(environ: dict[str, str]) -> None:
    config = Config.from_env(environ)

    with pytest.raises(dataclasses.FrozenInstanceError):
        config.trash_days = 1  # type: ignore[misc]
