"""Inject faults into a running site: no painting may be lost, doubled, left hanging or broken.

Starts the real processes (Redis, web, two workers) on a temporary instance and restarts at once
what it killed, as a supervisor would. Each round orders paintings of two users, injects one
fault at a random moment (`--seed`), waits until everything has ended, and looks at rows, files and
attempts. Prints a row a round and a table a fault; exit status 1 if anything was lost, doubled,
hanging or broken.

    python -m tests.reliability [--full] [--json FILE] [--only NAME ...] [--rounds N] [--seed N]

One round of each fault takes about 12 minutes on two cores. `--full` takes about two hours: 20
SIGKILLs of a worker, 10 of each other fault, and 200 paintings under a chaos of kills; stops and
outages last a minute instead of 15 to 20 s. The small disk needs the right to mount, and setting a
worker's clock needs libfaketime (Debian: apt install faketime), and `sync-order` strace and the
right to trace; a round says so if it had to do without.
"""

import argparse
import json
import platform
import random
import signal
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import median

from tests.reliability import order_cuts, queue_faults, site_faults, sync_order, worker_faults
from tests.reliability.processes import Program, happens_within
from tests.reliability.rounds import NotPossible, Result, Round
from tests.reliability.site import Site, run_site, wall_seconds
from transfer.settings import Rendition
from webapp.models import State

Fault = Callable[[Round], None]

FAULTS: dict[str, tuple[Fault, int]] = {
    "kill-loading": (worker_faults.kill_while_loading, 5),
    "kill-painting": (worker_faults.kill_while_painting, 5),
    "kill-writing": (worker_faults.kill_while_writing, 5),
    "kill-committing": (worker_faults.kill_while_committing, 5),
    "worker-terminated": (worker_faults.terminate_worker, 10),
    "worker-stopped": (worker_faults.stop_worker, 10),
    "worker-poisoned": (worker_faults.poison_workers, 10),
    "checkpoint-damaged": (worker_faults.damage_checkpoint, 10),
    "memory-short": (worker_faults.limit_memory, 10),
    "redis-killed": (queue_faults.kill_redis, 10),
    "redis-terminated": (queue_faults.terminate_redis, 10),
    "redis-flushed": (queue_faults.flush_redis, 10),
    "redis-gone": (queue_faults.remove_redis, 10),
    "redis-silent": (queue_faults.silence_redis, 10),
    "redis-refusing": (queue_faults.fill_redis, 10),
    "tickets-doubled": (queue_faults.double_tickets, 10),
    "tickets-invented": (queue_faults.invent_tickets, 10),
    "tickets-orphaned": (queue_faults.orphan_tickets, 10),
    "disk-full": (site_faults.fill_disk, 10),
    "database-locked": (site_faults.lock_database, 10),
    "debris": (site_faults.leave_debris, 10),
    "clock-stepped": (site_faults.step_clock, 10),
    "form-twice": (site_faults.send_form_twice, 10),
    "web-killed": (site_faults.kill_web, 10),
    "order-cut": (order_cuts.cut_orders, 10),
    "sync-order": (sync_order.trace_syncs, 2),
    "chaos": (site_faults.kill_everything, 1),
}
"""Name -> the function that injects the fault, and the number of rounds in a full run."""
LATENCY = "latency"
IDLE = "idle"
_LATENCY_ROUNDS = 20
_SETTLE_S = 8.0
"""Pause before the idle site is measured, for start-up work to end."""


def main(arguments: Sequence[str] | None = None) -> int:
    options = _options(arguments)
    # As an exception, SIGTERM runs the clean-up of processes, mounts and files, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    results: list[Result] = []
    report: dict[str, object] = {
        "seed": options.seed,
        "is_full": options.full,
        "machine": platform.platform(),
    }
    began = time.monotonic()
    try:
        with run_site() as site:
            print(f"seed {options.seed}; the site is up after {time.monotonic() - began:.0f} s")
            try:
                _run(site, options, results, report)
            finally:
                if options.keep_logs:
                    for log in site.folder.glob("*.log"):
                        (options.keep_logs / log.name).write_bytes(log.read_bytes())
    finally:
        # Two hours of rounds are worth keeping whatever ended them.
        report["rounds"] = [asdict(result) for result in results]
        report["seconds"] = round(time.monotonic() - began, 1)
        print(f"\n{_table(results)}\n{report['seconds']} s in all")
        if options.json:
            options.json.write_text(json.dumps(report, indent=1) + "\n")
    return 0 if all(result.is_good for result in results) else 1


def _run(
    site: Site, options: argparse.Namespace, results: list[Result], report: dict[str, object]
) -> None:
    """Run everything that was chosen; results go into ``results`` and ``report``."""
    chosen = options.only or [LATENCY, IDLE, *FAULTS]
    if LATENCY in chosen:
        report[LATENCY] = _measure_latency(site, random.Random(options.seed))
        print(f"latency: {report[LATENCY]}", flush=True)
    if IDLE in chosen:
        report[IDLE] = _measure_idle(site, options.idle_s)
        print(f"idle: {report[IDLE]}", flush=True)
    print(_HEADING)
    for name in [name for name in chosen if name in FAULTS]:
        fault, full_rounds = FAULTS[name]
        for number in range(1, (options.rounds or (full_rounds if options.full else 1)) + 1):
            seed = f"{options.seed} {name} {number}"
            stage = Round(site, name, number, seed, is_full=options.full)
            results.append(_play(stage, fault))
            print(_row(results[-1]), flush=True)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.reliability", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument(
        "--full", action="store_true", help="as for the published figures: two hours"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the report there")
    parser.add_argument(
        "--only",
        action="append",
        metavar="NAME",
        choices=[*FAULTS, LATENCY, IDLE],
        help="only this one, as often as given: %(choices)s",
    )
    parser.add_argument("--rounds", type=int, metavar="N", help="of each fault")
    parser.add_argument("--seed", type=int, default=0, help="decides all random moments")
    parser.add_argument(
        "--idle-s", type=float, default=30.0, metavar="S", help="how long to watch it idle (30)"
    )
    parser.add_argument("--keep-logs", type=Path, metavar="DIR", help="copy the logs there")
    return parser.parse_args(arguments)


def _play(stage: Round, fault: Fault) -> Result:
    """Play one round, from its orders to the checks."""
    began = time.monotonic()
    try:
        fault(stage)
    except NotPossible as reason:
        stage.result.is_run = False
        stage.note(f"not run: {reason}")
    stage.wait_for_end()
    # A new process clears up what the one before it left.
    stage.site.wait_for_workers()
    stage.check()
    stage.result.seconds = round(time.monotonic() - began, 1)
    return stage.result


def _measure_latency(site: Site, rng: random.Random) -> dict[str, float]:
    """Measure seconds from a ticket to its claim, with warm workers that wait."""
    latencies_s = []
    for _ in range(_LATENCY_ROUNDS):
        time.sleep(rng.uniform(0.2, 1.5))
        public_id = site.order(0, rng, colors=[Rendition.STYLED], long_edge_px=64, has_ticket=False)
        began = time.time()
        site.offer_ticket()

        def is_over(public_id: str = public_id) -> bool:
            row = site.painting(public_id)
            return row is not None and State(row["state"]).is_final

        happens_within(is_over, 60)
        started = wall_seconds(site.attempts(public_id)[0]["started_at"])
        latencies_s.append(max(0.0, started - began))
    return {
        "rounds": len(latencies_s),
        "median_s": round(median(latencies_s), 3),
        "max_s": round(max(latencies_s), 3),
    }


def _measure_idle(site: Site, seconds_idle: float) -> dict[str, float]:
    """Measure the CPU use of each program of the idle site, in percent of one core."""
    time.sleep(_SETTLE_S)
    programs: list[Program] = [*site.workers, site.web, site.redis]
    before = [program.cpu_seconds() for program in programs]
    began = time.monotonic()
    time.sleep(seconds_idle)
    seconds = time.monotonic() - began
    return {
        f"{program.name}_percent": round(100 * (program.cpu_seconds() - earlier) / seconds, 2)
        for program, earlier in zip(programs, before, strict=True)
    }


_NUMBERS = ("lost", "doubled", "hanging", "broken")
_TIMES = ("lost_work_s", "restart_s", "redis_back_s")
_HEADING = (
    f"{'fault':20} {'round':>5} {'lost':>4} {'dbld':>4} {'hang':>4} {'brkn':>4} "
    f"{'lost work':>9} {'restart':>8} {'redis':>6} {'intr':>4} {'took':>6}  notes"
)


def _row(result: Result) -> str:
    numbers = " ".join(f"{getattr(result, name):4}" for name in _NUMBERS)
    return (
        f"{result.fault:20} {result.number:5} {numbers} "
        f"{_seconds(result.lost_work_s):>9} {_seconds(result.restart_s):>8} "
        f"{_seconds(result.redis_back_s):>6} {result.interrupted:4} {result.seconds:6.1f}"
        f"  {'; '.join(result.notes)}"
    )


def _table(results: Iterable[Result]) -> str:
    """Return a line per fault: counts added up, times as median and maximum."""
    by_fault: dict[str, list[Result]] = {}
    for result in results:
        by_fault.setdefault(result.fault, []).append(result)
    lines = [
        f"{'fault':20} {'rounds':>6} {'lost':>4} {'dbld':>4} {'hang':>4} {'brkn':>4} "
        f"{'lost work':>13} {'restart':>13} {'redis back':>13}   (median / most, s)"
    ]
    for fault, rounds in by_fault.items():
        run = sum(result.is_run for result in rounds)
        sums = " ".join(f"{sum(getattr(r, name) for r in rounds):4}" for name in _NUMBERS)
        times = " ".join(f"{_spread(rounds, name):>13}" for name in _TIMES)
        lines.append(f"{fault:20} {run:6} {sums} {times}{'' if run else '   not run'}")
    return "\n".join(lines)


def _spread(rounds: Iterable[Result], name: str) -> str:
    found = [getattr(r, name) for r in rounds if getattr(r, name) is not None]
    return f"{median(found):.1f} / {max(found):.1f}" if found else "-"


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"


if __name__ == "__main__":
    sys.exit(main())
