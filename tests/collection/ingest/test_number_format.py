"""A number is shown as a spreadsheet shows it."""

from datetime import date, datetime, time, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.collection.ingest.number_format import NumberFormat, UnknownNumberFormat, Value

SHOWN = [
    ("General", 25, "25"),
    ("General", 0.25, "0.25"),
    ("General", 0.1 + 0.2, "0.3"),
    ("General", -3.0, "-3"),
    ("General", 1234.5678901234, "1234.56789"),
    ("General", 4_006_381_333_931, "4006381333931"),
    ("General", 1e20, "1E+20"),
    ("0%", 0.25, "25%"),
    ("0.0%", 0.1234, "12.3%"),
    ("00000", 123, "00123"),
    ("0", 0.5, "1"),
    ("0.00", 1.005, "1.01"),
    ("0.0", -0.04, "0.0"),
    ("#.##", 0.5, ".5"),
    ("#", 0, ""),
    ("#,##0", 1234567, "1,234,567"),
    ("#,##0.00", -1234.5, "-1,234.50"),
    ("#,##0,", 1234567, "1,235"),
    ('0.0,,"M"', 1234567, "1.2M"),
    ('"$"#,##0.00', 12.5, "$12.50"),
    ("#,##0.00\\ [$€-407]", 1234.5, "1,234.50 €"),
    ("$#,##0_);[Red]($#,##0)", -1500, "($1,500)"),
    ('#,##0 "Stück"', 1500, "1,500 Stück"),
    ("0;(0)", -5, "(5)"),
    ('0;-0;"none"', 0, "none"),
    (";;;", 5, ""),
    ("000-00-0000", 123456789, "123-45-6789"),
    ("[<=9999999]###\\-####;(###) ###\\-####", 5551234, "555-1234"),
    ("[<=9999999]###\\-####;(###) ###\\-####", 2125551234, "(212) 555-1234"),
    ("0.00E+00", 12345.678, "1.23E+04"),
    ("# ?/?", 1.5, "1 1/2"),
    ("# ??/??", 0.3333, "1/3"),
    ("@", "007", "007"),
    ("@", 7, "7"),
    ('0;-0;0;"<"@">"', "a", "<a>"),
    ("yyyy-mm-dd", date(2026, 3, 4), "2026-03-04"),
    ("d. mmmm yyyy", datetime(2026, 3, 4), "4. March 2026"),
    ("ddd, d mmm yy", date(2026, 11, 26), "Thu, 26 Nov 26"),
    ("dd/mm/yyyy hh:mm", 46000.5, "09/12/2025 12:00"),
    ("h:mm AM/PM", datetime(2026, 3, 4, 14, 5), "2:05 PM"),
    ("hh:mm:ss", time(9, 5, 7), "09:05:07"),
    ("ss.00", datetime(2026, 1, 1, 0, 0, 5, 250000), "05.25"),
    ("mm:ss", timedelta(minutes=5, seconds=7), "05:07"),
    ("[h]:mm:ss", timedelta(hours=30, minutes=5), "30:05:00"),
    ("[h]:mm:ss", 1.25, "30:00:00"),
    ("[s].00", timedelta(seconds=61, milliseconds=250), "61.25"),
    ("0.00", 12345678901234567890123456789, "12345678901234567890123456789.00"),
    ("0." + "0" * 31, 7, "7." + "0" * 31),
    ("0.00", 1e300, f"{10**300}.00"),
    ("#,##0.00%", -1e25, "-1,000,000,000,000,000,000,000,000,000.00%"),
    ("0#\\ ##\\ ##\\ ##\\ ##", 612345678, "06 12 34 56 78"),
    ('[>=1000]#,##0.0,"K";0', -5, "-5"),
    ('[>=1000]#,##0.0,"K";0', 1500, "1.5K"),
    ("[<0](0);0", -5, "(5)"),
    ("[>=0]0;(0)", -5, "(5)"),
    ("0.00E+00", 0, "0.00E+00"),
    ("0E+0", 0, "0E+0"),
    ('0.0E+0 "kg"', 0.00125, "1.3E-3 kg"),
    ("e/m/d", date(2026, 3, 4), "2026/3/4"),
    ("hh:mm:ss", 0.999999, "00:00:00"),
    ("hh:mm:ss.000", 0.999999, "23:59:59.914"),
    ("h:mm AM/PM", 46085.6458333, "3:30 PM"),
    ("h:mm", time(15, 29, 59), "15:29"),
]


@pytest.mark.parametrize(("code", "value", "wanted"), SHOWN)
def test_a_value_is_shown_as_the_code_says(
    code: str, value: Value, wanted: str
) -> None:
    assert NumberFormat(code).show(value) == wanted


@pytest.mark.parametrize(
    "code",
    [
        "q0",
        "[$-411]ggge年m月d日",
        "[$-407]d. mmmm yyyy",
        "0;0;0;0;0",
        "0" * 300,
        "[<..5]0",
        "[DBNum1]0",
        '0 "kg',
        "0.00 kg",
        "0 m",
        "##0.0E+0",
        "0,0E+0",
    ],
)
def test_a_code_that_cannot_be_followed_is_named(code: str) -> None:
    with pytest.raises(UnknownNumberFormat):
        NumberFormat(code)


@pytest.mark.parametrize(
    ("code", "value"),
    [
        ("yyyy-mm-dd", 20_260_304),
        ("yyyy-mm-dd", -1),
        ("yyyy-mm-dd hh:mm", 2_958_465.9999999),
        ("[h]:mm", 99_999_999_999),
        ("[h]:mm", -0.5),
        ("[h]:mm", timedelta.max),
        ("[h]:mm", timedelta(hours=-1)),
        ("General", float("inf")),
        ("0.00", float("nan")),
        ("0", 10**400),
    ],
)
def test_a_value_that_a_code_cannot_show_is_named(code: str, value: Value) -> None:
    with pytest.raises(UnknownNumberFormat):
        NumberFormat(code).show(value)


@given(
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(
        [
            "General",
            "0.00",
            "#,##0.00%",
            "0.0,,",
            "# ??/??",
            "0.00E+00",
            "yyyy h:mm",
            "[h]:mm:ss.00",
            "[<0](0);0.0",
            "0%%%%",
            "#",
            "0;-0;;@",
            "_(* #,##0_)",
        ]
    ),
)
def test_any_number_is_shown_or_named(value: float, code: str) -> None:
    try:
        shown = NumberFormat(code).show(value)
    except UnknownNumberFormat:
        shown = ""

    assert isinstance(shown, str)
    assert shown or code in ("#", "0;-0;;@", "yyyy h:mm", "[h]:mm:ss.00")


# Ten digits and a half: the zeros of what it is rounded to are no decimals.
@example(3897310249.5, "General")
@given(
    st.integers(-(10**14), 10**14) | st.floats(-1e12, 1e12),
    st.sampled_from(["0", "0.00", "#,##0.00", "0000000", "#", "0%", "General"]),
)
def test_what_is_shown_is_the_number(value: float, code: str) -> None:
    shown = NumberFormat(code).show(value)

    number = float(shown.replace(",", "").rstrip("%") or 0)
    scale = 100 if code == "0%" else 1
    rounding = 0.5 / (10 ** code.count("0", code.find(".")) if "." in code else 1)
    assert abs(number - value * scale) <= max(rounding * 1.001, abs(value) * 1e-5)
