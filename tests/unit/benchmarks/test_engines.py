from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from benchmarks.common.errors import EngineFailed
from benchmarks.common.pairs import Order, all_pairs
from benchmarks.qualitylib import engines
from benchmarks.qualitylib.engines import Ours
from tests.unit.benchmarks.fakes import folder_of_pictures
from transfer.__main__ import main as transfer_main
from transfer.planning import pyramid
from transfer.settings import AdvancedSettings, Effort, Settings

DRAFT = Ours(Effort.DRAFT, 0.5)


@pytest.fixture
def order(tmp_path: Path) -> Order:
    pictures = folder_of_pictures(tmp_path / "pictures", ["boat"], ["oil"])
    return Order(all_pairs(pictures)[0], 64, seed=3, device="cpu")


@pytest.mark.parametrize("content_weight", [None, 0.25])
def test_our_command_paints_and_says_how_much_work_it_was(
    order: Order,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    content_weight: float | None,
) -> None:
    asked: list[Settings] = []

    def few(settings: Settings, height: int, width: int) -> tuple[pyramid.Level, ...]:
        asked.append(settings)
        return (pyramid.Level("compact", height, width, 4),)

    monkeypatch.setattr(pyramid, "first_schedule", few)
    engine = Ours(Effort.FINE, 0.65, content_weight)
    command = engine.command(order, tmp_path / "out.png")

    assert command[1:4] == ["-u", "-m", "transfer"]
    assert transfer_main(command[4:]) == 0
    assert DRAFT.evaluations(capsys.readouterr().err.splitlines()) == 4
    expert = AdvancedSettings(content_weight=content_weight)
    assert asked[0] == Settings(64, 0.65, Effort.FINE, seed=3, advanced=expert)
    with Image.open(tmp_path / "out.png") as image:
        assert image.size == (64, 48)


def test_an_engine_that_does_not_tell_its_work_has_failed() -> None:
    with pytest.raises(EngineFailed, match=r"draft 0\.5 did not say"):
        DRAFT.evaluations(["100%", ""])


@pytest.mark.parametrize(
    "changed",
    [
        {"effort": Effort.FINE},
        {"strength": 0.6},
        {"size_px": 80},
        {"seed": 4},
        {"device": "cuda"},
    ],
)
def test_whatever_changes_a_painting_changes_its_identity(
    order: Order, changed: dict[str, Any]
) -> None:
    engine = replace(DRAFT, **{k: v for k, v in changed.items() if hasattr(DRAFT, k)})
    other = replace(order, **{k: v for k, v in changed.items() if hasattr(order, k)})

    assert engine.identity(other) != DRAFT.identity(order)
    assert DRAFT.identity(order) == DRAFT.identity(order)


def test_only_weights_that_paint_are_part_of_an_identity(order: Order) -> None:
    def weights(effort: Effort) -> set[str]:
        return {name for name in Ours(effort, 0.5).identity(order) if name.startswith("weights")}

    both = {"weights of compact", "weights of vgg19"}
    assert weights(Effort.DRAFT) == weights(Effort.FINE) == both


def test_code_is_part_of_an_identity_and_comments_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hash_of(source: str, name: str = "engine.py") -> str:
        (tmp_path / name).write_text(source)
        engines._sources_hash.cache_clear()
        return engines._sources_hash()

    monkeypatch.setattr(engines, "_OWN_SOURCES", tmp_path)
    try:
        before = hash_of('"""Old."""\n\nSIZE = 3\n"""px"""\n')

        assert hash_of('"""New."""\nSIZE  =  3  # a comment\n') == before
        assert hash_of("print('how to paint')", "__main__.py") == before
        assert hash_of('"""Old."""\n\nSIZE = 4\n"""px"""\n') != before
    finally:
        engines._sources_hash.cache_clear()
