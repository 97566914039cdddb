"""Where a painting stood, as bytes: enough for another process to go on from there."""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from PIL import Image
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from transfer.errors import CheckpointUnusable
from transfer.regions import Region
from transfer.settings import Rendition, Settings

FORMAT = "pic2paint-checkpoint-2"
"""Changes whenever an old checkpoint would be misread."""


@dataclass(frozen=True)
class Checkpoint:
    """A point on the way of a painting.

    The image is kept exactly, the optimizer's memory is not: it takes 40 times as much room, and
    L-BFGS has learned it again after a few evaluations.
    """

    identity: str
    """Of the pictures and settings; see `identity_of`."""
    rendition: int
    """Place of the rendition at hand in the settings' order."""
    step: int
    """Place of the step at hand in that rendition's plan."""
    evaluations: int
    """Done in that step."""
    image: Tensor
    """At the step's size, shape (1, C, H, W), float32."""
    finished: Mapping[Rendition, Image.Image]
    """Renditions that are done."""
    frames: Mapping[int, bytes] = field(default_factory=dict)
    """Of the animation, if there is one, by place; see `animation.Recorder`."""
    grip: float = 1.0
    """Of the content, in that step; see `strength.Hold`."""

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
        return save(tensors, metadata=position)

    @classmethod
    def from_bytes(cls, data: bytes, identity: str) -> "Checkpoint":
        """Read what `to_bytes` wrote.

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
            tensors = load(data)
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
            image, grip = tensors["image"], float(metadata["grip"])
        except (SafetensorError, KeyError, ValueError) as error:
            raise CheckpointUnusable("it is damaged") from error
        if not (torch.isfinite(image).all() and math.isfinite(grip)):
            raise CheckpointUnusable("its image holds values that are no numbers")
        return cls(identity, rendition, step, evaluations, image, finished, frames, grip)


def identity_of(settings: Settings, plans: object, photo: Tensor, regions: Sequence[Region]) -> str:
    """What has to be the same for a checkpoint to fit: settings, planned steps, and pixels."""
    digest = hashlib.sha256(repr((settings, plans)).encode())
    guides = [region.guide for region in regions if region.guide is not None]
    for picture in (photo, *(style for region in regions for style in region.styles), *guides):
        digest.update(repr(tuple(picture.shape)).encode())
        digest.update(picture.to("cpu").numpy().tobytes())
    return digest.hexdigest()


def _metadata(data: bytes) -> dict[str, str]:
    # safetensors reads metadata from files only; the header is 8 bytes of length, then JSON.
    try:
        length = int.from_bytes(data[:8], "little")
        header = json.loads(data[8 : 8 + length])
        metadata: dict[str, str] = header["__metadata__"]
    except (ValueError, KeyError, TypeError) as error:
        raise CheckpointUnusable("it is damaged") from error
    return metadata
