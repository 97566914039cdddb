import shutil

import pytest
from flask import Flask

from tests.unit.webapp.client import Browser
from tests.unit.webapp.conftest import MakeApp, make_painting
from webapp.models import State
from webapp.orders import schedule, workers


def test_site_without_queue_and_worker_is_not_well(visitor: Browser) -> None:
    response = visitor.get("/healthz")
    assert response.status_code == 503
    assert response.json is not None
    assert response.json["well"] is False
    assert response.json["database"] == "ok"
    assert response.json["redis"] == "cannot be reached"
    assert response.json["workers"] == "none is alive"


def test_workers_are_counted_but_not_named(app: Flask, visitor: Browser) -> None:
    with app.app_context():
        workers.record_heartbeat("secret-host:1")
        workers.record_heartbeat("secret-host:2")
    response = visitor.get("/healthz")
    assert response.json is not None
    assert response.json["workers"].startswith("2 alive, seen 0 s ago")
    assert "secret-host" not in response.text


def test_metrics_are_in_prometheus_text_format(ada: Browser, app: Flask) -> None:
    make_painting(ada, State.QUEUED)
    make_painting(ada, State.QUEUED)
    make_painting(ada, State.RUNNING)
    with app.app_context():
        schedule.set_paused(paused=True)
    response = ada.get("/metrics")
    assert response.mimetype == "text/plain"
    lines = response.text.splitlines()
    assert response.text.endswith("\n")
    values = dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    assert values['pic2paint_paintings{state="queued"}'] == "2"
    assert values['pic2paint_paintings{state="running"}'] == "1"
    assert values["pic2paint_paused"] == "1"
    assert values["pic2paint_workers"] == "0"
    assert values["pic2paint_redis_up"] == "0"
    assert float(values["pic2paint_disk_free_bytes"]) > 0
    families = [line.split()[2] for line in lines if line.startswith("# TYPE")]
    assert len(families) == len(set(families))
    assert {name.split("{")[0] for name in values} == set(families)


def test_site_with_a_full_disk_is_not_well(make_app: MakeApp) -> None:
    free = shutil.disk_usage(".").total * 2
    visitor = Browser(make_app(min_free_bytes=free))
    response = visitor.get("/healthz")
    assert response.json is not None
    assert "nothing new is accepted" in response.json["disk"]


def test_commands_show_the_status_and_pause(app: Flask) -> None:
    runner = app.test_cli_runner()
    result = runner.invoke(args=["status"])
    assert result.exit_code == 1
    assert "redis      cannot be reached" in result.output
    assert "Paused" in runner.invoke(args=["pause"]).output
    assert "paused" in runner.invoke(args=["status"]).output
    assert "Resumed" in runner.invoke(args=["resume"]).output
    assert "paused" not in runner.invoke(args=["status"]).output


@pytest.mark.parametrize("path", ["/healthz", "/metrics"])
def test_monitoring_has_no_rate_limit(visitor: Browser, path: str) -> None:
    assert {visitor.get(path).status_code for _ in range(40)} <= {200, 503}
