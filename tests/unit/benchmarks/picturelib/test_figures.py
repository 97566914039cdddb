import pytest

from benchmarks.picturelib import figures as module
from benchmarks.picturelib.figures import Judge
from benchmarks.qualitylib import distances
from tests.unit.benchmarks.fakes import picture
from transfer.backbones.vgg import VggBackbone
from transfer.errors import ShapeError
from transfer.faces.detector import FaceDetector

FIGURES = {
    "faces": 0,
    "faces_found": 0,
    "eye_offset": None,
    "tone_correlation": 1,
    "tone_spread": 1,
    "content_distance": 0,
}
"""Figures of a photo without faces, taken for its own painting."""


@pytest.fixture
def judge(backbone: VggBackbone, monkeypatch: pytest.MonkeyPatch) -> Judge:
    """A judge who looks at 128 px, to be quick."""
    for place in (module, distances):
        monkeypatch.setattr(place, "MEASURED_LONG_EDGE_PX", 128)
    return Judge(backbone, FaceDetector.load())


def test_photo_and_style_have_the_figures_of_themselves(judge: Judge) -> None:
    photo, style = picture(96, 128, 1), picture(96, 128, 2)

    found = judge.measure({"photo": photo, "style": style}, photo, style)

    as_photo, as_style = found["photo"].flat(), found["style"].flat()
    assert {name: as_photo[name] for name in FIGURES} == pytest.approx(FIGURES, abs=1e-6)
    grains = {name: 1 for name in as_style if name.startswith("grain")}
    own = grains | {"ghosts": 1, "foreign": 0, "style_distance": 0}
    assert {name: as_style[name] for name in own} == pytest.approx(own, abs=1e-4)
    assert found["photo"].ghosts < 0.5
    assert found["photo"].distances.style > 0.2


def test_other_shapes_are_refused(judge: Judge) -> None:
    photo = picture(96, 128, 1)

    with pytest.raises(ShapeError, match="like the content"):
        judge.measure({"turned": photo.resize((96, 128))}, photo, picture(96, 128, 2))
