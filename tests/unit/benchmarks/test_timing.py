import os
import subprocess
import sys

import pytest

from benchmarks.common.timing import Took, run_timed

WORK = """
import sys, time
block = b"x" * 80_000_000
while time.process_time() < 0.3:
    pass
print("done", flush=True)
print("badly", file=sys.stderr)
sys.exit(4)
"""


def test_a_program_is_timed_and_heard() -> None:
    heard: list[str] = []

    ended = run_timed([sys.executable, "-c", WORK], heard.append)

    assert ended.status == 4
    assert heard == ["done", "badly"]
    assert ended.lines == ("done", "badly")
    assert ended.took.cpu_s >= 0.3
    assert ended.took.peak_bytes >= 80_000_000


def test_waiting_costs_no_processor_time() -> None:
    took = run_timed(["sleep", "0.5"]).took

    assert took.wall_s >= 0.5
    assert took.cpu_s < took.wall_s / 2


def test_the_memory_of_who_started_it_is_not_its_own() -> None:
    held = b"x" * 150_000_000

    took = run_timed(["sleep", "0.3"]).took

    assert 0 < took.peak_bytes < len(held) / 2


def test_the_work_of_others_is_told_apart() -> None:
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as other:
        try:
            beside = run_timed(["sleep", "1"]).took
        finally:
            other.kill()

    if beside.others_cpu_s is None:
        pytest.skip("this system does not tell how busy its processor is")
    # Had the whole of a core, or was kept from it by others still.
    assert beside.others_cpu_s > 0.5


@pytest.mark.parametrize(
    ("others_cpu_s", "is_disturbed"), [(None, False), (0.9, False), (1.1, True)]
)
def test_disturbed_by_more_than_a_twentieth_of_the_machine(
    monkeypatch: pytest.MonkeyPatch, others_cpu_s: float | None, is_disturbed: bool
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 2)

    assert Took(10.0, 15.0, others_cpu_s, 0).is_disturbed is is_disturbed


def test_a_program_ends_with_whoever_listens() -> None:
    def interrupt(line: str) -> None:
        raise KeyboardInterrupt(line)

    with pytest.raises(KeyboardInterrupt) as raised:
        run_timed(["sh", "-c", "echo $$; exec sleep 60"], interrupt)

    # Signal 0 asks whether it is there.
    assert subprocess.run(["kill", "-0", str(raised.value)], capture_output=True).returncode == 1
