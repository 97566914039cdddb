"""Effect of each setting, measured on finished paintings."""

import io
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageSequence

from tests.seeds import shifted
from tests.unit.transfer.conftest import picture
from tests.unit.transfer.portrait import face
from tests.unit.transfer.reference import weighted_distance
from transfer import (
    AdvancedSettings,
    Backbone,
    ColorMap,
    Effort,
    InvalidSetting,
    MaskCount,
    MaskUnusable,
    Method,
    Pooling,
    Rendition,
    Settings,
    Start,
)
from transfer.engine import Painter, PaintResult
from transfer.imaging.images import to_tensor
from transfer.pipeline.face_detection import photo_protection

EVALUATIONS = 24
STYLED = Rendition.STYLED
RENDITIONS = tuple(Rendition)


def checks(size_px: int) -> Image.Image:
    """Return red and yellow squares, 96 px."""
    y, x = np.mgrid[0:96, 0:96]
    is_red = (x // size_px + y // size_px) % 2 == 0
    colors = np.where(is_red[:, :, None], (200, 40, 30), (240, 210, 60))
    return Image.fromarray(colors.astype(np.uint8))


def blots() -> Image.Image:
    """Return red blots on yellow, about 8 px wide, in random places, 160 px."""
    noise = np.random.default_rng(shifted(0)).uniform(0, 255, (20, 20)).astype(np.uint8)
    is_red = np.asarray(Image.fromarray(noise).resize((160, 160), Image.Resampling.BICUBIC)) > 127
    colors = np.where(is_red[:, :, None], (200, 40, 30), (240, 210, 60))
    return Image.fromarray(colors.astype(np.uint8))


def stripes() -> Image.Image:
    """Return blue and white stripes, 96 px."""
    x = np.mgrid[0:96, 0:96][1]
    colors = np.where((x // 6 % 2 == 0)[:, :, None], (30, 60, 190), (235, 240, 245))
    return Image.fromarray(colors.astype(np.uint8))


def paint(
    painter: Painter,
    content: Image.Image,
    styles: Sequence[Image.Image],
    masks: Sequence[Image.Image | None] = (),
    **changes: Any,
) -> PaintResult:
    advanced = changes.pop("advanced", AdvancedSettings(evaluations=EVALUATIONS))
    changes = {"backbone": Backbone.COMPACT} | changes
    settings = Settings(long_edge_px=80, effort=Effort.DRAFT, advanced=advanced, **changes)
    return painter.paint(content, styles, settings, masks=masks)


def paint_styled(*arguments: Any, **changes: Any) -> np.ndarray:
    return np.asarray(paint(*arguments, **changes).renditions[STYLED]).astype(float)


def photo_pixels(content: Image.Image) -> np.ndarray:
    return np.asarray(content).astype(float)  # 80 x 60, as it is painted


def fineness(pixels: np.ndarray) -> float:
    """Return the share of the variance between neighbors: small for large strokes."""
    light = pixels.mean(axis=2)
    steps = np.square(np.diff(light, axis=0)).mean() + np.square(np.diff(light, axis=1)).mean()
    return float(steps / light.var())


def mean_difference(left: np.ndarray, right: np.ndarray) -> float:
    return float(np.abs(left - right).mean())


def mean_color(pixels: np.ndarray) -> np.ndarray:
    return np.asarray(pixels.mean(axis=(0, 1)))


def test_a_bigger_brush_makes_larger_strokes(painter: Painter) -> None:
    """Strokes are measured on a gray photo, which has no shapes of its own."""
    gray = Image.new("RGB", (80, 60), (128, 128, 128))
    half, usual, double = (
        fineness(
            paint_styled(
                painter,
                gray,
                [blots()],
                brush_size=size,
                advanced=AdvancedSettings(evaluations=30, content_weight=0),
            )
        )
        for size in (0.5, 1.0, 2.0)
    )

    assert half > usual > double
    # Four times the brush: 1.56 to 1.63 over pictures.
    assert half > 1.25 * double


def test_smoothness_takes_grain_away(
    painter: Painter, content: Image.Image, style: Image.Image
) -> None:
    rough, usual, smooth = (
        fineness(paint_styled(painter, content, [style], smoothness=value))
        for value in (0.0, 0.5, 1.0)
    )

    assert rough > usual > 1.2 * smooth


def test_styles_of_weight_zero_have_no_effect(
    painter: Painter, content: Image.Image, style: Image.Image
) -> None:
    alone = paint_styled(painter, content, [style])

    assert np.array_equal(
        paint_styled(painter, content, [style, stripes()], style_weights=(0.5, 0.0)), alone
    )
    assert np.array_equal(
        paint_styled(painter, content, [stripes(), style], style_weights=(0, 7)), alone
    )


def test_a_heavier_style_has_more_effect(painter: Painter, content: Image.Image) -> None:
    styles = [checks(8), stripes()]
    equal = paint_styled(painter, content, styles)
    first = paint_styled(painter, content, styles, style_weights=(4.0, 1.0))
    second = paint_styled(painter, content, styles, style_weights=(1.0, 4.0))

    # The checks are red, the stripes blue.
    redness = [mean_color(pixels)[0] - mean_color(pixels)[2] for pixels in (first, equal, second)]
    assert redness[0] > redness[1] + 15 > redness[2] + 30
    assert np.array_equal(equal, paint_styled(painter, content, styles, style_weights=(2, 2)))


def half_mask(side: str, size: tuple[int, int] = (80, 60)) -> Image.Image:
    width, height = size
    mask = Image.new("L", size)
    is_left = side == "left"
    mask.paste(255, (0, 0, width // 2, height) if is_left else (width // 2, 0, width, height))
    return mask


@pytest.mark.parametrize("rendition", Rendition)
def test_a_mask_confines_the_style(
    painter: Painter, content: Image.Image, rendition: Rendition
) -> None:
    left, whole = (
        np.asarray(
            paint(painter, content, [stripes()], masks, renditions=(rendition,)).renditions[
                rendition
            ]
        ).astype(float)
        for masks in ([half_mask("left")], [None])
    )

    photo = photo_pixels(content)
    assert np.array_equal(left[:, 46:], photo[:, 46:])
    # Within it, the photo changes about as much as without a mask: seen 0.95 to 1.4 times.
    assert (
        mean_difference(left[:, :34], photo[:, :34])
        > 0.5 * mean_difference(whole[:, :34], photo[:, :34])
        > 0
    )


def test_a_gray_mask_weakens_the_style(painter: Painter, content: Image.Image) -> None:
    photo = photo_pixels(content)
    white, gray, faint = (
        paint_styled(painter, content, [stripes()], [Image.new("L", (80, 60), value)])
        for value in (255, 128, 40)
    )

    assert (
        mean_difference(white, photo)
        > 1.5 * mean_difference(gray, photo)
        > 2 * mean_difference(faint, photo)
        > 0
    )


def test_a_white_mask_has_the_effect_of_none(painter: Painter, content: Image.Image) -> None:
    masked = paint_styled(painter, content, [stripes()], [Image.new("L", (80, 60), 255)])
    unmasked = paint_styled(painter, content, [stripes()])

    # Not to the bit: weighted sums are added up in another order.
    assert mean_difference(masked, unmasked) < 4
    assert np.array_equal(paint_styled(painter, content, [stripes()], [None]), unmasked)


def test_different_styles_go_to_different_regions(painter: Painter, content: Image.Image) -> None:
    masks = [half_mask("left", (160, 120)), half_mask("right")]

    pixels = paint_styled(painter, content, [checks(8), stripes()], masks)

    left, right = mean_color(pixels[:, :30]), mean_color(pixels[:, 50:])
    assert np.allclose(left, mean_color(np.asarray(checks(8))), atol=25)
    assert np.allclose(right, mean_color(np.asarray(stripes())), atol=25)


def test_a_region_of_a_few_pixels_is_painted(painter: Painter, content: Image.Image) -> None:
    mask = Image.new("L", (80, 60))
    mask.paste(255, (30, 30, 34, 34))

    pixels = paint_styled(painter, content, [stripes()], [mask])

    photo = photo_pixels(content)
    assert mean_difference(pixels[30:34, 30:34], photo[30:34, 30:34]) > 1
    assert np.array_equal(pixels[:, :20], photo[:, :20])


def test_masks_work_for_elongated_and_one_colored_pictures(painter: Painter) -> None:
    red = Image.new("RGB", (640, 32), (200, 30, 30))
    settings = Settings(
        long_edge_px=320,
        effort=Effort.DRAFT,
        advanced=AdvancedSettings(evaluations=10),
        renditions=RENDITIONS,
    )

    painting = painter.paint(red, [red], settings, masks=[half_mask("right", (640, 32))])

    for image in painting.renditions.values():
        assert np.allclose(np.asarray(image)[:, :140], (200, 30, 30))
        assert np.allclose(mean_color(np.asarray(image)[:, 180:]), (200, 30, 30), atol=8)


@pytest.mark.parametrize(
    ("masks", "error", "sentence"),
    [
        ([half_mask("left")], MaskCount, "2 in all, or none at all; the number given is 1"),
        ([None] * 3, MaskCount, "the number given is 3"),
        ([None, Image.new("L", (80, 60))], MaskUnusable, "Mask 2 .+ black everywhere"),
        ([Image.new("L", (60, 80), 9), None], MaskUnusable, "Mask 1 .+ 80 × 60 px .+ 60 × 80 px"),
    ],
)
def test_contradictory_masks_are_refused(
    painter: Painter,
    content: Image.Image,
    masks: list[Image.Image | None],
    error: type[Exception],
    sentence: str,
) -> None:
    with pytest.raises(error, match=sentence):
        paint(painter, content, [stripes(), checks(8)], masks)


def test_as_many_style_weights_as_styles_are_needed(painter: Painter, content: Image.Image) -> None:
    with pytest.raises(InvalidSetting, match="style weights must be one for each style, 1 in all"):
        paint(painter, content, [stripes()], style_weights=(1.0, 2.0))


def person() -> Image.Image:
    """Return a photo of a face before waves, 160 x 120 px."""
    photo = picture(120, 160, 3)
    photo.paste(face().resize((85, 85)), (40, 15))
    return photo


def test_faces_are_kept_in_every_rendition(painter: Painter) -> None:
    photo = person()
    place = photo_protection(photo, 160)
    assert place is not None
    distances: dict[Rendition, list[float]] = {rendition: [] for rendition in Rendition}
    for value in (0.0, 1.0):
        settings = Settings(
            long_edge_px=160,
            effort=Effort.DRAFT,
            backbone=Backbone.COMPACT,
            keep_faces=value,
            renditions=RENDITIONS,
            advanced=AdvancedSettings(evaluations=40),
        )
        for rendition, image in painter.paint(photo, [blots()], settings).renditions.items():
            # By another network than the one that painted.
            features, wanted = (
                painter.backbone("vgg19").features(to_tensor(each), ["relu3_1"])["relu3_1"]
                for each in (image, photo)
            )
            distances[rendition].append(weighted_distance(features, wanted, place).item())

    for free, kept in distances.values():
        # 0.80 to 0.89 of it, with four draws of the pictures.
        assert kept < 0.95 * free


def test_without_faces_keeping_them_changes_nothing(
    painter: Painter, content: Image.Image, style: Image.Image
) -> None:
    kept, not_kept = (
        paint_styled(painter, content, [style], keep_faces=value) for value in (1.0, 0.0)
    )

    assert np.array_equal(kept, not_kept)


def test_faces_of_the_style_stay_out_of_a_photo_without(
    painter: Painter, content: Image.Image
) -> None:
    """The style is blue beside its face, whose colors the painting then lacks."""
    style = Image.new("RGB", (200, 150), (40, 60, 200))
    style.paste(face().resize((120, 120)), (40, 15))

    loose = AdvancedSettings(evaluations=60, content_weight=0.0)

    free, kept = (
        mean_color(
            paint_styled(
                painter, content, [style], keep_faces=value, start=Start.CONTENT, advanced=loose
            )
        )
        for value in (0.0, 1.0)
    )

    assert kept[2] - kept[0] > free[2] - free[0] + 10


def test_masks_and_faces_work_together(painter: Painter) -> None:
    """The mask ends in the middle of the face; outside, the photo stays as it is."""
    photo = person().resize((80, 60))
    masks = [half_mask("left")]

    free, kept = (
        paint_styled(painter, photo, [stripes()], masks, keep_faces=value) for value in (0.0, 1.0)
    )

    assert np.array_equal(kept[:, 46:], photo_pixels(photo)[:, 46:])
    assert mean_difference(kept[:, :34], free[:, :34]) > 1


def test_starts_lead_to_different_pictures(painter: Painter, content: Image.Image) -> None:
    paintings = {start: paint_styled(painter, content, [stripes()], start=start) for start in Start}
    photo = photo_pixels(content)

    def likeness(start: Start) -> float:
        light = [pixels.mean(axis=2).ravel() for pixels in (paintings[start], photo)]
        return float(np.corrcoef(light)[0, 1])

    # Noise has to find the photo's shapes first, and so shows less of them.
    assert likeness(Start.RECOLORED) > likeness(Start.NOISE) + 0.1
    assert likeness(Start.CONTENT) > likeness(Start.NOISE) + 0.1
    assert mean_difference(paintings[Start.RECOLORED], paintings[Start.CONTENT]) > 2
    noise = paintings[Start.NOISE]
    assert np.array_equal(noise, paint_styled(painter, content, [stripes()], start=Start.NOISE))
    assert (
        mean_difference(
            noise, paint_styled(painter, content, [stripes()], start=Start.NOISE, seed=1)
        )
        > 5
    )


def test_color_maps_change_the_histogram_rendition_alone(
    painter: Painter, content: Image.Image
) -> None:
    paintings = {
        kind: paint(
            painter,
            content,
            [checks(8)],
            color_map=kind,
            renditions=(STYLED, Rendition.HISTOGRAM),
        ).renditions
        for kind in ColorMap
    }

    images = [
        np.asarray(renditions[Rendition.HISTOGRAM]).astype(float)
        for renditions in paintings.values()
    ]
    for number in range(3):
        assert mean_difference(images[number], images[number - 1]) > 1
        # All of them have the photo's palette.
        assert np.allclose(mean_color(images[number]), mean_color(photo_pixels(content)), atol=15)
    first, *others = (np.asarray(renditions[STYLED]) for renditions in paintings.values())
    for other in others:
        assert np.array_equal(first, other)


def test_advanced_weights_replace_smoothness_and_strength(
    painter: Painter, content: Image.Image, style: Image.Image
) -> None:
    def paint_with(**weights: Any) -> np.ndarray:
        advanced = AdvancedSettings(evaluations=EVALUATIONS, **weights)
        return paint_by_statistics(advanced=advanced)

    # The stages of matching have usual weights of their own.
    paint_by_statistics = partial(
        paint_styled, painter, content, [style], start=Start.CONTENT, method=Method.STATISTICS
    )
    usual = paint_by_statistics()
    assert np.array_equal(paint_with(smoothness_weight=2.0), usual)
    assert not np.array_equal(paint_with(content_weight=0.5), usual)
    photo = photo_pixels(content)
    bound, free = paint_with(content_weight=30.0), paint_with(content_weight=0.0)
    # In structure; colors are the style's in both.
    correlations = [
        np.corrcoef(pixels.mean(axis=2).ravel(), photo.mean(axis=2).ravel())[0, 1]
        for pixels in (bound, free)
    ]
    # A large weight leaves a twelfth of what otherwise changes (11.7 to 12.3 over pictures).
    assert 1 - correlations[1] > 4 * (1 - correlations[0])


@pytest.mark.parametrize(
    "advanced",
    [
        AdvancedSettings(evaluations=EVALUATIONS, pooling=Pooling.AVERAGE),
        AdvancedSettings(
            evaluations=EVALUATIONS, style_layers=(("relu1_1", 1.0), ("relu2_1", 1.0))
        ),
        AdvancedSettings(evaluations=EVALUATIONS, style_layers=(("relu5_1", 1.0),)),
        AdvancedSettings(evaluations=EVALUATIONS, content_layer="relu2_2"),
        AdvancedSettings(evaluations=EVALUATIONS * 3),
    ],
    ids=["pooling", "shallow", "deep", "content layer", "evaluations"],
)
def test_advanced_settings_change_the_painting(
    painter: Painter, content: Image.Image, style: Image.Image, advanced: AdvancedSettings
) -> None:
    chosen = paint(painter, content, [style], advanced=advanced)

    assert (
        mean_difference(
            np.asarray(chosen.renditions[STYLED]).astype(float),
            paint_styled(painter, content, [style]),
        )
        > 2
    )
    assert chosen.evaluations == advanced.evaluations


def test_the_animation_goes_from_the_start_to_the_painting(
    painter: Painter, content: Image.Image
) -> None:
    painting = paint(painter, content, [stripes()], animation=True, start=Start.CONTENT)
    still = paint(painter, content, [stripes()], start=Start.CONTENT)

    assert painting.animation is not None
    assert still.animation is None
    assert painting.renditions == still.renditions
    with Image.open(io.BytesIO(painting.animation)) as animation:
        assert animation.size == (80, 60)
        frames = [
            np.asarray(frame.convert("RGB")).astype(float)
            for frame in ImageSequence.all_frames(animation)
        ]
    assert len(frames) == EVALUATIONS + 1
    photo = photo_pixels(content).mean(axis=2)
    last = np.asarray(painting.renditions[STYLED]).astype(float).mean(axis=2)
    # WebP keeps colors at half the size; lightness has to be there in full. It loses some: over
    # pictures, frames differed from their own picture by 0.40 to 0.56 of what they did from the
    # other one.
    first_frame, last_frame = (frames[place].mean(axis=2) for place in (0, -1))
    assert mean_difference(first_frame, photo) < 0.75 * mean_difference(first_frame, last)
    assert mean_difference(last_frame, last) < 0.75 * mean_difference(last_frame, photo)


@pytest.mark.parametrize(
    "changes",
    [
        {"brush_size": 0.5},
        {"brush_size": 2.0},
        {"start": Start.NOISE},
        {"smoothness": 1.0},
        {"advanced": AdvancedSettings(evaluations=10, pooling=Pooling.AVERAGE)},
    ],
)
@pytest.mark.parametrize("size", [(16, 16), (640, 32)])
def test_odd_pictures_can_be_painted_with_every_setting(
    painter: Painter, changes: dict[str, Any], size: tuple[int, int]
) -> None:
    gray = Image.new("L", size, 128)
    advanced = changes.get("advanced", AdvancedSettings(evaluations=10))
    settings = Settings(
        long_edge_px=320 if size == (640, 32) else 64,
        effort=Effort.DRAFT,
        renditions=RENDITIONS,
        **(changes | {"advanced": advanced}),
    )

    painting = painter.paint(gray, [gray], settings, masks=[Image.new("L", size, 200)])

    assert set(painting.renditions) == set(Rendition)


def test_a_painting_with_every_setting_is_repeatable_bit_for_bit(
    painter: Painter, content: Image.Image
) -> None:
    def paint_with_seed(seed: int) -> PaintResult:
        return paint(
            painter,
            content,
            [checks(8), stripes(), blots()],
            [half_mask("left"), half_mask("right"), None],
            renditions=RENDITIONS,
            seed=seed,
            style_weights=(2.0, 1.0, 0.5),
            brush_size=1.4,
            smoothness=0.8,
            start=Start.NOISE,
            color_map=ColorMap.CHOLESKY,
            animation=True,
            advanced=AdvancedSettings(
                content_weight=0.3,
                smoothness_weight=1.0,
                style_layers=(("relu1_1", 1.0), ("relu3_2", 2.0), ("relu5_1", 0.5)),
                content_layer="relu3_4",
                pooling=Pooling.AVERAGE,
                evaluations=12,
            ),
        )

    first, second, other = paint_with_seed(1), paint_with_seed(1), paint_with_seed(2)
    assert first.renditions == second.renditions
    assert first.animation == second.animation
    assert first.renditions != other.renditions


@pytest.mark.parametrize("backbone", [Backbone.COMPACT, Backbone.AUTO])
def test_the_method_changes_the_picture(
    painter: Painter, content: Image.Image, style: Image.Image, backbone: Backbone
) -> None:
    settings = Settings(
        long_edge_px=80,
        effort=Effort.DRAFT,
        backbone=backbone,
        advanced=AdvancedSettings(evaluations=EVALUATIONS),
    )
    matched, averaged = (
        np.asarray(
            painter.paint(content, [style], replace(settings, method=method)).renditions[STYLED]
        ).astype(float)
        for method in (Method.MATCHING, Method.STATISTICS)
    )

    # In 8-bit steps.
    assert mean_difference(matched, averaged) > 5


@pytest.mark.parametrize("rendition", RENDITIONS)
def test_matching_is_the_same_again_and_differs_by_seed(
    painter: Painter, content: Image.Image, style: Image.Image, rendition: Rendition
) -> None:
    first, again, other = (
        np.asarray(
            paint(painter, content, [style], seed=seed, renditions=(rendition,)).renditions[
                rendition
            ]
        )
        for seed in (0, 0, 1)
    )

    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_the_photo_s_colors_that_the_style_has_not_are_left_out(
    painter: Painter, content: Image.Image, style: Image.Image
) -> None:
    gray = style.convert("L").convert("RGB")

    pixels = paint_styled(painter, content, [gray], backbone=Backbone.AUTO)

    def saturation(image: np.ndarray) -> float:
        return float((image.max(axis=2) - image.min(axis=2)).mean())

    assert saturation(pixels) < 0.2 * saturation(photo_pixels(content))
