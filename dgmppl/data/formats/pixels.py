"""Images as arrays, read with Pillow: of one size, all grey or all in colour. In folders and in data sets alike."""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from dgmppl.data.rows import Values
from dgmppl.diagnostics import Diagnostic, SpecError
from dgmppl.source import Span
from dgmppl.words import counted

# Plain pixels. Pillow reads more, some of it (EPS) through other programs.
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "PPM", "TIFF", "WEBP")
# Modes whose values are no bytes: grey levels that a conversion would cut off at 255.
_DEEP = ("I", "F")
_ORIENTATION = 0x0112  # of EXIF; from 5 on, width and height are swapped
_BITS_PER_SAMPLE = 258  # of TIFF
_PPM_MOST = 65535

Result = TypeVar("Result")


@dataclass(frozen=True)
class Picture:
    """An image that is not opened yet: what it is called, and its file or the bytes of one."""

    name: str
    file: Callable[[], Path | bytes]

    def opened(self, function: Callable[[Any], Result], span: Span) -> Result:
        """What a function makes of the image. Raises a SpecError (E517) where it cannot be read."""
        from PIL import Image

        with warnings.catch_warnings():
            # Beyond this many pixels Pillow takes a file for one that is meant to fill the memory.
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            try:
                file = self.file()
                with Image.open(io.BytesIO(file) if isinstance(file, bytes) else file, formats=FORMATS) as image:
                    return function(image)
            except (Image.DecompressionBombWarning, Image.DecompressionBombError):
                raise self.fail(
                    f"has more than {Image.MAX_IMAGE_PIXELS:,} pixels", "scale it down before", span
                ) from None
            except Image.UnidentifiedImageError:
                kinds = ", ".join(FORMATS)
                help_ = f"its content is of another kind than its name says, or than {kinds}"
                raise self.fail("is no image", help_, span) from None
            except (OSError, SyntaxError, ValueError, EOFError) as error:
                reason = getattr(error, "strerror", None) or str(error).splitlines()[0]
                raise self.fail(f"cannot be read: {reason}", "", span) from None

    def fail(self, what: str, help_: str, span: Span) -> SpecError:
        return SpecError([Diagnostic("E517", f"{self.name} {what}", span, help=help_)])


class Pixels:
    """Images of one size, all grey or all in colour.

    Args:
        pictures: all of them, of all splits.
        elements: values a row that the variable declares; as many as an image in grey or in colour has, else
            colour follows from the first image.
        span: where the spec names them.

    Raises:
        SpecError: (E517) when one cannot be read, or does not go with the others.
    """

    def __init__(self, pictures: Sequence[Picture], elements: int, span: Span) -> None:
        self.span = span
        # The headers of all files first: nothing is decoded before it is known to fit.
        self.size, first = self._header(pictures[0])
        modes = {first}
        for picture in pictures[1:]:
            size, mode = self._header(picture)
            modes.add(mode)
            if size != self.size:
                ours, theirs = (f"{w} x {h}" for w, h in (self.size, size))
                what = f"has {theirs} pixels, and {pictures[0].name} has {ours}"
                raise picture.fail(what, "all images have the same size", span)
            if (mode in _DEEP) != (first in _DEEP):
                raise picture.fail(f"has {_depth(mode)}, and {pictures[0].name} {_depth(first)}", "", span)
        pixels = math.prod(self.size)
        colour = elements == 3 * pixels or (elements != pixels and first not in ("1", "L", "LA", *_DEEP))
        self.mode = first if first in _DEEP else "RGB" if colour else "L"
        self.shape = (self.size[1], self.size[0], *((3,) if self.mode == "RGB" else ()))
        # Whole numbers of 32 bits are exact in double precision, and not in single.
        self._dtype = (np.float64 if "I" in modes else np.float32) if self.mode in _DEEP else np.uint8

    @property
    def bounds(self) -> tuple[float | None, float | None]:
        """What the values lie between, where they are bytes."""
        return (None, None) if self.mode in _DEEP else (0.0, 255.0)

    def read(self, pictures: Sequence[Picture]) -> Values:
        """The values of some of the images, (n, height, width) in grey and (n, height, width, 3) in colour."""
        array = np.empty((len(pictures), *self.shape), self._dtype)
        for number, picture in enumerate(pictures):
            array[number] = picture.opened(self._values, self.span)
        return array

    def _header(self, picture: Picture) -> tuple[tuple[int, int], str]:
        # The bits first: to read the EXIF data of a PNG decodes it, and forgets how it was stored.
        bits, size, mode = picture.opened(lambda image: (_bits(image), _upright(image), image.mode), self.span)
        mode = "I" if mode.startswith("I;16") else mode
        if bits > 8 and mode not in _DEEP:
            what = f"has {counted(bits, 'bit')} a channel, and Pillow reads 8 of them where there are several channels"
            help_ = "store it in grey, or with 8 bits a channel, or all images as one array in a .npy file"
            raise picture.fail(what, help_, self.span)
        return size, mode

    def _values(self, image: Any) -> Values:
        from PIL import ImageOps

        most = _ppm_most(image) if self.mode == "I" else _PPM_MOST
        upright = ImageOps.exif_transpose(image)
        values = np.asarray(upright if self.mode in _DEEP else upright.convert(self.mode))
        # Pillow stretches grey levels from 0 to `most` to 65535.
        return values if most == _PPM_MOST else np.round(values * (most / _PPM_MOST))


def _upright(image: Any) -> tuple[int, int]:
    """The size of an image as it is to be seen: cameras store it as the sensor lay, and how to turn it."""
    width, height = image.size
    return (height, width) if image.getexif().get(_ORIENTATION, 1) >= 5 else (width, height)


def _bits(image: Any) -> int:
    """Bits a channel in the file, as far as they can be more than the 8 of Pillow's modes of several channels."""
    if image.format == "TIFF":
        bits = image.tag_v2.get(_BITS_PER_SAMPLE, 1)
        return int(max(bits) if isinstance(bits, tuple) else bits)
    if image.format == "PPM":
        return 16 if _ppm_most(image, 255) > 255 else 8
    return 16 if image.format == "PNG" and image.tile and "16" in str(image.tile[0][3]) else 8


def _ppm_most(image: Any, otherwise: int = _PPM_MOST) -> int:
    """The largest grey level that a file of the PPM family announces, where Pillow scales the levels by it."""
    if image.format != "PPM" or not image.tile:
        return otherwise
    codec, arguments = image.tile[0][0], image.tile[0][3]
    scaled = codec in ("ppm", "ppm_plain") and isinstance(arguments, tuple) and len(arguments) == 2
    return int(arguments[1]) if scaled else otherwise


def _depth(mode: str) -> str:
    return "more than 256 grey levels" if mode in _DEEP else "bytes for pixels"
