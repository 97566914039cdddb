import io
import weakref
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from transfer.imaging.animation import Recorder, mux
from transfer.settings import ANIMATION_EDGE_MAX_PX, ANIMATION_FRAMES_MAX


def flat(value: int, height: int = 30, width: int = 40) -> Image.Image:
    return Image.new("RGB", (width, height), (value, value, value))


def still(image: Image.Image) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "WEBP", quality=90)
    return stream.getvalue()


def read_animation(data: bytes) -> tuple[Image.Image, list[int], list[int]]:
    """The animation, and the gray of each frame's center and its duration."""
    image = Image.open(io.BytesIO(data))
    grays: list[int] = []
    durations_ms: list[int] = []
    for number in range(getattr(image, "n_frames", 1)):
        image.seek(number)
        grays.append(
            image.convert("L").tobytes()[image.height // 2 * image.width + image.width // 2]
        )
        durations_ms.append(image.info["duration"])
    return image, grays, durations_ms


def flat_renderer(value: int) -> Callable[[int, int], Image.Image]:
    return lambda height, width: flat(value, height, width)


def recorded(evaluations: int, offered: int | None = None) -> Recorder:
    recorder = Recorder(evaluations, 30, 40)
    for evaluation in range(1, (offered or evaluations) + 1):
        recorder.record_if_due(evaluation, flat_renderer(evaluation % 256))
    return recorder


@pytest.mark.parametrize("size", [(30, 40), (31, 41), (1, 1), (512, 16)])
def test_joined_frames_are_read_by_pillow(size: tuple[int, int]) -> None:
    values = [10, 90, 200]
    frames = [still(flat(value, *size)) for value in values]

    image, grays, durations_ms = read_animation(mux(frames, [50, 60, 70], *size))

    assert image.format == "WEBP"
    assert getattr(image, "is_animated", False)
    assert image.size == (size[1], size[0])
    assert image.info["loop"] == 0
    assert np.allclose(grays, values, atol=3)
    assert durations_ms == [50, 60, 70]


@pytest.mark.parametrize("evaluations", [1, 7, 59, 60, 61, 200, 1000])
def test_frames_are_spread_evenly_and_never_too_many(evaluations: int) -> None:
    recorder = recorded(evaluations)
    recorder.close(flat(255))

    _, grays, durations_ms = read_animation(recorder.to_bytes())

    assert len(grays) == min(evaluations, ANIMATION_FRAMES_MAX - 1) + 1
    assert grays[-1] >= 253
    assert durations_ms[-1] > 10 * durations_ms[0]
    if evaluations == 200:
        steps = np.diff(grays[:-1])
        assert steps.min() > 0
        assert steps.max() < 3 * 200 / ANIMATION_FRAMES_MAX


def test_frames_are_made_only_when_they_are_due() -> None:
    recorder = recorded(600)

    recorder.record_if_due(
        600, lambda height, width: pytest.fail("there is one for this place already")
    )


def test_an_interrupted_recording_goes_on() -> None:
    whole = recorded(120)
    begun = recorded(120, offered=50)
    rest = Recorder(120, 30, 40, begun.frames)
    for evaluation in range(51, 121):
        rest.record_if_due(evaluation, flat_renderer(evaluation))

    assert rest.frames == whole.frames


def test_frames_are_small_and_alike_in_size() -> None:
    recorder = Recorder(4, 1000, 3000)
    sizes = []

    def shown(height: int, width: int) -> Image.Image:
        sizes.append((height, width))
        return flat(100, height, width)

    for evaluation in range(1, 5):
        recorder.record_if_due(evaluation, shown)
    recorder.close(flat(100, 1000, 3000))

    image, grays, _ = read_animation(recorder.to_bytes())
    assert sizes == [(171, ANIMATION_EDGE_MAX_PX)] * 4
    assert image.size == (ANIMATION_EDGE_MAX_PX, 171)
    assert len(grays) == 5


def test_no_frame_is_held_as_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[weakref.ref[Image.Image]] = []

    def show(height: int, width: int) -> Image.Image:
        assert not any(image() for image in shown)
        image = flat(len(shown), height, width)
        shown.append(weakref.ref(image))
        return image

    recorder = Recorder(ANIMATION_FRAMES_MAX, 300, 400)
    for evaluation in range(1, ANIMATION_FRAMES_MAX + 1):
        recorder.record_if_due(evaluation, show)
    recorder.close(flat(255, 300, 400))
    monkeypatch.setattr(Image, "open", lambda *_: pytest.fail("frames are joined undecoded"))
    data = recorder.to_bytes()

    assert len(shown) == ANIMATION_FRAMES_MAX - 1
    assert not any(image() for image in shown)
    assert len(data) < sum(map(len, recorder.frames.values())) + 100 * ANIMATION_FRAMES_MAX
