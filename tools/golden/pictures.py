#!/usr/bin/env python3
"""Write tests/corpus/image/: small pictures for src/image/image_test.c and the image fuzzer.

Needs Pillow (made with 13.0.0) and piexif (1.1.3), which A1111 writes JPEG texts with. The
PNGs that Pillow cannot write are put together here from their chunks.
"""
import io
import pathlib
import struct
import zlib

import piexif
import piexif.helper
from PIL import Image, PngImagePlugin

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent / "tests/corpus/image"
TEXT = "灯台 🌅\nSteps: 20"


def chunk(kind, data=b""):
    crc = zlib.crc32(kind + data)
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", crc)


def png(width, height, bits, color, rows, before=b"", after=b"", interlace=0):
    """rows: the bytes of each row (of each pass), without the filter byte."""
    head = struct.pack(">IIBBBBB", width, height, bits, color, 0, 0, interlace)
    data = zlib.compress(b"".join(b"\0" + row for row in rows), 9)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + before + chunk(b"IDAT", data)
            + after + chunk(b"IEND"))


def exif(orientation, order=">"):
    mark = b"MM\0*" if order == ">" else b"II*\0"
    return (mark + struct.pack(order + "IHHHIHHI", 8, 1, 0x0112, 3, 1, orientation, 0, 0))


def interlaced_rows(pixel, width, height):
    for x0, y0, dx, dy in ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4),
                           (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)):
        if x0 < width:
            for y in range(y0, height, dy):
                yield b"".join(pixel(x, y) for x in range(x0, width, dx))


def pillow(picture, **options):
    out = io.BytesIO()
    picture.save(out, **options)
    return out.getvalue()


def with_text(picture, text):
    info = PngImagePlugin.PngInfo()
    info.add_text("parameters", text)
    return pillow(picture, format="PNG", pnginfo=info)


def a1111_jpeg(jpeg, text):
    comment = piexif.helper.UserComment.dump(text, encoding="unicode")
    out = io.BytesIO()
    piexif.insert(piexif.dump({"Exif": {piexif.ExifIFD.UserComment: comment}}), jpeg, out)
    return out.getvalue()


def pillow_exif(picture, text):
    """Pillow's little-endian EXIF around piexif's big-endian comment, as some programs do."""
    data = Image.Exif()
    data.endian = "<"
    data.get_ifd(0x8769)[0x9286] = b"UNICODE\0" + text.encode("utf-16-be")
    return pillow(picture, format="JPEG", quality=95, exif=data)


def main():
    small = Image.new("RGB", (6, 4), (10, 20, 30))
    photo = Image.new("RGB", (16, 8), (200, 100, 50))
    jpeg = pillow(photo, format="JPEG", quality=95)
    inks = Image.new("CMYK", (16, 8), (55, 155, 205, 0))
    turned = piexif.dump({"0th": {piexif.ImageIFD.Orientation: 6}})
    rgba = interlaced_rows(lambda x, y: struct.pack(">4H", x * 5000, y * 9000, 777, x * 6553),
                           9, 7)
    files = {
        "a1111.png": with_text(small, "café at dusk\nSteps: 20"),
        "a1111-unicode.png": with_text(small, TEXT),
        "a1111.jpg": a1111_jpeg(jpeg, TEXT),
        "pillow-exif.jpg": pillow_exif(photo, "灯台, dusk"),
        "turned.jpg": pillow(photo, format="JPEG", quality=95, exif=turned),
        "cmyk.jpg": pillow(inks, format="JPEG", quality=95),
        "progressive.jpg": pillow(photo, format="JPEG", quality=95, progressive=True),
        "grey.jpg": pillow(photo.convert("L"), format="JPEG"),
        "turned.png": png(6, 4, 8, 2, [bytes(range(y * 18, y * 18 + 18)) for y in range(4)],
                          after=chunk(b"eXIf", exif(8, "<"))),
        "grey-16.png": png(3, 2, 16, 0, [b"\0\1\x80\0\xff\xff"] * 2),
        "grey-1.png": png(11, 3, 1, 0, [b"\xaa\xa0"] * 3, before=chunk(b"tRNS", b"\0\1")),
        "palette-clear.png": png(4, 4, 2, 3, [b"\x1b"] * 4,
                                 before=chunk(b"PLTE", bytes(range(12)))
                                 + chunk(b"tRNS", b"\0\x80\xff")),
        "interlaced.png": png(9, 7, 16, 6, rgba, interlace=1),
        "bomb.png": png(30000, 30000, 8, 2, [b"\0" * 64]),
        "text-bomb.png": png(1, 1, 8, 0, [b"\0"], before=chunk(
            b"zTXt", b"parameters\0\0" + zlib.compress(b"x" * (1 << 24), 9))),
        "cut.jpg": jpeg[: len(jpeg) * 2 // 3],
        "no-pixels.png": png(4, 4, 8, 2, []),
    }
    ROOT.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (ROOT / name).write_bytes(data)
    print(f"{ROOT}: {len(files)} files, {sum(map(len, files.values()))} bytes")


if __name__ == "__main__":
    main()
