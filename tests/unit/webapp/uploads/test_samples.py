import pytest
from PIL import Image

from config import Config
from webapp.uploads import samples
from webapp.uploads.samples import Sample
from webapp.uploads.validate import validate

SAMPLES = [*samples.photos(), *samples.styles()]


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.file)
def test_sample_has_its_stated_size_and_is_valid(sample: Sample, config: Config) -> None:
    with Image.open(sample.path) as image:
        assert image.size == (sample.width, sample.height)
    with sample.path.open("rb") as stream:
        validate(stream, sample.file, config)


def test_every_file_of_the_folder_is_listed() -> None:
    files = {path.name for path in samples.FOLDER.glob("*.jpg")}

    assert {sample.file for sample in SAMPLES} == files


def test_pairs_have_a_photo_and_a_style() -> None:
    assert samples.pairs()
    for pair in samples.pairs():
        assert pair.content in samples.photos()
        assert pair.style in samples.styles()


def test_form_value_finds_its_sample_only() -> None:
    for sample in SAMPLES:
        assert samples.find(sample.value) is sample
        assert samples.find(sample.file) is None
    assert samples.find(f"{samples.PREFIX}../samples.json") is None
