from pathlib import Path

import pytest

from deploy.upkeep import RETRY_EVERY_S, Upkeep


class Recorder:
    """Stands where supervisor is: it only needs to be asked."""

    def __init__(self) -> None:
        self.started: list[str] = []

    def start(self, name: str) -> None:
        self.started.append(name)


def test_what_was_given_up_on_is_tried_again_and_said_once(
    capsys: pytest.CaptureFixture[str],
) -> None:
    supervisor, seconds = Recorder(), [0.0]
    upkeep = Upkeep(supervisor, lambda name: Path(f"{name}.log"), lambda: seconds[0])
    states = {"web": "RUNNING", "worker": "FATAL"}

    upkeep.look(states)
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "worker" in said
    assert "worker.log" in said
    assert supervisor.started == []

    seconds[0] = RETRY_EVERY_S - 1
    upkeep.look(states)
    assert supervisor.started == []
    seconds[0] = RETRY_EVERY_S
    upkeep.look(states)
    upkeep.look({**states, "worker": "STARTING"})
    upkeep.look(states)
    assert supervisor.started == ["worker"]
    seconds[0] = 2 * RETRY_EVERY_S
    upkeep.look(states)
    assert supervisor.started == ["worker", "worker"]
    assert capsys.readouterr().err == ""


def test_a_program_that_fails_again_later_is_said_again(
    capsys: pytest.CaptureFixture[str],
) -> None:
    upkeep = Upkeep(Recorder(), Path)
    upkeep.look({"web": "FATAL"})
    upkeep.look({"web": "RUNNING"})
    upkeep.look({"web": "FATAL"})
    assert capsys.readouterr().err.count("web process does not stay up") == 2
