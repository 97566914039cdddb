"""Where a painting stood, as bytes: enough for another process to go on from there."""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from transfer.errors import CheckpointUnusable
from transfer.imaging.masks import Region
from transfer.memory.plan import STORED_HISTORY_MAX_BYTES
from transfer.optim.lbfgs import Best, Iterate, LbfgsState
from transfer.optim.stored_vectors import CurvaturePair, Fp16Vector
from transfer.planning.pyramid import Level
from transfer.settings import Rendition, Settings

FORMAT = "pic2paint-checkpoint-4"
"""Changes whenever an old checkpoint would be misread."""

_CODES = {torch.float32: "F32", torch.float16: "F16", torch.uint8: "U8"}
_DTYPES = {code: dtype for dtype, code in _CODES.items()}


@dataclass(frozen=True)
class Checkpoint:
    """A point on the way of a painting: an image at hand, and what the optimizer knows there.

    Gone on from, it leads to the same painting, bit for bit on the same kind of machine. Without
    the optimizer's memory it is the same only to the eye: L-BFGS learns anew within a few
    evaluations, and comes to rest elsewhere.
    """

    fingerprint: str
    """Of the pictures and settings; see `fingerprint`."""
    rendition: int
    """Place of the rendition at hand in the settings' order."""
    level: int
    """Place of the step at hand in that rendition's plan."""
    evaluations: int
    """Done in that step; with a memory, before that of the image, which is repeated."""
    image: Tensor
    """At the step's size, shape (1, C, H, W), float32."""
    finished: Mapping[Rendition, Image.Image]
    """Renditions that are done."""
    frames: Mapping[int, bytes] = field(default_factory=dict)
    """Of the animation, if there is one, by place; see `animation.Recorder`."""
    multiplier: float = 1.0
    """Of the content, in that step; see `content_penalty.ContentPenalty`."""
    optimizer_state: LbfgsState | None = None
    """Of the optimizer, where it was not too large."""

    def to_bytes(self) -> bytes:
        """As safetensors."""
        position = {
            "format": FORMAT,
            "fingerprint": self.fingerprint,
            "position": json.dumps([self.rendition, self.level, self.evaluations]),
            "multiplier": repr(self.multiplier),
        }
        tensors = {"image": self.image.detach().to("cpu", torch.float32).contiguous()}
        for rendition, image in self.finished.items():
            tensors[f"finished.{rendition.value}"] = torch.from_numpy(np.array(image))
        for place, frame in self.frames.items():
            tensors[f"frame.{place}"] = torch.frombuffer(bytearray(frame), dtype=torch.uint8)
        if self.optimizer_state is not None:
            position["optimizer"] = json.dumps(_numbers_of(self.optimizer_state))
            tensors |= _tensors_of(self.optimizer_state)
        return _written(tensors, position)

    @classmethod
    def from_bytes(
        cls, data: bytes, fingerprint: str, device: torch.device | None = None
    ) -> "Checkpoint":
        """Read what `to_bytes` wrote; the image and the memory on ``device``.

        Raises:
            CheckpointUnusable: if the data is damaged, of another version, or of other pictures or
                settings than ``fingerprint`` says.
        """
        metadata = _metadata(data)
        if metadata.get("format") != FORMAT:
            raise CheckpointUnusable("it was written by another version")
        if metadata.get("fingerprint") != fingerprint:
            raise CheckpointUnusable("it belongs to other pictures or settings")
        try:
            tensors = _read(data)
            on_device = {
                name: tensor.to(device)
                for name, tensor in tensors.items()
                if name.startswith(("image", "optimizer."))
            }
            rendition, level, evaluations = json.loads(metadata["position"])
            finished = {
                Rendition(name.removeprefix("finished.")): Image.fromarray(tensor.numpy())
                for name, tensor in tensors.items()
                if name.startswith("finished.")
            }
            frames = {
                int(name.removeprefix("frame.")): tensor.numpy().tobytes()
                for name, tensor in tensors.items()
                if name.startswith("frame.")
            }
            image, multiplier = on_device["image"], float(metadata["multiplier"])
            numbers = metadata.get("optimizer")
            optimizer_state = None if numbers is None else _memory(json.loads(numbers), on_device)
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise CheckpointUnusable("it is damaged") from error
        if not (torch.isfinite(image).all() and math.isfinite(multiplier)):
            raise CheckpointUnusable("its image holds values that are no numbers")
        return cls(
            fingerprint,
            rendition,
            level,
            evaluations,
            image,
            finished,
            frames,
            multiplier,
            optimizer_state,
        )


def resume_point(found: Iterate, done: int) -> tuple[int, Tensor, LbfgsState | None]:
    """After an evaluation, a checkpoint's `evaluations`, `image` and `optimizer_state`.

    Args:
        found: where the optimizer stands; no more of it is held than a checkpoint keeps.
        done: evaluations of the step before its first.
    """
    evaluations = found.number + done
    if _bytes_of(found.optimizer_state) > STORED_HISTORY_MAX_BYTES:
        # Not the image at hand: one that overshot would cost evaluations to mend.
        return evaluations, found.best, None
    return evaluations - 1, found.image, found.optimizer_state


def _bytes_of(optimizer_state: LbfgsState) -> int:
    return sum(tensor.nbytes for tensor in _tensors_of(optimizer_state).values())


def _tensors_of(optimizer_state: LbfgsState) -> dict[str, Tensor]:
    tensors = {}
    for place, pair in enumerate(optimizer_state.pairs):
        tensors[f"optimizer.step.{place}"] = pair.step.values
        tensors[f"optimizer.change.{place}"] = pair.change.values
    if optimizer_state.best is not None:
        tensors["optimizer.best"] = optimizer_state.best.image
    return tensors


def _numbers_of(optimizer_state: LbfgsState) -> dict[str, Any]:
    scalars = [
        (pair.step.scale, pair.change.scale, pair.inverse, pair.square)
        for pair in optimizer_state.pairs
    ]
    return {
        "first_step_rms": optimizer_state.first_step_rms,
        "lowest_losses": optimizer_state.lows,
        "best_loss": None if optimizer_state.best is None else optimizer_state.best.loss,
        "pairs": [[float(scalar) for scalar in four] for four in scalars],
    }


def _memory(numbers: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> LbfgsState:
    pairs = []
    for place, four in enumerate(numbers["pairs"]):
        steps, changes = tensors[f"optimizer.step.{place}"], tensors[f"optimizer.change.{place}"]
        step_scale, change_scale, inverse, square = torch.tensor(four).to(steps.device).unbind()
        step, change = Fp16Vector(steps, step_scale), Fp16Vector(changes, change_scale)
        pairs.append(CurvaturePair(step, change, inverse, square))
    best = None
    if numbers["best_loss"] is not None:
        best = Best(tensors["optimizer.best"], float(numbers["best_loss"]))
    lows = tuple(float(low) for low in numbers["lowest_losses"])
    return LbfgsState(tuple(pairs), float(numbers["first_step_rms"]), best, lows)


def settings_as_json(settings: Settings) -> dict[str, object]:
    """Return everything in the settings that a fingerprint covers.

    The names are part of the checkpoint's format: when a field gets another name, its name here
    stays, and stored checkpoints go on fitting.
    """
    advanced = settings.advanced
    return {
        "long_edge_px": settings.long_edge_px,
        "strength": settings.strength,
        "effort": settings.effort,
        "backbone": settings.backbone,
        "renditions": settings.renditions,
        "seed": settings.seed,
        "style_weights": settings.style_weights,
        "brush_size": settings.brush_size,
        "smoothness": settings.smoothness,
        "start": settings.start,
        "color_map": settings.color_map,
        "animation": settings.animation,
        "content_weight": advanced.content_weight,
        "smoothness_weight": advanced.smoothness_weight,
        "style_layers": advanced.style_layers,
        "content_layer": advanced.content_layer,
        "pooling": advanced.pooling,
        "evaluations": advanced.evaluations,
    }


def fingerprint(
    settings: Settings,
    plans: Mapping[Rendition, Sequence[Level]],
    photo: Tensor,
    regions: Sequence[Region],
    base: str | None = None,
) -> str:
    """Return the fingerprint of what has to be the same for a checkpoint to fit.

    Args:
        settings: of the painting.
        plans: steps of each rendition, in painting order.
        photo: at the size of the painting.
        regions: its styles.
        base: digest of the earlier painting that it goes on from, if there is one.
    """
    planned = [
        {
            "rendition": rendition,
            "steps": [
                {
                    "backbone": step.backbone,
                    "height": step.height,
                    "width": step.width,
                    "evaluations": step.evaluations,
                }
                for step in steps
            ],
        }
        for rendition, steps in plans.items()
    ]
    covered = {"settings": settings_as_json(settings), "plan": planned, "proof": base}
    return _fingerprint(covered, photo, regions)


def optimizer_fingerprint(
    settings: Settings, last: tuple[str, int, int], photo: Tensor, regions: Sequence[Region]
) -> str:
    """Return the fingerprint of what has to be the same for the optimizer's memory to fit.

    It may be another painting's: how long it is painted, and what else is made of it, may differ.

    Args:
        settings: of the painting.
        last: network, height and width at the end of the first rendition.
        photo: at the size of the painting.
        regions: its styles.
    """
    kept = settings_as_json(settings) | {"renditions": settings.renditions[:1]}
    for name in ("effort", "seed", "start", "animation", "evaluations"):
        del kept[name]
    end = dict(zip(("backbone", "height", "width"), last, strict=True))
    return _fingerprint({"settings": kept, "last": end}, photo, regions)


def _fingerprint(covered: Mapping[str, object], photo: Tensor, regions: Sequence[Region]) -> str:
    """Return the SHA-256 of all this as JSON, hexadecimal."""
    pictures = {
        "photo": _pixels_as_json(photo),
        "regions": [
            {
                "styles": [_pixels_as_json(style) for style in region.styles],
                "guide": None if region.guide is None else _pixels_as_json(region.guide),
            }
            for region in regions
        ],
    }
    text = json.dumps({**covered, **pictures}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _pixels_as_json(picture: Tensor) -> dict[str, object]:
    values = picture.cpu().contiguous().numpy()
    return {"shape": values.shape, "sha256": hashlib.sha256(values.data).hexdigest()}


def _metadata(data: bytes) -> dict[str, str]:
    try:
        metadata: dict[str, str] = _header(data)["__metadata__"]
    except (ValueError, KeyError, TypeError) as error:
        raise CheckpointUnusable("it is damaged") from error
    return metadata


# The format is that of safetensors: 8 bytes of length, a JSON header, the tensors one after the
# other. Its own library ends the process where memory is short (0.8.0), and this is written and
# read most where it is.


def _written(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> bytes:
    header: dict[str, object] = {"__metadata__": metadata}
    parts, end = [], 0
    for name, tensor in tensors.items():
        part = tensor.detach().cpu().contiguous()
        begin, end = end, end + part.nbytes
        header[name] = {
            "dtype": _CODES[part.dtype],
            "shape": list(part.shape),
            "data_offsets": [begin, end],
        }
        parts.append(part.flatten().view(torch.uint8).numpy().data)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)  # So that every tensor begins at a multiple of its size.
    return b"".join([len(text).to_bytes(8, "little"), text, *parts])


def _read(data: bytes) -> dict[str, Tensor]:
    tensors = {}
    start = 8 + int.from_bytes(data[:8], "little")
    for name, entry in _header(data).items():
        if name != "__metadata__":
            begin, end = entry["data_offsets"]
            # A copy: what is read from bytes must not be written to.
            part = bytearray(memoryview(data)[start + begin : start + end])
            values = torch.frombuffer(part, dtype=_DTYPES[entry["dtype"]])
            tensors[name] = values.reshape(entry["shape"])
    return tensors


def _header(data: bytes) -> dict[str, Any]:
    length = int.from_bytes(data[:8], "little")
    header: dict[str, Any] = json.loads(data[8 : 8 + length])
    return header
