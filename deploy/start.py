"""Start of the site: Redis, web and one worker, until Ctrl-C stops them."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from types import FrameType
from typing import NoReturn

from config import PROJECT_ROOT, Config, ConfigError, device_file, redis_url_file
from deploy import instance, redis_server
from deploy.address import Address, check_free, read_address, serves
from deploy.errors import StartError
from deploy.supervision import Paths, Program, Supervisor

WEB_PROCESSES = 2
WEB_THREADS = 4
"""Number of threads of each web process."""
START_TIMEOUT_S = 90
"""Time for everything to be up; a slow disk takes long to read torch for the first time."""
WATCH_INTERVAL_S = 2
FAILED_LOOKS = 5
"""Number of looks in a row at a program that does not run after which that is reported."""


class StopRequested(BaseException):
    """Ctrl-C or another signal has asked the site to stop."""


def main() -> int:
    """Run the site until it is asked to stop; return the exit status."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _request_stop)
    os.umask(0o077)  # the database and the logs are nobody else's either
    try:
        run(os.environ)
    except StopRequested:
        return 0
    except (StartError, ConfigError) as error:
        print(error, file=sys.stderr)
        return 1


def run(environ: Mapping[str, str]) -> NoReturn:
    """Start everything, print the address, and watch over it.

    Raises:
        StartError: if something keeps the site from starting, or gave up later.
        ConfigError: if a setting is not usable.
        StopRequested: if a signal asks to stop; everything has stopped by then.
    """
    address = read_address(environ)
    instance_dir = instance.dir_from_env(environ)
    with contextlib.ExitStack() as stack:
        instance.make_folders(instance_dir)
        lock = stack.enter_context(instance.lock_folder(instance_dir))
        if not environ.get("SECRET_KEY"):
            instance.make_secret_key(instance_dir)
        check_free(address)
        sockets_dir = stack.enter_context(instance.short_folder(instance_dir / "run"))
        paths = Paths(
            project_dir=PROJECT_ROOT,
            logs_dir=instance_dir / "logs",
            run_dir=instance_dir / "run",
            socket=sockets_dir / "supervisor.sock",
        )
        programs = [web(address, paths.run_dir), worker()]
        redis_url = environ.get("REDIS_URL")
        if redis_url:
            redis_server.ping(redis_url)
        else:
            redis_socket = sockets_dir / "redis.sock"
            redis_url = redis_server.socket_url(redis_socket)
            programs.append(own_redis(redis_socket, instance_dir / "redis"))
        environ = {
            **environ,
            "PIC2PAINT_INSTANCE": str(instance_dir),
            "REDIS_URL": redis_url,
            "PYTHONUNBUFFERED": "1",
        }
        redis_url_file(instance_dir).write_text(redis_url)
        device_file(instance_dir).unlink(missing_ok=True)
        Config.from_env(environ)  # reports now what web and worker would only log
        migrate(environ, paths.log("migrate"))
        supervisor = stack.enter_context(Supervisor(paths, programs, environ, lock))
        bring_up(supervisor, paths, redis_url, address)
        print(f"Pic2Paint is running at {address.url} (stop with Ctrl-C)", flush=True)
        watch(supervisor, paths, device_file(instance_dir))


def web(address: Address, run_dir: Path) -> Program:
    """Return the web server."""
    shared_memory = Path("/dev/shm")  # noqa: S108 - gunicorn makes unpredictable names in it
    # Web workers show by touching a file that they live; on a disk that can block.
    heartbeats = shared_memory if os.access(shared_memory, os.W_OK) else run_dir
    return Program(
        name="web",
        command=[
            *(sys.executable, "-m", "gunicorn", "webapp:create_app()"),
            *("--bind", address.bind, "--worker-class", "gthread"),
            *("--workers", str(WEB_PROCESSES), "--threads", str(WEB_THREADS)),
            *("--worker-tmp-dir", str(heartbeats), "--graceful-timeout", "5"),
            "--no-control-socket",
        ],
        priority=20,
        stop_timeout_s=8,
    )


def worker() -> Program:
    """Return the one process that paints."""
    return Program(
        name="worker",
        command=[sys.executable, "-m", "flask", "--app", "webapp", "worker"],
        priority=30,
        up_after_s=3,
        stop_timeout_s=10,
    )


def own_redis(redis_socket: Path, data_dir: Path) -> Program:
    """Return a Redis of our own.

    Raises:
        StartError: if no server is installed.
    """
    return Program(
        name="redis",
        command=redis_server.arguments(redis_server.find_server(), redis_socket, data_dir),
        priority=10,
        is_autostarted=True,
    )


def migrate(environ: Mapping[str, str], log: Path) -> None:
    """Upgrade the database to this version's tables; a new one is made.

    Raises:
        StartError: if that failed.
    """
    with log.open("w") as output:
        done = subprocess.run(
            [sys.executable, "-m", "flask", "--app", "webapp", "db", "upgrade"],
            cwd=PROJECT_ROOT,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    if done.returncode != 0:
        raise StartError(f"The database could not be brought up to date; see {log}")


def bring_up(supervisor: Supervisor, paths: Paths, redis_url: str, address: Address) -> None:
    """Start web and worker once Redis answers, and wait until all run and pages are served.

    Raises:
        StartError: if a program ends instead, or takes too long.
    """
    deadline = time.monotonic() + START_TIMEOUT_S
    failed = {"BACKOFF", "EXITED", "FATAL", "UNKNOWN"}
    while not _answers_ping(redis_url):
        check_states(supervisor, paths, failed)
        _wait(deadline, f"Redis did not come up; see {paths.log('redis')}")
    supervisor.start("web")
    supervisor.start("worker")
    while not (
        all(state == "RUNNING" for state in check_states(supervisor, paths, failed).values())
        and serves(address)
    ):
        _wait(deadline, f"The site did not come up; see the logs in {paths.logs_dir}")


def watch(supervisor: Supervisor, paths: Paths, device: Path) -> NoReturn:
    """Print which device paints, once the worker has written it, and which program fails.

    Raises:
        StartError: if supervisor itself has ended.
    """
    printed = ""
    failed_looks: Counter[str] = Counter()
    while True:
        time.sleep(WATCH_INTERVAL_S)
        with contextlib.suppress(FileNotFoundError):
            if (description := device.read_text()) not in {"", printed}:
                print(description, file=sys.stderr, flush=True)
                printed = description
        for name, state in supervisor.states().items():
            is_failing = state in {"STARTING", "BACKOFF", "FATAL"}
            failed_looks[name] = failed_looks[name] + 1 if is_failing else 0
            if failed_looks[name] == FAILED_LOOKS:
                print(
                    f"The {name} process does not stay up; the site goes on without it. "
                    f"See {paths.log(name)}",
                    file=sys.stderr,
                    flush=True,
                )


def check_states(supervisor: Supervisor, paths: Paths, failed: set[str]) -> dict[str, str]:
    """Return the state of each program.

    Raises:
        StartError: if a program is in one of the ``failed`` states; the message names it and its
            log.
    """
    states = supervisor.states()
    for name, state in states.items():
        if state in failed:
            raise StartError(f"The {name} process does not stay up; see {paths.log(name)}")
    return states


def _answers_ping(redis_url: str) -> bool:
    try:
        redis_server.ping(redis_url)
    except StartError:
        return False
    return True


def _wait(deadline: float, message: str) -> None:
    if time.monotonic() > deadline:
        raise StartError(message)
    time.sleep(0.1)


def _request_stop(number: int, frame: FrameType | None) -> None:
    raise StopRequested
