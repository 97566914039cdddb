"""Measure the cost of the live preview: paintings with and without the reporter that shows it.

Paints one picture in pairs, with the worker's reporter (progress, preview and checkpoints into a
real database and real files) and without, in changing order, and compares wall-clock and CPU time
pair by pair. The goal is a median ratio below 1.03.

    python -m benchmarks.preview [--pairs 5] [--size 384] [--json FILE]

Takes about 3 minutes on two cores: a warm-up and five pairs of 15 s paintings.
"""

import argparse
import json
import os
import secrets
import statistics
import tempfile
import time
from pathlib import Path

# Before torch is loaded: see docs/engine.md.
os.environ.setdefault("GOMP_SPINCOUNT", "5000")

from flask import Flask
from PIL import Image

from config import PROJECT_ROOT, Config
from transfer.engine import OnProgress, Painter
from transfer.settings import Backbone, Effort, Settings
from webapp import create_app
from webapp.extensions import db, write_transaction
from webapp.models import Painting, PaintingStyle, Picture, new_public_id
from webapp.orders import schedule
from webapp.orders.leases import Lease
from webapp.storage.files import Storage
from webapp.views.accounts import create_user
from webapp.worker.reporter import Reporter

SAMPLES = PROJECT_ROOT / "static" / "samples"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--size", type=int, default=384, help="long edge, px")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    settings = Settings(long_edge_px=options.size, effort=Effort.DRAFT, backbone=Backbone.COMPACT)
    with tempfile.TemporaryDirectory() as folder:
        app = _site(Path(folder))
        with app.app_context():
            pairs = _measure(app, settings, options.pairs)
    wall = [shown["wall_s"] / hidden["wall_s"] for shown, hidden in pairs]
    cpu = [shown["cpu_s"] / hidden["cpu_s"] for shown, hidden in pairs]
    for number, ((shown, hidden), ratio) in enumerate(zip(pairs, wall, strict=True), 1):
        print(
            f"pair {number}: with {shown['wall_s']:.2f} s, without {hidden['wall_s']:.2f} s, "
            f"ratio {ratio:.3f}; {shown['previews']} previews"
        )
    wall_ratio, cpu_ratio = statistics.median(wall), statistics.median(cpu)
    print(f"median ratio: wall-clock {wall_ratio:.3f}, CPU {cpu_ratio:.3f}")
    if options.json:
        figures = {
            "size_px": options.size,
            "pairs": [{"with": shown, "without": hidden} for shown, hidden in pairs],
            "median_wall_ratio": wall_ratio,
            "median_cpu_ratio": cpu_ratio,
        }
        options.json.write_text(json.dumps(figures, indent=1))


def _measure(
    app: Flask, settings: Settings, pairs: int
) -> list[tuple[dict[str, float], dict[str, float]]]:
    painter = Painter("cpu")
    content = Image.open(SAMPLES / "photo-coffee.jpg").convert("RGB")
    style = Image.open(SAMPLES / "style-glass.jpg").convert("RGB")
    storage: Storage = app.extensions["pic2paint-storage"]

    def paint(on_progress: OnProgress | None) -> dict[str, float]:
        wall, cpu = time.monotonic(), time.process_time()
        painter.paint(content, [style], settings, on_progress)
        return {"wall_s": time.monotonic() - wall, "cpu_s": time.process_time() - cpu}

    def paint_shown() -> dict[str, float]:
        lease = _order_and_claim()
        with Reporter(app, lease, storage, lambda: False) as reporter:
            figures = paint(reporter.on_progress)
        painting = db.session.get_one(Painting, lease.painting_id, populate_existing=True)
        figures["previews"] = painting.preview_version
        db.session.rollback()
        return figures

    paint(None)
    found = []
    for number in range(pairs):
        # They take turns to be first, as machines get slower or faster meanwhile.
        if number % 2:
            hidden = paint(None)
            found.append((paint_shown(), hidden))
        else:
            first = paint_shown()
            found.append((first, paint(None)))
    return found


def _site(folder: Path) -> Flask:
    app = create_app(
        Config(
            secret_key=secrets.token_hex(),
            instance_dir=folder,
            database_url=f"sqlite:///{folder / 'pic2paint.db'}",
            redis_url="unix:///nonexistent/redis.sock",
        )
    )
    with app.app_context():
        db.create_all()
        user_id = create_user("Measure", "a good sentence", None).id
        with write_transaction() as database:
            database.add(
                Picture(owner_id=user_id, title="p", width=9, height=9, sha256="0", is_style=False)
            )
    return app


def _order_and_claim() -> Lease:
    with write_transaction() as database:
        database.add(
            Painting(
                owner_id=1,
                idempotency_key=new_public_id(),
                content_id=1,
                style_links=[PaintingStyle(position=0, picture_id=1)],
                long_edge_px=512,
                strength=0.5,
                effort="draft",
                backbone="compact",
                colors=["styled"],
                seed=0,
            )
        )
    lease = schedule.claim("measuring")
    if lease is None:
        raise LookupError("the painting that was just ordered is not there")
    return lease


if __name__ == "__main__":
    main()
