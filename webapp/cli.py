"""Commands of `flask --app webapp`."""

import logging
import os

import click
from flask import Flask, current_app

from webapp.trash import empty_old


def init_app(app: Flask) -> None:
    """Add the commands."""
    app.cli.add_command(worker)
    app.cli.add_command(purge)


@click.command()
def worker() -> None:
    """Paint: take tickets until told to stop. One per device."""
    # Threads that wait for each other spin by default. On a machine that has other things to do
    # that is ruinous: 64 px on two busy cores took 69 s, and 5 s this way. Read when torch loads.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    # Here, not above: only this command may load torch.
    from webapp import jobs
    from webapp.worker import run

    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    jobs.warm_up()
    run(current_app._get_current_object())  # type: ignore[attr-defined]


@click.command()
def purge() -> None:
    """Remove paintings that have been in the trash for long."""
    click.echo(f"{empty_old()} paintings removed.")
