"""The fault of a web process that ends in the middle of an order.

As a program (``python -m tests.reliability.order_cuts PICTURES...``) this module is a web process
that orders: for each order it forks one that receives the form and ends at the point by `os._exit`,
and then sends the same form again, as a person would. Prints a line of JSON for each.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any, NoReturn

from flask import Flask
from flask.testing import FlaskClient
from rq import Queue
from sqlalchemy import event
from sqlalchemy.orm import Session

from config import PROJECT_ROOT, Config
from tests.reliability.rounds import Round
from tests.reliability.site import LONG_EDGE_PX, PASSWORD, USERS
from tests.reliability.visitor import hidden_fields, order_fields
from webapp import create_app
from webapp.extensions import db
from webapp.models import Painting, State
from webapp.orders import place

_POINTS = ("before commit", "after commit", "before ticket", "after ticket")
_CUTS = 5
"""Orders cut at each point in a full round: with ten rounds 50."""
_USER = 1
_TIMEOUT_S = 120
_CUT_STATUS = 77


def cut_orders(stage: Round) -> None:
    """End a web process at each of four points of an order, and send the form again."""
    site = stage.site
    cuts = _CUTS if stage.is_full else 1
    seeds = [str(stage.rng.randrange(2**31)) for _ in range(cuts)]
    done = subprocess.run(
        [sys.executable, "-m", __name__, *site.picture_ids[site.user_ids[_USER]], *seeds],
        cwd=PROJECT_ROOT,
        env=site.web.environ,
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_S,
    )
    if done.returncode != 0:
        raise RuntimeError(f"orders could not be cut: {done.stderr[-2000:]}")
    told = [json.loads(line) for line in done.stdout.splitlines()]
    painted = set()
    for order in told:
        public_id, point = order["painting"], order["point"]
        if not order["is_cut"]:
            stage.wrong("broken", f"{point}: the process did not end there")
        if order["rows"] != 1 or public_id is None:
            kind = "doubled" if order["rows"] > 1 else "lost"
            stage.wrong(kind, f"{point}: one form made {order['rows']} paintings")
            continue
        stage.expected[public_id] = {State.DONE}
        if point in painted:
            # One of each point is painted to its end; of the others the row is what counts.
            stage.expected[public_id] = {State.DONE, State.CANCELLED}
            site.change(public_id, place.cancel)
        painted.add(point)
    stage.note(f"{len(told)} orders cut")


def main() -> None:
    """Order and be cut at each point, once per seed."""
    content, style, *seeds = sys.argv[1:]
    app = create_app(Config.from_env(os.environ))
    for number, seed in enumerate(seeds):
        # An address of its own, as the limit on orders counts by address.
        visitor = app.test_client()
        visitor.environ_base["REMOTE_ADDR"] = f"10.{os.getpid() % 251}.{number}.1"
        fields = hidden_fields(visitor.get("/log-in").text)
        visitor.post("/log-in", data={**fields, "name": USERS[_USER], "password": PASSWORD})
        for point in _POINTS:
            hidden = hidden_fields(visitor.get("/studio").text)
            form = order_fields(hidden, (content, style), int(seed), LONG_EDGE_PX)
            print(json.dumps(_cut_order(app, visitor, point, form)), flush=True)


def _cut_order(
    app: Flask, visitor: FlaskClient, point: str, form: dict[str, str]
) -> dict[str, Any]:
    """Send a form and be cut, send it again, and return what came of it."""
    before = _newest(app)
    # A process and its child cannot share connections.
    _disconnect(app)
    child = os.fork()
    if child == 0:
        _cut_at(point)
        visitor.post("/studio", data=form)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    answer = visitor.post("/studio", data=form)
    _, found, public_id = answer.headers.get("Location", "").partition("/paintings/")
    with app.app_context():
        rows = db.session.scalars(db.select(Painting.id).where(Painting.id > before)).all()
    return {
        "point": point,
        "painting": public_id if found else None,
        "rows": len(rows),
        "is_cut": os.waitstatus_to_exitcode(status) == _CUT_STATUS,
    }


def _newest(app: Flask) -> int:
    with app.app_context():
        return db.session.scalar(db.select(db.func.max(Painting.id))) or 0


def _disconnect(app: Flask) -> None:
    with app.app_context():
        db.session.remove()
        db.engine.dispose()
    app.extensions.pop("pic2paint-redis", None)


def _cut_at(point: str) -> None:
    """Have this process end at a point of an order."""
    ordered = []

    def note(_mapper: object, _connection: object, _painting: object) -> None:
        ordered.append(True)

    def end_if_ordered(_session: Session) -> None:
        if ordered:
            _end()

    event.listen(Painting, "before_insert", note)
    if point == "before commit":
        # After everything was written, and before any of it is safe.
        event.listen(Session, "after_flush_postexec", lambda s, _context: end_if_ordered(s))
    elif point == "after commit":
        event.listen(Session, "after_commit", end_if_ordered)
    else:
        enqueue: Callable[..., Any] = Queue.enqueue

        def cut(*args: Any, **kwargs: Any) -> NoReturn:
            if point == "after ticket":
                enqueue(*args, **kwargs)
            _end()

        setattr(Queue, "enqueue", cut)  # noqa: B010  mypy forbids to assign to a method


def _end() -> NoReturn:
    os._exit(_CUT_STATUS)


if __name__ == "__main__":
    main()
