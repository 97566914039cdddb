from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load

from transfer.engine import BasePainting, Painter
from transfer.errors import (
    BasePaintingUnusable,
    Cancelled,
    CheckpointUnusable,
    InvalidSetting,
    TransferError,
)
from transfer.imaging.calm_chroma import calm_chroma
from transfer.imaging.images import to_image
from transfer.pipeline.base_painting import base_image
from transfer.pipeline.progress import Progress
from transfer.settings import AdvancedSettings, Backbone, Method, Rendition, Settings

SMALL = Settings(
    long_edge_px=80, backbone=Backbone.COMPACT, advanced=AdvancedSettings(evaluations=24)
)
LARGE = replace(SMALL, long_edge_px=160)


@pytest.fixture
def base(painter: Painter, content: Image.Image, style: Image.Image) -> BasePainting:
    states: list[bytes] = []
    painted = painter.paint(content, [style], SMALL, on_state=states.append)
    (state,) = states
    return BasePainting(painted.renditions[Rendition.STYLED], state)


class Stopped(Cancelled):
    """A painting was stopped half way, at this checkpoint."""

    def __init__(self, checkpoint: bytes) -> None:
        super().__init__("enough")
        self.checkpoint = checkpoint


def stop_half_way(progress: Progress) -> None:
    if progress.fraction > 0.5:
        raise Stopped(progress.checkpoint())


def difference(first: Image.Image, second: Image.Image) -> float:
    left, right = (np.asarray(image, dtype=float) / 255 for image in (first, second))
    return float(np.abs(left - right).mean())


def test_a_continued_painting_equals_one_that_never_stopped(
    painter: Painter, content: Image.Image, style: Image.Image
) -> None:
    """Paintings of one level are compared: in two runs and in one."""
    settings = replace(SMALL, method=Method.STATISTICS)
    losses: list[float] = []
    states: list[bytes] = []

    def on_progress(progress: Progress) -> None:
        losses.append(progress.loss)

    first = painter.paint(content, [style], settings, on_progress, on_state=states.append)
    base = BasePainting(first.renditions[Rendition.STYLED], states[0])
    painter.paint(content, [style], settings, on_progress, base=base)
    losses_of_two_runs = losses.copy()
    losses.clear()
    once = replace(settings, advanced=AdvancedSettings(evaluations=47))
    painter.paint(content, [style], once, on_progress)

    # The last evaluation of the first is the first of the second.
    assert losses_of_two_runs[23] == losses_of_two_runs[24]
    assert losses_of_two_runs[:24] + losses_of_two_runs[25:] == losses


@pytest.mark.parametrize("method", Method)
@pytest.mark.parametrize("evaluations", [12, 60])
def test_a_painting_is_continued_from_its_last_loss_however_long_it_was_painted(
    painter: Painter, content: Image.Image, style: Image.Image, evaluations: int, method: Method
) -> None:
    settings = replace(SMALL, method=method)
    states: list[bytes] = []
    losses: list[float] = []
    before = replace(settings, advanced=AdvancedSettings(evaluations=evaluations))
    first = painter.paint(
        content,
        [style],
        before,
        lambda progress: losses.append(progress.loss),
        on_state=states.append,
    )
    end = losses[-1]
    losses.clear()
    base = BasePainting(first.renditions[Rendition.STYLED], states[0])
    painter.paint(
        content, [style], settings, lambda progress: losses.append(progress.loss), base=base
    )

    assert losses[0] == end


def test_the_state_holds_the_image_and_the_painting_shows_its_calm_image(
    base: BasePainting,
) -> None:
    assert base.state is not None
    tensors = load(base.state)
    image = tensors.get("optimizer.best", tensors["image"])

    # A step goes by after the last evaluation that the state holds.
    seen, held = to_image(calm_chroma(image)), to_image(image)
    assert difference(seen, base.image) < difference(held, base.image)


@pytest.mark.parametrize("settings", [SMALL, LARGE])
def test_without_its_state_a_painting_begins_with_what_was_seen(
    painter: Painter,
    base: BasePainting,
    content: Image.Image,
    style: Image.Image,
    settings: Settings,
) -> None:
    starts: list[torch.Tensor] = []
    painter.paint(
        content,
        [style],
        settings,
        lambda progress: starts.append(progress.position.image),
        base=BasePainting(base.image),
    )

    height, width = starts[0].shape[2:]
    assert torch.equal(starts[0], base_image(base, 3, height, width))


def test_an_interrupted_continuation_resumes_without_the_base_state_too(
    painter: Painter, base: BasePainting, content: Image.Image, style: Image.Image
) -> None:
    """The state may have been deleted meanwhile; the checkpoint has all that is needed."""
    whole = painter.paint(content, [style], SMALL, base=base)
    with pytest.raises(Stopped) as stopped:
        painter.paint(content, [style], SMALL, stop_half_way, base=base)

    for resumed_base in (base, BasePainting(base.image)):
        rest = painter.paint(
            content, [style], SMALL, base=resumed_base, checkpoint=stopped.value.checkpoint
        )
        assert rest.renditions == whole.renditions


def test_without_its_state_a_painting_is_continued_from_the_image(
    painter: Painter, base: BasePainting, content: Image.Image, style: Image.Image
) -> None:
    losses: list[float] = []
    painted = painter.paint(
        content,
        [style],
        SMALL,
        lambda progress: losses.append(progress.loss),
        base=BasePainting(base.image),
    )

    assert losses[-1] < losses[0]
    assert difference(painted.renditions[Rendition.STYLED], base.image) < 0.1


def test_an_enlargement_keeps_the_composition_and_paints_only_larger_levels(
    painter: Painter, base: BasePainting, content: Image.Image, style: Image.Image
) -> None:
    sizes: list[int] = []
    large = painter.paint(
        content,
        [style],
        LARGE,
        lambda progress: sizes.append(progress.long_edge_px),
        base=BasePainting(base.image),
    ).renditions[Rendition.STYLED]

    assert set(sizes) == {160}
    assert large.size == (160, 120)
    # Photo and painting are 0.2 apart.
    assert difference(large.resize((80, 60), Image.Resampling.LANCZOS), base.image) < 0.08


def test_the_state_is_refused_at_a_larger_size(
    painter: Painter, base: BasePainting, content: Image.Image, style: Image.Image
) -> None:
    with pytest.raises(CheckpointUnusable, match="other pictures or settings"):
        painter.paint(content, [style], LARGE, base=base)


def test_a_base_painting_leads_to_all_renditions(
    painter: Painter, base: BasePainting, content: Image.Image, style: Image.Image
) -> None:
    settings = replace(SMALL, renditions=tuple(Rendition))
    painted = painter.paint(content, [style], settings, base=BasePainting(base.image))

    assert set(painted.renditions) == set(Rendition)
    for one, other in pairwise(painted.renditions.values()):
        assert difference(one, other) > 0.01


@pytest.mark.parametrize("first", [Rendition.HISTOGRAM, Rendition.LUMINANCE])
def test_a_rendition_in_the_colors_of_the_photo_can_be_continued(
    painter: Painter, content: Image.Image, style: Image.Image, first: Rendition
) -> None:
    settings = replace(SMALL, renditions=(first,))
    states: list[bytes] = []
    image = painter.paint(content, [style], settings, on_state=states.append).renditions[first]

    for base in (BasePainting(image), BasePainting(image, states[0])):
        painted = painter.paint(content, [style], settings, base=base)
        assert 0.0 < difference(painted.renditions[first], image) < 0.1


def test_an_interrupted_enlargement_resumes_with_its_own_base_only(
    painter: Painter, base: BasePainting, content: Image.Image, style: Image.Image
) -> None:
    image = BasePainting(base.image)
    whole = painter.paint(content, [style], LARGE, base=image)
    with pytest.raises(Stopped) as stopped:
        painter.paint(content, [style], LARGE, stop_half_way, base=image)
    rest = painter.paint(content, [style], LARGE, base=image, checkpoint=stopped.value.checkpoint)

    assert rest.renditions == whole.renditions
    for other in (None, BasePainting(content)):
        with pytest.raises(CheckpointUnusable, match="other pictures or settings"):
            painter.paint(content, [style], LARGE, base=other, checkpoint=stopped.value.checkpoint)


@pytest.mark.parametrize(
    ("size", "settings", "error", "words"),
    [
        ((80, 80), SMALL, BasePaintingUnusable, "80 x 60 px at its size, not 80 x 80 px"),
        ((60, 80), SMALL, BasePaintingUnusable, "60 x 80 px"),
        ((160, 120), SMALL, InvalidSetting, "at least the 160 px of the earlier painting"),
    ],
)
def test_a_base_painting_that_does_not_fit_is_refused(
    painter: Painter,
    content: Image.Image,
    style: Image.Image,
    size: tuple[int, int],
    settings: Settings,
    error: type[TransferError],
    words: str,
) -> None:
    with pytest.raises(error, match=words):
        painter.paint(content, [style], settings, base=BasePainting(Image.new("RGB", size)))


def test_a_state_of_other_settings_is_refused(
    painter: Painter, base: BasePainting, content: Image.Image, style: Image.Image
) -> None:
    with pytest.raises(CheckpointUnusable, match="other pictures or settings"):
        painter.paint(content, [style], replace(SMALL, strength=0.9), base=base)


def test_the_state_is_reported_once_and_after_the_first_rendition(
    painter: Painter, content: Image.Image, style: Image.Image
) -> None:
    events: list[str] = []
    painter.paint(
        content,
        [style],
        replace(SMALL, renditions=(Rendition.STYLED, Rendition.HISTOGRAM)),
        on_rendition=lambda kind, _: events.append(kind.value),
        on_state=lambda _: events.append("state"),
    )
    assert events == ["styled", "state", "histogram"]
