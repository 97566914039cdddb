import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from flask import Flask
from flask.cli import FlaskGroup

from config import PROJECT_ROOT
from tests.servers import NO_REDIS_URL, clean_environ
from webapp import create_app
from webapp.extensions import db

COMMANDS = ("backup", "db", "pause", "purge", "resume", "status", "worker")
NO_SITE = (
    "Error: REDIS_URL is not set, and no site runs here; `make run` starts a Redis and sets it.\n"
)


def run(arguments: list[str], monkeypatch: pytest.MonkeyPatch, **environ: str) -> tuple[int, str]:
    """Run `flask` with nothing but these settings; return its exit status and output."""
    for name in ("DATABASE_URL", "REDIS_URL", "SECRET_KEY"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    apps = []

    def create() -> Flask:
        apps.append(create_app())
        return apps[-1]

    result = CliRunner().invoke(FlaskGroup(create_app=create), arguments)
    for app in apps:
        if "sqlalchemy" in app.extensions:
            with app.app_context():
                db.engine.dispose()
    assert isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.output


def test_help_lists_all_commands_without_a_site(tmp_path: Path) -> None:
    instance_dir = tmp_path / "instance"
    done = subprocess.run(
        [sys.executable, "-m", "flask", "--app", "webapp", "--help"],
        cwd=PROJECT_ROOT,
        env=clean_environ() | {"PIC2PAINT_INSTANCE": str(instance_dir)},
        capture_output=True,
        text=True,
    )

    assert done.returncode == 0
    assert done.stderr == ""
    listed = {line.split()[0] for line in done.stdout.split("Commands:")[1].splitlines() if line}
    assert set(COMMANDS) <= listed
    assert not instance_dir.exists()


@pytest.mark.parametrize(
    "arguments", [*([name] for name in COMMANDS if name != "backup"), ["backup", "folder"]]
)
def test_without_a_site_a_command_ends_in_one_sentence(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if arguments == ["db"]:
        arguments = ["db", "upgrade", "--sql"]

    status, output = run(arguments, monkeypatch, PIC2PAINT_INSTANCE=str(tmp_path / "instance"))

    assert (status, output) == (1, NO_SITE)
    assert not (tmp_path / "instance").exists()


@pytest.mark.parametrize("command", ["pause", "purge", "resume", "worker"])
@pytest.mark.parametrize("database_url", ["", "sqlite:////nonexistent/pic2paint.db"])
def test_without_a_database_a_command_ends_in_one_sentence(
    command: str, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    status, output = run(
        [command],
        monkeypatch,
        PIC2PAINT_INSTANCE=str(tmp_path),
        DATABASE_URL=database_url,
        REDIS_URL=NO_REDIS_URL,
        SECRET_KEY="only for tests, and long enough for them",
    )

    assert status == 1
    assert output.startswith("Error: The database ")
    assert output.count("\n") == 1
