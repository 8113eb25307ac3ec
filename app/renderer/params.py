"""Types of which parameters are made: every value that exists is valid."""

import hashlib
import re
import unicodedata
from collections.abc import Iterator, Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin

import pybase64
from PIL import ImageColor
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    StringConstraints,
    ValidationError,
    ValidationInfo,
    WithJsonSchema,
)

from app.config.parsers import NUMBER, SWITCHES, WHOLE
from app.renderer.color_functions import read_function
from app.renderer.engine.language import canonical
from app.renderer.errors import BadParameter, Fault
from app.renderer.paper import CSS_DPI, parse_pixels
from app.renderer.probe.base64_stream import NotBase64, NoText, decode_text

Model = TypeVar("Model", bound=BaseModel)

# Names that belong to signed URLs: no parameter may have one.
RESERVED = frozenset({"expires", "key", "free", "signature"})

# What pydantic finds, in the words of those who send it.
_REASONS = {
    "missing": "is required",
    "extra_forbidden": "is not known",
    **dict.fromkeys(
        ("int_type", "int_parsing", "int_from_float"), "must be a whole number"
    ),
    "int_parsing_size": "has too many digits",
    "string_unicode": "holds bytes that are no UTF-8 text",
    **dict.fromkeys(("float_type", "float_parsing"), "must be a number"),
    **dict.fromkeys(("bool_type", "bool_parsing"), "must be true or false"),
    **dict.fromkeys(("string_type", "bytes_type"), "must be a text"),
    **dict.fromkeys(("list_type", "tuple_type"), "must be a list"),
    **dict.fromkeys(
        ("dict_type", "model_type", "model_attributes_type"), "must be an object"
    ),
}
_ABOUT_INPUT = re.compile(r"^(?:Input|String|List|Tuple|Dictionary|Data) should ")
# By category letters and symbols, yet drawn as nothing: Hangul fillers, empty Braille.
_BLANK = frozenset("\u115f\u1160\u2800\u3164\uffa0")
# What ends in a unit, known or not, is read as a length.
_WHOLE_OR_LENGTH = re.compile(rf"{WHOLE.pattern}|.*[A-Za-z]", re.DOTALL)
_ADDRESS = re.compile(r"\s*https?://", re.IGNORECASE)
# Signs of a number in a text of JSON, and the first beyond what JavaScript can count.
_MOST_DIGITS, _MOST_WHOLE = 40, 1 << 53
# Cc of Unicode, without line feed and tab.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_HEX = re.compile(r"(?:[0-9a-fA-F]{3,4}|[0-9a-fA-F]{6}|[0-9a-fA-F]{8})\Z")


def parse_color(text: str) -> str:
    """Return a colour as `#rrggbb`, or `#rrggbbaa` where it is not opaque.

    Takes 3, 4, 6 or 8 hexadecimal digits with or without `#`, and what CSS Color 4
    writes in sRGB: a name, `transparent`, rgb(), hsl() and hwb(). Raises ValueError
    for anything else.
    """
    plain = text.strip().lower()
    bare = plain.removeprefix("#")
    if _HEX.match(bare):
        digits = bare if len(bare) > 4 else "".join(digit * 2 for digit in bare)
    elif plain == "transparent":
        digits = "00000000"
    else:
        digits = read_function(plain) or _named(bare)
    # One spelling of each colour, so that equal images have equal fingerprints.
    return f"#{digits[:6]}" if digits[6:] in ("", "ff") else f"#{digits}"


def _named(name: str) -> str:
    if name not in ImageColor.colormap:
        raise ValueError(
            "is not a colour: use RRGGBB, RRGGBBAA, a CSS colour name, rgb(), hsl() or"
            " hwb()"
        )
    # By name: Pillow replaces the values of its map by tuples as they are used.
    red, green, blue = ImageColor.getrgb(name)[:3]
    return f"{red:02x}{green:02x}{blue:02x}"


def rgba(color: str) -> tuple[int, int, int, int]:
    """Return the channels, 0 to 255, of a colour that `parse_color` made."""
    red, green, blue, *alpha = bytes.fromhex(color.removeprefix("#"))
    return red, green, blue, alpha[0] if alpha else 255


def _composed(value: Any) -> Any:
    """Canonically equal texts are one text, and one fingerprint (UAX #15)."""
    return unicodedata.normalize("NFC", value) if isinstance(value, str) else value


def _printable(text: str) -> str:
    found = _CONTROL.search(text)
    if found is not None:
        raise ValueError(f"holds the control character U+{ord(found[0]):04X}")
    return text


def _carriage_returns(value: Any) -> Any:
    """HTML forms send CRLF for a line break; one spelling makes one fingerprint."""
    return value.replace("\r\n", "\n") if isinstance(value, str) else value


def _not_blank(text: str) -> str:
    if not text.strip():
        raise ValueError("is empty")
    return text


def is_address(value: Any) -> bool:
    """Tell whether a value of an image names it by a web address."""
    return isinstance(value, str) and _ADDRESS.match(value) is not None


# What programs put around base64: Python's repr(), JSON's or a shell's quotes, CSS.
_WRAPPED = re.compile(
    r"""\s*+(?:[bB]?'([^']*+)'|[bB]?"([^"]*+)"
    |url\(\s*+(?:'([^']*+)'|"([^"]*+)"|([^"'()\s]*+))\s*+\))\s*+""",
    re.VERBOSE,
)
# What is sent in place of an image, by mistake, and what it is.
_NO_IMAGES = (
    (re.compile(r"\s*blob:", re.I), "is an address that its page alone can read"),
    (
        re.compile(
            r"\s*(?:undefined|null|None|NaN|\[object \w{1,40}\]|<_io\.[^>]{1,200}>)\s*"
            r"\Z"
        ),
        "is what a program writes that has no image",
    ),
    (
        re.compile(
            r"(?:file:|[\w.~:/\\ ()-]{1,500}\.(?:png|jpe?g|webp|gif|svgz?|avif|hei[cf]"
            r"|bmp|tiff?|ico)\s*\Z)",
            re.I,
        ),
        "is the name of a file",
    ),
)


def _image_bytes(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    wrapped = _WRAPPED.fullmatch(value)
    if wrapped is not None:
        value = next(filter(None, wrapped.groups()), "")
    if is_address(value):
        raise ValueError(
            "is an address, and no image is fetched here: MIMEO_IMAGE_ORIGINS lists"
            " from where a server may"
        )
    try:
        return decode_text(value)
    except NoText as error:
        raise ValueError("is empty: there are no bytes") from error
    except NotBase64 as error:
        for pattern, what in _NO_IMAGES:
            if pattern.match(value):
                raise ValueError(
                    f"{what}: send the image itself, as a file of a form or as base64"
                ) from error
        raise ValueError(f"is neither a data URI nor base64: {error}") from error


def spell_bytes(data: bytes) -> str:
    """Spell the bytes of an image as a query would: a data URI."""
    encoded = pybase64.b64encode(data).decode("ascii")
    return f"data:application/octet-stream;base64,{encoded}"


def _digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def _language(tag: str) -> str:
    return canonical(tag.strip())


def is_visible(text: str) -> bool:
    """Tell whether any character leaves ink, going by its Unicode category."""
    return any(
        unicodedata.category(character)[0] in "LNPS" and character not in _BLANK
        for character in text
    )


def _pixels(value: Any, info: ValidationInfo) -> Any:
    """Return a length such as 85mm in pixels; leave alone what has no unit."""
    if not isinstance(value, str) or not re.search(r"[A-Za-z]\Z", value):
        return value
    return parse_pixels(value, (info.context or {}).get("dpi") or CSS_DPI)


def visible(text: str) -> str:
    """Return a text that shows something; raise ValueError otherwise."""
    if not is_visible(text):
        raise ValueError("holds no visible character")
    return text


def visible_or_empty(text: str) -> str:
    """Return a text, or the empty one where nothing of it would be seen."""
    return text if is_visible(text) else ""


Color = Annotated[
    str,
    StringConstraints(max_length=80),
    AfterValidator(parse_color),
    WithJsonSchema({"type": "string", "format": "color", "maxLength": 80}),
]
Text = Annotated[str, BeforeValidator(_carriage_returns), AfterValidator(_printable)]
# Text that is set; a code may depend on how the text was spelt.
TypesetText = Annotated[
    str,
    BeforeValidator(_composed),
    BeforeValidator(_carriage_returns),
    AfterValidator(_printable),
]
# Text that says something.
Words = Annotated[Text, AfterValidator(_not_blank)]
# In a canonical dump an image stands as its digest: the fingerprint stays small.
ImageBytes = Annotated[
    bytes,
    BeforeValidator(_image_bytes),
    PlainSerializer(_digest, return_type=str),
    WithJsonSchema({"type": "string", "contentEncoding": "base64"}),
]
Language = Annotated[
    str,
    StringConstraints(max_length=63),
    AfterValidator(_language),
    WithJsonSchema(
        {
            **{"type": "string", "maxLength": 63, "examples": ["ja", "zh-Hant"]},
            "format": "bcp47",
        }
    ),
]
# With a format in the schema: what is set is a text, what it is set in is none.
FontName = Annotated[
    str,
    StringConstraints(min_length=1, max_length=100),
    WithJsonSchema({"type": "string", "maxLength": 100, "format": "font-family"}),
]
EmojiStyle = Literal["color", "mono"]
# Of whole pixels, which may be said as a length such as 85mm. It stands behind the
# bounds: before them, pydantic writes `ge` for JSON Schema's `minimum`.
LENGTH = BeforeValidator(_pixels)
# The largest side that any of the formats can say.
Side = Annotated[
    int,
    Field(
        ge=1, le=65_535, description="CSS pixels, at least 1, or a length as in 85mm."
    ),
    LENGTH,
]


class Parameters(BaseModel):
    """Base of all parameters: frozen, canonical, unknown names refused."""

    # Defaults are made canonical too: leaving one out is the same image as saying it.
    model_config = ConfigDict(
        frozen=True, extra="forbid", validate_default=True, allow_inf_nan=False
    )


class Typeset(Parameters):
    """Options of every renderer that sets text.

    A template's own parameter of one of these names stands in the option's place.
    """

    lang: Language | None = Field(
        None,
        description="Language of the text, such as ja or zh-Hant: whose forms of"
        " characters are drawn. Left out, the text itself decides.",
    )
    emoji: EmojiStyle = Field(
        "color",
        description="Emoji as coloured pictures, or as letters in the text's colour.",
    )


class Canvas(Parameters):
    """Parameters of a renderer whose size is free."""

    width: Side = 600
    height: Side = 400

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in CSS pixels."""
        return self.width, self.height


def validate(
    model: type[Model],
    values: Mapping[str, Any],
    *,
    strict: bool,
    prefix: str = "",
    dpi: float | None = None,
) -> Model:
    """Build a model of JSON's own types, or of texts where it is not `strict`.

    A length becomes pixels at `dpi`, or at CSS's 96 an inch. One of several words may
    be in any case, a JSON value of another type that has one meaning is that, and
    `null`, or an empty text where that is no value, is what was left out. Raises
    BadParameter with every fault; `prefix` stands before the fields' names.
    """
    context = {"dpi": dpi}
    if None in values.values():
        known = model.model_fields
        values = {k: v for k, v in values.items() if v is not None or k not in known}
    try:
        # Queries, forms and tables hold nothing but texts.
        if strict:
            return model.model_validate(values, strict=True, context=context)
        texts = _with_plain_numbers(model, values)
        return model.model_validate_strings(texts, context=context)
    except ValidationError as error:
        meant = as_meant(model, values, error)
        spelt = {
            name: value
            for name, value in {**values, **meant}.items()
            if not _is_blank(model, name, value, error)
        }
        if meant or len(spelt) < len(values):
            return validate(model, spelt, strict=strict, prefix=prefix, dpi=dpi)
        faults = [Fault(prefix + name, why) for name, why in faults_of(error)]
        raise BadParameter(*faults) from error


def _is_blank(
    model: type[BaseModel], name: str, value: Any, error: ValidationError
) -> bool:
    """Tell whether a value at fault is a field of a form that nobody filled in."""
    field = model.model_fields.get(name)
    if value != "" or field is None or field.is_required():
        return False
    return any(finding["loc"][:1] == (name,) for finding in error.errors())


def as_meant(
    model: type[BaseModel], values: Mapping[str, Any], error: ValidationError
) -> dict[str, Any]:
    """Return those of the values at fault that have one meaning, spelt as it is.

    Words of a choice in another case; and what programs write in JSON that know texts
    alone, or no integers: `"300"`, `300.0`, `"true"`, and a number for a text.
    """
    meant: dict[str, Any] = {}
    for finding in error.errors(include_url=False, include_input=False):
        name, kind = str(finding["loc"][0]), finding["type"]
        if name not in values:
            continue
        if kind == "literal_error":
            words = get_args(model.model_fields[name].annotation)
            like = [word for word in words if _folded(word) == _folded(values[name])]
        else:
            like = list(_of_kind(kind, values[name]))
        if len(like) == 1 and repr(like[0]) != repr(values[name]):
            meant[name] = like[0]
    return meant


def as_whole(value: Any) -> Any:
    """Return a JSON value that is a whole number as one; any other as it is."""
    return next(_of_kind("int_type", value), value)


def _of_kind(kind: str, value: Any) -> Iterator[Any]:
    """Yield what a JSON value is as the type that a finding of pydantic's asks for."""
    is_text = isinstance(value, str) and len(value) <= _MOST_DIGITS
    if kind == "int_type" and isinstance(value, float) and value.is_integer():
        # JSON Schema, 6.1.1: 300.0 is an integer; JSON itself has no other numbers.
        yield int(value)
    elif kind == "int_type" and is_text and WHOLE.fullmatch(value):
        yield int(value)
    elif kind == "float_type" and is_text and NUMBER.fullmatch(value):
        yield float(value)
    elif kind == "bool_type" and is_text and value.lower() in SWITCHES:
        yield SWITCHES[value.lower()]
    elif kind == "string_type" and type(value) is int and abs(value) < _MOST_WHOLE:
        # No fraction: who wrote 1.10 would see 1.1.
        yield str(value)


def _folded(word: Any) -> Any:
    return word.casefold() if isinstance(word, str) else word


def plain(value: Any) -> Any:
    """Return a number without fraction as an integer: nobody wants `3.0` on a label."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def faults_of(error: ValidationError) -> Iterator[Fault]:
    """Translate pydantic's findings to field and reason."""
    for finding in error.errors(include_url=False, include_input=False):
        field = ".".join(str(part) for part in finding["loc"])
        yield Fault(field, reason_of(finding))


def reason_of(finding: Mapping[str, Any]) -> str:
    """Say one of pydantic's findings without its words for types, which are Python's.

    What it says of bounds is kept: "must be less than or equal to 100".
    """
    known = _REASONS.get(finding["type"])
    message = _ABOUT_INPUT.sub("must ", finding["msg"].removeprefix("Value error, "))
    return known or message.replace(" after validation", "")


def _with_plain_numbers(
    model: type[BaseModel], values: Mapping[str, str]
) -> Mapping[str, str]:
    """Replace what pydantic takes for a number and this project does not."""
    grammars = _grammars(model)
    return {
        name: text if name not in grammars or grammars[name].fullmatch(text) else "?"
        for name, text in values.items()
    }


def length_fields(model: type[BaseModel]) -> frozenset[str]:
    """Name the parameters that are pixels and may be said as a length."""
    grammars = _grammars(model).items()
    return frozenset(name for name, each in grammars if each is _WHOLE_OR_LENGTH)


@lru_cache(256)
def _grammars(model: type[BaseModel]) -> Mapping[str, re.Pattern[str]]:
    """Return how the texts of a model's numbers are spelt."""
    grammars = {}
    for name, field in model.model_fields.items():
        kinds = {*_kinds(field.annotation), *field.metadata}
        if LENGTH in kinds:
            grammars[name] = _WHOLE_OR_LENGTH
        elif kinds & {int, float}:
            grammars[name] = NUMBER if float in kinds else WHOLE
    return MappingProxyType(grammars)


def _kinds(annotation: Any) -> Iterator[Any]:
    inner = get_args(annotation)
    if get_origin(annotation) is Annotated:
        yield from (each for each in inner if each == LENGTH)
        inner = inner[:1]
    if not inner:
        yield annotation
    for each in inner:
        yield from _kinds(each)
