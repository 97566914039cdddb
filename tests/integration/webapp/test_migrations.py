from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from flask import Flask
from flask_migrate import downgrade, upgrade
from sqlalchemy import select, text

from config import PROJECT_ROOT
from tests.integration.webapp.conftest import order, read
from transfer.settings import Method, Rendition
from webapp.extensions import db
from webapp.models import Attempt, Painting, State
from webapp.orders import leases, schedule

SCRIPTS = ScriptDirectory(str(PROJECT_ROOT / "migrations"))
REVISIONS = [script.revision for script in SCRIPTS.walk_revisions()][::-1]


def test_the_newest_migration_leads_to_the_models(site: Flask) -> None:
    with db.engine.connect() as connection:
        context = MigrationContext.configure(connection)
        assert compare_metadata(context, db.metadata) == []


@pytest.mark.parametrize("revision", REVISIONS)
def test_each_migration_goes_down_and_up_again(site: Flask, revision: str) -> None:
    downgrade(revision=revision)
    downgrade(revision="-1")
    upgrade(revision=revision)
    upgrade()
    with db.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), db.metadata) == []


@pytest.mark.parametrize("revision", REVISIONS[1:])
def test_each_migration_keeps_the_rows(site: Flask, ada: int, revision: str) -> None:
    public_id = order(ada)
    claim = schedule.claim("w")
    assert claim is not None
    assert leases.add_rendition(claim, Rendition.STYLED, 3, 4)
    db.session.remove()

    downgrade(revision=revision)
    downgrade(revision="-1")
    upgrade()

    painting = read(public_id)
    assert (painting.owner.name, painting.state) == ("Ada", State.RUNNING)
    assert [style.title for style in painting.styles] == ["Checks"]
    assert [(made.kind, made.width) for made in painting.renditions] == [("styled", 3)]
    assert len(db.session.scalars(select(Painting)).all()) == 1
    attempt = db.session.get_one(Attempt, claim.attempt_id)
    assert attempt.painting_id == painting.id
    assert db.session.scalar(text("PRAGMA foreign_keys")) == 1


def test_paintings_from_before_faces_were_kept_were_painted_without(site: Flask, ada: int) -> None:
    public_id = order(ada)
    assert read(public_id).keep_faces > 0
    db.session.remove()

    downgrade(revision="0006")
    upgrade()

    assert read(public_id).settings.keep_faces == 0.0


def test_paintings_from_before_matching_were_painted_by_statistics(site: Flask, ada: int) -> None:
    public_id = order(ada)
    assert read(public_id).settings.method is Method.MATCHING
    db.session.remove()

    downgrade(revision="0007")
    upgrade()

    assert read(public_id).settings.method is Method.STATISTICS


def test_migrations_form_one_line() -> None:
    assert len(SCRIPTS.get_heads()) == 1
    assert all(Path(script.path).stem[:4].isdigit() for script in SCRIPTS.walk_revisions())
