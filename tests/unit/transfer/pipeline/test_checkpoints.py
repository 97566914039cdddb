import hashlib
import io
import json
from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageSequence
from safetensors.torch import load

from tests.seeds import seeded
from transfer.engine import Painter, Progress
from transfer.errors import Cancelled, CheckpointUnusable
from transfer.imaging.masks import Region
from transfer.optim.adam import AdamState
from transfer.optim.iterate import Best
from transfer.optim.lbfgs import LbfgsState
from transfer.optim.stored_vectors import CurvaturePair, Fp16Vector
from transfer.pipeline import checkpoints
from transfer.pipeline.checkpoints import (
    Checkpoint,
    fingerprint,
    optimizer_fingerprint,
    settings_as_json,
)
from transfer.planning.pyramid import Level
from transfer.settings import (
    AdvancedSettings,
    Backbone,
    ColorMap,
    Effort,
    Method,
    Pooling,
    Rendition,
    Settings,
    Start,
)

SETTINGS = Settings(
    long_edge_px=64,
    effort=Effort.DRAFT,
    backbone=Backbone.COMPACT,
    renditions=tuple(Rendition),
)


def pictures() -> tuple[Image.Image, Image.Image]:
    # Smooth waves and a checkerboard: something to keep, something to imitate.
    y, x = np.mgrid[0:64, 0:64] / 64.0
    waves = np.stack([x, y, 0.5 + 0.5 * np.sin(9 * x)], axis=2)
    checks = np.stack([(8 * x).astype(int) % 2, (8 * y).astype(int) % 2, 1 - x], axis=2)
    photo, style = (Image.fromarray((255 * p).astype(np.uint8)) for p in (waves, checks))
    return photo, style


def stopped_at(
    painter: Painter,
    fraction: float,
    settings: Settings = SETTINGS,
    masks: Sequence[Image.Image | None] = (),
) -> tuple[bytes, list[Rendition]]:
    """Stop a painting; return its checkpoint, and the renditions that it had finished."""
    content, style = pictures()
    taken: list[bytes] = []
    finished: list[Rendition] = []

    def stop(progress: Progress) -> None:
        if progress.fraction >= fraction:
            taken.append(progress.checkpoint())
            raise Cancelled("enough")

    with pytest.raises(Cancelled):
        painter.paint(
            content,
            [style],
            settings,
            stop,
            masks=masks,
            on_rendition=lambda kind, _: finished.append(kind),
        )
    return taken[0], finished


@pytest.mark.parametrize("fraction", [0.1, 0.5, 0.95])
def test_a_resumed_painting_equals_one_that_never_stopped(
    painter: Painter, fraction: float
) -> None:
    content, style = pictures()
    whole = painter.paint(content, [style], SETTINGS)
    checkpoint, before = stopped_at(painter, fraction)
    after: list[Rendition] = []
    fractions: list[float] = []
    rest = painter.paint(
        content,
        [style],
        SETTINGS,
        lambda progress: fractions.append(progress.fraction),
        on_rendition=lambda kind, _: after.append(kind),
        checkpoint=checkpoint,
    )
    assert fractions[0] == pytest.approx(fraction, abs=0.06)
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0
    assert [*before, *after] == list(Rendition)
    assert set(rest.renditions) == set(Rendition)
    assert rest.evaluations < whole.evaluations
    for kind in Rendition:
        assert rest.renditions[kind].tobytes() == whole.renditions[kind].tobytes()


def test_a_painting_resumed_without_optimizer_state_is_the_same_to_the_eye(
    painter: Painter,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    content, style = pictures()
    whole = painter.paint(content, [style], SETTINGS).renditions[Rendition.STYLED]
    monkeypatch.setattr(checkpoints, "STORED_HISTORY_MAX_BYTES", 1000)
    checkpoint, _ = stopped_at(painter, 0.5)

    rest = painter.paint(content, [style], SETTINGS, checkpoint=checkpoint).renditions[
        Rendition.STYLED
    ]

    difference = np.abs(np.asarray(whole, dtype=float) - np.asarray(rest, dtype=float)) / 255
    # The photo and the style are 0.4 apart.
    assert 0.0 < difference.mean() < 0.15


def test_a_checkpoint_survives_a_round_trip_through_bytes(generator: torch.Generator) -> None:
    image = torch.rand(1, 3, 5, 7, generator=generator)
    done = {Rendition.STYLED: Image.fromarray(np.arange(60, dtype=np.uint8).reshape(4, 5, 3))}
    frames = {0: b"first", 17: b"\x00second"}
    stored = Checkpoint("id", 1, 2, 3, image, done, frames, multiplier=1.0 / 3.0)
    read = Checkpoint.from_bytes(stored.to_bytes(), "id")
    assert (read.rendition, read.level, read.evaluations) == (1, 2, 3)
    assert torch.equal(read.image, image)
    assert read.finished[Rendition.STYLED].tobytes() == done[Rendition.STYLED].tobytes()
    assert read.frames == frames
    assert read.multiplier == stored.multiplier
    assert read.optimizer_state is None


@pytest.mark.parametrize("is_best", [True, False])
def test_the_optimizer_state_survives_a_round_trip_through_bytes(
    generator: torch.Generator, is_best: bool
) -> None:
    """The smallest difference would grow over the evaluations that follow."""
    image = torch.rand(1, 3, 5, 7, generator=generator)
    pairs = tuple(
        CurvaturePair(
            Fp16Vector.of(torch.randn(1, 3, 5, 7, generator=generator)),
            Fp16Vector.of(1e-9 * torch.randn(1, 3, 5, 7, generator=generator)),
            torch.tensor(1.0 / 3.0),
            torch.tensor(1e-20),
        )
        for _ in range(2)
    )
    best = None if is_best else Best(image + 1, 0.1)
    stored = Checkpoint(
        "id", 0, 0, 1, image, {}, optimizer_state=LbfgsState(pairs, 0.1, best, (3.5, 1.0 / 3.0))
    )

    read = Checkpoint.from_bytes(stored.to_bytes(), "id").optimizer_state

    assert isinstance(read, LbfgsState)
    assert read.first_step_rms == 0.1
    assert read.lows == (3.5, 1.0 / 3.0)
    assert len(read.pairs) == 2
    for pair, same in zip(pairs, read.pairs, strict=True):
        for vector, other in ((pair.step, same.step), (pair.change, same.change)):
            assert torch.equal(vector.values, other.values)
            assert torch.equal(vector.scale, other.scale)
        assert torch.equal(same.inverse, pair.inverse)
        assert torch.equal(same.square, pair.square)
    if best is None:
        assert read.best is None
    else:
        assert read.best is not None
        assert torch.equal(read.best.image, best.image)
        assert read.best.loss == 0.1


def test_a_checkpoint_is_a_safetensors_file(generator: torch.Generator) -> None:
    """The library that the format comes from reads a checkpoint."""
    done = {Rendition.STYLED: Image.fromarray(np.arange(60, dtype=np.uint8).reshape(4, 5, 3))}
    step, change = torch.randn(2, 9, generator=generator)
    pair = CurvaturePair(Fp16Vector.of(step), Fp16Vector.of(change), torch.ones(()), torch.ones(()))
    image = torch.rand(1, 3, 5, 7, generator=generator)
    stored = Checkpoint(
        "id", 0, 0, 1, image, done, {7: b"frame"}, optimizer_state=LbfgsState((pair,))
    )

    tensors = load(stored.to_bytes())

    assert torch.equal(tensors["image"], image)
    assert torch.equal(tensors["optimizer.step.0"], pair.step.values)
    assert tensors["frame.7"].numpy().tobytes() == b"frame"
    assert tensors["finished.styled"].shape == (4, 5, 3)


def some_bytes() -> bytes:
    return Checkpoint("id", 0, 0, 1, torch.zeros(1, 3, 4, 4), {}).to_bytes()


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        pytest.param(b"", "damaged", id="empty"),
        pytest.param(b"\x05\0\0\0\0\0\0\0{}{}{", "damaged", id="no header"),
        pytest.param(some_bytes()[:-9], "damaged", id="cut off"),
        pytest.param(some_bytes().replace(b'"id"', b'"no"'), "other pictures", id="foreign"),
        pytest.param(
            Checkpoint("id", 0, 0, 1, torch.full((1, 3, 4, 4), torch.nan), {}).to_bytes(),
            "no numbers",
            id="NaN",
        ),
    ],
)
def test_an_unusable_checkpoint_is_refused_with_the_reason(data: bytes, reason: str) -> None:
    with pytest.raises(CheckpointUnusable, match=reason):
        Checkpoint.from_bytes(data, "id")


def test_a_checkpoint_of_the_previous_format_is_of_another_version() -> None:
    """The worker then paints from the beginning, and logs this sentence."""
    stored = some_bytes().replace(b"pic2paint-checkpoint-5", b"pic2paint-checkpoint-4")

    with pytest.raises(CheckpointUnusable) as caught:
        Checkpoint.from_bytes(stored, "id")

    assert str(caught.value) == (
        "The checkpoint cannot be used: it was written by another version."
        " Paint from the beginning."
    )


def test_the_state_of_adam_is_stored_exactly() -> None:
    image = torch.rand(1, 3, 9, 8, generator=seeded(2))
    first = tuple(torch.rand(1, 3, size, size, generator=seeded(size)) for size in (9, 5))
    second = tuple(band.square() for band in first)
    stored = Checkpoint("id", 0, 1, 4, image, {}, optimizer_state=AdamState(4, first, second))

    read = Checkpoint.from_bytes(stored.to_bytes(), "id").optimizer_state

    assert isinstance(read, AdamState)
    assert read.steps == 4
    for before, after in ((first, read.first), (second, read.second)):
        assert len(before) == len(after)
        assert all(map(torch.equal, before, after))


def test_a_state_of_another_optimizer_cannot_be_stored() -> None:
    class Other:
        best = None

    stored = Checkpoint("id", 0, 1, 4, torch.zeros(1, 3, 9, 8), {}, optimizer_state=Other())

    with pytest.raises(TypeError, match="Other cannot be stored"):
        stored.to_bytes()


PINNED_SETTINGS = Settings(
    style_weights=(1.0, 0.5),
    renditions=(Rendition.HISTOGRAM, Rendition.STYLED),
    advanced=AdvancedSettings(
        style_layers=(("relu4_1", 2.0),), content_layer="relu3_1", evaluations=40
    ),
)
PINNED_JSON = (
    '"settings": {"animation": false, "backbone": "auto", "brush_size": 1.0,'
    ' "color_map": "symmetric", "content_layer": "relu3_1", "content_weight": null,'
    ' "effort": "standard", "evaluations": 40, "keep_faces": 0.5, "long_edge_px": 512,'
    ' "method": "matching", "pooling": "max",'
    ' "renditions": ["histogram", "styled"], "seed": 0, "smoothness": 0.5,'
    ' "smoothness_weight": null, "start": "recolored", "strength": 0.5,'
    ' "style_layers": [["relu4_1", 2.0]], "style_weights": [1.0, 0.5]}'
)
PINNED_OPTIMIZER_JSON = (
    '"settings": {"backbone": "auto", "brush_size": 1.0, "color_map": "symmetric",'
    ' "content_layer": "relu3_1", "content_weight": null, "keep_faces": 0.5,'
    ' "long_edge_px": 512, "method": "matching", "pooling": "max",'
    ' "renditions": ["histogram"], "smoothness": 0.5, "smoothness_weight": null, "strength": 0.5,'
    ' "style_layers": [["relu4_1", 2.0]], "style_weights": [1.0, 0.5]}'
)


def test_the_fingerprints_cover_this_json() -> None:
    """A fingerprint that differs in one byte makes every stored checkpoint useless."""
    photo, guide = torch.full((1, 3, 2, 4), 0.5), torch.ones(1, 1, 2, 4)
    styles = torch.zeros(1, 3, 3, 3), torch.ones(1, 3, 5, 3)
    regions = (Region(styles[:1], None, guide), Region(styles[1:], None, None))
    plans = {Rendition.HISTOGRAM: (Level("compact", 2, 4, 40),), Rendition.STYLED: ()}
    sha256 = [
        hashlib.sha256(np.full(count, value, dtype="<f4").tobytes()).hexdigest()
        for count, value in ((3 * 2 * 4, 0.5), (3 * 3 * 3, 0.0), (3 * 5 * 3, 1.0), (2 * 4, 1.0))
    ]
    photo_json = f'"photo": {{"sha256": "{sha256[0]}", "shape": [1, 3, 2, 4]}}'
    regions_json = (
        f'"regions": [{{"guide": {{"sha256": "{sha256[3]}", "shape": [1, 1, 2, 4]}},'
        f' "styles": [{{"sha256": "{sha256[1]}", "shape": [1, 3, 3, 3]}}]}},'
        f' {{"guide": null, "styles": [{{"sha256": "{sha256[2]}", "shape": [1, 3, 5, 3]}}]}}]'
    )
    plan_json = (
        '"plan": [{"rendition": "histogram", "steps":'
        ' [{"backbone": "compact", "evaluations": 40, "height": 2, "stage": "statistics",'
        ' "width": 4}]},'
        ' {"rendition": "styled", "steps": []}]'
    )
    whole = ", ".join([photo_json, plan_json, '"proof": "abc"', regions_json, PINNED_JSON])
    last_json = '"last": {"backbone": "compact", "height": 2, "stage": "statistics", "width": 4}'
    optimizer = ", ".join([last_json, photo_json, regions_json, PINNED_OPTIMIZER_JSON])

    whole_hash = fingerprint(PINNED_SETTINGS, plans, photo, regions, "abc")
    optimizer_hash = optimizer_fingerprint(
        PINNED_SETTINGS, Level("compact", 2, 4, 40), photo, regions
    )

    assert f'"settings": {json.dumps(settings_as_json(PINNED_SETTINGS), sort_keys=True)}' == (
        PINNED_JSON
    )
    assert whole_hash == hashlib.sha256(f"{{{whole}}}".encode()).hexdigest()
    assert optimizer_hash == hashlib.sha256(f"{{{optimizer}}}".encode()).hexdigest()


OTHER_SETTINGS: dict[str, Any] = {
    "long_edge_px": 513,
    "strength": 0.6,
    "effort": Effort.DRAFT,
    "backbone": Backbone.COMPACT,
    "method": Method.STATISTICS,
    "renditions": (Rendition.LUMINANCE,),
    "seed": 1,
    "style_weights": (2.0,),
    "brush_size": 1.5,
    "smoothness": 0.6,
    "keep_faces": 0.6,
    "start": Start.NOISE,
    "color_map": ColorMap.PCA,
    "animation": True,
}
OTHER_ADVANCED: dict[str, Any] = {
    "content_weight": 0.3,
    "smoothness_weight": 0.3,
    "style_layers": (("relu1_1", 1.0),),
    "content_layer": "relu3_1",
    "pooling": Pooling.AVERAGE,
    "evaluations": 50,
}


def test_the_fingerprint_covers_every_field_of_the_settings() -> None:
    assert {field.name for field in fields(Settings)} == {*OTHER_SETTINGS, "advanced"}
    assert {field.name for field in fields(AdvancedSettings)} == set(OTHER_ADVANCED)
    changed: list[Settings] = [
        *(replace(Settings(), **{name: value}) for name, value in OTHER_SETTINGS.items()),
        *(
            Settings(advanced=AdvancedSettings(**{name: value}))
            for name, value in OTHER_ADVANCED.items()
        ),
    ]

    usual = settings_as_json(Settings())

    assert len(usual) == len(changed)
    for settings in changed:
        # One name for each field: exactly that one changes.
        assert len(settings_as_json(settings).items() ^ usual.items()) == 2, settings


def test_a_checkpoint_fits_only_its_own_painting(painter: Painter) -> None:
    checkpoint, _ = stopped_at(painter, 0.1)
    content, style = pictures()
    with pytest.raises(CheckpointUnusable, match="other pictures or settings"):
        painter.paint(style, [content], SETTINGS, checkpoint=checkpoint)


def half(is_left: bool) -> Image.Image:
    mask = Image.new("L", (64, 64))
    mask.paste(255, (0, 0, 32, 64) if is_left else (32, 0, 64, 64))
    return mask


def test_a_masked_painting_resumes_with_its_own_masks_only(painter: Painter) -> None:
    content, style = pictures()
    few = replace(SETTINGS, advanced=AdvancedSettings(evaluations=12))
    checkpoint, _ = stopped_at(painter, 0.3, few, [half(True)])

    rest = painter.paint(content, [style], few, masks=[half(True)], checkpoint=checkpoint)

    outside = np.asarray(rest.renditions[Rendition.STYLED])[:, 40:]
    assert np.array_equal(outside, np.asarray(content)[:, 40:])
    for masks in ([], [half(False)]):
        with pytest.raises(CheckpointUnusable, match="other pictures or settings"):
            painter.paint(content, [style], few, masks=masks, checkpoint=checkpoint)


@pytest.mark.parametrize(
    "other",
    [
        {"brush_size": 1.5},
        {"smoothness": 0.6},
        {"keep_faces": 0.6},
        {"method": Method.STATISTICS},
        {"animation": True},
        {"advanced": AdvancedSettings(content_weight=0.3)},
    ],
)
def test_a_checkpoint_fits_only_its_own_settings(painter: Painter, other: dict[str, Any]) -> None:
    checkpoint, _ = stopped_at(painter, 0.1)
    content, style = pictures()
    with pytest.raises(CheckpointUnusable, match="other pictures or settings"):
        painter.paint(content, [style], replace(SETTINGS, **other), checkpoint=checkpoint)


@pytest.mark.parametrize("fraction", [0.3, 0.95])
def test_an_animation_keeps_the_frames_from_before(painter: Painter, fraction: float) -> None:
    content, style = pictures()
    # One level: two that follow each other at one size begin and end with the same frame.
    settings = replace(
        SETTINGS,
        method=Method.STATISTICS,
        animation=True,
        advanced=AdvancedSettings(evaluations=20),
    )
    checkpoint, _ = stopped_at(painter, fraction, settings)

    rest = painter.paint(content, [style], settings, checkpoint=checkpoint)

    assert rest.animation is not None
    with Image.open(io.BytesIO(rest.animation)) as animation:
        assert len(ImageSequence.all_frames(animation)) == 20 + 1
