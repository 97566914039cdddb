"""Commands of `flask --app webapp`."""

import logging
import os
import re
import resource
import sys
from pathlib import Path
from typing import NoReturn

import click
from flask import Flask, current_app
from flask.cli import FlaskGroup, NoAppException, with_appcontext
from flask_migrate.cli import db as database_commands
from sqlalchemy import inspect
from sqlalchemy.exc import OperationalError

from config import ConfigError
from webapp.extensions import db, get_config
from webapp.models import Painting
from webapp.orders import schedule
from webapp.orders.purge import purge_expired
from webapp.storage.backup import BackupFailed, back_up
from webapp.views import health


def init_app(app: Flask) -> None:
    """Add the commands."""
    for command in (worker, pause, resume, status, purge, backup):
        app.cli.add_command(command)


def create_app_without_settings(error: ConfigError) -> Flask:
    """Return an application that only lists its commands to `flask`: called, they fail.

    Flask itself would list none, and show the error above the list.

    Raises:
        NoAppException: if `flask` does not list or look up commands, but runs one, or if this is
            not `flask`; it ends in one sentence, too.
    """
    context = click.get_current_context(silent=True)
    if context is None or not isinstance(context.command, FlaskGroup):
        raise NoAppException(str(error)) from error

    def fail(**_: object) -> NoReturn:
        raise click.ClickException(str(error))

    app = Flask(__name__)
    for command in (worker, pause, resume, status, purge, backup, database_commands):
        app.cli.add_command(
            click.Command(
                command.name,
                callback=fail,
                params=command.params,
                help=command.help,
                context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
            )
        )
    return app


def _need_tables() -> None:
    try:
        has_tables = inspect(db.engine).has_table(Painting.__tablename__)
    except OperationalError as error:
        raise click.ClickException(f"The database cannot be used: {error.orig}.") from None
    if not has_tables:
        raise click.ClickException("The database has no tables yet; `make run` makes them.")


@click.command()
@with_appcontext
def worker() -> None:
    """Paint: take tickets until asked to stop. One per device."""
    _need_tables()
    # Time for which threads spin for each other before they sleep; docs/engine.md has the
    # figures. Torch reads it when it loads.
    os.environ.setdefault("GOMP_SPINCOUNT", "5000")
    # Here, not above: only this command may load torch.
    from webapp.worker.rq_worker import run

    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    limit = get_config().max_memory_bytes
    if limit:
        # The limit is on private memory, touched or not; what torch's libraries merely reserve
        # does not count: 0.07 GB in builds for the CPU, 0.5 GB in those for CUDA.
        limit += _reserved_bytes()
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    run(current_app._get_current_object())  # type: ignore[attr-defined]


def _reserved_bytes() -> int:
    """Return how much private memory this process has mapped and not touched."""
    status = Path("/proc/self/status").read_text()
    mapped_kb, touched_kb = (
        int(re.findall(rf"^{name}:\s*(\d+) kB", status, re.MULTILINE)[0])
        for name in ("VmData", "RssAnon")
    )
    return (mapped_kb - touched_kb) * 1024


@click.command()
@with_appcontext
def pause() -> None:
    """Take no new paintings; running ones go on, new orders wait."""
    _need_tables()
    schedule.set_paused(paused=True)
    click.echo("Paused. `flask --app webapp resume` goes on.")


@click.command()
@with_appcontext
def resume() -> None:
    """Take new paintings again."""
    _need_tables()
    schedule.set_paused(paused=False)
    click.echo("Resumed.")


@click.command()
@with_appcontext
def status() -> None:
    """Show the state of the site; exit status 1 if something needs the owner."""
    report = health.check_health()
    for name, finding in report.findings.items():
        click.echo(f"{name:10} {finding}")
    if not report.is_well:
        sys.exit(1)


@click.command()
@with_appcontext
def purge() -> None:
    """Remove paintings that have been in the trash for long."""
    _need_tables()
    click.echo(f"{purge_expired()} paintings removed.")


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@with_appcontext
def backup(folder: Path) -> None:
    """Copy everything that must survive into FOLDER, while the site runs.

    FOLDER must not exist, or be empty. To restore, use it as the instance folder:
    `PIC2PAINT_INSTANCE=FOLDER make run`.
    """
    try:
        made = back_up(folder)
    except BackupFailed as failure:
        click.echo(failure, err=True)
        sys.exit(1)
    click.echo(
        f"{made.pictures} pictures and {made.paintings} paintings are in {folder} "
        f"({made.files} files, {made.size_bytes / 1e6:.1f} MB with the database)."
    )
    if made.missing:
        click.echo(
            f"{len(made.missing)} files that the database names were gone before: "
            f"{made.missing[0]}{' and others' if len(made.missing) > 1 else ''}.",
            err=True,
        )
        sys.exit(1)
