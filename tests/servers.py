"""Real servers for tests, and the one way to wait for them."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import redis

from config import PROJECT_ROOT, Config
from deploy import redis_server
from deploy.errors import StartError

T = TypeVar("T")

NO_REDIS_URL = "unix:///nonexistent/redis.sock"
"""For tests that need no queue: every attempt to reach one fails at once."""


def wait_until(predicate: Callable[[], T], timeout_s: float, message: str) -> T:
    """Return the first truthy value of ``predicate``; fail with the last value seen."""
    deadline = time.monotonic() + timeout_s
    while True:
        value = predicate()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"{message}: not within {timeout_s} s; last seen: {value!r}")
        time.sleep(0.05)


def free_port() -> int:
    """Return a port of this machine that nobody listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def answering(answer: Callable[[BaseHTTPRequestHandler], None]) -> Iterator[int]:
    """Run an HTTP server whose GET requests the test answers, and yield its port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            try:
                answer(self)
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield http.server_port
        finally:
            http.shutdown()
            thread.join()


def make_config(instance_dir: Path, redis_url: str = NO_REDIS_URL, **changes: Any) -> Config:
    """Return settings for a test, with everything below ``instance_dir``."""
    instance_dir.mkdir(parents=True, exist_ok=True)
    settings: dict[str, Any] = {
        "secret_key": "only for tests, and long enough for them",
        "instance_dir": instance_dir,
        "database_url": f"sqlite:///{instance_dir / 'pic2paint.db'}",
        "redis_url": redis_url,
    }
    return Config(**(settings | changes))


class RedisServer:
    """Private Redis, run as the start command runs it; it can be stopped and started again."""

    def __enter__(self) -> Self:
        # Not in pytest's folders: a socket's path must be short.
        self._folder = tempfile.TemporaryDirectory(prefix="pic2paint-test-")
        self._socket = Path(self._folder.name) / "redis.sock"
        self.url = redis_server.socket_url(self._socket)
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()
        self._folder.cleanup()

    def start(self) -> None:
        """Start Redis on the data that it had, and wait until it answers."""
        folder = Path(self._folder.name)
        command = redis_server.arguments(redis_server.find_server(), self._socket, folder)
        with (folder / "redis.log").open("a") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        wait_until(self._answers, 10, "Redis answers")

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """End Redis; with SIGKILL as by a crash."""
        self._process.send_signal(number)
        self._process.wait(10)

    def flush(self) -> None:
        """Remove everything."""
        with redis.Redis.from_url(self.url) as client:
            client.flushall()

    def _answers(self) -> bool:
        try:
            redis_server.ping(self.url)
        except StartError:
            return False
        return True


@dataclass(frozen=True)
class Site:
    """Whole site, running as `make run` runs it."""

    url: str
    environ: dict[str, str]
    process: "subprocess.Popen[bytes]"

    @property
    def config(self) -> Config:
        """Settings of the site, to set up state through an application of the test's own."""
        return Config.from_env(self.environ)

    def pid(self, program: str) -> int:
        """Return the process id of "web", "worker" or "redis"."""
        return int(self.control("pid", program))

    def control(self, action: str, program: str) -> str:
        """Have supervisor "stop" or "start" a program, and return its answer."""
        done = subprocess.run(
            [
                *(sys.executable, "-m", "supervisor.supervisorctl"),
                *("-c", self.config.instance_dir / "run" / "supervisord.conf", action, program),
            ],
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout

    def log(self, program: str) -> str:
        """Return the log of "web", "worker", "redis" or "migrate"."""
        return (self.config.instance_dir / "logs" / f"{program}.log").read_text()

    def stop(self, number: signal.Signals = signal.SIGINT) -> int:
        """Ask the site to stop, wait, and return the exit status."""
        self.process.send_signal(number)
        return self.process.wait(60)


@contextlib.contextmanager
def start_site(instance_dir: Path, redis_url: str | None = None, **settings: str) -> Iterator[Site]:
    """Run the site until the block ends.

    Args:
        instance_dir: folder of its data; made if it is missing.
        redis_url: a Redis to use instead of the site's own.
        settings: more environment variables.
    """
    port = free_port()
    environ = clean_environ() | {
        "PIC2PAINT_INSTANCE": str(instance_dir),
        "PORT": str(port),
        **settings,
    }
    if redis_url is not None:
        environ["REDIS_URL"] = redis_url
    instance_dir.parent.mkdir(parents=True, exist_ok=True)
    start_log = instance_dir.parent / f"{instance_dir.name}.start"
    with start_log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "deploy"],
            cwd=PROJECT_ROOT,
            env=environ,
            stdout=output,
            stderr=output,
        )
    # The site's own Redis is here if the path is short enough; the tests' paths are.
    own_redis = redis_server.socket_url(instance_dir / "run" / "redis.sock")
    try:
        wait_until(
            lambda: "running at" in start_log.read_text() or process.poll() is not None,
            120,
            "the site is up",
        )
        if process.poll() is not None:
            raise AssertionError(f"The site did not start: {start_log.read_text()}")
        yield Site(f"http://127.0.0.1:{port}", {"REDIS_URL": own_redis, **environ}, process)
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def clean_environ() -> dict[str, str]:
    """Return this process's environment without settings of the site."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("PIC2PAINT_")
        and name not in {"DATABASE_URL", "HOST", "PORT", "REDIS_URL", "SECRET_KEY"}
    }


def processes_of(instance_dir: Path) -> dict[int, str]:
    """Return the command lines of all processes of an instance folder, by process id."""
    mark = f"PIC2PAINT_INSTANCE={instance_dir}".encode()
    commands = {}
    for folder in Path("/proc").glob("[0-9]*"):
        # Processes come and go, and others' cannot be read.
        with contextlib.suppress(OSError):
            # Redis writes its title over its environment, but works in the instance folder.
            if (
                mark in (folder / "environ").read_bytes().split(b"\0")
                or instance_dir in (folder / "cwd").readlink().parents
            ):
                command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                commands[int(folder.name)] = command
    return commands
