"""Columns are bound to parameters by a grammar that expands nothing twice."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.collection.ingest.binding import Binding, ColumnNames
from app.renderer.errors import BadParameter

NAMES = ("First name", "Last name", "Order #", "When", "Price", "#")


def filled(template: str, *cells: str, names: tuple[str, ...] = NAMES) -> str:
    row = [*cells, *[""] * (len(names) - len(cells))]
    return Binding("name", template).bound_to(ColumnNames(names)).fill(row, 7)


def one(template: str, cell: str) -> str:
    return filled(template.replace("{", "{a", 1), cell, names=("a",))


def fault_of(template: str, *cells: str) -> str:
    with pytest.raises(BadParameter) as caught:
        filled(template, *cells)
    assert caught.value.faults[0].field == "bind[name]"
    return caught.value.faults[0].reason


def test_columns_and_text_are_joined() -> None:
    assert filled("{First name} {Last name}", "Ada", "Lovelace") == "Ada Lovelace"


def test_a_row_has_a_number_and_a_column_called_so_is_forced() -> None:
    assert filled("{#}/{column:#}", "", "", "", "", "", "x") == "7/x"


def test_braces_are_doubled() -> None:
    assert filled("{{{First name}}}", "Ada") == "{Ada}"


@given(st.text(st.characters(exclude_categories=("Cs",)), max_size=50))
def test_a_cell_is_never_expanded(cell: str) -> None:
    assert filled("{First name}", cell) == cell


@pytest.mark.parametrize(
    "name", ["first name", "FIRST NAME", "first_name", "\uff26irst-name"]
)
def test_a_column_is_found_without_case_blanks_and_form(name: str) -> None:
    assert filled(f"{{{name}}}", "Ada") == "Ada"


def test_an_exact_name_goes_before_a_loose_one() -> None:
    assert filled("{a}", "1", "2", names=("A", "a")) == "2"


def test_an_ambiguous_column_is_refused() -> None:
    with pytest.raises(BadParameter, match="names 2 columns: 1, 2"):
        filled("{a b}", "1", "2", names=("A B", "a_b"))


def test_an_unknown_column_hears_the_nearest() -> None:
    assert "did you mean {First name}?" in fault_of("{Frist name}")


def test_an_unknown_filter_hears_the_nearest() -> None:
    assert fault_of("{When|dat}") == "'dat' is no filter; did you mean date?"


@pytest.mark.parametrize("template", ["{", "a}b", "{First name", "{}", "{|upper}"])
def test_what_is_not_of_the_grammar_is_refused(template: str) -> None:
    assert fault_of(template)


@pytest.mark.parametrize(
    ("template", "cell", "wanted"),
    [
        ("{|upper}", "straße", "STRASSE"),
        ("{|lower}", "ADA", "ada"),
        (
            "{|title}",
            "ADA o'neil d\u2019arcy smith-jones",
            "Ada O'Neil D\u2019Arcy Smith-Jones",
        ),
        ("{|title}", "don't", "Don't"),
        ("{|trim}", "  Ada   Lovelace ", "Ada Lovelace"),
        ("{|default:Guest}", " ", "Guest"),
        ("{|default:Guest}", "Ada", "Ada"),
        ("{|trim|upper|slice:1}", " ada ", "A"),
        ("{|slice:1:3}", "abcdef", "bc"),
        ("{|slice:-2:}", "abcdef", "ef"),
        ("{|slice:1}", "👩‍🚀Ada", "👩‍🚀"),
        ("{|date:D MMMM YYYY}", "2026-03-04", "4 March 2026"),
        ("{|date}", "31.12.2026", "2026-12-31"),
        ("{|date}", "12/31/2026", "2026-12-31"),
        ("{|date:dmy}", "03/04/2026", "2026-04-03"),
        ("{|date:mdy DD.MM.}", "03/04/2026", "04.03."),
        ("{|date:HH:mm}", "2026-03-04T19:30:00Z", "19:30"),
        ("{|date:h:mm a}", "2026-03-04 19:30", "7:30 pm"),
        ("{|date}", "March 4, 2026", "2026-03-04"),
        ("{|date}", "", ""),
        ("{|number:0.00}", "1,234.5", "1234.50"),
        ("{|number:#,##0.00}", "1.234.567,5", "1,234,567.50"),
        ("{|number:comma 0.0}", "1,234", "1.2"),
        ("{|number:point 0}", "1,234", "1234"),
        ("{|number:00000}", "42", "00042"),
        ("{|number}", "1 234 567", "1234567"),
        ("{|number}", "\u22125", "-5"),
        ("{|number:0.000}", "0.123", "0.123"),
        ("{|number:point 0.00}", "1.234", "1.23"),
        ("{|number:comma 0}", "1.234", "1234"),
        ("{|title}", "jose\u0301 marti\u0301nez 3rd", "Jose\u0301 Marti\u0301nez 3rd"),
        ("{|date}", "04-Mar-2026", "2026-03-04"),
        ("{|date:HH:mm}", "Mar 4, 2026 7:30 PM", "19:30"),
        ("{|date:HH:mm}", "2026-03-04 7:30 PM", "19:30"),
        ("{|date:HH:mm}", "2026-03-04 10:00:00 UTC", "10:00"),
        ("{|date}", "2026年3月4日", "2026-03-04"),
        ('{|date:D. MMMM [um] HH:mm "Uhr"}', "2026-03-04", "4. March um 00:00 Uhr"),
        ("{|date:YYYYMMDDTHHmm}", "2026-03-04", "20260304T0000"),
    ],
)
def test_a_filter_makes_of_a_cell(template: str, cell: str, wanted: str) -> None:
    assert one(template, cell) == wanted


@pytest.mark.parametrize(
    ("template", "cell", "why"),
    [
        ("{When|date}", "03/04/2026", "is one of two days: write date:dmy or date:mdy"),
        ("{When|date}", "30.02.2026", "is no day"),
        ("{When|date}", "soon", "is not a date"),
        ("{When|number}", "1,234", "is one of two numbers"),
        ("{When|number}", "many", "is not a number; one is written 1234.5"),
        ("{When|number}", "1.234", "is one of two numbers"),
        ("{When|number}", "192.168.0.1", "is not a number"),
        ("{When|number}", "+49 30 1234567", "is not a number"),
        ("{When|number}", "1.234.5", "is not a number"),
        ("{When|number}", "1,2,3", "is not a number"),
        ("{When|number}", "1..2", "is not a number"),
        ("{When|number}", "€12", "without currency or %"),
        ("{When|number:point}", "1.234,5", "is not a number"),
        ("{When|number:point}", "1.234.567", ". groups in it"),
        ("{When|date}", "2026-03-04 19:30 AM", "is no time of Am"),
        ("{When|number:yyyy-mm-dd}", "20260304", "is no day of the calendar"),
        ("{When|number:yyyy-mm-dd}", "-1", "is no day of the calendar"),
        ("{When|number:[h]:mm}", "99999999999", "is no day of the calendar"),
        ("{When|number}", "9" * 400, "is beyond what a sheet can hold"),
    ],
)
def test_a_cell_that_a_filter_cannot_read_is_named(
    template: str, cell: str, why: str
) -> None:
    assert why in fault_of(template, "", "", "", cell)


@pytest.mark.parametrize(
    "template",
    [
        "{When|date:soon}",
        "{When|slice:a}",
        "{When|upper:x}",
        "{When|number:q}",
        "{When|number:[<..5]0}",
        "{When|number:0.00 kg}",
        "{When|number:##0.0E+0}",
    ],
)
def test_a_wrong_argument_is_refused_before_any_row(template: str) -> None:
    with pytest.raises(BadParameter):
        Binding("name", template)


@pytest.mark.parametrize("code", ["#.##0,00", "# ##0,00", "0,00", "# ##0", "#.##0"])
def test_a_format_of_another_language_hears_how_to_write_it(code: str) -> None:
    assert "write 1,234.50 as #,##0.00" in fault_of(f"{{When|number:{code}}}")


@pytest.mark.parametrize("picture", ["dd.mm.yyyy", "HH:mm Uhr", "Do MMMM", "DDD"])
def test_a_stray_letter_in_a_date_is_refused(picture: str) -> None:
    assert "words are quoted" in fault_of(f"{{When|date:{picture}}}")


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("name", "\u200ena\u00adme\u200b"),
        ("Guest's e-mail", "Guest\u2019s e\u2011mail"),
        ("Price EUR", "Price|EUR"),
        ("Last First", "Last, First"),
    ],
)
def test_a_column_is_found_without_marks_and_signs(written: str, name: str) -> None:
    assert filled(f"{{{written}}}", "x", names=(name,)) == "x"


def test_what_is_filled_in_is_bounded() -> None:
    assert "has more than 100,000 characters" in fault_of(
        "{When}" * 300, *["x" * 999] * 4
    )
