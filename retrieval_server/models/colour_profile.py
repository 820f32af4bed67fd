"""Colour profiles (ICC): the pixels of a photo in sRGB, as the backbones know colours.

Phones save photos in Display P3, cameras in Adobe RGB: taken for sRGB, their colours are too dull.
The conversion comes last, on the small image, where it costs least. A profile that cannot be used
is ignored, as browsers do.
"""

from __future__ import annotations

import io
from functools import lru_cache

from PIL import Image, ImageCms

LONGEST_PROFILE = 2**20  # bytes; those of cameras and phones have some 500
_TRANSFORMS = 16  # kept for the profiles that were seen last


def in_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Convert an image to sRGB.

    Args:
        image: RGB.
        profile: the colour profile of the file that it comes from; None is sRGB.

    Returns:
        The image in sRGB; the same object if there is nothing to convert.
    """
    if not isinstance(profile, bytes) or len(profile) > LONGEST_PROFILE:
        return image
    transform = _to_srgb(profile)
    if transform is None:
        return image
    return ImageCms.applyTransform(image, transform) or image


@lru_cache(_TRANSFORMS)
def _to_srgb(profile: bytes) -> ImageCms.ImageCmsTransform | None:
    """The transform from a profile to sRGB; None for sRGB itself and for what is unusable."""
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if source.profile.xcolor_space != "RGB " or _is_srgb(source):
            return None
        return ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), "RGB", "RGB")
    except MemoryError:
        raise
    except Exception:  # Pillow raises several types for a profile that is damaged
        return None


def _is_srgb(source: ImageCms.ImageCmsProfile) -> bool:
    return "srgb" in (ImageCms.getProfileDescription(source) or "").lower()
