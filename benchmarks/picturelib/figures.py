"""All figures of a finished picture."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import torch
from PIL import Image

from benchmarks.picturelib.borders import border_detail
from benchmarks.picturelib.color import to_lab
from benchmarks.picturelib.faces import Faces, faces
from benchmarks.picturelib.foreign import foreign_share
from benchmarks.picturelib.ghosts import GHOST_LAYER, ghost_share
from benchmarks.picturelib.grain import Grain, grain
from benchmarks.picturelib.tone import Tone, tone
from benchmarks.qualitylib.distances import MEASURED_LONG_EDGE_PX, Distances, Reference
from transfer.backbones import vgg19
from transfer.backbones.vgg import VggBackbone
from transfer.faces.detector import FaceDetector
from transfer.imaging.images import to_tensor


@dataclass(frozen=True)
class Figures:
    """Figures of one picture."""

    faces: Faces
    grain: Grain
    foreign: float
    """Share of the picture in colors that the style has not."""
    ghosts: float
    """Share of the picture that copies the style coherently."""
    tone: Tone
    borders: float
    """Detail along the edges over that inside of them."""
    distances: Distances

    def flat(self) -> dict[str, float | None]:
        """Return all figures by name."""
        return {
            "faces": self.faces.count,
            "faces_found": self.faces.found,
            "eye_offset": self.faces.eye_offset,
            "grain_chroma_1px": self.grain.chroma_fine,
            "grain_chroma_2px": self.grain.chroma_coarse,
            "grain_lightness_1px": self.grain.lightness_fine,
            "grain_lightness_2px": self.grain.lightness_coarse,
            "foreign": self.foreign,
            "ghosts": self.ghosts,
            "tone_correlation": self.tone.correlation,
            "tone_spread": self.tone.spread,
            "borders": self.borders,
            "content_distance": self.distances.content,
            "style_distance": self.distances.style,
        }


@dataclass(frozen=True)
class Judge:
    """The networks that the figures need, loaded."""

    backbone: VggBackbone
    detector: FaceDetector

    @classmethod
    def load(cls) -> Self:
        """Load them for the CPU.

        Raises:
            WeightsUnavailable: if the weights of VGG-19 cannot be read.
            FaceWeightsUnavailable: if those of the face detector cannot be read.
        """
        return cls(vgg19.load(torch.device("cpu")), FaceDetector.load())

    def measure(
        self, pictures: Mapping[str, Image.Image], photo: Image.Image, style: Image.Image
    ) -> dict[str, Figures]:
        """Measure finished pictures of one pair, by name.

        Args:
            pictures: finished pictures in the shape of the photo, of any size.
            photo: what was painted.
            style: in whose style.

        Raises:
            ShapeError: if a picture has another shape than the photo.
            Unmeasurable: if photo or style is of one color.
        """
        reference = Reference.measure(self.backbone, photo, style)
        with torch.no_grad():
            style_features = self._ghost_features(style)
            return {
                name: self._measure(picture, reference, style, style_features)
                for name, picture in pictures.items()
            }

    def _measure(
        self,
        picture: Image.Image,
        reference: Reference,
        style: Image.Image,
        style_features: torch.Tensor,
    ) -> Figures:
        # First, as it refuses other shapes.
        distances = reference.distances(picture)
        lab = to_lab(to_tensor(picture))
        # The engine sees a style at the painting's size, but never enlarged.
        style_lab = to_lab(to_tensor(style, min(max(picture.size), max(style.size))))
        return Figures(
            faces(self.detector, picture, reference.content),
            grain(lab, style_lab),
            foreign_share(lab, style_lab),
            ghost_share(self._ghost_features(picture), style_features),
            tone(picture, reference.content),
            border_detail(lab),
            distances,
        )

    def _ghost_features(self, picture: Image.Image) -> torch.Tensor:
        image = to_tensor(picture, MEASURED_LONG_EDGE_PX)
        return self.backbone.features(image, (GHOST_LAYER,))[GHOST_LAYER]
