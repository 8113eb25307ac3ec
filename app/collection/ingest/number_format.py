"""What a spreadsheet shows for a number: format codes of ECMA-376, part 1, 18.8.31.

Points, commas and English names stand where a code leaves them to the reader's system.
"""

import math
import re
from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from decimal import ROUND_HALF_UP, Context, Decimal, localcontext
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

Value = float | int | str | date | time | timedelta

_TOKEN = re.compile(
    r"""(?P<quoted>"[^"]*")|\\(?P<escaped>.)|(?P<blank>_.)|(?P<fill>\*.)
    |\[\$(?P<currency>[^\]-]*)(?:-(?P<locale>[^\]]*))?\]
    |\[(?P<elapsed>h+|m+|s+)\]
    |\[(?P<condition>(?:<=|>=|<>|<|>|=)-?(?:[0-9]+\.?[0-9]*|\.[0-9]+))\]
    |(?P<color>\[(?:black|blue|cyan|green|magenta|red|white|yellow|color[ ]?[0-9]+)\])
    |(?P<general>general)|(?P<half>am/pm|a/p)
    |(?P<year>y+|e(?![+-]))|(?P<month>m+)|(?P<day>d+)|(?P<hour>h+)|(?P<second>s+)
    |(?P<exponent>e[+-])|(?P<digit>[0\#?])|(?P<point>\.)|(?P<comma>,)
    |(?P<percent>%)|(?P<slash>/)|(?P<text>@)|(?P<literal>.)""",
    re.I | re.X | re.S,
)
_DATES = frozenset(("year", "month", "day", "hour", "second", "half", "elapsed"))
MONTHS = (
    *("January", "February", "March", "April", "May", "June", "July", "August"),
    *("September", "October", "November", "December"),
)
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MOST_CODE = 255
_ENGLISH = 9
_EPOCH = datetime(1899, 12, 30)
# Behind the last day of the year 9999.
_LAST_DAY = 2_958_466
# A float has up to 309 digits before its point and a code up to 255 places behind it;
# each percent sign makes two more.
_EXACT = Context(prec=1_000, rounding=ROUND_HALF_UP)


class UnknownNumberFormat(ValueError):
    """A format code that cannot be followed."""


class _Token(NamedTuple):
    kind: str
    text: str


class _Section(NamedTuple):
    tokens: tuple[_Token, ...]
    condition: tuple[str, float] | None

    def has(self, *kinds: str) -> bool:
        return any(token.kind in kinds for token in self.tokens)


class NumberFormat:
    """A format code; raises UnknownNumberFormat where it cannot be followed."""

    def __init__(self, code: str) -> None:
        if len(code) > _MOST_CODE:
            raise UnknownNumberFormat(
                f"the format has more than {_MOST_CODE} characters"
            )
        sections = [_section(part, code) for part in _split(code)]
        if len(sections) > 4:
            raise UnknownNumberFormat(f"{code!r} has more than four parts")
        self._sections = sections[:3]
        self._text = sections[3] if len(sections) == 4 else None
        # A lone part with an @ is of texts; numbers go through it as General.
        if self._text is None and sections[-1].has("text"):
            self._text = sections[-1]
            self._sections = sections[:-1]

    def show(self, value: Value) -> str:
        """Return what the sheet shows for a number, a moment, a span or a text.

        Raises UnknownNumberFormat where the format has no spelling of the value.
        """
        if isinstance(value, str):
            return value if self._text is None else _literally(self._text, value)
        if isinstance(value, int | float):
            _check_finite(value)
        number = value if isinstance(value, int | float) else None
        section, has_sign = self._choose(0.0 if number is None else float(number))
        if number is None:
            if section is None or not section.has(*_DATES):
                return str(value)
            return _show_moment(section, value)  # type: ignore[arg-type]
        if section is None or section.has("general") or not section.tokens:
            text = _general(abs(number) if has_sign else number)
            if section is None or not section.tokens:
                return text if section is None else ""
            return _literally(section, text)
        if section.has(*_DATES):
            if section.has("elapsed"):
                _check_day(number)
                return _show_moment(section, timedelta(days=float(number)))
            return _show_moment(section, _moment(float(number)))
        return _show_number(section, abs(number) if has_sign else number)

    def _choose(self, number: float) -> tuple[_Section | None, bool]:
        """Return the part for a number, and whether that part has the sign in it."""
        sections = self._sections
        if not sections:
            return None, False
        if any(section.condition for section in sections):
            for section in sections:
                if section.condition is None or _holds(section.condition, number):
                    return section, _is_of_negatives(section, sections[0])
            return sections[-1], False
        if number < 0 and len(sections) > 1:
            return sections[1], True
        # Zero goes by the first part unless there are three.
        if number == 0 and len(sections) > 2:
            return sections[2], False
        return sections[0], False


def _is_of_negatives(section: _Section, first: _Section) -> bool:
    """Tell whether a part can have negative numbers alone, which drops their sign."""
    if section.condition is None:
        return (
            section is not first
            and first.condition is not None
            and first.condition[0] in (">", ">=")
            and first.condition[1] <= 0
        )
    sign, bound = section.condition
    return (bound < 0 and sign in ("<", "<=", "=")) or (sign, bound) == ("<", 0)


def _check_finite(number: float) -> None:
    try:
        is_finite = math.isfinite(number)
    except OverflowError:
        is_finite = False
    if not is_finite:
        raise UnknownNumberFormat("the number is beyond what a sheet can hold")


def _check_day(number: float) -> None:
    if not 0 <= number < _LAST_DAY:
        raise UnknownNumberFormat(f"{number} is no day of the calendar")


@lru_cache(512)
def number_format(code: str) -> NumberFormat:
    """Return the format of a code; sheets use few codes in many cells."""
    return NumberFormat(code)


def _split(code: str) -> list[str]:
    """Part a code at semicolons that are neither quoted nor escaped."""
    parts = [""]
    for found in re.finditer(r'"[^"]*"?|\\.|\[[^\]]*\]|[_*].|;|[^;]', code, re.S):
        if found[0] == ";":
            parts.append("")
        else:
            parts[-1] += found[0]
    return parts


def _section(part: str, code: str) -> _Section:
    tokens: list[_Token] = []
    condition = None
    for found in _TOKEN.finditer(part):
        kind = found.lastgroup or ""
        text = found[0]
        if kind == "condition":
            sign = re.match(r"[<>=]+", found["condition"])
            assert sign is not None
            condition = (sign[0], float(found["condition"][sign.end() :]))
        elif kind == "quoted":
            tokens.append(_Token("literal", text[1:-1]))
        elif kind == "escaped":
            tokens.append(_Token("literal", text[1:]))
        elif kind in ("currency", "locale"):
            _check_locale(found["locale"] or "", part, code)
            tokens.append(_Token("literal", found["currency"]))
        elif kind == "blank":
            tokens.append(_Token("literal", " "))
        elif kind not in ("fill", "color"):
            # What is in brackets or opens a quotation is a command that is not known.
            if kind == "literal" and re.match(r'[A-Za-z\["]', text):
                reason = f"{code!r} holds {text!r}, which is no format"
                raise UnknownNumberFormat(f'{reason}: words are quoted, as in 0 "kg"')
            tokens.append(_Token(kind, found["elapsed"] or text))
    section = _Section(tuple(_minutes(tokens)), condition)
    if section.has(*_DATES) and section.has("digit"):
        reason = f"{code!r} is of dates and of numbers"
        raise UnknownNumberFormat(f'{reason}: words are quoted, as in 0 "m"')
    if section.has("exponent"):
        _check_exponent(section, code)
    return section


def _check_exponent(section: _Section, code: str) -> None:
    """Refuse more than one digit before the point: powers would go by threes."""
    spelt = "".join(
        token.text if token.kind in ("digit", "point", "comma", "exponent") else " "
        for token in section.tokens
    )
    if not re.fullmatch(r"0(\.0+)?E[+-]0+", spelt.strip(), re.I):
        raise UnknownNumberFormat(f"{code!r} is no format: one is 0.00E+00")


def _check_locale(locale: str, part: str, code: str) -> None:
    """Refuse names of months or days in another language than English."""
    if not re.search(r"mmm|ddd", part, re.I):
        return
    if re.fullmatch(r"[0-9A-Fa-f]+", locale):
        is_english = int(locale, 16) & 0x3FF == _ENGLISH
    else:
        is_english = locale == "" or locale.lower().startswith("en")
    if not is_english:
        raise UnknownNumberFormat(
            f"{code!r} wants names in another language than English"
        )


def _minutes(tokens: Sequence[_Token]) -> list[_Token]:
    """Tell minutes from months: they follow hours or come before seconds."""
    times = [n for n, token in enumerate(tokens) if token.kind in _DATES]
    made = list(tokens)
    for place, n in enumerate(times):
        token = tokens[n]
        if token.kind == "second" or token.text[0] in "sS":
            # A point and zeros behind seconds are tenths and so on of one.
            end = n + 1
            while end < len(tokens) and tokens[end].text in (".", "0"):
                made[end] = _Token("fraction", tokens[end].text)
                end += 1
        if token.kind != "month" or len(token.text) > 2:
            continue
        before = tokens[times[place - 1]] if place else _Token("", "")
        after = tokens[times[place + 1]] if place + 1 < len(times) else _Token("", "")
        follows_hour = before.kind == "hour" or before.text.lower().startswith("h")
        # ECMA-376: `m` and `mm` are minutes next to hours or seconds, else months.
        if follows_hour or after.kind == "second":
            made[n] = _Token("minute", token.text)
    return made


def _holds(condition: tuple[str, float], number: float) -> bool:
    sign, bound = condition
    return {
        "<": number < bound,
        ">": number > bound,
        "=": number == bound,
        "<=": number <= bound,
        ">=": number >= bound,
        "<>": number != bound,
    }[sign]


def _literally(section: _Section, text: str) -> str:
    shown = {"text": text, "general": text}
    return "".join(shown.get(token.kind, token.text) for token in section.tokens)


def _general(number: float) -> str:
    """Spell a number as General does: up to 11 digits, no trailing zeros."""
    if isinstance(number, int) or (number == int(number) and abs(number) < 1e11):
        return f"{int(number)}"
    if 1e-4 <= abs(number) < 1e11:
        whole = len(f"{int(abs(number))}")
        text = f"{number:.{max(0, 10 - whole)}f}"
        return text.rstrip("0").rstrip(".") if "." in text else text
    digits, _, power = f"{number:.5E}".partition("E")
    return f"{digits.rstrip('0').rstrip('.')}E{int(power):+03}"


def _moment(number: float) -> datetime:
    """Return the moment of a serial number (1900 system, with its 29 February)."""
    _check_day(number)
    # Lotus 1-2-3 took 1900 for a leap year, and everybody after it had to.
    days = number if number >= 60 else number + 1
    try:
        return _EPOCH + timedelta(milliseconds=round(days * 86_400_000))
    except OverflowError as error:
        raise UnknownNumberFormat(f"{number} is no day of the calendar") from error


def _show_number(section: _Section, number: float) -> str:
    with localcontext(_EXACT):
        return _show_exactly(section, number)


def _show_exactly(section: _Section, number: float) -> str:
    tokens = section.tokens
    kinds = [token.kind for token in tokens]
    if "slash" in kinds and "digit" in kinds:
        return _show_fraction(section, number)
    # In decimals, as a person rounds: 1.005 is 1.01 and not 1.00.
    exact = Decimal(repr(number)) * 100 ** kinds.count("percent")
    digits = [n for n, kind in enumerate(kinds) if kind == "digit"]
    if not digits:
        sign = "-" if number < 0 and len(section.tokens) else ""
        return sign + _literally(section, "")
    last = digits[-1]
    # Commas behind the last digit divide by a thousand each; others group.
    trailing = 0
    while last + trailing + 1 < len(kinds) and kinds[last + trailing + 1] == "comma":
        trailing += 1
    whole_end = kinds.index("point") if "point" in kinds else last + 1
    # Also in front of the point.
    before = whole_end
    while before > 0 and "point" in kinds and kinds[before - 1] == "comma":
        before -= 1
        trailing += 1
    exact /= Decimal(1000) ** trailing
    if "exponent" in kinds:
        return _show_exponent(section, exact)
    grouped = "comma" in kinds[digits[0] : before]
    places = sum(1 for n in digits if n > whole_end)
    rounded = abs(exact).quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP)
    whole, _, rest = f"{rounded:f}".partition(".")
    wholes = [n for n in digits if n < whole_end]
    shown = _whole(whole, [tokens[n].text for n in wholes], grouped)
    decimals = _decimals(rest, [tokens[n].text for n in digits if n > whole_end])
    sign = "-" if exact < 0 and rounded else ""
    out: list[str] = [sign]
    for n, token in enumerate(tokens):
        if token.kind == "digit":
            if wholes and n in wholes:
                out.append(shown[wholes.index(n)])
            else:
                out.append(decimals[[d for d in digits if d > whole_end].index(n)])
        elif token.kind == "point":
            if not wholes:
                out.append(whole.lstrip("0"))
            out.append(".")
        elif token.kind != "comma" or not digits[0] < n <= last + trailing:
            out.append(token.text)
    return "".join(out)


def _whole(digits: str, places: Sequence[str], grouped: bool) -> list[str]:
    """Spread digits over places, the first one taking all that are too many."""
    # Zeros hold places open, also those behind them; `#` and `?` show what is there.
    least = len(places) - places.index("0") if "0" in places else 0
    digits = digits.lstrip("0").rjust(least, "0")
    marked = list(digits)
    if grouped:
        for n in range(len(marked) - 4, -1, -3):
            marked[n] += ","
    if not places:
        return []
    tail = marked[-(len(places) - 1) :] if len(places) > 1 else []
    head = marked[: len(marked) - len(tail)]
    shown = ["".join(head), *tail]
    # Fewer digits than places: those in front show nothing, or a blank for `?`.
    missing = len(places) - len(shown)
    front = [" " if place == "?" else "" for place in places[:missing]]
    return [*front, *shown] if missing > 0 else shown


def _decimals(digits: str, places: Sequence[str]) -> list[str]:
    shown = list(digits)
    for n in range(len(places) - 1, -1, -1):
        if shown[n] != "0" or places[n] == "0":
            break
        shown[n] = " " if places[n] == "?" else ""
    return shown


def _show_exponent(section: _Section, number: Decimal) -> str:
    tokens = section.tokens
    kinds = [token.kind for token in tokens]
    mark = kinds.index("exponent")
    first = kinds.index("digit")
    end = len(kinds) - kinds[::-1].index("digit")
    places = kinds[first:mark].count("digit") - 1
    digits, _, power = f"{number:.{places}E}".partition("E")
    # To Python the exponent of a zero is that of its last place.
    power = power if number else "0"
    sign = "-" if int(power) < 0 else tokens[mark].text[1].replace("-", "")
    shown = f"{digits}E{sign}{abs(int(power)):0{end - mark - 1}}"
    before, after = (
        "".join(token.text for token in part) for part in (tokens[:first], tokens[end:])
    )
    return f"{before}{shown}{after}"


def _show_fraction(section: _Section, number: float) -> str:
    tokens = section.tokens
    slash = next(n for n, token in enumerate(tokens) if token.kind == "slash")
    below = "".join(token.text for token in tokens[slash + 1 :]).strip()
    has_whole = any(token.text == " " for token in tokens[:slash])
    exact = abs(Fraction(number))
    whole, rest = divmod(exact, 1) if has_whole else (0, exact)
    if below.isdecimal() and int(below):
        part = (round(rest * int(below)), int(below))
    else:
        near = rest.limit_denominator(10 ** max(1, len(below)) - 1)
        part = (near.numerator, near.denominator)
    if part[0] == part[1] and has_whole:
        whole, part = whole + 1, (0, part[1])
    sign = "-" if number < 0 else ""
    if part[0] == 0:
        return f"{sign}{whole}"
    return f"{sign}{whole or ''}{' ' if whole else ''}{part[0]}/{part[1]}"


def _show_moment(section: _Section, value: date | time | timedelta) -> str:
    has_half = section.has("half")
    if isinstance(value, timedelta) and value < timedelta():
        raise UnknownNumberFormat(f"{value} is no span of a clock")
    # A sheet rounds to what it shows of a second, and cuts what is larger.
    marks = sum(1 for token in section.tokens if token.kind == "fraction")
    step = 10 ** (6 - min(max(0, marks - 1), 6))
    try:
        if isinstance(value, timedelta):
            moment = _EPOCH + value
        elif isinstance(value, time):
            moment = datetime.combine(_EPOCH, value)
        elif isinstance(value, datetime):
            moment = value
        else:
            moment = datetime.combine(value, time())
        rounded = (moment.microsecond + step // 2) // step * step
        moment += timedelta(microseconds=rounded - moment.microsecond)
    except OverflowError as error:
        raise UnknownNumberFormat(f"{value} is no day of the calendar") from error
    total = (moment - _EPOCH).total_seconds()
    fraction = iter(f".{moment.microsecond:06}")
    shown = []
    for token in section.tokens:
        text = token.text.lower()
        if token.kind == "year":
            is_full = len(text) > 2 or text[0] == "e"
            shown.append(f"{moment.year:04}" if is_full else f"{moment.year % 100:02}")
        elif token.kind == "month":
            name = MONTHS[moment.month - 1]
            names = {3: name[:3], 4: name, 5: name[0]}
            shown.append(names.get(len(text), f"{moment.month:0{min(len(text), 2)}}"))
        elif token.kind == "day":
            name = DAYS[moment.weekday()]
            names = {3: name[:3], 4: name}
            shown.append(names.get(len(text), f"{moment.day:0{min(len(text), 2)}}"))
        elif token.kind == "hour":
            hour = (moment.hour % 12 or 12) if has_half else moment.hour
            shown.append(f"{hour:0{min(len(text), 2)}}")
        elif token.kind == "minute":
            shown.append(f"{moment.minute:0{min(len(text), 2)}}")
        elif token.kind == "second":
            shown.append(f"{moment.second:0{min(len(text), 2)}}")
        elif token.kind == "fraction":
            shown.append(next(fraction, "0"))
        elif token.kind == "half":
            half = "PM" if moment.hour > 11 else "AM"
            shown.append(half if len(text) > 3 else half[0])
        elif token.kind == "elapsed":
            unit = {"h": 3600, "m": 60, "s": 1}[text[0]]
            shown.append(f"{int(total // unit):0{len(text)}}")
        else:
            shown.append(token.text)
    return "".join(shown)
