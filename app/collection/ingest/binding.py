"""Columns bound to parameters and file names: `{First name} {Last name}`.

The grammar is text with `{Column}`, `{Column|filter:argument|...}`, `{#}` for the
number of the row, and `{{` and `}}` for braces. `{column:X}` is the column X even
where X means something else. What a cell holds is never expanded itself.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Any, NamedTuple

import regex  # type: ignore[import-untyped]

from app.collection.ingest.number_format import (
    DAYS,
    MONTHS,
    UnknownNumberFormat,
    number_format,
)
from app.renderer.errors import BadParameter, Fault, nearest, shorten

ROW_NUMBER = "#"
# What faults of rows call the pattern of file names: a parameter may be called `name`.
FILE_NAME = "file name"
_FORCED = "column:"
_MOST_TEMPLATE = 2_000
# More than any template's text may have; a filter cannot multiply beyond it.
_MOST_FILLED = 100_000
_TOKEN = re.compile(r"\{\{|\}\}|\{[^{}]*\}|[{}]|[^{}]+")
# Also marks that are not seen, dashes, and what the grammar has for its own.
_BLANKS = re.compile(
    r"[\s_|,{}\u00ad\u061c\u200b-\u200f\u2010-\u2015\u202a-\u202e\u2060-\u2069\ufeff-]+"
)
_APOSTROPHES = str.maketrans("\u2018\u2019\u02bc", "'''")
# With marks, as a decomposed letter has them, and digits: 3rd is one word.
_WORD = regex.compile(r"[\p{L}\p{M}\p{N}]+(?:['\u2019][\p{L}\p{M}]+)*")
_GRAPHEME = regex.compile(r"\X")


class FilterFault(ValueError):
    """A cell is not what a filter takes."""


class Filter(NamedTuple):
    """One step between a cell and its place: name and what follows the colon."""

    name: str
    argument: str


def loose(name: str) -> str:
    """Return a column's name without case, blanks, `_`, `-`, `|`, `,` and form."""
    # NFKC makes one of fullwidth letters, ligatures and no-break blanks: what Japanese
    # keyboards and word processors put into a header.
    name = unicodedata.normalize("NFKC", name).translate(_APOSTROPHES)
    return _BLANKS.sub("", name).casefold()


def count_named(rows: Iterable[Sequence[str]], known: frozenset[str]) -> list[int]:
    """Count in each row the names of `known`, which are loose ones."""
    return [len(known & {loose(cell) for cell in row if cell.strip()}) for row in rows]


def column_of(placeholder: str) -> str:
    """Return the column that a placeholder means, forced to be one or not."""
    return placeholder.removeprefix(_FORCED)


class ColumnNames:
    """The names of a table's columns, looked up exactly, then loosely."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = tuple(names)
        self._exact: dict[str, list[int]] = {}
        self._loose: dict[str, list[int]] = {}
        for place, name in enumerate(self.names):
            self._exact.setdefault(name, []).append(place)
            self._loose.setdefault(loose(name), []).append(place)

    def find(self, name: str) -> int | None:
        """Return the place of a column from 0, or None.

        Raises BadParameter on the name where it means more than one.
        """
        # Exactly first: `name` and `Name` are two columns of many a database.
        found = self._exact.get(name) or (
            self._loose.get(loose(name), []) if loose(name) else []
        )
        if len(found) > 1:
            places = ", ".join(f"{place + 1}" for place in found[:20])
            reason = f"names {len(found):,} columns: {places}; rename all but one"
            raise BadParameter(Fault(name, reason))
        return found[0] if found else None

    def suggest(self, name: str) -> str:
        """Say what a name that is no column may have been meant for."""
        near = nearest(loose(name), self._loose)
        if near:
            return f"; did you mean {{{shorten(self.names[self._loose[near][0]])}}}?"
        # A cut-off list still shows what sort of table this is.
        named = [shorten(each) for each in self.names if each][:20]
        return f"; the columns are {', '.join(named)}"


class Placeholder(NamedTuple):
    """A column's name as it was written, and what its cell goes through."""

    name: str
    filters: tuple[Filter, ...]

    @property
    def column(self) -> str:
        """The name of the column alone."""
        return column_of(self.name)

    def apply(self, field: str, text: str) -> str:
        """Send a text through the filters; raise BadParameter where it does not fit."""
        for each in self.filters:
            try:
                text = FILTERS[each.name](text, each.argument)
            except FilterFault as error:
                raise BadParameter(Fault(field, f"{each.name}: {error}")) from error
        return text


def parse_template(field: str, text: str, most: int) -> list[str | Placeholder]:
    """Part a template into texts and placeholders.

    Raises BadParameter on `field` where it is longer than `most`, not of the grammar
    or names an unknown filter.
    """
    if len(text) > most:
        raise BadParameter(Fault(field, f"has more than {most:,} characters"))
    parts: list[str | Placeholder] = []
    for token in _TOKEN.findall(text):
        if token in ("{{", "}}"):
            parts.append(token[0])
        elif token in ("{", "}"):
            reason = f"has a brace without its other half; {token * 2} is one brace"
            raise BadParameter(Fault(field, reason))
        elif token.startswith("{"):
            parts.append(_placeholder(field, token[1:-1]))
        else:
            parts.append(token)
    return parts


class Binding:
    """A template over the columns of a table, for a parameter.

    Raises BadParameter on `bind[parameter]` where the template is not of the grammar
    or names an unknown filter.
    """

    def __init__(self, parameter: str, template: str) -> None:
        self.parameter = parameter
        self.field = f"bind[{parameter}]"
        self._parts = parse_template(self.field, template, _MOST_TEMPLATE)

    @property
    def columns(self) -> tuple[str, ...]:
        """The names in its placeholders but the row's number."""
        named = (part for part in self._parts if isinstance(part, Placeholder))
        return tuple(part.column for part in named if part.name != ROW_NUMBER)

    @property
    def optional(self) -> tuple[str, ...]:
        """The names in its placeholders that have a default."""
        return tuple(
            part.column
            for part in self._parts
            if isinstance(part, Placeholder)
            and any(each.name == "default" for each in part.filters)
        )

    def bound_to(self, header: ColumnNames) -> "BoundTemplate":
        """Look its columns up; raise BadParameter for one that is not there."""
        parts: list[str | _Slot] = []
        for part in self._parts:
            if isinstance(part, str):
                parts.append(part)
            elif part.name == ROW_NUMBER:
                parts.append(_Slot(None, part))
            else:
                try:
                    place = header.find(part.column)
                except BadParameter as error:
                    reason = f"{{{shorten(part.column)}}} {error.faults[0].reason}"
                    raise BadParameter(Fault(self.field, reason)) from error
                if place is None:
                    hint = header.suggest(part.column)
                    reason = f"{{{shorten(part.column)}}} is no column{hint}"
                    raise BadParameter(Fault(self.field, reason))
                parts.append(_Slot(place, part))
        return BoundTemplate(self.field, tuple(parts))


class _Slot(NamedTuple):
    place: int | None
    placeholder: Placeholder


class BoundTemplate(NamedTuple):
    """A template whose columns are known by place."""

    field: str
    parts: tuple[str | _Slot, ...]

    @property
    def slots(self) -> tuple[_Slot, ...]:
        """Its placeholders."""
        return tuple(part for part in self.parts if isinstance(part, _Slot))

    def fill(self, cells: Sequence[str], number: int) -> str:
        """Return the text for one row; raise BadParameter where a cell does not fit."""
        texts = []
        size = 0
        for part in self.parts:
            if isinstance(part, str):
                text = part
            else:
                text = f"{number}" if part.place is None else cells[part.place]
                text = part.placeholder.apply(self.field, text)
            size += len(text)
            if size > _MOST_FILLED:
                reason = f"has more than {_MOST_FILLED:,} characters"
                raise BadParameter(Fault(self.field, reason))
            texts.append(text)
        return "".join(texts)


def _placeholder(field: str, inner: str) -> Placeholder:
    name, *steps = inner.split("|")
    filters = []
    for step in steps:
        called, _, argument = step.partition(":")
        called = called.strip()
        if called not in FILTERS:
            near = nearest(called, FILTERS)
            hint = f"did you mean {near}?" if near else f"known are {_KNOWN}"
            reason = f"{shorten(called)!r} is no filter; {hint}"
            if not near:
                reason += "; a column with a bar in its name is written without it"
            raise BadParameter(Fault(field, reason))
        try:
            _CHECKS.get(called, _takes_anything)(argument)
        except FilterFault as error:
            raise BadParameter(Fault(field, f"{called}: {error}")) from error
        filters.append(Filter(called, argument))
    return Placeholder(name.strip(), tuple(filters))


def _title(text: str, _: str) -> str:
    return str(_WORD.sub(lambda found: _capitalised(found[0]), text))


def _capitalised(word: str) -> str:
    """Begin a word, and a name behind an apostrophe, with a capital letter.

    `O'Neil` and `D'Arcy` have three letters and more there, `don't` and `we're` less.
    """
    parts = re.split(r"(['\u2019])", word.lower())
    for place in range(0, len(parts), 2):
        # Two letters are the rest of a word, as in `we're`; names have more.
        if place == 0 or len(parts[place]) > 2:
            parts[place] = parts[place][:1].title() + parts[place][1:]
    return "".join(parts)


# The ways in which exports write a day, by the order of their parts.
_TIME = (
    r"(?P<time>\d{1,2}:\d{2}(?::\d{2})?)(?:\.\d+)?(?: ?(?P<half>[AaPp])\.?[Mm]\.?)?"
    r"(?: ?(?:Z|UTC|GMT|[+-]\d{2}:?\d{2}))?"
)
_ISO = re.compile(
    r"(?P<y>\d{4})(?:[-/.](?P<m>\d{1,2})[-/.](?P<d>\d{1,2})"
    r"|年(?P<m2>\d{1,2})月(?P<d2>\d{1,2})日)"
    rf"(?:[T ]+{_TIME})?"
)
_SPLIT = re.compile(
    r"(?P<a>\d{1,2})(?P<by>[-/.])(?P<b>\d{1,2})(?P=by)(?P<y>\d{4}|\d{2})"
    rf"(?:,?[T ]+{_TIME})?"
)
_NAMED = re.compile(
    r"(?:[A-Za-z]+,? )?"
    r"(?:(?P<d>\d{1,2})(?:st|nd|rd|th|\.)?[ -](?:of )?(?P<month>[A-Za-z]{3,9})\.?,?"
    r"|(?P<month2>[A-Za-z]{3,9})\.? (?P<d2>\d{1,2})(?:st|nd|rd|th)?,?)[ -](?P<y>\d{4})"
    rf"(?:,? {_TIME})?"
)
_PICTURE = re.compile(r"\[(?P<a>[^\]]*)\]|\"(?P<b>[^\"]*)\"|(?P<run>([A-Za-z])\4*)")
_SPELT = frozenset(
    (
        *("YYYY", "YY", "MMMM", "MMM", "MM", "M", "DD", "D", "dddd", "ddd"),
        *("HH", "H", "hh", "h", "mm", "ss", "A", "a", "T"),
    )
)
_ORDER = re.compile(r"(dmy|mdy)(?: |\Z)", re.I)


def _date(text: str, argument: str) -> str:
    """Spell a day as a picture such as `D MMMM YYYY` says.

    `dmy` or `mdy` before the picture says how 03/04/2026 is meant.
    """
    if not text.strip():
        return text
    order, picture = _order_and_picture(argument)
    return _spell_date(_day(text.strip(), order), picture or "YYYY-MM-DD")


def _order_and_picture(argument: str) -> tuple[str, str]:
    found = _ORDER.match(argument)
    if found is None:
        return "", argument.strip()
    return found[1].lower(), argument[found.end() :].strip()


def _day(text: str, order: str) -> datetime:
    for pattern in (_ISO, _SPLIT, _NAMED):
        found = pattern.fullmatch(text)
        if found is None:
            continue
        parts = found.groupdict()
        try:
            if pattern is _ISO:
                year, month, day = (
                    int(parts["y"]),
                    *(int(parts[each] or parts[f"{each}2"]) for each in "md"),
                )
            elif pattern is _SPLIT:
                year, month, day = _ordered(parts, order, text)
            else:
                year = int(parts["y"])
                month = _month(parts["month"] or parts["month2"])
                day = int(parts["d"] or parts["d2"])
            hour, minute, second = _clock(parts.get("time"), parts.get("half"))
            return datetime(year, month, day, hour, minute, second)
        except ValueError as error:
            if isinstance(error, FilterFault):
                raise
            raise FilterFault(f"{shorten(text)!r} is no day: {error}") from error
    reason = f"{shorten(text)!r} is not a date that can be read"
    raise FilterFault(f"{reason}; write 2026-03-04, 4 March 2026 or 31.12.2026")


def _ordered(parts: Mapping[str, str], order: str, text: str) -> tuple[int, int, int]:
    first, second, year = int(parts["a"]), int(parts["b"]), int(parts["y"])
    # As POSIX reads two digits: 69 to 99 are the last century.
    if len(parts["y"]) == 2:
        year += 1900 if year > 68 else 2000
    # A dot is written between day and month only where the day comes first.
    if not order and (parts["by"] == "." or first > 12 or first == second):
        order = "dmy"
    if not order and second > 12:
        order = "mdy"
    if not order:
        hint = "write date:dmy or date:mdy"
        raise FilterFault(f"{text} is one of two days: {hint}")
    return (year, second, first) if order == "dmy" else (year, first, second)


def _month(name: str) -> int:
    begun = name.capitalize()
    found = [n for n, each in enumerate(MONTHS, 1) if each.startswith(begun)]
    if len(found) != 1:
        raise FilterFault(f"{shorten(name)!r} is no month")
    return found[0]


def _clock(text: str | None, half: str | None) -> tuple[int, int, int]:
    if text is None:
        return 0, 0, 0
    hour, minute, *second = (int(part) for part in text.split(":"))
    if half is not None:
        if hour > 12:
            raise ValueError(f"{text} is no time of {half}m")
        hour = hour % 12 + (12 if half in "Pp" else 0)
    return hour, minute, *(second or [0])  # type: ignore[return-value]


def _spell_date(day: datetime, picture: str) -> str:
    month = MONTHS[day.month - 1]
    weekday = DAYS[day.weekday()]
    half = day.hour % 12 or 12
    spelt = {
        **{"YYYY": f"{day.year:04}", "YY": f"{day.year % 100:02}"},
        **{"MMMM": month, "MMM": month[:3]},
        **{"MM": f"{day.month:02}", "M": f"{day.month}"},
        **{"DD": f"{day.day:02}", "D": f"{day.day}"},
        **{"dddd": weekday, "ddd": weekday[:3]},
        **{"HH": f"{day.hour:02}", "H": f"{day.hour}"},
        **{"hh": f"{half:02}", "h": f"{half}"},
        **{"mm": f"{day.minute:02}", "ss": f"{day.second:02}"},
        **{"A": "PM" if day.hour > 11 else "AM", "a": "pm" if day.hour > 11 else "am"},
    }
    # Between a day and a time, as in ISO 8601.
    spelt["T"] = "T"
    return _PICTURE.sub(
        lambda found: (
            spelt[found["run"]] if found["run"] else found["a"] or found["b"] or ""
        ),
        picture,
    )


def _check_date(argument: str) -> None:
    _, picture = _order_and_picture(argument)
    runs = [found["run"] for found in _PICTURE.finditer(picture) if found["run"]]
    known = "YYYY MM DD, D MMMM YYYY, HH:mm"
    if picture and not runs:
        raise FilterFault(f"{shorten(picture)!r} has none of {known}")
    for run in runs:
        if run not in _SPELT:
            reason = f"{run!r} in {shorten(picture)!r} is not of {known}"
            raise FilterFault(f"{reason}; words are quoted: D. MMMM [at] HH:mm")


_POINT = re.compile(r"(point|comma)(?: |\Z)", re.I)
_NUMBER = re.compile(
    r"(?P<sign>[-+\u2212]?)"
    r"(?P<whole>[1-9][0-9]{0,2}(?P<by>[.,'\u2019 \u00a0\u202f])[0-9]{3}"
    r"(?:(?P=by)[0-9]{3})*|[0-9]*)(?:(?P<mark>[.,])(?P<rest>[0-9]*))?"
)
# A comma that groups by other than three, decimals that begin with `#`, blanks that
# group: other languages' spelling of formats, which shows something else.
_FOREIGN = re.compile(
    r",[0#?]{1,2}(?![0#?])|,[0#?]{4}|\.[0#?]*,[0#?]|\.#+0|#[ '\u2019\u00a0\u202f]##0"
)
_LITERAL = re.compile(r'"[^"]*"|\\.|[_*].|\[[^\]]*\]')


def _number(text: str, argument: str) -> str:
    """Spell a number as a spreadsheet's format such as `#,##0.00` does.

    `point` or `comma` before the format says which one is before the decimals of the
    cell, where 1,234 may be either.
    """
    if not text.strip():
        return text
    found = _POINT.match(argument)
    mark = found[1].lower() if found else ""
    code = argument[found.end() :] if found else argument
    if isinstance(text, PointText):
        mark = "point"
    value = _value(text.strip(), {"point": ".", "comma": ","}.get(mark, ""))
    try:
        return number_format(code.strip() or "General").show(value)
    except UnknownNumberFormat as error:
        raise FilterFault(str(error)) from error


def _value(text: str, mark: str) -> float:
    """Read digits, in groups of three or none; `mark` is before the decimals."""
    found = _NUMBER.fullmatch(text)
    if found is None or not (found["whole"] or found["rest"]):
        reason = f"{shorten(text)!r} is not a number"
        shapes = "1234.5, 1,234.5, 1.234,5 or 1 234,5, without currency or %"
        raise FilterFault(f"{reason}; one is written {shapes}")
    whole, by, decimal, rest = found.group("whole", "by", "mark", "rest")
    # 1,234 and 1.234 are a group or decimals, by who writes it.
    if by is not None and by in ".," and decimal is None and whole.count(by) == 1:
        if not mark:
            hint = "write number:point or number:comma"
            raise FilterFault(f"{text} is one of two numbers: {hint}")
        if by == mark:
            whole, _, rest = whole.partition(by)
            by, decimal = None, mark
    if decimal is not None and (decimal == by or (mark and decimal != mark)):
        raise FilterFault(f"{shorten(text)!r} is not a number with decimals")
    if by is not None and by == mark:
        raise FilterFault(f"{shorten(text)!r} is not a number: {by} groups in it")
    digits = whole.replace(by, "") if by else whole
    # Word processors write a minus of their own, U+2212.
    sign = found["sign"].replace("\u2212", "-")
    return float(f"{sign}{digits or 0}.{rest or 0}")


def _check_number(argument: str) -> None:
    found = _POINT.match(argument)
    code = argument[found.end() :] if found else argument
    if _FOREIGN.search(_LITERAL.sub("", code)):
        reason = f"{shorten(code)!r} groups as no format does"
        raise FilterFault(f"{reason}: write 1,234.50 as #,##0.00 and 1234.50 as 0.00")
    try:
        number_format(code.strip() or "General")
    except UnknownNumberFormat as error:
        raise FilterFault(str(error)) from error


_SLICE = re.compile(r"(?P<first>-?[0-9]{1,6})?(?P<colon>:)?(?P<stop>-?[0-9]{1,6})?")


def _slice(text: str, argument: str) -> str:
    """Return some of the characters as a reader counts them (UAX #29), from 0."""
    found = _SLICE.fullmatch(argument.strip())
    graphemes = _GRAPHEME.findall(text[:_MOST_FILLED])
    if found is None:
        return text
    first = int(found["first"] or 0)
    if found["colon"] is None:
        return "".join(graphemes[:first])
    stop = None if found["stop"] is None else int(found["stop"])
    return "".join(graphemes[first:stop])


def _check_slice(argument: str) -> None:
    found = _SLICE.fullmatch(argument.strip())
    if found is None or not (found["first"] or found["stop"]):
        raise FilterFault("takes START:END, or how many characters from the first")


def _takes_nothing(argument: str) -> None:
    if argument:
        raise FilterFault("takes no argument")


def _takes_anything(_: str) -> None:
    pass


FILTERS: Mapping[str, Callable[[str, str], str]] = MappingProxyType(
    {
        "upper": lambda text, _: text.upper(),
        "lower": lambda text, _: text.lower(),
        "title": _title,
        "trim": lambda text, _: " ".join(text.split()),
        "date": _date,
        "number": _number,
        "default": lambda text, argument: text if text.strip() else argument,
        "slice": _slice,
    }
)
_KNOWN = ", ".join(FILTERS)
_CHECKS: Mapping[str, Callable[[str], None]] = MappingProxyType(
    {
        **dict.fromkeys(("upper", "lower", "title", "trim"), _takes_nothing),
        "date": _check_date,
        "number": _check_number,
        "slice": _check_slice,
    }
)


DEFAULT = "{index}"
LONGEST = 100
# Enough for a name; a text of a megabyte need not be transliterated.
_MOST_VALUE = 2 * LONGEST
_MOST_PATTERN = 500
# As many as an archive takes.
_DEEPEST = 4
_CONSTANT = (
    "has no placeholder such as {index}; curl takes braces in a URL for its own"
    " unless it is called with -g"
)


class NamePattern:
    """What names are made of: text and placeholders such as `{index}`.

    A parameter goes before a column of its name. Raises BadParameter on `name` for a
    placeholder that is not `known`, unless a table may have a column of that name:
    `wanted` are those that it must have.
    """

    def __init__(
        self, text: str, known: Iterable[str], *, has_columns: bool = False
    ) -> None:
        self.text = text
        self._parts = parse_template("name", text, _MOST_PATTERN)
        named = [part for part in self._parts if isinstance(part, Placeholder)]
        choices = dict.fromkeys(("index", "renderer", *known))
        others = [each.name for each in named if each.name not in (*choices, "#")]
        # Of JSON without bindings nothing else can be meant, so it is said at once.
        if others and not has_columns:
            told = shorten(f"{{{others[0]}}}")
            names = ", ".join(f"{{{choice}}}" for choice in choices)
            reason = f"{told} is not known; known are {names}"
            raise BadParameter(Fault("name", reason))
        if not named:
            raise BadParameter(Fault("name", _CONSTANT))
        if text.count("/") > _DEEPEST:
            raise BadParameter(Fault("name", f"has more than {_DEEPEST} folders"))
        self.wanted = tuple(dict.fromkeys(others))

    def fill(self, index: int, renderer: str, values: Mapping[str, Any]) -> str:
        """Return the name of an image before it is made safe.

        A slash of the pattern parts folders; one of a value does not.
        """
        own = {"index": f"{index:05}", "renderer": renderer, "#": f"{index}"}
        texts = []
        for part in self._parts:
            if isinstance(part, str):
                texts.append(part)
            else:
                text = own.get(part.name) or spell(values.get(part.name))
                texts.append(part.apply(FILE_NAME, text).replace("/", "-"))
        return "".join(texts)


def spell(value: Any) -> str:
    """Return a parameter's value as a file name has it; an image is nothing."""
    if value is None or isinstance(value, bytes):
        return ""
    return value[:_MOST_VALUE] if isinstance(value, str) else str(value).lower()


class PointText(str):
    """The text of a number whose point is known to be before its decimals."""

    __slots__ = ()


def as_text(value: Any) -> str:
    """Return a JSON value as a query spells it; null is nothing."""
    if isinstance(value, str):
        return value
    if isinstance(value, float):
        return PointText(value)
    return "" if value is None else str(value).lower()
