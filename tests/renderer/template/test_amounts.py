"""Amounts of money: rounded once, and written as a language does."""

from decimal import Decimal

import pytest

from app.renderer.template.amounts import (
    format_currency,
    format_decimal,
    round_currency,
)


@pytest.mark.parametrize(
    ("value", "currency", "times", "percent", "rounded"),
    [
        (1.005, "EUR", 1, 100, "1.01"),
        (2.675, "USD", 1, 100, "2.68"),
        (-1.005, "EUR", 1, 100, "-1.01"),
        (0.1, "EUR", 3, 100, "0.30"),
        (10, "CHF", 1, 1.1, "0.11"),
        (333.3, "JPY", 2, 100, "667"),
        (1.2345, "KWD", 1, 100, "1.235"),
        (999_999_999_999.99, "EUR", 1_000_000, 100, "999999999999990000.00"),
    ],
)
def test_halves_are_rounded_as_they_were_written(
    value: float, currency: str, times: float, percent: float, rounded: str
) -> None:
    """In binary 1.005 is less than a half."""
    found = round_currency(value, currency, times=times, percent=percent)

    assert found == Decimal(rounded)
    assert str(found) == rounded


@pytest.mark.parametrize(
    ("lang", "currency", "text"),
    [
        ("", "EUR", "€1,234.50"),
        ("de", "EUR", "1.234,50 €"),
        ("de-CH", "CHF", "CHF 1'234.50"),
        ("fr", "EUR", "1 234,50 €"),
        ("ja", "JPY", "￥1,235"),
        ("hi", "INR", "₹1,234.50"),
        ("en", "KWD", "KWD 1,234.500"),
    ],
)
def test_amounts_are_written_as_a_language_does(
    lang: str, currency: str, text: str
) -> None:
    written = format_currency(round_currency(1234.5, currency), currency, lang)

    # Spaces that do not break, which CLDR changes now and then, as one.
    assert written.translate({0xA0: " ", 0x202F: " "}) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(2.0, "2"), (0.1, "0.1"), (1234.5, "1,234.5"), (1e-9, "0.000000001")],
)
def test_numbers_keep_their_digits(value: float, text: str) -> None:
    assert format_decimal(value) == text


def test_a_price_of_small_parts_keeps_its_digits() -> None:
    written = [format_currency(0.0375, each) for each in ("EUR", "JPY")]

    assert written == ["€0.0375", "¥0.0375"]
    assert format_currency(0.1 + 0.2, "EUR") == "€0.30"
