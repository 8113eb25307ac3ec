"""The kinds of parameters that a template can declare."""

import re
from abc import abstractmethod
from collections.abc import Sequence
from functools import partial
from typing import Annotated, Any, Literal, get_args

import orjson
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PlainValidator,
    StringConstraints,
    WithJsonSchema,
    create_model,
    model_validator,
)

from app.renderer.engine.families import find
from app.renderer.params import (
    Color,
    FontName,
    ImageBytes,
    Parameters,
    Text,
    TypesetText,
    plain,
    visible,
    visible_or_empty,
)
from app.renderer.template.rows import parse_rows

NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")

# Smallest PNG there is: one transparent pixel, the example of every image.
_DOT = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR4"
    "2mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
)


class Strict(BaseModel):
    """Base of what a file declares: nothing unknown, nothing converted."""

    # TOML has types: `max_length = "40"` is a slip, and no number.
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class _Declared(Strict):
    """What every parameter may say about itself."""

    description: str = ""
    required: bool = False
    default: Any = None
    example: Any = None

    @model_validator(mode="after")
    def _agrees(self) -> "_Declared":
        if self.required and self.default is not None:
            raise ValueError("is required and so cannot have a default")
        if self.required and self.shown is None:
            raise ValueError("is required and so needs an example")
        return self

    @property
    def shown(self) -> str | None:
        """The example as a query string has it, if there is one."""
        if self.example is None:
            return None
        text = str(self.example)
        return text.lower() if isinstance(self.example, bool) else text

    @property
    def absent(self) -> Any:
        """The value when the caller gives none."""
        return self.default

    @abstractmethod
    def kind(self) -> Any:
        """Return the type that a caller's value must have."""


class TextEntry(_Declared):
    """Words without white space around them; absent is the empty string.

    Letters are composed (Unicode's NFC), so that canonically equal texts are one,
    unless the text is `verbatim`, as for a code.
    """

    type: Literal["text"]
    max_length: int = Field(ge=1, le=100_000)
    verbatim: bool = False
    default: str | None = None
    example: str | None = None

    @property
    def absent(self) -> str:
        """The value when the caller gives none."""
        return self.default or ""

    def kind(self) -> Any:
        """Text within its length; a required one shows something."""
        least = 1 if self.required else 0
        length = StringConstraints(
            strip_whitespace=True, min_length=least, max_length=self.max_length
        )
        # Inside of what checks a text, so that pydantic speaks of characters.
        base, *checks = get_args(Text if self.verbatim else TypesetText)
        seen = AfterValidator(visible if self.required else visible_or_empty)
        # By a variable, since mypy takes no metadata that are computed.
        annotated: Any = Annotated
        return annotated[(base, length, *checks, seen)]


class ColorEntry(_Declared):
    """A colour, handed over as `#rrggbb` or `#rrggbbaa`."""

    type: Literal["color"]
    default: str | None = None
    example: str | None = None

    def kind(self) -> Any:
        """A colour in any spelling that Mimeo takes."""
        return Color


class FontEntry(_Declared):
    """The name of a family of fonts that is loaded."""

    type: Literal["font"]
    default: str = "Inter"
    example: str | None = None

    def kind(self) -> Any:
        """A name in any case, with or without its blanks."""
        return FontName

    def among(self, families: Sequence[str]) -> Any:
        """Return the kind of which only these families are."""
        return Annotated[self.kind(), AfterValidator(partial(find, known=families))]


class NumberEntry(_Declared):
    """A number between two bounds, both included."""

    type: Literal["number"]
    min: float | None = None
    max: float | None = None
    default: float | None = None
    example: float | None = None

    def kind(self) -> Any:
        """A finite number within its bounds."""
        return Annotated[float, Field(ge=self.min, le=self.max, allow_inf_nan=False)]


class ChoiceEntry(_Declared):
    """One of a few words."""

    type: Literal["choice"]
    choices: list[str] = Field(min_length=1)
    default: str | None = None
    example: str | None = None

    def kind(self) -> Any:
        """Exactly one of the choices."""
        return Literal[tuple(self.choices)]


class BooleanEntry(_Declared):
    """Yes or no; absent is no."""

    type: Literal["boolean"]
    default: bool | None = None
    example: bool | None = None

    @property
    def absent(self) -> bool:
        """The value when the caller gives none."""
        return bool(self.default)

    def kind(self) -> Any:
        """True or false."""
        return bool


class ImageEntry(_Declared):
    """A picture that the caller sends."""

    type: Literal["image"]
    default: None = None
    example: None = None

    @property
    def shown(self) -> str | None:
        """One transparent pixel where the image is required."""
        # An author cannot write an example here, yet the template must be tried.
        return _DOT if self.required else None

    def kind(self) -> Any:
        """Bytes, base64 or a data URI."""
        return ImageBytes


Column = Annotated[
    TextEntry | ColorEntry | NumberEntry | ChoiceEntry | BooleanEntry,
    Field(discriminator="type"),
]


class TableEntry(_Declared):
    """Rows of cells, each of its column's type; absent is no row."""

    type: Literal["table"]
    max_rows: int = Field(ge=1, le=10_000)
    columns: dict[str, Column] = Field(min_length=1)
    default: None = None
    example: list[dict[str, Any]] | None = None

    @model_validator(mode="after")
    def _named(self) -> "TableEntry":
        for name in self.columns:
            # Markup reads `row.name`, and a mapping's own methods go first.
            if not NAME.fullmatch(name) or hasattr(dict, name):
                raise ValueError(f"{name!r} cannot be the name of a column")
        return self

    @property
    def shown(self) -> str | None:
        """The example as JSON."""
        return None if self.example is None else orjson.dumps(self.example).decode()

    @property
    def absent(self) -> str:
        """The value when the caller gives none."""
        return "[]"

    def kind(self) -> Any:
        """JSON of the rows, however they were sent."""
        cells: dict[str, Any] = {
            name: entry.kind() if entry.required else (entry.kind() | None, None)
            for name, entry in self.columns.items()
        }
        row = create_model("Row", __base__=Parameters, **cells)
        schema = row.model_json_schema()
        schema = {key: schema[key] for key in schema.keys() - {"title"}}
        rows = {"type": "array", "maxItems": self.max_rows, "items": schema}
        text = {"type": "string", "contentMediaType": "application/json"}
        return Annotated[
            str,
            PlainValidator(partial(parse_rows, row=row, most=self.max_rows)),
            WithJsonSchema({"anyOf": [rows, text]}),
        ]

    def rows(self, text: str) -> list[dict[str, Any]]:
        """Return the rows of such JSON with a value in every column."""
        absent = {name: plain(entry.absent) for name, entry in self.columns.items()}
        return [{**absent, **row} for row in orjson.loads(text)]


Entry = Annotated[
    TextEntry
    | ColorEntry
    | FontEntry
    | NumberEntry
    | ChoiceEntry
    | BooleanEntry
    | ImageEntry
    | TableEntry,
    Field(discriminator="type"),
]
