"""Any pixels as eight bits a channel in sRGB."""

import io
from typing import Any

import numpy as np
from PIL import Image, ImageCms

_SRGB = ImageCms.createProfile("sRGB")
_LAB = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))
# The signature of a profile's colours (ICC.1, 7.2.6) for each mode of Pillow's.
_COLORS = {"RGB": "RGB ", "CMYK": "CMYK", "L": "GRAY", "LAB": "Lab "}
# Modes that neither a profile nor a resampling is for, as ones that are.
_PLAIN = {"1": "L", "PA": "RGBA", "La": "LA", "RGBa": "RGBA", "RGBX": "RGB"}
_PLAIN |= {"YCbCr": "RGB", "HSV": "RGB"}
# Tags of a TIFF (6.0, 8).
_BITS, _PHOTOMETRIC, _WHITE_IS_ZERO = 258, 262, 0


class Unshowable(Exception):
    """An image is whole, and nothing here can show it; the text says why."""


def in_eight_bits(image: Image.Image) -> Image.Image:
    """Load an image into mode L, LA, RGB, RGBA, CMYK or LAB.

    Of more bits it takes the upper eight: `convert` of Pillow 13 makes white of all
    above 255 (python-pillow/Pillow#3011). Raises Unshowable where it is not known what
    the samples mean.
    """
    tiles: Any = getattr(image, "tile", ())
    is_deep = "16B" in str(tiles[0].args) if tiles else False
    image.load()
    if image.mode.startswith("I;16"):
        return _grey(image)
    if image.mode in ("I", "F"):
        kind = "32 bits" if image.mode == "I" else "floating point"
        raise Unshowable(f"has samples of {kind}: send 8 or 16 bits a channel")
    clear = image.info.get("transparency")
    if is_deep and isinstance(clear, tuple):
        # Pillow 13 compares samples of 8 bits with one of 16.
        image.info["transparency"] = tuple(sample >> 8 for sample in clear)
    mode = _PLAIN.get(image.mode, image.mode)
    if mode in ("L", "P", "RGB") and image.has_transparency_data:
        mode = "RGBA"
    mode = "RGB" if mode == "P" else mode
    return image if mode == image.mode else image.convert(mode)


def _grey(image: Image.Image) -> Image.Image:
    """Return the upper eight bits of grey samples of 9 to 16 bits."""
    samples = np.asarray(image)
    tags: Any = getattr(image, "tag_v2", {})
    depth = min(16, (tags.get(_BITS) or (16,))[0])
    upper = (samples >> (depth - 8)).astype(np.uint8)
    if tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO:
        # Pillow 13 heeds it for samples of 8 bits only.
        upper = 255 - upper
    grey = Image.fromarray(upper)
    clear = image.info.get("transparency")
    if isinstance(clear, int):
        grey.putalpha(Image.fromarray(np.uint8(255) * (samples != clear)))
    grey.info = {k: v for k, v in image.info.items() if k != "transparency"}
    return grey


def to_srgb(image: Image.Image) -> Image.Image:
    """Convert colours by the embedded profile, black to black, into RGB or RGBA."""
    has_alpha = image.mode in ("LA", "RGBA")
    bare = image.convert(image.mode.removesuffix("A")) if has_alpha else image
    profile = _profile_of(bare)
    if profile is None:
        return image.convert("RGBA" if has_alpha else "RGB")
    try:
        converted = ImageCms.profileToProfile(
            bare,
            profile,
            _SRGB,
            ImageCms.Intent.RELATIVE_COLORIMETRIC,
            outputMode="RGB",
            flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
    except (ImageCms.PyCMSError, OSError):
        # A broken profile is what every browser ignores too.
        converted = None
    if converted is None:
        return image.convert("RGBA" if has_alpha else "RGB")
    if has_alpha:
        converted.putalpha(image.getchannel("A"))
    return converted


def _profile_of(image: Image.Image) -> ImageCms.ImageCmsProfile | None:
    """Return the embedded profile where it is one for colours of this mode."""
    if image.mode == "LAB":
        return _LAB
    data = image.info.get("icc_profile")
    if not data:
        return None
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(data))
    except OSError:
        return None
    fits = profile.profile.xcolor_space == _COLORS.get(image.mode)
    return profile if fits else None
