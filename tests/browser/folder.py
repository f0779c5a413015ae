"""Writes a folder of small gray PNG images whose classes have names that a page must not take for a part of itself.

    folder.py DIR
"""

import pathlib
import struct
import sys
import zlib

CLASSES = ["a & b", "a name that is longer than its place beside an axis", "d's", '<script>alert("x")<!--']
SIDE = 8


def chunk(kind, content):
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(pixel):
    rows = b"".join(b"\0" + bytes(pixel(x, y) % 256 for x in range(SIDE)) for y in range(SIDE))
    header = struct.pack(">IIBBBBB", SIDE, SIDE, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


for label, name in enumerate(CLASSES):
    folder = pathlib.Path(sys.argv[1]) / name
    folder.mkdir(parents=True)
    for at in range(8):
        (folder / f"{at}.png").write_bytes(png(lambda x, y: x * (7 + at) + y * 31 * label + at * 40))
