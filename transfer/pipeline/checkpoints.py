"""Checkpoints: the position of a painting as bytes, for any process to resume from."""

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
from transfer.optim.adam import AdamState
from transfer.optim.history import STORED_HISTORY_MAX_BYTES
from transfer.optim.iterate import Best, Iterate, OptimizerState
from transfer.optim.lbfgs import LbfgsState
from transfer.optim.stored_vectors import CurvaturePair, Fp16Vector
from transfer.planning.pyramid import Level
from transfer.settings import Rendition, Settings

FORMAT = "pic2paint-checkpoint-5"
"""Name and version of the format; a new one whenever an old checkpoint would be misread."""

_CODES = {torch.float32: "F32", torch.float16: "F16", torch.uint8: "U8"}
_DTYPES = {code: dtype for dtype, code in _CODES.items()}


@dataclass(frozen=True)
class Checkpoint:
    """A position of a painting: an image, and the state of the optimizer at that image.

    Resumed from it, a painting comes out the same, bit for bit on the same kind of machine. Without
    the optimizer state it is the same only to the eye: L-BFGS needs a few evaluations to learn the
    curvature again, and converges to another image.
    """

    fingerprint: str
    """Fingerprint of the pictures and settings; see `fingerprint`."""
    rendition: int
    """Index of the rendition in the schedules."""
    level: int
    """Index of the level in that rendition's schedule."""
    evaluations: int
    """Number of evaluations done at that level; with an optimizer state, without that of the image,
    which is repeated."""
    image: Tensor
    """Image at the level's size, shape (1, C, H, W), float32: the one that L-BFGS changes, of which
    people see the calm image, see `calm_chroma`."""
    finished: Mapping[Rendition, Image.Image]
    """Finished renditions."""
    frames: Mapping[int, bytes] = field(default_factory=dict)
    """Frames of the animation by index, if there is one; see `animation.Recorder`."""
    multiplier: float = 1.0
    """Multiplier of the content penalty at that level; see `content_penalty.ContentPenalty`."""
    optimizer_state: OptimizerState | None = None
    """State of the level's optimizer at the image; None if it was too large."""

    def to_bytes(self) -> bytes:
        """Return the checkpoint in the safetensors format."""
        metadata = {
            "format": FORMAT,
            "fingerprint": self.fingerprint,
            "position": json.dumps([self.rendition, self.level, self.evaluations]),
            "multiplier": repr(self.multiplier),
        }
        tensors = {"image": self.image.detach().to("cpu", torch.float32).contiguous()}
        for rendition, image in self.finished.items():
            tensors[f"finished.{rendition.value}"] = torch.from_numpy(np.array(image))
        for index, frame in self.frames.items():
            tensors[f"frame.{index}"] = torch.frombuffer(bytearray(frame), dtype=torch.uint8)
        if self.optimizer_state is not None:
            metadata["optimizer"] = json.dumps(_state_numbers(self.optimizer_state))
            tensors |= _state_tensors(self.optimizer_state)
        return _encode(tensors, metadata)

    @classmethod
    def from_bytes(
        cls, data: bytes, fingerprint: str, device: torch.device | None = None
    ) -> "Checkpoint":
        """Read a checkpoint that `to_bytes` wrote.

        Args:
            data: bytes of the checkpoint.
            fingerprint: fingerprint that it must have.
            device: device of the image and the optimizer state; None for the CPU.

        Raises:
            CheckpointUnusable: if the data is damaged, of another version, or of another
                fingerprint.
        """
        metadata = _read_metadata(data)
        if metadata.get("format") != FORMAT:
            raise CheckpointUnusable("it was written by another version")
        if metadata.get("fingerprint") != fingerprint:
            raise CheckpointUnusable("it belongs to other pictures or settings")
        try:
            tensors = _decode(data)
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
            optimizer_state = (
                None if numbers is None else _optimizer_state(json.loads(numbers), on_device)
            )
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


def resume_point(iterate: Iterate, done: int) -> tuple[int, Tensor, OptimizerState | None]:
    """Return a checkpoint's `evaluations`, `image` and `optimizer_state` after an evaluation.

    Args:
        iterate: result of the evaluation. Of it, only what a checkpoint keeps is returned.
        done: evaluations of the level before this run of the optimizer.
    """
    evaluations = iterate.number + done
    state = iterate.optimizer_state
    if sum(tensor.nbytes for tensor in _state_tensors(state).values()) > STORED_HISTORY_MAX_BYTES:
        # The best image: one that overshot would cost evaluations to mend.
        return evaluations, iterate.best, None
    return evaluations - 1, iterate.image, state


def _state_tensors(state: OptimizerState) -> dict[str, Tensor]:
    if isinstance(state, AdamState):
        bands = {"first": state.first, "second": state.second}
        return {
            f"optimizer.{name}.{index}": band
            for name, moments in bands.items()
            for index, band in enumerate(moments)
        }
    state, tensors = _lbfgs(state), {}
    for index, pair in enumerate(state.pairs):
        tensors[f"optimizer.step.{index}"] = pair.step.values
        tensors[f"optimizer.change.{index}"] = pair.change.values
    if state.best is not None:
        tensors["optimizer.best"] = state.best.image
    return tensors


def _state_numbers(state: OptimizerState) -> dict[str, Any]:
    if isinstance(state, AdamState):
        return {"steps": state.steps, "bands": len(state.first)}
    state = _lbfgs(state)
    scalars = [
        (pair.step.scale, pair.change.scale, pair.inverse, pair.square) for pair in state.pairs
    ]
    return {
        "first_step_rms": state.first_step_rms,
        "lowest_losses": state.lows,
        "best_loss": None if state.best is None else state.best.loss,
        "pairs": [[float(scalar) for scalar in of_pair] for of_pair in scalars],
    }


def _lbfgs(state: OptimizerState) -> LbfgsState:
    """Return the state of L-BFGS, the only other optimizer."""
    if not isinstance(state, LbfgsState):
        raise TypeError(f"{type(state).__name__} cannot be stored")
    return state


def _optimizer_state(numbers: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> OptimizerState:
    if "steps" in numbers:
        first, second = (
            tuple(tensors[f"optimizer.{name}.{index}"] for index in range(numbers["bands"]))
            for name in ("first", "second")
        )
        return AdamState(int(numbers["steps"]), first, second)
    pairs = []
    for index, scalars in enumerate(numbers["pairs"]):
        steps, changes = tensors[f"optimizer.step.{index}"], tensors[f"optimizer.change.{index}"]
        step_scale, change_scale, inverse, square = torch.tensor(scalars).to(steps.device).unbind()
        step, change = Fp16Vector(steps, step_scale), Fp16Vector(changes, change_scale)
        pairs.append(CurvaturePair(step, change, inverse, square))
    best = None
    if numbers["best_loss"] is not None:
        best = Best(tensors["optimizer.best"], float(numbers["best_loss"]))
    lows = tuple(float(loss) for loss in numbers["lowest_losses"])
    return LbfgsState(tuple(pairs), float(numbers["first_step_rms"]), best, lows)


def settings_as_json(settings: Settings) -> dict[str, object]:
    """Return the settings by the names under which fingerprints cover them.

    The names belong to the checkpoint's format. If a field is renamed, its name here stays, and
    stored checkpoints stay usable.
    """
    advanced = settings.advanced
    return {
        "long_edge_px": settings.long_edge_px,
        "strength": settings.strength,
        "effort": settings.effort,
        "backbone": settings.backbone,
        "method": settings.method,
        "renditions": settings.renditions,
        "seed": settings.seed,
        "style_weights": settings.style_weights,
        "brush_size": settings.brush_size,
        "smoothness": settings.smoothness,
        "keep_faces": settings.keep_faces,
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
    schedules: Mapping[Rendition, Sequence[Level]],
    photo: Tensor,
    regions: Sequence[Region],
    base_digest: str | None = None,
) -> str:
    """Return the fingerprint of everything that a checkpoint and a run must have in common.

    Args:
        settings: settings of the painting.
        schedules: levels of each rendition, in painting order.
        photo: photo at the size of the painting, shape (1, 3, H, W).
        regions: styles of the painting.
        base_digest: `BasePainting.digest` of the painting that this one continues, if any.
    """
    planned = [
        {
            "rendition": rendition,
            "steps": [
                {
                    "backbone": level.backbone,
                    "height": level.height,
                    "width": level.width,
                    "evaluations": level.evaluations,
                    "stage": level.stage,
                }
                for level in levels
            ],
        }
        for rendition, levels in schedules.items()
    ]
    covered = {"settings": settings_as_json(settings), "plan": planned, "proof": base_digest}
    return _hash(covered, photo, regions)


def optimizer_fingerprint(
    settings: Settings, last: Level, photo: Tensor, regions: Sequence[Region]
) -> str:
    """Return the fingerprint of everything that an optimizer state and a run must have in common.

    The state may be another painting's: effort, evaluations, seed, start, animation and later
    renditions may differ.

    Args:
        settings: settings of the painting.
        last: last level of the first rendition; its evaluations do not count.
        photo: photo at the size of the painting, shape (1, 3, H, W).
        regions: styles of the painting.
    """
    covered = settings_as_json(settings) | {"renditions": settings.renditions[:1]}
    for name in ("effort", "seed", "start", "animation", "evaluations"):
        del covered[name]
    end = {
        "backbone": last.backbone,
        "height": last.height,
        "width": last.width,
        "stage": last.stage,
    }
    return _hash({"settings": covered, "last": end}, photo, regions)


def _hash(covered: Mapping[str, object], photo: Tensor, regions: Sequence[Region]) -> str:
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


def _read_metadata(data: bytes) -> dict[str, str]:
    try:
        metadata: dict[str, str] = _read_header(data)["__metadata__"]
    except (ValueError, KeyError, TypeError) as error:
        raise CheckpointUnusable("it is damaged") from error
    return metadata


# The format is that of safetensors: 8 bytes of length, a JSON header, the tensors one after the
# other. The safetensors library (0.8.0) ends the process if memory is short, which is when
# checkpoints are written and read most.


def _encode(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> bytes:
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


def _decode(data: bytes) -> dict[str, Tensor]:
    tensors = {}
    start = 8 + int.from_bytes(data[:8], "little")
    for name, entry in _read_header(data).items():
        if name != "__metadata__":
            begin, end = entry["data_offsets"]
            # A copy: a tensor on bytes must not be written to.
            part = bytearray(memoryview(data)[start + begin : start + end])
            values = torch.frombuffer(part, dtype=_DTYPES[entry["dtype"]])
            tensors[name] = values.reshape(entry["shape"])
    return tensors


def _read_header(data: bytes) -> dict[str, Any]:
    length = int.from_bytes(data[:8], "little")
    header: dict[str, Any] = json.loads(data[8 : 8 + length])
    return header
