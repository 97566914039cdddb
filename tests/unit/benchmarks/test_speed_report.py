import json
from dataclasses import asdict, replace

import pytest

from benchmarks.common.pastiche import PeerTime
from benchmarks.speedlib.flops import evaluation_flops
from benchmarks.speedlib.report import Report, as_data, as_markdown, as_text
from benchmarks.speedlib.rows import Evaluation, Figures, RowResult, WholePainting, expected_s
from transfer.planning.forecast import CostModel, estimate

SIZES = {256: (192, 256), 512: (384, 512), 1024: (768, 1024)}
DEVICE = CostModel(seconds=(0.2, 0.003, 0.5, 6.0, 0.05))


def evaluated(backbone: str, size_px: int, seconds: float) -> RowResult:
    return RowResult(
        Evaluation(backbone, size_px), *SIZES[size_px], Figures(seconds, 5, 10**9 * size_px // 256)
    )


def painted(effort: str, size_px: int) -> RowResult:
    row = WholePainting(effort, "auto", size_px)
    forecast = estimate(row.work(*SIZES[size_px]), DEVICE)
    return RowResult(
        row, *SIZES[size_px], Figures(forecast.seconds, 200, round(forecast.peak_bytes))
    )


@pytest.fixture
def report() -> Report:
    too_large = RowResult(Evaluation("vgg19", 1024), *SIZES[1024], None, "memory ran out")
    return Report(
        "Speed",
        {"processor": "P", "cores": 2},
        {"fp32": 1e11},
        [
            evaluated("compact", 512, 0.4),
            evaluated("compact", 256, 0.1),
            too_large,
            *(painted(effort, size) for effort in ("standard", "draft") for size in SIZES),
        ],
        PeerTime("1.6.0", 512, 2.5, 8, 1_300_000_000, is_disturbed=True),
    )


def test_the_text_has_rows_reasons_and_the_peer(report: Report) -> None:
    text = as_text(report)

    assert "Without an evaluation of vgg19 at 1024 px: memory ran out." in text
    assert "so 2500 s for its default of 1000" in text
    assert "2.5 s per iteration‡" in text
    assert text.index("256 × 192") < text.index("512 × 384")
    ratio = 2500.0 / painted("draft", 512).figures.seconds  # type: ignore[union-attr]
    assert f"Draft is {ratio:.1f} times faster at 512 px." in text


def test_the_share_is_that_of_the_matrix_product(report: Report) -> None:
    data = as_data(report)

    first = data["evaluations"][0]
    assert first["flops"] == evaluation_flops("compact", 192, 256)
    assert first["share_of_fp32"] == pytest.approx(first["flops"] / 0.1 / 1e11)
    assert "flops_per_s" not in data["evaluations"][2]
    assert data["times_faster"].keys() == {"draft", "standard"}


def test_the_data_is_json_and_has_the_device(report: Report) -> None:
    data = json.loads(json.dumps(as_data(report)))

    device = CostModel(**data["device"])
    forecast = estimate(WholePainting("draft", "auto", 512).work(384, 512), device)
    assert forecast.seconds == pytest.approx(painted("draft", 512).figures.seconds, rel=0.1)  # type: ignore[union-attr]
    assert data["paintings"][0]["effort"] == "draft"


def test_a_forecast_never_sees_what_it_foretells(report: Report) -> None:
    slow = [
        replace(one, figures=replace(one.figures, seconds=100 * one.figures.seconds))
        if one.row == WholePainting("draft", "auto", 256) and one.figures
        else one
        for one in report.rows
    ]

    before = {one.row: told for one, told in report.forecasts()}
    after = {one.row: told for one, told in replace(report, rows=slow).forecasts()}
    assert after[WholePainting("draft", "auto", 256)] == before[WholePainting("draft", "auto", 256)]
    assert before[WholePainting("draft", "auto", 256)].seconds == pytest.approx(
        painted("draft", 256).figures.seconds,  # type: ignore[union-attr]
        rel=0.25,
    )


def test_markdown_has_both_tables_and_the_machine(report: Report) -> None:
    text = as_markdown(report)

    assert text.startswith("# Speed\n")
    assert "processor: P, cores: 2" in text
    assert text.count("---:|") + text.count("---: |") > 2
    assert "| vgg19 | 1024 × 768 | - |" in text


def test_without_anything_there_is_still_a_report() -> None:
    empty = Report("Speed", {}, {}, [], None)

    assert "Speed" in as_text(empty)
    assert as_data(empty)["device"] == asdict(CostModel())


def test_what_a_row_takes_is_told_by_like_ones() -> None:
    known = [evaluated("compact", 256, 0.1), painted("draft", 256), painted("standard", 256)]

    assert expected_s(Evaluation("vgg19", 256), SIZES[256], known) == 0.0
    assert expected_s(Evaluation("compact", 512), SIZES[512], known) == pytest.approx(1.0)
    told = expected_s(WholePainting("draft", "auto", 1024), SIZES[1024], known)
    assert told == pytest.approx(painted("draft", 1024).figures.seconds, rel=0.25)  # type: ignore[union-attr]
    assert expected_s(WholePainting("draft", "auto", 1024), SIZES[1024], []) == 0.0
