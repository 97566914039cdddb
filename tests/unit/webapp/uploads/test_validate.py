import io
import random
import struct
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image, ImageCms
from PIL.PngImagePlugin import PngInfo

from config import Config
from tests.servers import make_config
from tests.unit.webapp import files
from webapp.uploads.validate import (
    FarTooManyPixels,
    ImageDamaged,
    NotAnImage,
    TooElongated,
    TooManyPixels,
    TooSmall,
    Upload,
    UploadEmpty,
    UploadRefused,
    UploadTooLarge,
    make_title,
    validate,
)

SECRET = "59.3293 N 18.0686 E <script>"
ORIENTATION = 0x0112
# The colors of sRGB's primaries under D50 (IEC 61966-2-1, adapted as in the ICC's own profile).
RED, GREEN, BLUE = (0.4361, 0.2225, 0.0139), (0.3851, 0.7169, 0.0971), (0.1431, 0.0606, 0.7139)
# Transposes that store an upright picture as the tag of this orientation says.
STORED_AS: dict[int, list[Image.Transpose]] = {
    1: [],
    2: [Image.Transpose.FLIP_LEFT_RIGHT],
    3: [Image.Transpose.ROTATE_180],
    4: [Image.Transpose.FLIP_TOP_BOTTOM],
    5: [Image.Transpose.TRANSPOSE],
    6: [Image.Transpose.ROTATE_90],
    7: [Image.Transpose.TRANSVERSE],
    8: [Image.Transpose.ROTATE_270],
}


def accept(data: bytes, config: Config, name: str = "photo.jpg") -> Upload:
    """Validate a file that must be accepted."""
    upload = validate(io.BytesIO(data), name, config)
    assert upload.image.mode == "RGB"
    return upload


def refuse(data: bytes, config: Config) -> UploadRefused:
    """Validate a file that must be refused, and return the refusal."""
    with pytest.raises(UploadRefused) as caught:
        validate(io.BytesIO(data), "photo.jpg", config)
    sentence = str(caught.value)
    assert sentence[0].isupper()
    assert sentence.endswith(".")
    return caught.value


def assert_near(actual: object, expected: tuple[int, int, int], within: int = 4) -> None:
    assert isinstance(actual, tuple)
    difference = max(abs(a - b) for a, b in zip(actual, expected, strict=True))
    assert difference <= within, (actual, expected)


def assert_upright(image: Image.Image, within: int = 40) -> None:
    width, height = image.size
    assert width > height
    for x, y, color in (
        (1, 1, (255, 0, 0)),
        (3, 1, (0, 255, 0)),
        (1, 3, (0, 0, 255)),
        (3, 3, (255, 255, 255)),
    ):
        assert_near(image.getpixel((width * x // 4, height * y // 4)), color, within)


def with_orientation(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    return exif.tobytes()


def turned_picture(orientation: int) -> Image.Image:
    image = files.quarters()
    for method in STORED_AS[orientation]:
        image = image.transpose(method)
    return image


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP", "GIF", "AVIF", "HEIF"])
def test_every_accepted_format_is_read(image_format: str, config: Config) -> None:
    image = accept(files.encode(files.quarters(), image_format), config).image

    assert image.size == (96, 64)
    assert_upright(image)


def test_file_name_does_not_decide_the_format(config: Config) -> None:
    assert accept(files.png(), config, "photo.jpg").image.getpixel((5, 5)) == files.ORANGE
    assert accept(files.png(), config, "photo.exe").title == "photo"


def test_photo_of_a_phone_with_a_second_picture_behind_it_is_read(config: Config) -> None:
    data = files.encode(
        files.quarters(), "MPO", save_all=True, append_images=[Image.new("RGB", (96, 64))]
    )

    assert_upright(accept(data, config).image)


def test_cmyk_becomes_rgb(config: Config) -> None:
    # Magenta and yellow over each other are red.
    data = files.encode(Image.new("CMYK", (64, 48), (0, 255, 255, 0)), "JPEG", quality=95)

    assert_near(accept(data, config).image.getpixel((9, 9)), (255, 0, 0))


def test_sixteen_bit_gray_keeps_its_grays(config: Config) -> None:
    grays = [0, 1, 1000, 0x4000, 0x8080, 0xFE00, 0xFFFF]
    rows = b"".join(struct.pack(">H", gray) * 8 for gray in grays) * 40
    picture = Image.frombytes("I;16B", (8 * len(grays), 40), rows)
    # Built by hand: what Pillow writes from this mode differs between its versions.
    header = struct.pack(">IIBBBBB", *picture.size, 16, 0, 0, 0, 0)
    line = b"\0" + rows[: 16 * len(grays)]
    data = (
        b"\x89PNG\r\n\x1a\n"
        + files.chunk(b"IHDR", header)
        + files.chunk(b"IDAT", zlib.compress(line * 40))
        + files.chunk(b"IEND", b"")
    )

    image = accept(data, config).image

    actual = [image.getpixel((8 * i + 4, 20)) for i in range(len(grays))]
    assert actual == [(round(gray / 257),) * 3 for gray in grays]


@pytest.mark.parametrize(("mode", "color", "expected"), [("L", 77, 77), ("1", 1, 255)])
def test_gray_stays_gray(mode: str, color: int, expected: int, config: Config) -> None:
    data = files.encode(Image.new(mode, (64, 48), color), "PNG")

    assert accept(data, config).image.getpixel((9, 9)) == (expected,) * 3


def palette_picture() -> Image.Image:
    image = Image.new("P", (64, 48), 1)
    image.putpalette([0, 0, 0, *files.ORANGE, 9, 9, 9])
    image.paste(2, (0, 0, 32, 48))
    return image


@pytest.mark.parametrize("image_format", ["PNG", "GIF"])
def test_palette_becomes_its_colors(image_format: str, config: Config) -> None:
    image = accept(files.encode(palette_picture(), image_format), config).image

    assert image.getpixel((9, 9)) == (9, 9, 9)
    assert image.getpixel((50, 9)) == files.ORANGE


@pytest.mark.parametrize("image_format", ["PNG", "GIF"])
def test_transparent_color_of_a_palette_becomes_white(image_format: str, config: Config) -> None:
    data = files.encode(palette_picture(), image_format, transparency=2)

    image = accept(data, config).image

    assert image.getpixel((9, 9)) == (255, 255, 255)
    assert image.getpixel((50, 9)) == files.ORANGE


@pytest.mark.parametrize(
    ("image", "transparency"),
    [
        (Image.new("L", (64, 48), 7), 7),
        (Image.new("RGB", (64, 48), (1, 2, 3)), (1, 2, 3)),
    ],
)
def test_transparent_color_of_a_picture_without_palette_becomes_white(
    image: Image.Image, transparency: object, config: Config
) -> None:
    data = files.encode(image, "PNG", transparency=transparency)

    assert accept(data, config).image.getpixel((9, 9)) == (255, 255, 255)


@pytest.mark.parametrize(
    ("mode", "color", "expected"),
    [
        ("RGBA", (200, 100, 50, 255), (200, 100, 50)),
        ("RGBA", (200, 100, 50, 0), (255, 255, 255)),
        # Half of the color and half of white.
        ("RGBA", (200, 100, 50, 128), (227, 177, 152)),
        ("LA", (0, 0), (255, 255, 255)),
        ("LA", (0, 128), (127, 127, 127)),
        ("LA", (90, 255), (90, 90, 90)),
    ],
)
def test_alpha_is_flattened_on_white(
    mode: str, color: tuple[int, ...], expected: tuple[int, int, int], config: Config
) -> None:
    data = files.encode(Image.new(mode, (64, 48), color), "PNG")

    assert_near(accept(data, config).image.getpixel((9, 9)), expected, within=1)


@pytest.mark.parametrize("image_format", ["WEBP", "AVIF", "HEIF"])
def test_alpha_of_other_formats_is_flattened_on_white(image_format: str, config: Config) -> None:
    data = files.encode(Image.new("RGBA", (64, 48), (200, 100, 50, 0)), image_format)

    assert_near(accept(data, config).image.getpixel((9, 9)), (255, 255, 255))


@pytest.mark.parametrize("orientation", STORED_AS)
def test_photo_taken_with_a_turned_camera_stands_upright(orientation: int, config: Config) -> None:
    data = files.encode(turned_picture(orientation), "JPEG", exif=with_orientation(orientation))

    upload = accept(data, config)

    assert upload.image.size == (96, 64)
    assert_upright(upload.image)
    for stored in (upload.jpeg, upload.thumbnail):
        with Image.open(io.BytesIO(stored)) as image:
            assert_upright(image.convert("RGB"))


@pytest.mark.parametrize("image_format", ["PNG", "WEBP", "AVIF"])
@pytest.mark.parametrize("orientation", [3, 6, 8])
def test_png_webp_and_avif_are_rotated_upright(
    image_format: str, orientation: int, config: Config
) -> None:
    data = files.encode(
        turned_picture(orientation), image_format, exif=with_orientation(orientation)
    )

    assert_upright(accept(data, config).image)


@pytest.mark.parametrize("orientation", STORED_AS)
def test_heic_is_rotated_as_its_container_says(orientation: int, config: Config) -> None:
    # The encoder turns what it stores; the container says how to turn it back.
    data = files.encode(turned_picture(orientation), "HEIF", exif=with_orientation(orientation))

    assert_upright(accept(data, config).image)


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_impossible_orientation_is_ignored(orientation: int, config: Config) -> None:
    data = files.encode(files.quarters(), "JPEG", exif=with_orientation(orientation))

    assert_upright(accept(data, config).image)


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP", "HEIF"])
@pytest.mark.parametrize(
    "exif", [b"Exif\0\0garbage", b"garbage", b"Exif\0\0MM\0*\0\0\0\x08\xff\xff"]
)
def test_broken_exif_is_ignored(image_format: str, exif: bytes, config: Config) -> None:
    data = files.encode(files.quarters(), image_format, exif=exif)

    assert_upright(accept(data, config).image)


@pytest.mark.parametrize("image_format", ["GIF", "WEBP", "PNG", "AVIF"])
def test_animation_gives_its_first_frame(image_format: str, config: Config) -> None:
    others = [Image.new("RGB", (96, 64), color) for color in ("black", "navy", "gray")]
    data = files.encode(files.quarters(), image_format, save_all=True, append_images=others)

    assert_upright(accept(data, config).image)


def test_pictures_above_the_largest_stored_edge_are_scaled_down(tmp_path: Path) -> None:
    config = make_config(tmp_path, max_stored_edge_px=400)

    assert accept(files.jpeg(401, 300), config).image.size == (400, 299)
    assert accept(files.jpeg(399, 300), config).image.size == (399, 300)
    assert accept(
        files.png(32, 1600, (1, 2, 3)),
        make_config(tmp_path, max_upload_aspect=50.0, max_stored_edge_px=800),
    ).image.size == (16, 800)


def test_thumbnail_is_a_small_webp(config: Config) -> None:
    with Image.open(io.BytesIO(accept(files.jpeg(1280, 960), config).thumbnail)) as thumbnail:
        assert thumbnail.format == "WEBP"
        assert thumbnail.size == (640, 480)
        assert_near(thumbnail.convert("RGB").getpixel((9, 9)), files.ORANGE)


def jpeg_with_everything() -> bytes:
    exif = Image.Exif()
    exif[0x010E] = SECRET
    exif[0xA431] = SECRET
    return files.encode(
        files.quarters(),
        "JPEG",
        quality=95,
        exif=exif,
        icc_profile=ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(),
        xmp=f"<x:xmpmeta>{SECRET}</x:xmpmeta>".encode(),
        comment=SECRET,
    )


def png_with_everything() -> bytes:
    text = PngInfo()
    text.add_text("Comment", SECRET)
    text.add_text("Author", SECRET, zip=True)
    text.add_itxt("XML:com.adobe.xmp", SECRET)
    exif = Image.Exif()
    exif[0x010E] = SECRET
    return files.encode(
        files.quarters(),
        "PNG",
        pnginfo=text,
        exif=exif,
        icc_profile=ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(),
    )


def gif_with_comment() -> bytes:
    return files.encode(files.quarters(), "GIF", comment=SECRET.encode())


def webp_with_everything() -> bytes:
    exif = Image.Exif()
    exif[0x010E] = SECRET
    return files.encode(files.quarters(), "WEBP", exif=exif, xmp=SECRET.encode())


def jpeg_with_a_tail() -> bytes:
    return files.encode(files.quarters(), "JPEG", quality=95) + b"PK\x03\x04" + SECRET.encode()


@pytest.mark.parametrize(
    "make",
    [
        jpeg_with_everything,
        png_with_everything,
        gif_with_comment,
        webp_with_everything,
        jpeg_with_a_tail,
    ],
)
def test_nothing_but_pixels_is_stored(make: Callable[[], bytes], config: Config) -> None:
    data = make()
    upload = accept(data, config)

    assert_upright(upload.image)
    assert not upload.image.info
    jpeg, thumbnail = upload.jpeg, upload.thumbnail
    # APP1 is EXIF and XMP, APP2 ICC, APP13 IPTC, FE a comment.
    assert set(files.jpeg_segments(jpeg)) <= {0xE0, 0xDB, 0xC0, 0xC4, 0xDA}
    assert set(files.webp_chunks(thumbnail)) == {b"VP8 "}
    assert jpeg.endswith(b"\xff\xd9")
    for stored in (jpeg, thumbnail):
        assert SECRET.encode() not in stored
        assert b"<script>" not in stored


def test_profile_is_applied(config: Config) -> None:
    # A display whose red shines green and whose green shines red.
    profile = files.icc_profile(red=GREEN, green=RED, blue=BLUE)
    image = Image.new("RGB", (64, 48), (220, 60, 120))

    for image_format in ("PNG", "WEBP"):
        data = files.encode(image, image_format, icc_profile=profile, lossless=True)

        assert_near(accept(data, config).image.getpixel((9, 9)), (60, 220, 120))


def test_profile_of_the_usual_colors_changes_nothing(config: Config) -> None:
    profile = files.icc_profile(red=RED, green=GREEN, blue=BLUE)
    data = files.encode(Image.new("RGB", (64, 48), files.ORANGE), "PNG", icc_profile=profile)

    assert_near(accept(data, config).image.getpixel((9, 9)), files.ORANGE, within=5)


def test_profile_of_a_picture_with_alpha_is_applied_to_its_colors(config: Config) -> None:
    profile = files.icc_profile(red=GREEN, green=RED, blue=BLUE)
    image = Image.new("RGBA", (64, 48), (220, 60, 120, 255))
    image.paste((0, 0, 0, 0), (0, 0, 32, 48))

    srgb = accept(files.encode(image, "PNG", icc_profile=profile), config).image

    assert srgb.getpixel((9, 9)) == (255, 255, 255)
    assert_near(srgb.getpixel((50, 9)), (60, 220, 120))


def broken_profiles() -> list[bytes]:
    good = files.icc_profile(red=GREEN, green=RED, blue=BLUE)
    return [b"nonsense", b"\0" * 4000, good[:150], good[:100] + b"\xff" * 200]


@pytest.mark.parametrize("profile", broken_profiles())
@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP"])
def test_broken_profile_is_ignored(profile: bytes, image_format: str, config: Config) -> None:
    data = files.encode(files.quarters(), image_format, icc_profile=profile)

    assert_upright(accept(data, config).image)


@pytest.mark.parametrize("mode", ["L", "CMYK"])
def test_profile_for_another_color_model_is_ignored(mode: str, config: Config) -> None:
    profile = files.icc_profile(red=RED, green=GREEN, blue=BLUE)
    data = files.encode(files.quarters().convert(mode), "JPEG", icc_profile=profile)

    assert accept(data, config).image.size == (96, 64)


def other_pictures() -> dict[str, bytes]:
    image = files.quarters()
    formats = ("BMP", "TIFF", "ICO", "EPS", "PDF", "PPM", "TGA", "PCX", "DDS", "JPEG2000")
    return {name: files.encode(image, name) for name in formats}


@pytest.mark.parametrize("kind", [*other_pictures(), *files.NOT_PICTURES])
def test_other_formats_are_refused(kind: str, config: Config) -> None:
    refusal = refuse((other_pictures() | files.NOT_PICTURES)[kind], config)

    assert isinstance(refusal, NotAnImage)
    assert refusal.status == 422
    assert "JPEG" in str(refusal)


def test_script_that_begins_like_a_gif_is_refused(config: Config) -> None:
    refuse(b"GIF89a/*" + b"\0" * 40 + b"*/=1;alert(1)", config)


def test_empty_file_is_refused(config: Config) -> None:
    refusal = refuse(b"", config)

    assert isinstance(refusal, UploadEmpty)
    assert refusal.status == 422


@pytest.mark.parametrize("progressive", [False, True])
def test_half_a_jpeg_is_damaged(progressive: bool, config: Config) -> None:
    noise = Image.effect_noise((160, 120), 90).convert("RGB")
    data = files.encode(noise, "JPEG", progressive=progressive)

    refusal = refuse(data[: len(data) // 2], config)

    assert isinstance(refusal, ImageDamaged)
    assert refusal.status == 422


@pytest.mark.parametrize("image_format", ["PNG", "WEBP", "GIF", "AVIF", "HEIF"])
def test_truncated_picture_is_refused(image_format: str, config: Config) -> None:
    noise = Image.effect_noise((160, 120), 90).convert("RGB")
    data = files.encode(noise, image_format)

    refuse(data[: len(data) // 2], config)


def test_corrupt_pixels_of_a_png_are_damage(config: Config) -> None:
    refusal = refuse(files.with_broken_checksum(files.png(), b"IDAT"), config)

    assert isinstance(refusal, ImageDamaged)


def test_corrupt_chunk_beside_the_pixels_is_damage(config: Config) -> None:
    data = files.png_with(files.chunk(b"tEXt", b"Comment\0hello"))

    accept(data, config)
    assert isinstance(refuse(files.with_broken_checksum(data, b"tEXt"), config), ImageDamaged)


def test_png_of_fifty_thousand_squared_is_refused(config: Config) -> None:
    data = files.png_of_header(50_000, 50_000, zlib.compress(bytes(100)))
    assert len(data) < 200

    refusal = refuse(data, config)

    assert isinstance(refusal, FarTooManyPixels)
    assert refusal.status == 422


def test_valid_bomb_is_refused(config: Config) -> None:
    data = files.png_bomb()
    assert len(data) < 100_000

    refusal = refuse(data, config)

    assert isinstance(refusal, TooManyPixels)
    assert refusal.pixels == 13_000**2
    assert refusal.limit == config.max_upload_pixels
    assert "13,000 × 13,000" in str(refusal)
    assert "50 million" in str(refusal)


# If the pixels were decoded, the file would be refused as damaged.
def test_bomb_is_refused_before_its_pixels_are_decoded(config: Config) -> None:
    data = files.png_of_header(13_000, 13_000, b"no pixels at all")

    assert isinstance(refuse(data, config), TooManyPixels)


def test_largest_allowed_size_is_accepted(tmp_path: Path) -> None:
    config = make_config(tmp_path, max_upload_pixels=64 * 48)

    accept(files.png(64, 48), config)
    assert isinstance(refuse(files.png(65, 48), config), TooManyPixels)


def test_text_that_decompresses_to_much_is_dropped(config: Config) -> None:
    packed = b"Comment\0\0" + zlib.compress(bytes(1_000_000))
    data = files.png_with(*[files.chunk(b"zTXt", packed)] * 60)

    try:
        upload = accept(data, config)
    except UploadRefused:
        return
    assert not upload.image.info


def test_picture_without_size_is_refused(config: Config) -> None:
    refuse(files.png_of_header(0, 0), config)


@pytest.mark.parametrize(("width", "height"), [(1, 1), (31, 400), (400, 31)])
def test_tiny_picture_is_too_small(width: int, height: int, config: Config) -> None:
    refusal = refuse(files.png(width, height), config)

    assert isinstance(refusal, TooSmall)
    assert refusal.status == 422
    assert f"{width} × {height}" in str(refusal)


def test_smallest_allowed_size_is_accepted(config: Config) -> None:
    assert accept(files.png(32, 32), config).image.size == (32, 32)


def test_line_of_pixels_is_refused(config: Config) -> None:
    assert isinstance(refuse(files.jpeg(65_500, 1), config), TooSmall)


def test_long_and_narrow_picture_is_refused(config: Config) -> None:
    accept(files.png(640, 32), config)

    refusal = refuse(files.png(641, 32), config)

    assert isinstance(refusal, TooElongated)
    assert "20 times" in str(refusal)


def test_file_over_the_limit_is_too_large(tmp_path: Path) -> None:
    data = files.png()
    accept(data, make_config(tmp_path, max_upload_bytes=len(data)))

    refusal = refuse(data + b"\0", make_config(tmp_path, max_upload_bytes=len(data)))

    assert isinstance(refusal, UploadTooLarge)
    assert refusal.status == 413
    assert refusal.limit_bytes == len(data)


def fuzz_seeds() -> list[bytes]:
    noise = Image.effect_noise((80, 60), 60).convert("RGB")
    exif = with_orientation(6)
    return [
        files.encode(noise, "JPEG", exif=exif),
        files.encode(noise, "JPEG", progressive=True),
        jpeg_with_everything(),
        files.encode(noise, "PNG", exif=exif),
        files.encode(noise.convert("P"), "PNG"),
        png_with_everything(),
        files.encode(noise, "WEBP", exif=exif),
        files.encode(noise, "GIF"),
        files.encode(noise, "HEIF"),
        files.encode(noise, "AVIF"),
    ]


def mutate(data: bytes, chance: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(chance.choice([1, 1, 2, 5, 20])):
        # Headers are changed more often than pixels.
        place = chance.randrange(min(len(changed), chance.choice([40, 200, len(changed)])))
        kind = chance.random()
        if kind < 0.7:
            changed[place] = chance.choice([0, 1, 0x7F, 0x80, 0xFF, chance.randrange(256)])
        elif kind < 0.85:
            del changed[place : place + chance.randrange(1, 20)]
        else:
            changed[place:place] = chance.randbytes(chance.randrange(1, 9))
    return bytes(changed)


@pytest.mark.parametrize("seed", range(10))
def test_mutated_files_are_either_accepted_or_refused(seed: int, config: Config) -> None:
    chance = random.Random(seed)
    data = fuzz_seeds()[seed]
    outcomes = set()
    for _ in range(60):
        try:
            image = validate(io.BytesIO(mutate(data, chance)), "photo.jpg", config).image
        except UploadRefused as refusal:
            outcomes.add(type(refusal))
        else:
            assert image.mode == "RGB"
            assert min(image.size) >= config.min_upload_side_px
    assert outcomes


def test_warnings_of_the_decoder_are_silenced(config: Config) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(TooManyPixels):
            validate(io.BytesIO(files.png_bomb()), "photo.jpg", config)


@pytest.mark.parametrize(
    ("filename", "title"),
    [
        ("harbor.jpg", "harbor"),
        ("The_old-harbor.final.jpeg", "The old harbor.final"),
        ("../../etc/passwd", "passwd"),
        ("..\\..\\windows\\photo.png", "photo"),
        ("C:\\fakepath\\Sunset at sea.HEIC", "Sunset at sea"),
        ("/", "Untitled"),
        ("", "Untitled"),
        (".jpg", ".jpg"),
        ("   .png", "Untitled"),
        ("nul\0in\0it.jpg", "nulinit"),
        ("\u202egpj.exe.png", "gpj.exe"),
        ("two\r\nlines.png", "twolines"),
        ("Zürich 東京 🎨.jpg", "Zürich 東京 🎨"),
        ("<img src=x onerror=alert(1)>.jpg", "<img src=x onerror=alert(1)>"),
        ("{{ 7 * 7 }}.jpg", "{{ 7 * 7 }}"),
        ("a" * 3000 + ".jpg", "a" * 120),
        ("\x01\x02\x03", "Untitled"),
    ],
)
def test_title_is_the_readable_part_of_the_file_name(filename: str, title: str) -> None:
    assert make_title(filename) == title


def test_every_refusal_is_a_subclass_of_upload_refused() -> None:
    refusals: set[type[UploadRefused]] = {
        UploadEmpty,
        UploadTooLarge,
        NotAnImage,
        ImageDamaged,
        TooManyPixels,
        FarTooManyPixels,
        TooSmall,
        TooElongated,
    }
    assert set(UploadRefused.__subclasses__()) == refusals
    assert {refusal.status for refusal in refusals} == {413, 422}
