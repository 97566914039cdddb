from pathlib import Path

import pytest

from benchmarks.common.pairs import Pair
from benchmarks.common.table import Table
from benchmarks.common.timing import Took
from benchmarks.qualitylib.distances import Distances
from benchmarks.qualitylib.engines import Engine, Ours
from benchmarks.qualitylib.report import (
    Result,
    as_data,
    as_markdown,
    as_text,
    comparisons,
    summary,
    tables,
)
from benchmarks.qualitylib.store import StoredPainting
from tests.unit.benchmarks.fakes import Copyist
from transfer.settings import Effort

BOAT = Pair(Path("content-boat.jpg"), Path("style-oil.jpg"))
CAT = Pair(Path("content-cat.jpg"), Path("style-oil.jpg"))
PEER = Copyist(Path("log"))


def result(
    pair: Pair,
    engine: Engine,
    style: float,
    content: float,
    *,
    is_earlier: bool = False,
    others_cpu_s: float = 0.0,
) -> Result:
    took = Took(12.34, 20.0, others_cpu_s, 1_500_000_000)
    stored = StoredPainting(Path("p.png"), 212, took, is_earlier)
    return Result(pair, engine, stored, Distances(style, content))


@pytest.fixture
def results() -> list[Result]:
    """Ours is better on the boat, and worse on the cat, beyond its curve."""
    draft = [Ours(Effort.DRAFT, strength) for strength in (0.3, 0.7)]
    return [
        result(BOAT, draft[0], 0.6, 0.3),
        result(BOAT, draft[1], 0.4, 0.5),
        result(BOAT, PEER, 0.55, 0.4, is_earlier=True),
        result(CAT, draft[0], 0.8, 0.4),
        result(CAT, draft[1], 0.7, 0.5),
        result(CAT, PEER, 0.5, 0.6, others_cpu_s=999.0),
    ]


def test_compares_each_pair_at_the_content_distance_of_the_peer(results: list[Result]) -> None:
    boat, cat = comparisons(results)

    assert (boat.pair, boat.effort, boat.peer) == ("boat x oil", Effort.DRAFT, "copyist")
    assert boat.content == 0.4
    assert boat.style == pytest.approx(0.5)
    assert not boat.is_extrapolated
    assert boat.is_below
    assert cat.style == pytest.approx(0.6)
    assert cat.is_extrapolated
    assert not cat.is_below


def test_the_summary_counts_pairs(results: list[Result]) -> None:
    assert summary(comparisons(results)) == [
        "draft: below copyist on 1 of 2 pairs at equal content distance, style distance 0.550 "
        "against 0.525 on average, 1 of them extrapolated."
    ]


def test_every_figure_stands_beside_the_peers(results: list[Result]) -> None:
    boat, _, cat, _ = tables(results)["Paintings"].rows

    assert boat == (
        *("boat x oil", "draft", "0.3", "0.600", "0.300", "12.3", "20.0", "212"),
        *("0.550", "0.400", "12.3†", "20.0", "212"),
    )
    assert cat[-3] == "12.3‡"


def test_a_peer_alone_has_a_row_for_each_pair(results: list[Result]) -> None:
    alone = [one for one in results if one.engine == PEER]

    found = tables(alone)

    assert [row[:3] for row in found["Paintings"].rows] == [
        ("boat x oil", "-", "-"),
        ("cat x oil", "-", "-"),
    ]
    assert list(found) == ["Paintings", "Over the pairs", "Per painting"]


def test_how_far_one_value_goes_on_different_pairs(results: list[Result]) -> None:
    assert tables(results)["Over the pairs"].rows == (
        ("draft 0.3", "0.700", "0.350", "0.050", "14.3%"),
        ("draft 0.7", "0.550", "0.500", "0.000", "0.0%"),
        ("copyist", "0.525", "0.500", "0.100", "20.0%"),
    )


def test_a_fixed_weight_is_a_column_but_no_point_of_the_curve(results: list[Result]) -> None:
    penalty = Ours(Effort.DRAFT, 0.5, content_weight=0.2)
    before = comparisons(results)

    results.append(result(BOAT, penalty, 0.1, 0.4))

    assert comparisons(results) == before
    assert tables(results)["Paintings"].rows[2][:4] == ("boat x oil", "draft", "w 0.2", "0.100")


def test_time_and_work_per_painting(results: list[Result]) -> None:
    assert tables(results)["Per painting"].rows == (
        ("draft", "4", "12.3", "20.0", "212", "1.50"),
        ("copyist", "2", "12.3†‡", "20.0", "212", "1.50"),
    )


def test_one_strength_is_no_curve(results: list[Result]) -> None:
    assert comparisons([one for one in results if one.engine != Ours(Effort.DRAFT, 0.7)]) == []


def test_an_effort_without_a_curve_leaves_a_gap(results: list[Result]) -> None:
    fine = [Ours(Effort.FINE, strength) for strength in (0.3, 0.7)]
    results += [result(BOAT, fine[0], 0.4, 0.3), result(BOAT, fine[1], 0.3, 0.5)]
    results += [result(CAT, engine, 0.4, 0.3) for engine in fine]

    (title,) = [name for name in tables(results) if name.startswith("Style distance")]

    assert [row[-2:] for row in tables(results)[title].rows] == [
        ("0.500", "0.350"),
        ("~0.600", "-"),
    ]


def test_columns_of_text_are_aligned() -> None:
    table = Table(("who", "s"), (("longer", "1.0"), ("x", "10.0")), 1)

    assert table.text().splitlines() == ["who        s", "longer   1.0", "x       10.0"]
    assert table.markdown().splitlines() == [
        "| who | s |",
        "| --- | ---: |",
        "| longer | 1.0 |",
        "| x | 10.0 |",
    ]


def test_text_markdown_and_data_say_the_same(results: list[Result]) -> None:
    text, page, data = as_text("Title", results), as_markdown("Title", results), as_data(results)

    (sentence,) = summary(comparisons(results))
    assert sentence in text
    assert f"- {sentence}" in page
    assert data["summary"] == [sentence]
    for found in (text, page):
        assert "~0.600" in found
        assert "timed in an earlier run" in found
    first = data["paintings"][0]  # type: ignore[index]
    assert (first["effort"], first["strength"], first["wall_s"]) == ("draft", 0.3, 12.34)
