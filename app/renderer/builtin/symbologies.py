"""Kinds of barcodes: what each can say, its check digit, and its bars or modules."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import zxingcpp
from zxingcpp import BarcodeFormat

from app.renderer.errors import BadParameter, Fault

Matrix = tuple[bytes, ...]

_CODE39 = re.compile(r"[^0-9A-Z\-. $/+%]")
_LATIN1 = re.compile(r"[^\x00-\xff]")
_NOT_DIGIT = re.compile(r"[^0-9]")
_ELEMENT = re.compile(r"\(([0-9]{2,4})\)([^(]*)")
# How the library frames what it has to say.
_FRAME = re.compile(r"^Error [0-9]+: | \(retval: [0-9]+\)$")
# Digits of the keys that end in a check digit (GS1 General Specifications, 3.2).
_KEYS = {"00": 18, "01": 14, "02": 14, "402": 17} | {
    str(identifier): 13 for identifier in range(410, 418)
}


class Content(NamedTuple):
    """What a code says, check digit included, and what of that was assumed.

    `heading` is a line above the bars.
    """

    data: str
    notes: tuple[str, ...] = ()
    heading: str = ""


class Digits(NamedTuple):
    """Where some digits stand below the bars, from which module on.

    A digit takes seven modules; those that are `small` stand beside the bars.
    """

    number: int
    start: int
    small: bool = False


@dataclass(frozen=True)
class Symbology:
    """A kind of barcode, all lengths in modules.

    `read` checks and completes data, or raises BadParameter. `margin` is the quiet zone
    left and right, and of a `matrix` above and below. `height` is that of linear bars,
    0 for a matrix. `module` is its width in CSS pixels where nothing else decides it.
    `digits` is where they stand below, in place of a line of text. `frame` is the
    thickness of the bearer bars around; `options` are what the library is told.
    """

    title: str
    format: BarcodeFormat
    read: Callable[[str], Content]
    margin: tuple[int, int]
    height: int = 0
    module: int = 2
    digits: tuple[Digits, ...] = ()
    frame: int = 0
    options: tuple[str, ...] = ()

    @property
    def matrix(self) -> bool:
        """Whether it is made of modules in two directions."""
        return not self.height


class Symbol(NamedTuple):
    """A code without quiet zone, rows as bytes of 0 (light) and 1 (dark).

    Linear bars are one row. `guards` are those of them that are longer above digits.
    """

    rows: Matrix
    guards: bytes
    content: Content


def check_digit(digits: str) -> str:
    """Return the digit that makes a GS1 number whole (General Specifications, 7.9)."""
    weighted = sum(
        int(each) * (1, 3)[at % 2] for at, each in enumerate(digits[::-1], 1)
    )
    return str(-weighted % 10)


def _bad(reason: str) -> BadParameter:
    return BadParameter(Fault("data", reason))


def _refuse(pattern: re.Pattern[str], data: str, title: str) -> None:
    """Raise BadParameter for the first character that the pattern finds."""
    if found := pattern.search(data):
        raise _bad(f"holds {found[0]!r} at {found.start() + 1}, which {title} has not")


def _digits_of(data: str, title: str) -> str:
    # People copy numbers as they are printed.
    digits = data.replace(" ", "").replace("-", "")
    _refuse(_NOT_DIGIT, digits, title)
    return digits


def _say_added(digits: str, added: str) -> str:
    """Say which check digit was added, and what else the digits may have been.

    One of ten numbers ends in its check digit when a zero stands before it, as it did
    before a spreadsheet read it as a number.
    """
    told = f"check digit {added} was added"
    if check_digit(digits[:-1]) != digits[-1]:
        return told
    return f"{told}; if a leading 0 was lost, send 0{digits}"


def _completed(digits: str, length: int, title: str) -> Content:
    """Check the last digit of `length`, or add it where it is left out."""
    if len(digits) == length - 1:
        added = check_digit(digits)
        return Content(digits + added, (_say_added(digits, added),))
    if len(digits) != length:
        reason = f"has {len(digits)} digits: {title} has {length}, or {length - 1}"
        raise _bad(f"{reason} and the check digit is added")
    if digits[-1] != (right := check_digit(digits[:-1])):
        raise _bad(f"ends in {digits[-1]}, and the check digit of {title} is {right}")
    return Content(digits)


def _number(data: str, length: int, title: str) -> Content:
    return _completed(_digits_of(data, title), length, title)


def _upce(data: str) -> Content:
    """Complete six digits, or seven with the number system before them."""
    digits = _digits_of(data, "UPC-E")
    if not 6 <= len(digits) <= 8:
        raise _bad(
            f"has {len(digits)} digits: UPC-E has 8, or 7 and the check digit is added,"
            " or 6 and the number system is 0"
        )
    notes: tuple[str, ...] = ()
    if len(digits) == 6:
        digits, notes = f"0{digits}", ("number system 0 was added",)
    if digits[0] not in "01":
        raise _bad(f"begins with {digits[0]}, and UPC-E has number systems 0 and 1")
    # The check digit is that of the number in full.
    whole = _completed(expanded(digits[:7]) + digits[7:], 12, "UPC-E")
    return Content(digits[:7] + whole.data[-1], notes + whole.notes)


def expanded(digits: str) -> str:
    """Return the eleven digits of UPC-A that seven of UPC-E stand for."""
    system, number, last = digits[0], digits[1:6], digits[6]
    if last in "012":
        return f"{system}{number[:2]}{last}0000{number[2:]}"
    if last == "3":
        return f"{system}{number[:3]}00000{number[3:]}"
    if last == "4":
        return f"{system}{number[:4]}00000{number[4]}"
    return f"{system}{number}0000{last}"


def _isbn(data: str) -> Content:
    """Make an EAN-13 of an ISBN of 13 or 10 digits, the last of which may lack."""
    spelt = data.strip().upper().removeprefix("ISBN").strip(": ")
    number = spelt.replace(" ", "").replace("-", "")
    if re.fullmatch(r"[0-9]{9}[0-9X]?", number):
        weighted = sum(int(each) * (10 - at) for at, each in enumerate(number[:9]))
        right = "0123456789X"[-weighted % 11]
        if number[9:] not in ("", right):
            raise _bad(
                f"ends in {number[9]}, and the check digit of ISBN-10 is {right}"
            )
        ean = _completed(f"978{number[:9]}", 13, "ISBN").data
        return Content(ean, ("ISBN-10 is written as ISBN-13",), f"ISBN {ean}")
    if not re.fullmatch(r"97[89][0-9]{9,10}", number):
        raise _bad("is no ISBN: 13 digits from 978 or 979 on, or 10")
    whole = _completed(number, 13, "ISBN")
    return whole._replace(heading=f"ISBN {spelt if not whole.notes else whole.data}")


def _itf(data: str) -> Content:
    digits = _digits_of(data, "ITF")
    if not digits:
        raise _bad("holds no digit")
    if len(digits) % 2:
        note = "0 was added before it, as ITF has an even number of digits"
        return Content(f"0{digits}", (note,))
    return Content(digits)


def _text_of(data: str, pattern: re.Pattern[str], title: str) -> Content:
    _refuse(pattern, data, title)
    return Content(data)


def _gs1(data: str) -> Content:
    """Check and complete the numbers in `(01)09501101530003(10)ABC`."""
    if not data.startswith("("):
        raise _bad("must hold application identifiers: (01)09501101530003(10)ABC")
    notes: list[str] = []

    def complete(found: re.Match[str]) -> str:
        identifier, value = found[1], found[2]
        length = _KEYS.get(identifier, 0)
        # What else is wrong with it the library says.
        if len(value) not in (length, length - 1) or _NOT_DIGIT.search(value):
            return found[0]
        content = _completed(value, length, f"({identifier})")
        notes.extend(f"({identifier}) {note}" for note in content.notes)
        return f"({identifier}){content.data}"

    whole = _ELEMENT.sub(complete, data)
    return Content(whole, tuple(notes))


def _retail(
    title: str,
    format: BarcodeFormat,
    length: int,
    margin: tuple[int, int],
    digits: tuple[Digits, ...],
    height: int = 69,
) -> Symbology:
    read = partial(_number, length=length, title=title)
    return Symbology(title, format, read, margin, height, digits=digits)


_EAN13 = (Digits(1, -9), Digits(6, 3), Digits(6, 50))
_UPCE = (Digits(1, -7, small=True), Digits(6, 3), Digits(1, 51, small=True))
_UPCA = (
    Digits(1, -7, small=True),
    Digits(5, 10),
    Digits(5, 50),
    Digits(1, 95, small=True),
)
# Quiet zones and heights: GS1 General Specifications, 5.2 and 5.3; ISO/IEC 15417,
# 16388, 16390, 16022 and 15438. Aztec needs no quiet zone (ISO/IEC 24778).
SYMBOLOGIES: Mapping[str, Symbology] = MappingProxyType(
    {
        "ean13": _retail("EAN-13", BarcodeFormat.EAN13, 13, (11, 7), _EAN13),
        "ean8": _retail(
            "EAN-8", BarcodeFormat.EAN8, 8, (7, 7), (Digits(4, 3), Digits(4, 36)), 55
        ),
        "upca": _retail("UPC-A", BarcodeFormat.UPCA, 12, (9, 9), _UPCA),
        "upce": Symbology("UPC-E", BarcodeFormat.UPCE, _upce, (9, 7), 69, digits=_UPCE),
        "isbn": Symbology(
            "ISBN", BarcodeFormat.EAN13, _isbn, (11, 7), 69, digits=_EAN13
        ),
        "code128": Symbology(
            "Code 128",
            BarcodeFormat.Code128,
            partial(_text_of, pattern=_LATIN1, title="Code 128"),
            (10, 10),
            50,
        ),
        "gs1-128": Symbology(
            "GS1-128", BarcodeFormat.Code128, _gs1, (10, 10), 50, options=("gs1",)
        ),
        "code39": Symbology(
            "Code 39",
            BarcodeFormat.Code39,
            partial(_text_of, pattern=_CODE39, title="Code 39"),
            (10, 10),
            50,
        ),
        "itf": Symbology("ITF", BarcodeFormat.ITF, _itf, (10, 10), 50),
        "itf14": Symbology(
            "ITF-14",
            BarcodeFormat.ITF,
            partial(_number, length=14, title="ITF-14"),
            (10, 10),
            50,
            frame=5,
        ),
        "datamatrix": Symbology(
            "Data Matrix",
            BarcodeFormat.DataMatrix,
            Content,
            (1, 1),
            module=6,
            options=("forceSquare",),
        ),
        "gs1-datamatrix": Symbology(
            "GS1 DataMatrix",
            BarcodeFormat.DataMatrix,
            _gs1,
            (1, 1),
            module=6,
            options=("gs1", "forceSquare"),
        ),
        "aztec": Symbology("Aztec", BarcodeFormat.Aztec, Content, (0, 0), module=6),
        "pdf417": Symbology("PDF417", BarcodeFormat.PDF417, Content, (2, 2)),
    }
)
# Other names, and what other tools call them, without spaces, hyphens and underscores.
_ALIASES = {
    **{name.replace("-", ""): name for name in SYMBOLOGIES},
    **dict.fromkeys(("ean", "jan", "gtin13", "gtin"), "ean13"),
    **dict.fromkeys(("jan8", "gtin8"), "ean8"),
    **dict.fromkeys(("upc", "gtin12"), "upca"),
    **dict.fromkeys(("isbn13", "isbn10", "bookland"), "isbn"),
    **dict.fromkeys(("128", "code128b", "code128auto"), "code128"),
    **dict.fromkeys(("ean128", "ucc128", "eanucc128", "gs1code128"), "gs1-128"),
    **dict.fromkeys(("39", "code3of9", "3of9"), "code39"),
    **dict.fromkeys(("interleaved2of5", "i2of5", "2of5", "code25interleaved"), "itf"),
    **dict.fromkeys(("gtin14", "ean14", "dun14", "scc14"), "itf14"),
    **dict.fromkeys(("dm", "ecc200", "datamatrixecc200"), "datamatrix"),
    **dict.fromkeys(("gs1dm", "gs1datamatrixecc200"), "gs1-datamatrix"),
    **dict.fromkeys(("azteccode",), "aztec"),
}


def canonical(name: str) -> str:
    """Return the name in SYMBOLOGIES for any usual spelling; raise ValueError."""
    plain = re.sub(r"[\s_-]", "", name).lower()
    if plain in _ALIASES:
        return _ALIASES[plain]
    if plain in ("qr", "qrcode"):
        raise ValueError(
            "is none of this renderer: QR codes are drawn by the renderer qr"
        )
    raise ValueError(f"is not known; known are {', '.join(SYMBOLOGIES)}")


@lru_cache(64)
def encode(data: str, symbology: str) -> Symbol:
    """Return the code that says `data`, completed where a check digit is left out.

    Raises BadParameter where it cannot be said in this symbology.
    """
    kind = SYMBOLOGIES[symbology]
    content = kind.read(data)
    options: dict[str, object] = dict.fromkeys(kind.options, True)
    if kind.matrix and not data.isascii():
        # As in QR codes: readers guess the character set where no ECI says it.
        options["eci"] = "UTF-8"
    try:
        code = zxingcpp.create_barcode(content.data, kind.format, **options)
    except ValueError as error:
        reason = _FRAME.sub("", str(error))
        raise _bad(f"cannot be written as {kind.title}: {reason}") from error
    modules = np.asarray(code.to_image(scale=1, add_quiet_zones=False)) == 0
    rows = tuple(row.tobytes() for row in modules)
    if kind.matrix:
        return Symbol(rows, b"", content)
    # Below its digits the library leaves the guard bars alone.
    return Symbol(rows[:1], rows[-1], content)
