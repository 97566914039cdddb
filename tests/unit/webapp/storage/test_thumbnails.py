import io

import pytest
from PIL import Image

from webapp.storage.thumbnails import make_thumbnail


@pytest.mark.parametrize(
    ("size", "expected"), [((400, 200), (100, 50)), ((200, 400), (50, 100)), ((80, 60), (80, 60))]
)
def test_a_thumbnail_keeps_the_shape_and_is_never_enlarged(
    size: tuple[int, int], expected: tuple[int, int]
) -> None:
    image = Image.new("RGB", size, (200, 30, 90))

    with Image.open(io.BytesIO(make_thumbnail(image, 100))) as thumbnail:
        assert (thumbnail.format, thumbnail.size) == ("WEBP", expected)
    assert image.size == size
