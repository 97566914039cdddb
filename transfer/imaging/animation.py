"""How a painting came about, as an animated WebP that is never held as pixels."""

import io
from collections.abc import Callable, Mapping, Sequence

from PIL import Image

from transfer.imaging.images import fit_size
from transfer.settings import ANIMATION_EDGE_MAX_PX, ANIMATION_FRAMES_MAX

_FRAME_MS = 80
_LAST_FRAME_MS = 2500
"""The finished picture stays for a look before it all begins again."""
_QUALITY = 75
_METHOD = 2
"""Of 0 to 6; 11 ms for a frame of 512 px, where 4 takes 23 ms for 2 % less."""

_ANIMATION_FLAG = 0x02
_NO_BLENDING = 0x02
_BACKGROUND = b"\xff\xff\xff\xff"
_FOREVER = 0


class Recorder:
    """Takes frames while a rendition is painted, evenly over its evaluations.

    Each frame is encoded at once, at no more than `ANIMATION_EDGE_MAX_PX`, and joined to the
    others as it is: what is kept in memory is as large as the finished file. Evenly over
    evaluations, not over time: most of the time goes into the last scale, where the least is to be
    seen.

    Args:
        evaluations: planned for the rendition.
        height: of the painting.
        width: of the painting.
        frames: taken before an interruption, by place.
    """

    def __init__(
        self, evaluations: int, height: int, width: int, frames: Mapping[int, bytes] | None = None
    ) -> None:
        self._evaluations = evaluations
        self._height, self._width = fit_size(
            height, width, min(ANIMATION_EDGE_MAX_PX, max(height, width))
        )
        self._frames = dict(frames or {})

    @property
    def frames(self) -> dict[int, bytes]:
        """What was taken so far: WebP files by place, from 0 to `ANIMATION_FRAMES_MAX` - 1."""
        return dict(self._frames)

    def record_if_due(self, evaluation: int, shown: Callable[[int, int], Image.Image]) -> None:
        """Take a frame if one is due.

        Args:
            evaluation: its number, from 1.
            shown: the image at a height and width; called only if it is wanted.
        """
        place = (evaluation - 1) * (ANIMATION_FRAMES_MAX - 1) // self._evaluations
        if place not in self._frames:
            self._frames[place] = _encode(shown(self._height, self._width))

    def close(self, finished: Image.Image) -> None:
        """Take the finished picture as the last frame."""
        size = (self._width, self._height)
        small = finished.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)
        self._frames[ANIMATION_FRAMES_MAX - 1] = _encode(small)

    def to_bytes(self) -> bytes:
        """The animation as a WebP file that repeats forever."""
        frames = [frame for _, frame in sorted(self._frames.items())]
        durations_ms = [_FRAME_MS] * (len(frames) - 1) + [_LAST_FRAME_MS]
        return mux(frames, durations_ms, self._height, self._width)


def mux(frames: Sequence[bytes], durations_ms: Sequence[int], height: int, width: int) -> bytes:
    """An animated WebP from still ones, without decoding any (RFC 9649, section 2).

    Args:
        frames: WebP files without transparency or metadata, all of this size.
        durations_ms: how long each is shown.
        height: of all of them.
        width: of all of them.
    """
    size = _uint24(width - 1) + _uint24(height - 1)
    chunks = [
        _chunk(b"VP8X", bytes([_ANIMATION_FLAG, 0, 0, 0]) + size),
        _chunk(b"ANIM", _BACKGROUND + _FOREVER.to_bytes(2, "little")),
    ]
    for frame, duration_ms in zip(frames, durations_ms, strict=True):
        corner = _uint24(0) + _uint24(0)
        header = corner + size + _uint24(duration_ms) + bytes([_NO_BLENDING])
        # A still file is "RIFF", its size, "WEBP", and then the chunk with the picture.
        chunks.append(_chunk(b"ANMF", header + frame[12:]))
    body = b"WEBP" + b"".join(chunks)
    return b"RIFF" + len(body).to_bytes(4, "little") + body


def _encode(image: Image.Image) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "WEBP", quality=_QUALITY, method=_METHOD)
    return stream.getvalue()


def _chunk(name: bytes, payload: bytes) -> bytes:
    padding = b"\0" * (len(payload) % 2)
    return name + len(payload).to_bytes(4, "little") + payload + padding


def _uint24(number: int) -> bytes:
    return number.to_bytes(3, "little")
