"""Numbers and amounts of money for templates: exact, and written as a language does."""

from decimal import ROUND_HALF_UP, Decimal
from functools import lru_cache

from icu4py.messageformat import MessageFormat

# Left out, whose way of writing numbers it is.
_LANG = "en"


def round_currency(
    value: float | Decimal,
    currency: str,
    *,
    times: float | Decimal = 1,
    percent: float | Decimal = 100,
) -> Decimal:
    """Return so many times a value, or so much of it, in whole minor units.

    Halves are rounded away from zero. What is summed then is what is shown.
    """
    exact = _exact(value) * _exact(times) * _exact(percent) / 100
    return exact.quantize(Decimal(1).scaleb(-_digits(currency)), ROUND_HALF_UP)


def format_currency(value: float | Decimal, currency: str, lang: str = "") -> str:
    """Spell an amount in a currency (ISO 4217) as CLDR has it for a language.

    It has the currency's digits, and more, up to six, where the value has: prices of
    small parts do.
    """
    digits = "0" * _digits(currency) + "######"
    pattern = f"{{n, number, ::currency/{currency} .{digits}}}"
    return _formatted(pattern, _exact(value), lang)


def format_decimal(value: float | Decimal, lang: str = "") -> str:
    """Spell a number as CLDR has it for a language, with all its digits up to ten."""
    return _formatted("{n, number, ::.##########}", _exact(value), lang)


def _exact(value: float | Decimal) -> Decimal:
    """Return the number that a caller wrote, and not the one nearest to it."""
    return value if isinstance(value, Decimal) else Decimal(str(value))


def _formatted(pattern: str, value: Decimal, lang: str) -> str:
    return _format(pattern, lang or _LANG).format({"n": value})


@lru_cache(64)
def _format(pattern: str, lang: str) -> MessageFormat:
    return MessageFormat(pattern, lang.replace("-", "_"))


@lru_cache(64)
def _digits(currency: str) -> int:
    """Return how many digits the minor units of a currency have."""
    one = _formatted(f"{{n, number, ::currency/{currency}}}", Decimal(1), _LANG)
    return len(one.partition(".")[2])
