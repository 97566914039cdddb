import os
import random
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.servers import free_port, wait_until
from tests.unit.transfer.weights_server import WeightsServer, serving
from transfer.backbones.download import DownloadFailed, download, exclusive, part_of
from transfer.errors import Cancelled

CONTENT = random.Random(0).randbytes(3_000_000)


@pytest.fixture
def server() -> Iterator[WeightsServer]:
    with serving(CONTENT) as server:
        yield server


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "vgg19.pth"


def fetch(server: WeightsServer, target: Path) -> list[tuple[int, int | None]]:
    """What the progress callback got."""
    told: list[tuple[int, int | None]] = []
    download(server.url, target, server.digest[:8], lambda *now: told.append(now), silence_s=0.3)
    return told


def failure(server: WeightsServer, target: Path) -> str:
    """The sentence; nothing must have appeared under the file's name."""
    with pytest.raises(DownloadFailed) as caught:
        fetch(server, target)
    assert not target.exists()
    sentence = str(caught.value)
    assert sentence.endswith(".")
    assert "\n" not in sentence
    return sentence


def test_a_file_comes_whole_and_is_counted(server: WeightsServer, target: Path) -> None:
    told = fetch(server, target)

    assert target.read_bytes() == CONTENT
    assert list(target.parent.iterdir()) == [target]
    assert told == sorted(told)
    assert {total for _, total in told} == {len(CONTENT)}
    assert told[-1][0] == len(CONTENT)


def test_a_file_of_unstated_length_comes_whole(server: WeightsServer, target: Path) -> None:
    server.has_length = False

    told = fetch(server, target)

    assert target.read_bytes() == CONTENT
    assert told[-1] == (len(CONTENT), None)


def test_what_is_right_already_is_not_asked_for(server: WeightsServer, target: Path) -> None:
    target.write_bytes(CONTENT)

    assert fetch(server, target) == []

    assert server.asked == []


def test_what_is_wrong_already_is_replaced(server: WeightsServer, target: Path) -> None:
    target.write_bytes(CONTENT[:-1])

    fetch(server, target)

    assert target.read_bytes() == CONTENT


def test_after_a_break_only_the_rest_is_asked_for(server: WeightsServer, target: Path) -> None:
    server.break_after = 1_200_000
    sentence = failure(server, target)
    assert "broke off after 1.2 of 3.0 MB" in sentence
    assert "goes on from there" in sentence

    server.break_after = None
    told = fetch(server, target)

    assert server.asked == [None, "bytes=1200000-"]
    assert told[0][0] > 1_200_000
    assert told[-1] == (len(CONTENT), len(CONTENT))
    assert target.read_bytes() == CONTENT
    assert not part_of(target).exists()


def test_a_server_without_ranges_sends_all_of_it_again(server: WeightsServer, target: Path) -> None:
    server.break_after = 1_200_000
    failure(server, target)

    server.break_after, server.has_ranges = None, False
    told = fetch(server, target)

    assert told[0][0] < 1_200_000
    assert told[-1] == (len(CONTENT), len(CONTENT))
    assert target.read_bytes() == CONTENT


def test_a_silent_server_is_given_up_and_what_came_is_kept(
    server: WeightsServer, target: Path
) -> None:
    server.silent_after = 700_000

    assert "broke off after 0.7 of 3.0 MB" in failure(server, target)

    assert part_of(target).read_bytes() == CONTENT[:700_000]


def test_a_process_killed_after_the_last_byte_has_nothing_left_to_ask(
    server: WeightsServer, target: Path
) -> None:
    part_of(target).write_bytes(CONTENT)

    assert fetch(server, target) == []

    assert target.read_bytes() == CONTENT


def test_another_file_is_removed_and_the_next_call_begins_anew(
    server: WeightsServer, target: Path
) -> None:
    part_of(target).write_bytes(b"from another file")

    sentence = failure(server, target)
    assert f"not {server.digest[:8]}" in sentence
    assert list(target.parent.iterdir()) == []

    fetch(server, target)
    assert server.asked[-1] is None
    assert target.read_bytes() == CONTENT


def test_a_refusal_is_passed_on(server: WeightsServer, target: Path) -> None:
    server.status = 404

    assert f"127.0.0.1:{server.port} answers 404 Not Found" in failure(server, target)


def test_without_a_connection_it_says_whom_it_cannot_reach(
    server: WeightsServer, target: Path
) -> None:
    server.port = free_port()

    sentence = failure(server, target)
    assert f"127.0.0.1:{server.port} cannot be reached (Connection refused)" in sentence


def test_what_the_callback_raises_passes_through(server: WeightsServer, target: Path) -> None:
    def cancel(received: int, total: int | None) -> None:
        raise Cancelled("enough")

    with pytest.raises(Cancelled, match="enough"):
        download(server.url, target, server.digest[:8], cancel)

    kept = part_of(target).read_bytes()
    assert kept
    assert CONTENT.startswith(kept)


def test_too_little_room_is_found_before_the_download(
    server: WeightsServer, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1_000_000))

    assert "room for 1.0 MB, and 3.0 MB are needed" in failure(server, target)

    assert part_of(target).stat().st_size == 0


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="only Linux has a disk always full")
def test_a_disk_that_fills_up_is_given_its_room_back(server: WeightsServer, target: Path) -> None:
    part_of(target).symlink_to("/dev/full")

    assert f"{part_of(target)} cannot be written (No space left on device)" in failure(
        server, target
    )

    assert list(target.parent.iterdir()) == []


def test_a_folder_that_takes_nothing_is_named(server: WeightsServer, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    target = tmp_path / "file" / "vgg19.pth"

    assert f"{part_of(target)} cannot be written (Not a directory)" in failure(server, target)

    assert server.asked == []


def test_a_second_process_waits_and_goes_on_when_the_first_is_killed(
    server: WeightsServer, target: Path
) -> None:
    lock = target.with_suffix(".lock")
    server.silent_after = 700_000
    code = (
        "import sys; from pathlib import Path; from transfer.backbones.download import *\n"
        "lock, url, target, prefix = sys.argv[1:]\n"
        "with exclusive(Path(lock), print): download(url, Path(target), prefix)"
    )
    arguments = [str(lock), server.url, str(target), server.digest[:8]]
    first = subprocess.Popen([sys.executable, "-c", code, *arguments])
    waited = threading.Event()

    def second() -> None:
        with exclusive(lock, waited.set):
            fetch(server, target)

    thread = threading.Thread(target=second)
    try:
        wait_until(
            lambda: part_of(target).is_file() and part_of(target).stat().st_size == 700_000,
            60,
            "the first process downloads",
        )
        thread.start()
        assert waited.wait(30)
        assert server.asked == [None]
        server.silent_after = None
    finally:
        first.send_signal(signal.SIGKILL)
        first.wait()
    thread.join(30)

    assert server.asked == [None, "bytes=700000-"]
    assert target.read_bytes() == CONTENT


def test_waiting_may_be_given_up(tmp_path: Path) -> None:
    def give_up() -> None:
        raise Cancelled("enough")

    lock = tmp_path / "lock"
    with exclusive(lock, give_up), pytest.raises(Cancelled), exclusive(lock, give_up):
        pass
