from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.common.pastiche import PeerTime
from benchmarks.speedlib.plot import draw, points
from benchmarks.speedlib.report import Report
from benchmarks.speedlib.rows import Evaluation, Figures, RowResult, WholePainting


@pytest.fixture
def report() -> Report:
    rows = [
        RowResult(Evaluation("compact", 512), 384, 512, Figures(0.4, 9, 2 * 10**9)),
        RowResult(Evaluation("compact", 256), 192, 256, Figures(0.1, 9, 10**9)),
        RowResult(Evaluation("vgg19", 512), 384, 512, None, "memory ran out"),
        RowResult(WholePainting("draft", "auto", 512), 384, 512, Figures(30.0, 120, 3 * 10**9)),
    ]
    peer = PeerTime("1.6.0", 512, 2.5, 8, 1_300_000_000, is_disturbed=False)
    return Report("Speed", {}, {}, rows, peer)


def test_points_are_those_of_the_rows_from_small_to_large(report: Report) -> None:
    assert points(report) == {
        "evaluation, compact": [(0.049152, 0.1, 1.0), (0.196608, 0.4, 2.0)],
        "painting, draft": [(0.196608, 30.0, 3.0)],
        "pastiche, 1000 iterations": [(0.196608, 2500.0, 1.3)],
    }


def test_a_peer_of_another_size_has_no_place_on_the_axis(report: Report) -> None:
    assert report.peer is not None
    other = replace(report, peer=replace(report.peer, size_px=256))

    assert list(points(other)) == ["evaluation, compact", "painting, draft"]


def test_both_panels_show_every_point_on_logarithmic_axes(report: Report) -> None:
    figure = draw(report)

    assert figure is not None
    for axes, at in zip(figure.axes, (1, 2), strict=True):
        shown = {
            line.get_label(): [(float(x), float(y)) for x, y in np.asarray(line.get_xydata())]
            for line in axes.lines
        }
        assert shown == {
            name: [(point[0], point[at]) for point in those]
            for name, those in points(report).items()
        }
        assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == list(points(report))


def test_the_plot_is_written_as_a_picture(report: Report, tmp_path: Path) -> None:
    figure = draw(report)

    assert figure is not None
    figure.savefig(tmp_path / "plot.png")
    with Image.open(tmp_path / "plot.png") as image:
        image.load()
        assert image.width > image.height > 500


def test_without_figures_there_is_no_plot(report: Report) -> None:
    assert draw(replace(report, rows=report.rows[2:3])) is None
