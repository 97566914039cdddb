"""Power cuts: nothing that the site has acknowledged is lost, and no row points to a broken file.

Records with strace what the site really asks the kernel to do while it is started, signed up to,
given pictures and orders, and painted (`powerlib/workload.py`). Then cuts the power at seeded
moments: builds the disk as it may be found afterwards (`powerlib/disk.py`), where a file keeps what
was synced of it and a folder the entries that were synced, and of everything else nothing, all, a
first part, or any sectors and entries. Opens the database on that, lets SQLite recover, and checks
its integrity, that everything acknowledged before the cut is there, and that every file of every
row opens and is the one that was stored. Prints a table; exit status 1 if anything was wrong.

    python -m benchmarks.powercut [--cuts N] [--seed S] [--json FILE] [--keep FOLDER]

400 cuts take about two minutes on two cores. Needs strace (Debian: apt-get install strace) and the
right to trace. File names and times differ between recordings, so a seed repeats the choice of
moments and losses, but not the bytes; `--keep` keeps the record and plays it again if it is there.
"""

import argparse
import json
import os
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

if not __package__:
    # Run by its path: the project is beside this folder.
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.powerlib.disk import Mood, put
from benchmarks.powerlib.record import Change, Mark, RecordError, Replay, record
from benchmarks.powerlib.survivors import Acknowledged, Findings, examine
from config import PROJECT_ROOT

DEFAULT_CUTS = 400
Told = dict[int, list[dict[str, Any]]]
"""Number of changes -> what had been acknowledged right after so many."""
_MOODS = tuple(Mood)
_KINDS = ("integrity", "lost", "broken")
_SHOWN = 12


@dataclass(frozen=True)
class Cut:
    """One power cut: after which change, and what it does to what was not synced."""

    place: int
    mood: Mood
    seed: int


def main(arguments: Sequence[str] | None = None) -> int:
    options = _options(arguments)
    try:
        with _folder(options.keep) as folder:
            return _measure(folder, options.cuts, options.seed, options.json)
    except RecordError as error:
        print(error, file=sys.stderr)
        return 1


def _measure(folder: Path, cuts: int, seed: int, report: Path | None) -> int:
    started = time.monotonic()
    log, disk, marks = folder / "strace.log", folder / "disk", folder / "marks"
    if not log.exists():
        _record(log, disk, marks)
    recorded_s = time.monotonic() - started
    told, calls = _told(Replay(log, disk, marks))
    planned = _planned(calls.total(), sorted(told), cuts, seed)
    results = list(_cut(Replay(log, disk, marks), told, folder / "left", planned))
    found = [findings for _, findings in results]
    summary = {
        "cuts": len(results),
        "seed": seed,
        "changes": calls.total(),
        "acknowledgements": sum(len(facts) for facts in told.values()),
        "syncs": calls["fsync"] + calls["fdatasync"],
        "integrity_failures": sum(bool(f.integrity) for f in found),
        "lost_acknowledged": sum(bool(f.lost) for f in found),
        "broken_rows": sum(bool(f.broken) for f in found),
        "checked_files": sum(f.checked_files for f in found),
        "most_orphaned_files": max((f.orphans for f in found), default=0),
        "recorded_s": round(recorded_s, 1),
        "seconds": round(time.monotonic() - started, 1),
    }
    _print(results, summary)
    if report is not None:
        report.write_text(json.dumps(summary, indent=2) + "\n")
    return int(any(f.integrity or f.lost or f.broken for f in found))


def _record(log: Path, disk: Path, marks: Path) -> None:
    disk.mkdir()
    command = [sys.executable, "-m", "benchmarks.powerlib.workload"]
    # A library's idle threads would only make the record hard to read.
    environ = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    os.chdir(PROJECT_ROOT)
    record([*command, str(disk / "instance"), str(marks)], environ, log)


def _told(replay: Replay) -> tuple[Told, Counter[str]]:
    """What was acknowledged after how many changes, and how many changes of each kind there are."""
    told: Told = {}
    calls: Counter[str] = Counter()
    for event in replay.events():
        if isinstance(event, Mark):
            told.setdefault(calls.total(), []).append(event.facts)
        else:
            calls[event.call] += 1
    return told, calls


def _planned(changes: int, delicate: Sequence[int], cuts: int, seed: int) -> list[Cut]:
    """Every second cut anywhere, every second one right after an acknowledgement."""
    rng = random.Random(seed)  # noqa: S311  chooses moments, keeps no secret
    planned = []
    for number in range(cuts):
        mood = _MOODS[number // 2 % len(_MOODS)]
        place = rng.choice(delicate) if number % 2 else rng.randint(0, changes)
        planned.append(Cut(place, mood, rng.randrange(2**32)))
    return sorted(planned, key=lambda cut: cut.place)


def _cut(
    replay: Replay, told: Told, left: Path, planned: Sequence[Cut]
) -> Iterator[tuple[Cut, Findings]]:
    """Play the record once, and stop at each cut's moment to look at what would be left."""
    owed = Acknowledged()
    for facts in told.get(0, []):
        owed.add(facts)
    changes = (event for event in replay.events() if isinstance(event, Change))
    place = 0
    for cut in planned:
        while place < cut.place:
            next(changes)
            place += 1
            for facts in told.get(place, []):
                owed.add(facts)
        shutil.rmtree(left, ignore_errors=True)
        put(replay.disk, left, cut.mood, random.Random(cut.seed))  # noqa: S311
        yield cut, examine(left / "instance", owed)


def _print(results: list[tuple[Cut, Findings]], summary: Mapping[str, object]) -> None:
    print(f"{'unsynced changes kept':22} {'cuts':>5} {'integrity':>10} {'lost':>5} {'broken':>7}")
    for mood in _MOODS:
        found = [findings for cut, findings in results if cut.mood is mood]
        counts = [sum(bool(getattr(f, kind)) for f in found) for kind in _KINDS]
        print(f"{mood:22} {len(found):5} {counts[0]:10} {counts[1]:5} {counts[2]:7}")
    for name, value in summary.items():
        print(f"{name:22} {value}")
    shown = 0
    for cut, findings in results:
        wrong = [*findings.integrity, *findings.lost, *findings.broken]
        if wrong and shown < _SHOWN:
            shown += 1
            print(f"after change {cut.place}, {cut.mood}: {'; '.join(wrong[:3])}")


@contextmanager
def _folder(kept: Path | None) -> Iterator[Path]:
    if kept is not None:
        kept.mkdir(parents=True, exist_ok=True)
        yield kept.resolve()
        return
    with tempfile.TemporaryDirectory(prefix="pic2paint-powercut-") as name:
        yield Path(name).resolve()


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    summary, _, description = (__doc__ or "").partition("\n")
    parser = argparse.ArgumentParser(description=summary, epilog=description)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--cuts", type=int, default=DEFAULT_CUTS, metavar="N")
    parser.add_argument("--seed", type=int, default=0, metavar="S")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="keep the record there")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
