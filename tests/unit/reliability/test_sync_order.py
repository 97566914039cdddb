from pathlib import Path

import pytest

from tests.reliability.sync_order import out_of_order

ROOT = Path("/site/files")
# As strace prints them: write a file, sync it, rename it, sync its folder, commit its row.
LINES = (
    'write(5</site/files/a/.x.part>, ""..., 9) = 9',
    "fsync(5</site/files/a/.x.part>) = 0",
    'rename("/site/files/a/.x.part", "/site/files/a/x") = 0',
    "fsync(6</site/files/a>) = 0",
    'pwrite64(7</site/db-wal>, ""..., 24, 0) = 24',
    "fdatasync(7</site/db-wal>) = 0",
)


def trace(*lines: str, thread: int = 1) -> list[str]:
    return [f"{thread} {line}" for line in lines]


def test_the_right_order_has_no_fault() -> None:
    assert out_of_order(trace(*LINES, *LINES), ROOT) == ([], 2)


@pytest.mark.parametrize(
    ("missing", "fault"),
    [
        (1, "x was renamed into place before it was synced"),
        (3, "a commit came before /site/files/a was synced"),
        (5, "the last commit of a thread was not synced"),
    ],
)
def test_each_sync_that_is_missing_is_a_fault(missing: int, fault: str) -> None:
    lines = trace(*LINES[:missing], *LINES[missing + 1 :])

    assert out_of_order(lines, ROOT) == ([fault], 1)


def test_a_commit_without_sync_is_seen_at_the_next_file() -> None:
    faults, _ = out_of_order(trace(*LINES[:5], *LINES), ROOT)

    assert faults == ["a commit before x was not synced"]


def test_a_sync_that_failed_or_has_not_ended_does_not_count() -> None:
    failed = "fsync(5</site/files/a/.x.part>) = -1 EIO (Input/output error)"
    begun = "fsync(5</site/files/a/.x.part> <unfinished ...>"

    for sync in (failed, begun):
        faults, _ = out_of_order(trace(LINES[0], sync, *LINES[2:]), ROOT)
        assert faults == ["x was renamed into place before it was synced"]


def test_calls_that_another_thread_interrupts_are_put_together() -> None:
    begun, ended = "fsync(5</site/files/a/.x.part> <unfinished ...>", "<... fsync resumed>) = 0"
    heartbeat = trace(*LINES[4:], thread=2)

    lines = [*trace(LINES[0], begun), *heartbeat, *trace(ended, LINES[2])]
    # Another thread's commit does not list this thread's file.
    lines += [*heartbeat, *trace(*LINES[3:])]

    assert out_of_order(lines, ROOT) == ([], 1)
