"""Pictures to bytes: one table of formats, a check before and an encode after."""

from collections.abc import Iterator

from app.renderer.base import Output, Picture
from app.renderer.encode.formats import EXTENSIONS, FORMATS, Format, flatten
from app.renderer.encode.png import encode_png
from app.renderer.errors import BadParameter, Fault, UnknownFormat

__all__ = [
    "EXTENSIONS",
    "FORMATS",
    "Format",
    "check",
    "encode",
    "encode_png",
    "flatten",
]

_OPTIONS = ("quality", "scale", "compression", "background")


def check(output: Output, width: int, height: int) -> None:
    """Refuse an output that its format cannot honour, before any work.

    Width and height are device pixels. Raises BadParameter naming each field that
    is at fault, UnknownFormat for a format that is not in the table.
    """
    row = _row(output)
    faults = (*_option_faults(output, row), *_size_faults(row, width, height))
    if faults:
        raise BadParameter(*faults)


def encode(picture: Picture, output: Output) -> bytes:
    """Return the file; equal pictures and outputs give equal bytes.

    `output.background` is laid under the picture; without it, formats that have no
    alpha lay white under. Safe in threads. Raises UnknownFormat for `svg`, which
    is no encoding of pixels.
    """
    return _row(output).save(flatten(picture, output.background), output)


def _row(output: Output) -> Format:
    row = FORMATS.get(output.format)
    if row is None:
        raise UnknownFormat(output.format, tuple(FORMATS))
    return row


def _option_faults(output: Output, row: Format) -> Iterator[Fault]:
    for option in _OPTIONS:
        given = getattr(output, option) != Output.model_fields[option].default
        if given and option not in row.options:
            able = ", ".join(
                name for name, at in FORMATS.items() if option in at.options
            )
            yield Fault(option, f"is not an option of {row.name}; it is one of {able}")


def _size_faults(row: Format, width: int, height: int) -> Iterator[Fault]:
    if row.square and width != height:
        reason = f"must equal the height: {row.name} is square, not {width}x{height}"
        yield Fault("width", reason)
    for field, side in (("width", width), ("height", height)):
        if row.side is not None and side > row.side:
            bound = f"{row.name} takes at most {row.side:,} device pixels a side"
            yield Fault(field, f"is {side:,}; {bound}")
