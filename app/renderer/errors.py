"""What can go wrong between parameters and encoded bytes.

The tree is free of HTTP; `app.problems` maps each class to a status. Every
exception keeps its values in `args`, so that it survives the way out of the
process that draws untrusted HTML.
"""

from collections.abc import Iterable
from difflib import get_close_matches
from types import MappingProxyType
from typing import ClassVar, NamedTuple

from app.errors import with_fields


class Fault(NamedTuple):
    """One thing wrong with one field of a request."""

    field: str
    reason: str


# An answer repeats what was sent, so it must not grow with it.
_MOST_NAMED = 20
_MOST_CHARACTERS = 60


def shorten(text: str) -> str:
    """Return text as an error may repeat it: its first 60 characters."""
    if len(text) <= _MOST_CHARACTERS:
        return text
    return f"{text[:_MOST_CHARACTERS]}…"


def nearest(name: str, known: Iterable[str], likeness: float = 0.6) -> str | None:
    """Return the known name that is most like one, or None where none is.

    The first 60 characters count: comparing takes time by the square of the length.
    """
    names = {each[:_MOST_CHARACTERS]: each for each in known}
    like = get_close_matches(name[:_MOST_CHARACTERS], names, 1, likeness)
    return names[like[0]] if like else None


class RendererError(Exception):
    """Base of all errors that the renderer package raises on purpose.

    A `transient` one may not come again when the same is drawn once more.
    """

    transient: ClassVar[bool] = False


@with_fields
class UnknownName(RendererError):
    """Base of the errors that a name makes which is not among the `known`."""

    name: str
    known: tuple[str, ...]


# Renderers that only a server with a setting has.
_WITH_SETTING = MappingProxyType({"browser": "MIMEO_BROWSER"})


class UnknownRenderer(UnknownName):
    """No renderer has this name."""

    def __str__(self) -> str:
        known = ", ".join(self.known)
        if self.name in _WITH_SETTING:
            setting = _WITH_SETTING[self.name]
            return f"{self.name!r} is off: {setting} is not set; there are {known}."
        return f"No renderer is named {shorten(self.name)!r}; there are {known}."


@with_fields
class BrokenTemplate(RendererError):
    """A template folder exists but cannot be used.

    `file` is relative to the folder of templates; `line` is 1-based, or None
    where the fault has no place.
    """

    name: str
    file: str
    line: int | None
    reason: str

    def __str__(self) -> str:
        place = self.file if self.line is None else f"{self.file}, line {self.line}"
        return f"Template {self.name!r} is broken: {place}: {self.reason}"


class RefusedTemplate(BrokenTemplate):
    """A template that a caller has sent cannot be used."""


class BadParameter(RendererError):
    """One or more parameters or output options are not valid.

    `faults` are the first 20; `more` counts the others.
    """

    def __init__(self, *faults: Fault) -> None:
        super().__init__(*faults)
        named = faults[:_MOST_NAMED]
        self.faults = tuple(Fault(shorten(field), reason) for field, reason in named)
        self.more = len(faults) - len(named)

    def __str__(self) -> str:
        said = "; ".join(f"{fault.field}: {fault.reason}" for fault in self.faults)
        return f"{said}; and {self.more} more" if self.more else said


@with_fields
class LimitExceeded(RendererError):
    """A request is larger than a configured limit.

    `limit` is the name of the setting, `allowed` and `value` are in its unit.
    """

    field: str
    limit: str
    allowed: float
    value: float

    def __str__(self) -> str:
        return (
            f"{self.field}: {self.value:,} is over the limit {self.limit}"
            f" of {self.allowed:,}."
        )


class UnknownFormat(UnknownName):
    """No encoder has this name, or the renderer cannot draw this format."""

    def __str__(self) -> str:
        known = ", ".join(self.known)
        return f"Format {shorten(self.name)!r} is not one of {known}."


class Undrawable(RendererError):
    """The input is well-formed but the engine cannot draw it."""


class BrowserUnavailable(RendererError):
    """The browser of this server does not start."""

    transient = True

    def __str__(self) -> str:
        return "The browser of this server does not start; its log says why."


@with_fields
class RenderTimeout(RendererError):
    """Drawing took longer than its limit and was stopped."""

    transient = True

    limit: str
    allowed_s: float

    def __str__(self) -> str:
        return (
            f"Drawing was stopped after {self.allowed_s:g} seconds (limit {self.limit})"
        )
