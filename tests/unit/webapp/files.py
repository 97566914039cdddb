"""Picture files of every accepted kind, and files that must be refused."""

import functools
import io
import struct
import zlib
from typing import Any

from PIL import Image

Color = tuple[int, int, int]

ORANGE: Color = (200, 100, 50)
"""Default color of the pictures."""
NOT_PICTURES = {
    "html": b"<!doctype html><script>alert(1)</script>" * 5,
    "svg": b'<svg xmlns="http://www.w3.org/2000/svg" width="64" height="64" onload="alert(1)"/>',
    "one byte": b"\xff",
    "text": b"Dear Ada, here is the photo that I promised.",
    "zip": b"PK\x03\x04" + bytes(200),
    "psd": b"8BPS\x00\x01" + bytes(6) + struct.pack(">HIIHH", 3, 64, 64, 8, 3) + bytes(200),
}


def encode(image: Image.Image, image_format: str, **options: Any) -> bytes:
    """Return an image as the bytes of a file."""
    buffer = io.BytesIO()
    image.save(buffer, image_format, **options)
    return buffer.getvalue()


@functools.cache
def jpeg(width: int = 64, height: int = 48, color: Color = ORANGE) -> bytes:
    """Return a JPEG of one color."""
    return encode(Image.new("RGB", (width, height), color), "JPEG", quality=95, subsampling=0)


@functools.cache
def png(width: int = 64, height: int = 48, color: Color = ORANGE) -> bytes:
    """Return a PNG of one color."""
    return encode(Image.new("RGB", (width, height), color), "PNG")


@functools.cache
def webp(width: int = 64, height: int = 48, color: Color = ORANGE) -> bytes:
    """Return a lossless WebP of one color."""
    return encode(Image.new("RGB", (width, height), color), "WEBP", lossless=True)


def quarters() -> Image.Image:
    """Return an image, wider than high: red and green quarters above, blue and white below."""
    image = Image.new("RGB", (96, 64), "white")
    for box, color in (
        ((0, 0, 48, 32), (255, 0, 0)),
        ((48, 0, 96, 32), (0, 255, 0)),
        ((0, 32, 48, 64), (0, 0, 255)),
    ):
        image.paste(color, box)
    return image


def chunk(kind: bytes, data: bytes) -> bytes:
    """Return a PNG chunk."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_of_header(width: int, height: int, data: bytes = b"") -> bytes:
    """Return a PNG of bilevel gray whose compressed pixels are ``data``."""
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    )


@functools.cache
def png_bomb(edge_px: int = 13_000) -> bytes:
    """Return a valid picture of a few kilobytes with ``edge_px`` squared pixels."""
    rows = bytes((edge_px + 7) // 8 + 1) * edge_px
    return png_of_header(edge_px, edge_px, zlib.compress(rows, 9))


def png_with(*chunks: bytes) -> bytes:
    """Return a valid PNG with more chunks before its pixels."""
    data = png()
    place = data.index(b"IDAT") - 4
    return data[:place] + b"".join(chunks) + data[place:]


def with_broken_checksum(data: bytes, kind: bytes) -> bytes:
    """Return a PNG with a wrong checksum in its chunk of this kind."""
    start = data.index(kind)
    length = int.from_bytes(data[start - 4 : start], "big")
    damaged = bytearray(data)
    damaged[start + 4 + length] ^= 0xFF
    return bytes(damaged)


def icc_profile(red: tuple[float, ...], green: tuple[float, ...], blue: tuple[float, ...]) -> bytes:
    """Return a display profile of gamma 2.2 with these primaries (XYZ under D50)."""

    def xyz(values: tuple[float, ...]) -> bytes:
        return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(v * 65536) for v in values))

    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(2.2 * 256)) + b"\0\0"
    tags = {
        b"wtpt": xyz((0.9642, 1.0, 0.8249)),
        b"rXYZ": xyz(red),
        b"gXYZ": xyz(green),
        b"bXYZ": xyz(blue),
        b"rTRC": curve,
        b"gTRC": curve,
        b"bTRC": curve,
    }
    table, body = struct.pack(">I", len(tags)), b""
    start = 128 + 4 + 12 * len(tags)
    for name, data in tags.items():
        table += name + struct.pack(">II", start + len(body), len(data))
        body += data
    header = struct.pack(
        ">I4sI4s4s4s", start + len(body), b"none", 0x02100000, b"mntr", b"RGB ", b"XYZ "
    )
    header += bytes(12) + b"acsp" + bytes(28) + struct.pack(">3i", 63190, 65536, 54061)
    return header.ljust(128, b"\0") + table + body


def jpeg_segments(data: bytes) -> list[int]:
    """Return the markers of a JPEG up to its pixels."""
    markers, place = [], 2
    assert data[:2] == b"\xff\xd8"
    while True:
        assert data[place] == 0xFF
        marker = data[place + 1]
        markers.append(marker)
        if marker == 0xDA:
            return markers
        place += 2 + int.from_bytes(data[place + 2 : place + 4], "big")


def webp_chunks(data: bytes) -> list[bytes]:
    """Return the names of a WebP's chunks."""
    assert data[:4] == b"RIFF"
    assert data[8:12] == b"WEBP"
    names, place = [], 12
    while place < len(data):
        names.append(data[place : place + 4])
        size = int.from_bytes(data[place + 4 : place + 8], "little")
        place += 8 + size + size % 2
    return names
