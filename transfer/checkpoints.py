"""Where a painting stood, as bytes: enough for another process to go on from there."""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from transfer.errors import CheckpointUnusable
from transfer.history import Halved, Pair
from transfer.ladder import MEMORY_MAX_BYTES
from transfer.optimize import Best, Evaluated, Memory
from transfer.regions import Region
from transfer.settings import Effort, Rendition, Settings, Start

FORMAT = "pic2paint-checkpoint-3"
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

    identity: str
    """Of the pictures and settings; see `identity_of`."""
    rendition: int
    """Place of the rendition at hand in the settings' order."""
    step: int
    """Place of the step at hand in that rendition's plan."""
    evaluations: int
    """Done in that step; with a memory, before that of the image, which is repeated."""
    image: Tensor
    """At the step's size, shape (1, C, H, W), float32."""
    finished: Mapping[Rendition, Image.Image]
    """Renditions that are done."""
    frames: Mapping[int, bytes] = field(default_factory=dict)
    """Of the animation, if there is one, by place; see `animation.Recorder`."""
    grip: float = 1.0
    """Of the content, in that step; see `strength.Hold`."""
    memory: Memory | None = None
    """Of the optimizer, where it was not too large."""

    def to_bytes(self) -> bytes:
        """As safetensors."""
        position = {
            "format": FORMAT,
            "identity": self.identity,
            "position": json.dumps([self.rendition, self.step, self.evaluations]),
            "grip": repr(self.grip),
        }
        tensors = {"image": self.image.detach().to("cpu", torch.float32).contiguous()}
        for rendition, image in self.finished.items():
            tensors[f"finished.{rendition.value}"] = torch.from_numpy(np.array(image))
        for place, frame in self.frames.items():
            tensors[f"frame.{place}"] = torch.frombuffer(bytearray(frame), dtype=torch.uint8)
        if self.memory is not None:
            position["memory"] = json.dumps(_numbers_of(self.memory))
            tensors |= _tensors_of(self.memory)
        return _written(tensors, position)

    @classmethod
    def from_bytes(
        cls, data: bytes, identity: str, device: torch.device | None = None
    ) -> "Checkpoint":
        """Read what `to_bytes` wrote; the image and the memory on ``device``.

        Raises:
            CheckpointUnusable: if the data is damaged, of another version, or of other pictures or
                settings than ``identity`` says.
        """
        metadata = _metadata(data)
        if metadata.get("format") != FORMAT:
            raise CheckpointUnusable("it was written by another version")
        if metadata.get("identity") != identity:
            raise CheckpointUnusable("it belongs to other pictures or settings")
        try:
            tensors = _read(data)
            on_device = {
                name: tensor.to(device)
                for name, tensor in tensors.items()
                if name.startswith(("image", "memory."))
            }
            rendition, step, evaluations = json.loads(metadata["position"])
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
            image, grip = on_device["image"], float(metadata["grip"])
            numbers = metadata.get("memory")
            memory = None if numbers is None else _memory(json.loads(numbers), on_device)
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise CheckpointUnusable("it is damaged") from error
        if not (torch.isfinite(image).all() and math.isfinite(grip)):
            raise CheckpointUnusable("its image holds values that are no numbers")
        return cls(identity, rendition, step, evaluations, image, finished, frames, grip, memory)


def reached(found: Evaluated, done: int) -> tuple[int, Tensor, Memory | None]:
    """After an evaluation, a checkpoint's `evaluations`, `image` and `memory`.

    Args:
        found: where the optimizer stands; no more of it is held than a checkpoint keeps.
        done: evaluations of the step before its first.
    """
    evaluations = found.number + done
    if _bytes_of(found.memory) > MEMORY_MAX_BYTES:
        # Not the image at hand: one that overshot would cost evaluations to mend.
        return evaluations, found.best, None
    return evaluations - 1, found.image, found.memory


def _bytes_of(memory: Memory) -> int:
    return sum(tensor.nbytes for tensor in _tensors_of(memory).values())


def _tensors_of(memory: Memory) -> dict[str, Tensor]:
    tensors = {}
    for place, pair in enumerate(memory.pairs):
        tensors[f"memory.step.{place}"] = pair.step.values
        tensors[f"memory.change.{place}"] = pair.change.values
    if memory.best is not None:
        tensors["memory.best"] = memory.best.image
    return tensors


def _numbers_of(memory: Memory) -> dict[str, Any]:
    scalars = [
        (pair.step.scale, pair.change.scale, pair.inverse, pair.square) for pair in memory.pairs
    ]
    return {
        "first_step_rms": memory.first_step_rms,
        "lows": memory.lows,
        "loss": None if memory.best is None else memory.best.loss,
        "pairs": [[float(scalar) for scalar in four] for four in scalars],
    }


def _memory(numbers: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Memory:
    pairs = []
    for place, four in enumerate(numbers["pairs"]):
        steps, changes = tensors[f"memory.step.{place}"], tensors[f"memory.change.{place}"]
        step_scale, change_scale, inverse, square = torch.tensor(four).to(steps.device).unbind()
        step, change = Halved(steps, step_scale), Halved(changes, change_scale)
        pairs.append(Pair(step, change, inverse, square))
    best = None
    if numbers["loss"] is not None:
        best = Best(tensors["memory.best"], float(numbers["loss"]))
    lows = tuple(float(low) for low in numbers.get("lows", ()))
    return Memory(tuple(pairs), float(numbers["first_step_rms"]), best, lows)


def identity_of(settings: Settings, plans: object, photo: Tensor, regions: Sequence[Region]) -> str:
    """What has to be the same for a checkpoint to fit: settings, planned steps, and pixels."""
    digest = hashlib.sha256(repr((settings, plans)).encode())
    guides = [region.guide for region in regions if region.guide is not None]
    for picture in (photo, *(style for region in regions for style in region.styles), *guides):
        digest.update(repr(tuple(picture.shape)).encode())
        digest.update(picture.to("cpu").numpy().tobytes())
    return digest.hexdigest()


def kinship_of(
    settings: Settings, last: tuple[str, int, int], photo: Tensor, regions: Sequence[Region]
) -> str:
    """What has to be the same for the optimizer's memory to fit another painting.

    Not how long it is painted, nor what else is made of it.

    Args:
        settings: of the painting.
        last: network, height and width at the end of the first rendition.
        photo: at the size of the painting.
        regions: its styles.
    """
    alike = replace(
        settings,
        effort=Effort.STANDARD,
        renditions=settings.renditions[:1],
        seed=0,
        start=Start.RECOLORED,
        animation=False,
        expert=replace(settings.expert, evaluations=None),
    )
    return identity_of(alike, last, photo, regions)


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
