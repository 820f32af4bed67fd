"""Colour profiles (ICC version 2) of RGB spaces, from their primaries, and pixels in them."""

import struct

import numpy as np
from numpy.typing import NDArray

# Columns: XYZ of red, green and blue under D50, from the profiles that phones and cameras write.
SRGB = np.array([[0.4361, 0.3851, 0.1431], [0.2225, 0.7169, 0.0606], [0.0139, 0.0971, 0.7141]])
DISPLAY_P3 = np.array(
    [[0.5151, 0.2920, 0.1571], [0.2412, 0.6922, 0.0666], [-0.0011, 0.0419, 0.7841]]
)
ADOBE_RGB = np.array([[0.6097, 0.2053, 0.1492], [0.3111, 0.6257, 0.0632], [0.0195, 0.0609, 0.7446]])
GAMMA = 2.2  # of every profile here


def profile(primaries: NDArray[np.float64], description: str = "a wide gamut") -> bytes:
    """A profile with these primaries and a gamma of 2.2."""
    text = description.encode() + b"\0"
    curve = b"curv" + bytes(4) + struct.pack(">IH", 1, round(GAMMA * 256))
    tags = {
        b"desc": b"desc" + bytes(4) + struct.pack(">I", len(text)) + text + bytes(78),
        b"cprt": b"text" + bytes(4) + b"none\0",
        b"wtpt": _xyz(0.9642, 1.0, 0.8249),
        b"rXYZ": _xyz(*primaries[:, 0]),
        b"gXYZ": _xyz(*primaries[:, 1]),
        b"bXYZ": _xyz(*primaries[:, 2]),
        b"rTRC": curve,
        b"gTRC": curve,
        b"bTRC": curve,
    }
    table, body = struct.pack(">I", len(tags)), b""
    start = 128 + 4 + 12 * len(tags)
    for name, content in tags.items():
        table += name + struct.pack(">II", start + len(body), len(content))
        body += content + bytes(-len(content) % 4)
    head = struct.pack(">I4xI", start + len(body), 0x02400000) + b"mntrRGB XYZ "
    head += bytes(12) + b"acsp" + bytes(28) + _xyz(0.9642, 1.0, 0.8249)[8:]
    return head.ljust(128, b"\0") + table + body


def converted(pixels: NDArray[np.uint8], source: NDArray, target: NDArray) -> NDArray[np.uint8]:
    """Pixels (H, W, 3) of one space as another space with the same gamma writes them."""
    linear = (pixels / 255.0) ** GAMMA @ (np.linalg.inv(target) @ source).T
    return (255 * linear.clip(0, 1) ** (1 / GAMMA)).round().astype(np.uint8)


def _xyz(x: float, y: float, z: float) -> bytes:
    numbers = (round(each * 65536) for each in (x, y, z))
    return b"XYZ " + bytes(4) + struct.pack(">iii", *numbers)
