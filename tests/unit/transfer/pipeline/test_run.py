from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.unit.transfer.portrait import face
from transfer import (
    Cancelled,
    ImageTooSmall,
    Rendition,
    Settings,
    StyleMissing,
)
from transfer.engine import Painter, Progress
from transfer.faces import weights
from transfer.pipeline import face_detection
from transfer.planning import pyramid

ALL = (Rendition.STYLED, Rendition.HISTOGRAM, Rendition.LUMINANCE)


@pytest.fixture(autouse=True)
def few_evaluations(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two scales of compact, then a little vgg19: every part of the plan, in a second."""

    def first_schedule(settings: Settings, height: int, width: int) -> tuple[pyramid.Level, ...]:
        if min(height, width) < 32:
            return (pyramid.Level("compact", height, width, 4),)
        return (
            pyramid.Level("compact", height // 2, width // 2, 5),
            pyramid.Level("compact", height, width, 4),
            pyramid.Level("vgg19", height, width, 2),
        )

    def refine_schedule(settings: Settings, height: int, width: int) -> tuple[pyramid.Level, ...]:
        return (pyramid.Level("compact", height, width, 3),)

    monkeypatch.setattr(pyramid, "first_schedule", first_schedule)
    monkeypatch.setattr(pyramid, "refine_schedule", refine_schedule)


def settings(long_edge_px: int = 64, renditions: tuple[Rendition, ...] = ALL) -> Settings:
    return Settings(long_edge_px=long_edge_px, renditions=renditions)


def pixels(image: Image.Image) -> np.ndarray:
    return np.asarray(image).astype(int)


def test_a_painting_has_all_renditions_in_the_shape_of_the_photo(
    painter: Painter, content: Image.Image, style: Image.Image
) -> None:
    painting = painter.paint(content, [style], settings())

    assert list(painting.renditions) == list(ALL)
    for image in painting.renditions.values():
        assert image.mode == "RGB"
        assert image.size == (64, 48)
        assert pixels(image).std() > 5
    assert painting.evaluations == 5 + 4 + 2 + 3 + 3
    assert painting.backbones == ("compact", "vgg19")
    assert painting.seconds > 0


def test_the_same_seed_gives_the_same_picture_bit_for_bit(
    painter: Painter, content: Image.Image, style: Image.Image
) -> None:
    first, second = (painter.paint(content, [style], settings()) for _ in range(2))

    for rendition in ALL:
        assert np.array_equal(
            pixels(first.renditions[rendition]), pixels(second.renditions[rendition])
        )
    other = painter.paint(content, [style], Settings(long_edge_px=64, seed=1))
    styled = Rendition.STYLED
    assert not np.array_equal(pixels(first.renditions[styled]), pixels(other.renditions[styled]))


def test_a_painting_with_faces_resumes_bit_for_bit(painter: Painter, style: Image.Image) -> None:
    whole = painter.paint(face(), [style], settings())
    checkpoints: list[bytes] = []

    def stop(progress: Progress) -> None:
        if progress.fraction > 0.4:
            checkpoints.append(progress.checkpoint())
            raise Cancelled("enough")

    with pytest.raises(Cancelled):
        painter.paint(face(), [style], settings(), stop)
    resumed = painter.paint(face(), [style], settings(), checkpoint=checkpoints[0])

    assert resumed.evaluations < whole.evaluations
    for rendition in ALL:
        assert np.array_equal(
            pixels(whole.renditions[rendition]), pixels(resumed.renditions[rendition])
        )
    free = painter.paint(face(), [style], replace(settings(), keep_faces=0.0))
    for rendition in ALL:
        assert not np.array_equal(
            pixels(whole.renditions[rendition]), pixels(free.renditions[rendition])
        )


def test_without_the_detectors_weights_faces_are_painted_like_everything_else(
    painter: Painter, style: Image.Image, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = painter.paint(face(), [style], replace(settings(), keep_faces=0.0))
    monkeypatch.setattr(weights, "_path", lambda network: tmp_path / "missing.lz4")
    face_detection._load_detector.cache_clear()

    without = painter.paint(face(), [style], settings())

    face_detection._load_detector.cache_clear()
    for rendition in ALL:
        assert np.array_equal(
            pixels(without.renditions[rendition]), pixels(free.renditions[rendition])
        )


def test_each_level_brings_the_loss_down(
    painter: Painter, content: Image.Image, style: Image.Image
) -> None:
    losses: list[float] = []

    painter.paint(
        content,
        [style],
        settings(renditions=(Rendition.STYLED,)),
        lambda progress: losses.append(progress.loss),
    )

    assert losses[4] < losses[0]
    assert losses[8] < losses[5]


def test_progress_only_rises_and_ends_at_one(
    painter: Painter, content: Image.Image, style: Image.Image
) -> None:
    reports: list[Progress] = []

    painting = painter.paint(content, [style], settings(), reports.append)

    fractions = [progress.fraction for progress in reports]
    assert fractions == sorted(fractions)
    assert 0 < fractions[0] < 0.2
    assert fractions[-1] == 1.0
    assert [progress.evaluation for progress in reports] == list(range(1, painting.evaluations + 1))
    assert {progress.evaluations for progress in reports} == {painting.evaluations}
    assert [progress.long_edge_px for progress in reports] == [32] * 5 + [64] * 12
    assert list(dict.fromkeys(progress.rendition for progress in reports)) == list(ALL)


def test_the_first_preview_is_presentable(
    painter: Painter, content: Image.Image, style: Image.Image
) -> None:
    previews: list[Image.Image] = []

    def on_progress(progress: Progress) -> None:
        if progress.evaluation in {1, 12, 15}:
            previews.append(progress.preview(200))

    painter.paint(content, [style], settings(), on_progress)

    assert [preview.size for preview in previews] == [(200, 150)] * 3
    first = pixels(previews[0]).mean(axis=(0, 1))
    assert np.allclose(first, pixels(style).mean(axis=(0, 1)), atol=12)


def test_renditions_are_reported_as_they_finish(
    painter: Painter, content: Image.Image, style: Image.Image
) -> None:
    events: list[object] = []
    images: dict[Rendition, Image.Image] = {}

    def on_rendition(rendition: Rendition, image: Image.Image) -> None:
        events.append(f"{rendition} finished")
        images[rendition] = image

    painting = painter.paint(
        content,
        [style],
        settings(),
        lambda progress: events.append(progress.rendition),
        on_rendition=on_rendition,
    )

    assert list(dict.fromkeys(str(event) for event in events)) == [
        *("styled", "styled finished"),
        *("histogram", "histogram finished"),
        *("luminance", "luminance finished"),
    ]
    assert images == painting.renditions


@pytest.mark.parametrize("error", [Cancelled("by its owner"), KeyError("a fault")])
def test_exceptions_of_a_callback_pass_through(
    painter: Painter, content: Image.Image, style: Image.Image, error: Exception
) -> None:
    fractions: list[float] = []

    def stop(progress: Progress) -> None:
        fractions.append(progress.fraction)
        if len(fractions) == 3:
            raise error

    with pytest.raises(type(error)) as caught:
        painter.paint(content, [style], settings(), stop)

    assert caught.value is error
    assert len(fractions) == 3


def test_each_rendition_can_come_first(
    painter: Painter, content: Image.Image, style: Image.Image
) -> None:
    for rendition in ALL:
        others = tuple(other for other in ALL if other is not rendition)
        painting = painter.paint(content, [style], settings(renditions=(rendition, *others)))

        assert list(painting.renditions) == [rendition, *others]


def test_renditions_with_the_colors_of_the_photo_are_nearer_to_it(
    painter: Painter, content: Image.Image, style: Image.Image
) -> None:
    renditions = painter.paint(content, [style], settings()).renditions
    photo = pixels(content.resize((64, 48)))

    def distance(rendition: Rendition) -> float:
        return float(np.abs(pixels(renditions[rendition]).mean((0, 1)) - photo.mean((0, 1))).sum())

    assert distance(Rendition.HISTOGRAM) < distance(Rendition.STYLED)
    assert distance(Rendition.LUMINANCE) < distance(Rendition.STYLED)


def test_several_styles_differ_from_each_alone(
    painter: Painter, content: Image.Image, style: Image.Image
) -> None:
    other = style.rotate(90).convert("L")
    only_styled = settings(renditions=(Rendition.STYLED,))

    results = [
        pixels(painter.paint(content, styles, only_styled).renditions[Rendition.STYLED])
        for styles in ([style], [other], [style, other])
    ]

    assert np.abs(results[2] - results[0]).mean() > 1
    assert np.abs(results[2] - results[1]).mean() > 1


def one_color(photo: Image.Image) -> Image.Image:
    return Image.new("RGB", photo.size, (200, 30, 30))


def black(photo: Image.Image) -> Image.Image:
    return Image.new("RGB", photo.size)


def gray(photo: Image.Image) -> Image.Image:
    return photo.convert("L")


def elongated(photo: Image.Image) -> Image.Image:
    return photo.resize((640, 32))


def upright(photo: Image.Image) -> Image.Image:
    return photo.resize((32, 640))


def tiny(photo: Image.Image) -> Image.Image:
    return photo.resize((16, 16))


@pytest.mark.parametrize("change", [one_color, black, gray, elongated, upright, tiny])
@pytest.mark.parametrize("role", ["content", "style", "both"])
def test_odd_pictures_are_painted(
    painter: Painter,
    content: Image.Image,
    style: Image.Image,
    change: Callable[[Image.Image], Image.Image],
    role: str,
) -> None:
    losses: list[float] = []
    if role != "style":
        content = change(content)
    if role != "content":
        style = change(style)
    # 20:1 needs the length for its short side.
    long_edge_px = 320 if max(content.size) == 640 else 64

    painting = painter.paint(
        content, [style], settings(long_edge_px), lambda progress: losses.append(progress.loss)
    )

    assert np.isfinite(losses).all()
    for image in painting.renditions.values():
        assert max(image.size) == long_edge_px


def test_one_color_painted_in_its_own_style_stays_as_it_is(painter: Painter) -> None:
    red = Image.new("RGB", (64, 64), (200, 30, 30))

    for image in painter.paint(red, [red], settings()).renditions.values():
        assert np.abs(pixels(image) - (200, 30, 30)).mean() < 6


def test_progress_of_a_painting_that_converges_at_once_ends_at_one(painter: Painter) -> None:
    black = Image.new("RGB", (64, 64))
    reports: list[Progress] = []

    painter.paint(black, [black], settings(), reports.append)

    assert reports[-1].fraction == 1.0
    assert reports[-1].evaluation == reports[-1].evaluations


@pytest.mark.parametrize(
    ("content_size", "style_size", "long_edge_px", "role", "short_edge_px"),
    [
        ((15, 64), (64, 64), 64, "content", 15),
        ((64, 64), (15, 64), 64, "style", 15),
        ((1, 1), (64, 64), 64, "content", 1),
        ((1280, 64), (64, 64), 64, "content", 3),  # large enough, but not when painted
    ],
)
def test_pictures_too_small_to_carry_a_style_are_refused(
    painter: Painter,
    content_size: tuple[int, int],
    style_size: tuple[int, int],
    long_edge_px: int,
    role: str,
    short_edge_px: int,
) -> None:
    content, style = Image.new("RGB", content_size), Image.new("RGB", style_size)

    with pytest.raises(ImageTooSmall, match=f"The {role} picture's short side") as caught:
        painter.paint(content, [style], settings(long_edge_px))

    assert caught.value.short_edge_px == short_edge_px
    assert caught.value.limit_px == pyramid.MIN_EDGE_PX


def test_a_painting_needs_a_style(painter: Painter, content: Image.Image) -> None:
    with pytest.raises(StyleMissing):
        painter.paint(content, [], settings())
