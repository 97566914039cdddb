"""Processes of the site under supervisor: its configuration, start, stop and states."""

import http.client
import os
import shlex
import signal
import subprocess
import sys
import time
import xmlrpc.client
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TextIO

from supervisor.xmlrpc import SupervisorTransport

from deploy import parent_death
from deploy.errors import StartError

STOP_TIMEOUT_S = 45
"""Time after which supervisor is killed; longer than all programs' own limits together."""


@dataclass(frozen=True, kw_only=True)
class Program:
    """Process that supervisor keeps running."""

    name: str
    command: Sequence[str]
    priority: int
    """Rank in the order of starting; higher ones are stopped first."""
    is_autostarted: bool = False
    up_after_s: int = 1
    """Age in seconds before which an end counts as a failed start."""
    stop_timeout_s: int = 10
    """Time from SIGTERM to SIGKILL."""


@dataclass(frozen=True, kw_only=True)
class Paths:
    """Folders and files of supervisor and its programs."""

    project_dir: Path
    logs_dir: Path
    run_dir: Path
    socket: Path
    """Socket on which supervisor listens, for us and for `supervisorctl`."""

    @property
    def configuration(self) -> Path:
        """File that supervisor reads."""
        return self.run_dir / "supervisord.conf"

    def log(self, program: str) -> Path:
        """Return the log of one program."""
        return self.logs_dir / f"{program}.log"


def configuration(paths: Paths, programs: Sequence[Program]) -> str:
    """Return the text of supervisor's configuration: no network port, only a private socket."""
    sections: dict[str, dict[str, object]] = {
        "supervisord": {
            "nodaemon": "true",
            "silent": "true",
            "logfile": paths.log("supervisord"),
            "logfile_maxbytes": "1MB",
            "logfile_backups": 1,
            "pidfile": paths.run_dir / "supervisord.pid",
            "umask": "077",
        },
        "unix_http_server": {"file": paths.socket, "chmod": "0700"},
        "rpcinterface:supervisor": {
            "supervisor.rpcinterface_factory": "supervisor.rpcinterface:make_main_rpcinterface"
        },
        "supervisorctl": {"serverurl": f"unix://{paths.socket}"},
    }
    if os.geteuid() == 0:
        # Without it supervisor warns that it keeps the rights it was started with.
        sections["supervisord"]["user"] = "root"
    for program in programs:
        command = [sys.executable, parent_death.__file__, *program.command]
        sections[f"program:{program.name}"] = {
            "command": shlex.join(command),
            "directory": paths.project_dir,
            "priority": program.priority,
            "autostart": str(program.is_autostarted).lower(),
            "autorestart": "true",
            # Supervisor waits a second longer after each failed start, and never gives up: the
            # trouble may be mended meanwhile, and the rest of the site goes on.
            "startretries": 1_000_000,
            "startsecs": program.up_after_s,
            "stopwaitsecs": program.stop_timeout_s,
            "killasgroup": "true",
            "redirect_stderr": "true",
            # The name alone, in the folder that supervisor starts in: a path would be expanded
            # twice, and a "%" in it has no spelling that survives both.
            "stdout_logfile": paths.log(program.name).name,
            "stdout_logfile_maxbytes": "5MB",
            "stdout_logfile_backups": 3,
        }
    return "\n".join(
        f"[{section}]\n"
        + "".join(
            # supervisor expands %(...)s in every value.
            f"{key} = {str(value).replace('%', '%%')}\n"
            for key, value in values.items()
        )
        for section, values in sections.items()
    )


class Supervisor:
    """Supervisord that runs for as long as the `with` block; every program stops with it."""

    def __init__(
        self,
        paths: Paths,
        programs: Sequence[Program],
        environ: Mapping[str, str],
        lock: TextIO,
    ) -> None:
        self._paths = paths
        self._programs = programs
        self._environ = environ
        self._lock = lock

    def __enter__(self) -> Self:
        """Start supervisord and wait until it answers."""
        self._paths.configuration.write_text(configuration(self._paths, self._programs))
        with (self._paths.logs_dir / "supervisord.err").open("w") as errors:
            self._process = subprocess.Popen(
                [
                    *(sys.executable, parent_death.__file__),
                    *(sys.executable, "-m", "supervisor.supervisord"),
                    *("-c", str(self._paths.configuration)),
                ],
                cwd=self._paths.logs_dir,
                env=self._environ,
                # Keeps the instance locked until supervisor is gone too, should we be killed.
                # As standard input, for supervisor closes every descriptor from 5 on.
                stdin=self._lock,
                stdout=errors,
                stderr=errors,
                # Ctrl-C reaches only us, and we stop supervisor once.
                process_group=0,
            )
        try:
            self._wait_until_up()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop every program, then supervisord."""
        self._stop()

    def start(self, name: str) -> None:
        """Start a program that does not start by itself, without waiting until it is up."""
        self._call("startProcess", name, False)

    def states(self) -> dict[str, str]:
        """Return the state of each program in supervisor's words: RUNNING, BACKOFF, FATAL, ...

        Raises:
            StartError: if supervisor itself has ended.
        """
        if self._process.poll() is not None:
            raise StartError(f"supervisor ended by itself; see {self._paths.log('supervisord')}")
        return {info["name"]: info["statename"] for info in self._call("getAllProcessInfo")}

    def _wait_until_up(self) -> None:
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                break
            try:
                self._call("getState")
            except (OSError, http.client.HTTPException):
                time.sleep(0.05)
            else:
                return
        raise StartError(
            f"supervisor could not start; see {self._paths.logs_dir / 'supervisord.err'}"
        )

    def _call(self, method: str, *arguments: object) -> Any:
        """Call a method of supervisor by a fresh connection, as it may restart in between."""
        transport = SupervisorTransport(serverurl=f"unix://{self._paths.socket}")
        with xmlrpc.client.ServerProxy("http://localhost", transport=transport) as server:
            return getattr(server.supervisor, method)(*arguments)

    def _stop(self) -> None:
        # From here on a second Ctrl-C must not cut the stopping short.
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        self._process.terminate()
        try:
            self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
