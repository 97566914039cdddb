import shlex
from pathlib import Path

import pytest
from supervisor.options import ServerOptions

from deploy.supervision import Places, Program, configuration


def parsed(
    places: Places, programs: list[Program], monkeypatch: pytest.MonkeyPatch
) -> ServerOptions:
    """The configuration as supervisor itself reads it."""
    places.run_dir.mkdir(parents=True)
    places.logs_dir.mkdir()
    places.configuration.write_text(configuration(places, programs))
    monkeypatch.chdir(places.logs_dir)
    options = ServerOptions()
    options.realize(["-c", str(places.configuration)])
    return options


@pytest.mark.parametrize("name", ["plain", "with space", "100%", "%(here)s", "it's", 'a "b"'])
def test_supervisor_reads_back_what_was_meant(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / name
    places = Places(
        project_dir=tmp_path,
        logs_dir=folder / "logs",
        run_dir=folder / "run",
        socket=folder / "run" / "supervisor.sock",
    )
    program = Program(
        name="redis", command=["/bin/redis", "--dir", str(folder), "--save", ""], priority=10
    )

    options = parsed(places, [program], monkeypatch)

    assert options.nodaemon
    assert options.silent
    assert [Path(config["file"]) for config in options.server_configs] == [places.socket]
    assert [config["chmod"] for config in options.server_configs] == [0o700]
    (process,) = options.process_group_configs[0].process_configs
    assert Path(process.stdout_logfile).absolute() == places.log("redis")
    assert process.stderr_logfile is None
    assert shlex.split(process.command)[-5:] == program.command
    assert not process.autostart
