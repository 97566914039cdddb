import io

import numpy as np
from PIL import Image

from webapp.storage.encoding import encode


def test_the_bytes_are_a_file_of_the_format_with_its_options() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (40, 30, 3), dtype=np.uint8)
    image = Image.fromarray(noise)

    with Image.open(io.BytesIO(encode(image, "PNG"))) as decoded:
        assert decoded.format == "PNG"
        assert np.array_equal(np.asarray(decoded), noise)
    assert len(encode(image, "JPEG", quality=20)) < len(encode(image, "JPEG", quality=90))
