import errno
import shlex
from itertools import pairwise
from pathlib import Path
from typing import NoReturn

import pytest
from supervisor import process
from supervisor.options import ServerOptions
from supervisor.states import ProcessStates

from deploy.supervision import Paths, Program, configuration


class Clock:
    """Clock in place of supervisor's own, which the test moves."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def time(self) -> float:
        return self.seconds


def parse(paths: Paths, programs: list[Program], monkeypatch: pytest.MonkeyPatch) -> ServerOptions:
    """Return the configuration as supervisor itself reads it."""
    paths.run_dir.mkdir(parents=True)
    paths.logs_dir.mkdir()
    paths.configuration.write_text(configuration(paths, programs))
    monkeypatch.chdir(paths.logs_dir)
    options = ServerOptions()
    options.realize(["-c", str(paths.configuration)])
    return options


@pytest.mark.parametrize("name", ["plain", "with space", "100%", "%(here)s", "it's", 'a "b"'])
def test_supervisor_reads_the_configuration_back(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / name
    paths = Paths(
        project_dir=tmp_path,
        logs_dir=folder / "logs",
        run_dir=folder / "run",
        socket=folder / "run" / "supervisor.sock",
    )
    program = Program(
        name="redis", command=["/bin/redis", "--dir", str(folder), "--save", ""], priority=10
    )

    options = parse(paths, [program], monkeypatch)

    assert options.nodaemon
    assert options.silent
    assert [Path(config["file"]) for config in options.server_configs] == [paths.socket]
    assert [config["chmod"] for config in options.server_configs] == [0o700]
    (process,) = options.process_group_configs[0].process_configs
    assert Path(process.stdout_logfile).absolute() == paths.log("redis")
    assert process.stderr_logfile is None
    assert shlex.split(process.command)[-5:] == program.command
    assert not process.autostart


def test_a_program_that_fails_for_an_hour_is_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = Paths(
        project_dir=tmp_path,
        logs_dir=tmp_path / "logs",
        run_dir=tmp_path / "run",
        socket=tmp_path / "run" / "supervisor.sock",
    )
    failing = Program(name="worker", command=["worker"], priority=10, is_autostarted=True)
    options = parse(paths, [failing], monkeypatch)
    options.make_logger()
    clock = Clock()
    starts = []

    def fail(_: object) -> NoReturn:
        starts.append(clock.seconds)
        raise OSError(errno.EMFILE, "too many open files")

    worker = options.process_group_configs[0].make_group().processes["worker"]
    monkeypatch.setattr(process, "time", clock)
    monkeypatch.setattr(worker.config, "make_dispatchers", fail)
    for _ in range(3600):
        worker.transition()
        clock.seconds += 1
    options.logger.close()

    assert worker.get_state() == ProcessStates.BACKOFF
    # The pauses are 1, 2, 3, ... s, whose sum n(n+1)/2 reaches an hour at n = 85; and supervisor
    # looks once a second.
    pauses = [later - earlier for earlier, later in pairwise([*starts, clock.seconds])]
    assert max(pauses) <= 86
