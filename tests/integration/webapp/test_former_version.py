"""Tests of a site that version 0005 left, whose columns, tables, files and tickets differ."""

import hashlib
import json
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import torch
from flask import Flask
from flask_migrate import downgrade, upgrade
from PIL import Image
from redis import Redis
from rq import Queue
from rq.job import JobStatus
from rq.serializers import JSONSerializer
from safetensors.torch import save
from sqlalchemy import inspect, select, text

from tests.integration.webapp.conftest import (
    WorkerStarter,
    read,
    save_pictures,
    wait_for_state,
)
from tests.servers import wait_until
from transfer.settings import Rendition
from webapp.extensions import db, get_storage
from webapp.models import Attempt, Outcome, State, WorkerHeartbeat, now
from webapp.orders import place, schedule
from webapp.orders.queue import QUEUE_NAME
from webapp.storage.encoding import encode
from webapp.storage.thumbnails import RENDITION_EDGES_PX

FORMER_REVISION = "0005"
FORMER_ENTRY_POINT = "webapp.jobs.paint_next"
TICKET_TTL_S = 3600
SIZE = (128, 85)
PAINTINGS: Mapping[str, Mapping[str, object]] = {
    "running": {"state": "running", "progress": 0.4, "beat": 7, "resumed_at_progress": 0.1},
    "queued": {"state": "queued", "progress": 0.0},
    "larger": {"state": "queued", "long_edge_px": 256, "proof_id": "finished", "proof_px": 128},
    "finished": {"state": "done", "progress": 1.0, "colors": ["styled", "histogram"]},
    "failed": {"state": "failed", "progress": 0.2, "failure": "It was too large."},
    "cancelled": {"state": "cancelled", "progress": 0.3},
    "trashed": {"state": "done", "progress": 1.0},
}
"""Columns of each painting, by its public id."""


def former_checkpoint() -> bytes:
    """Return a checkpoint as version 0005 wrote it, with an optimizer state."""
    numbers = {"first_step_rms": 0.01, "lows": [2.0, 1.0], "loss": 1.0, "pairs": []}
    metadata = {
        "format": "pic2paint-checkpoint-3",
        "identity": 64 * "0",
        "position": "[0, 0, 3]",
        "grip": "1.0",
        "memory": json.dumps(numbers),
    }
    image = torch.full((1, 3, SIZE[1], SIZE[0]), 0.5)
    return save({"image": image, "memory.best": image.clone()}, metadata)


def insert(table: str, **values: object) -> None:
    names = ", ".join(values)
    parameters = ", ".join(f":{name}" for name in values)
    db.session.execute(text(f"INSERT INTO {table} ({names}) VALUES ({parameters})"), values)


def insert_painting(number: int, user_id: int, pictures: tuple[int, int], name: str) -> None:
    """Insert a painting of number ``number`` with its style, attempt, rendition and files."""
    content_id, style_id = pictures
    moment = str((now() - timedelta(hours=1)).replace(tzinfo=None))
    attempt_id = hashlib.md5(name.encode()).hexdigest()
    data = former_checkpoint()
    values: dict[str, Any] = {
        "id": number,
        "public_id": name,
        "owner_id": user_id,
        "form_token": f"{user_id}:{name}",
        "content_id": content_id,
        "long_edge_px": 128,
        "strength": 0.5,
        "effort": "draft",
        "backbone": "compact",
        "colors": ["styled"],
        "seed": number,
        "queued_at": moment,
        "preview_version": 0,
        "is_cancel_requested": 0,
        "interruptions": 0,
        "progress": 0.0,
        **PAINTINGS[name],
    }
    state = State(values["state"])
    if state is State.RUNNING:
        values |= {"attempt_id": attempt_id, "started_at": moment, "checkpoint_id": attempt_id}
        values |= {"interruptions": 1}
    elif state.is_final:
        values |= {"started_at": moment, "finished_at": moment}
    if state is State.DONE:
        values |= {"animation_id": attempt_id, "state_id": attempt_id, "state_bytes": len(data)}
    if name == "trashed":
        values["trashed_at"] = moment
    insert("painting", **values | {"colors": json.dumps(values["colors"])})
    insert("painting_style", painting_id=number, position=0, picture_id=style_id, weight=0.75)
    if state is not State.QUEUED:
        ended = {"ended_at": moment, "outcome": state.value, "peak_bytes": 500_000_000}
        insert(
            "attempt",
            id=attempt_id,
            painting_id=number,
            user_id=user_id,
            worker="former:1",
            started_at=moment,
            is_resumed=0,
            **ended if state.is_final else {},
        )
    storage = get_storage()
    if state is State.RUNNING:
        storage.write(storage.checkpoint(name, attempt_id), data)
    if state is State.DONE:
        storage.write(storage.optimizer(name, attempt_id), data)
        animation = encode(Image.new("RGB", SIZE, "gold"), "WEBP")
        storage.write(storage.animation(name, attempt_id), animation)
    if state in {State.DONE, State.CANCELLED}:
        for kind in map(Rendition, values["colors"]):
            insert(
                "rendition",
                painting_id=number,
                kind=kind.value,
                attempt_id=attempt_id,
                width=SIZE[0],
                height=SIZE[1],
                is_unfinished=int(state is State.CANCELLED),
            )
            image = Image.effect_noise(SIZE, 50).convert("RGB")
            storage.write(storage.rendition(name, kind, attempt_id), encode(image, "PNG"))
            for edge_px in RENDITION_EDGES_PX:
                path = storage.rendition_thumbnail(name, kind, attempt_id, edge_px)
                storage.write(path, encode(image, "WEBP"))


@pytest.fixture
def former_site(site: Flask, ada: int) -> Flask:
    """Return the application on a paused site, as version 0005 left it."""
    pictures = save_pictures(ada)
    db.session.remove()
    downgrade(revision=FORMER_REVISION)
    for number, name in enumerate(PAINTINGS, start=1):
        insert_painting(number, ada, pictures, name)
    moment = str(now().replace(tzinfo=None))
    insert("worker_sign", name="former:1", started_at=moment, seen_at=moment, is_gone=1)
    insert("site_switch", name="pause", since=moment)
    db.session.commit()
    db.session.remove()
    return site


def read_tables() -> dict[str, list[dict[str, object]]]:
    """Return all rows of all tables."""
    with db.engine.connect() as connection:
        return {
            table: sorted(
                (dict(row._mapping) for row in connection.execute(text(f"SELECT * FROM {table}"))),
                key=lambda row: str(sorted(row.items())),
            )
            for table in inspect(connection).get_table_names()
        }


def hash_files(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def test_an_upgrade_can_be_taken_back_without_loss(former_site: Flask) -> None:
    before = read_tables()
    assert len(before["painting"]) == len(PAINTINGS)

    upgrade()
    assert read_tables().keys() != before.keys()
    downgrade(revision=FORMER_REVISION)

    assert read_tables() == before


def test_an_upgraded_site_keeps_its_paintings_and_paints_the_open_ones(
    former_site: Flask, start_worker: WorkerStarter, redis_url: str, tmp_path: Path
) -> None:
    storage = get_storage()
    finals = ("finished", "failed", "cancelled", "trashed")
    folders = {name: storage.preview(name).parent for name in finals if name != "failed"}
    files = {name: hash_files(folder) for name, folder in folders.items()}
    queue = Queue(QUEUE_NAME, connection=Redis.from_url(redis_url), serializer=JSONSerializer)
    tickets = [
        queue.enqueue(FORMER_ENTRY_POINT, job_timeout=-1, result_ttl=0, failure_ttl=TICKET_TTL_S)
        for _ in range(3)
    ]

    upgrade()
    assert read("running").resume_progress == 0.1
    start_worker()

    # The pause holds: the dead worker's painting is queued again, and nothing is painted.
    wait_for_state("running", State.QUEUED)
    assert read("running").crash_count == 2
    wait_until(
        lambda: all(ticket.get_status(refresh=True) == JobStatus.FAILED for ticket in tickets),
        20,
        "former tickets are refused",
    )
    for ticket in tickets:
        # RQ remembers a failed ticket no longer than it was told to.
        remembered_s: Any = queue.connection.ttl(ticket.key)
        assert 0 < remembered_s <= TICKET_TTL_S
    assert schedule.is_paused()
    assert read("queued").state == State.QUEUED
    schedule.set_paused(paused=False)
    for name in ("running", "queued", "larger"):
        painting = wait_for_state(name, State.DONE)
        assert [made.is_partial for made in painting.renditions] == [False]
        assert [link.weight for link in painting.style_links] == [0.75]
    attempts = select(Attempt).where(Attempt.painting_id == read("running").id)
    outcomes = [attempt.outcome for attempt in db.session.scalars(attempts.order_by("started_at"))]
    assert outcomes == [Outcome.INTERRUPTED, Outcome.DONE]

    assert [read(name).state for name in finals] == ["done", "failed", "cancelled", "done"]
    assert {name: hash_files(folder) for name, folder in folders.items()} == files
    assert [made.kind for made in read("finished").renditions] == ["styled", "histogram"]
    assert read("failed").failure_reason == "It was too large."
    assert [made.is_partial for made in read("cancelled").renditions] == [True]
    assert read("trashed").trashed_at is not None
    assert db.session.get_one(WorkerHeartbeat, "former:1").is_stopped

    more = place.continue_from(read("finished"), 128, "more").public_id
    wait_for_state(more, State.DONE)
    log = (tmp_path / "worker.log").read_text()
    for name in ("running", more):
        assert f"painting {name}: begins anew: " in log
    assert log.count("begins anew") == 2
    assert log.count(f"refused a ticket: it names {FORMER_ENTRY_POINT!r}") == len(tickets)
    assert "Traceback" not in log
