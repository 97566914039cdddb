import io

from PIL import Image

from webapp.worker.preview import PREVIEW_EDGE_PX, encode_preview


def test_a_preview_is_a_small_jpeg_of_the_same_size() -> None:
    image = Image.new("RGB", (PREVIEW_EDGE_PX, PREVIEW_EDGE_PX // 2), (20, 120, 220))

    data = encode_preview(image)

    with Image.open(io.BytesIO(data)) as preview:
        assert (preview.format, preview.size) == ("JPEG", image.size)
    assert len(data) < 10_000
