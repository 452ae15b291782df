"""Small image files that no encoder would write, built byte by byte."""

import struct
import zlib

PNG = b"\x89PNG\r\n\x1a\n"


def chunk(kind: bytes, content: bytes = b"") -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def ihdr(width: int, height: int, depth: int = 8, colour: int = 2, interlace: int = 0) -> bytes:
    return chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlace))


def png(width: int = 64, height: int = 64, *, colour: int = 2, depth: int = 8, extra: bytes = b"") -> bytes:
    """Return a black PNG; `extra` chunks go before the image data."""
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]
    row = b"\x00" + bytes((width * channels * depth + 7) // 8)
    palette = chunk(b"PLTE", bytes(768)) if colour == 3 else b""
    data = chunk(b"IDAT", zlib.compress(row * height, 1))
    return PNG + ihdr(width, height, depth, colour) + palette + extra + data + chunk(b"IEND")


def tiff_orientation(value: int, order: str = "<", field: str = "H2x") -> bytes:
    """Return a TIFF block with only the orientation tag; `field` is the struct format of its value."""
    magic = b"II*\x00" if order == "<" else b"MM\x00*"
    kind = {"B3x": 1, "H2x": 3, "I": 4}[field]
    entry = struct.pack(order + "HHI" + field, 0x0112, kind, 1, value)
    return magic + struct.pack(order + "IH", 8, 1) + entry + bytes(4)


def raw_profile(value: int, kind: bytes = b"zTXt", name: bytes = b"exif") -> bytes:
    """Return a PNG text chunk with the orientation in a raw profile, as ImageMagick writes it."""
    block = b"Exif\x00\x00" + tiff_orientation(value, ">")
    digits = block.hex().encode()
    lines = b"\n".join(digits[start : start + 72] for start in range(0, len(digits), 72))
    text = b"\n%s\n%8d\n%s\n" % (name, len(block), lines)
    head = {
        b"tEXt": b"",
        b"zTXt": b"\x00",
        b"iTXt": b"\x01\x00en\x00\x00",
    }[kind]
    return chunk(
        kind,
        b"Raw profile type " + name + b"\x00" + head + (text if kind == b"tEXt" else zlib.compress(text)),
    )


def segment(marker: int, content: bytes) -> bytes:
    return b"\xff" + bytes([marker]) + struct.pack(">H", len(content) + 2) + content


def with_exif(jpeg: bytes, orientation: int, order: str = "<") -> bytes:
    """Return the JPEG with an EXIF segment after its start marker."""
    return jpeg[:2] + segment(0xE1, b"Exif\x00\x00" + tiff_orientation(orientation, order)) + jpeg[2:]


def jpeg_frame(width: int, height: int, *, channels: int = 3, depth: int = 8, marker: int = 0xC0) -> bytes:
    components = b"".join(bytes([number + 1, 0x11, 0]) for number in range(channels))
    return segment(marker, struct.pack(">BHHB", depth, height, width, channels) + components)


def jpeg(*segments: bytes) -> bytes:
    """Return a JPEG with a complete header: the segments, then a scan without data."""
    return b"\xff\xd8" + b"".join(segments) + segment(0xDA, bytes(6)) + b"\xff\xd9"
