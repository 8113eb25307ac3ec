"""RFC 9110, section 12.5.1, as tables."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.parsing.accept import Choice, choose, negotiate, prefers_json
from tests.growth import assert_linear

PNG, JPEG, WEBP = OFFERS = ("image/png", "image/jpeg", "image/webp")
CHROME = "image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8"


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (None, PNG),
        ("", PNG),
        ("*/*", PNG),
        ("image/*", PNG),
        ("image/jpeg", JPEG),
        ("IMAGE/JPEG", JPEG),
        ("image/webp, image/jpeg", JPEG),
        ("image/webp, image/jpeg;q=0.9", WEBP),
        # Werkzeug's best_match gives the type spelt out: here the server's order.
        ("image/webp, */*", PNG),
        (CHROME, PNG),
        ("text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2", JPEG),
        ("image/png;q=0", None),
        ("image/*;q=0", None),
        ("*/*;q=0", None),
        ("*/*;q=0.1, image/png;q=0", JPEG),
        ("image/png;q=0, */*", JPEG),
        ("image/png;q=0., */*", JPEG),
        ("image/*;q=0, image/webp", WEBP),
        ("image/*, image/png;q=0.5", JPEG),
        ("image/png;q=0.5, image/png;q=0.7, image/jpeg;q=0.6", PNG),
        ("image/png;q=0.001", PNG),
        ("image/png;Q=0.5, image/webp;q=0.4", PNG),
        ("image/png ; q=0.5 ,\timage/webp;q=1.000", WEBP),
        # A weight that is none leaves the range out.
        ("image/png;q=2, image/webp;q=0.1", WEBP),
        ("image/png;q=-1, image/webp;q=0.1", WEBP),
        ("image/png;q=abc, image/webp;q=0.1", WEBP),
        ("image/png;q=nan, image/webp;q=0.1", WEBP),
        ("image/png;q=", PNG),
        # A range with a parameter does not cover the plain type.
        ("image/png;bits=8, image/webp", WEBP),
        ("text/html", None),
        ("image", None),
        ("*", None),
        ("*/png", None),
        (",", None),
        ("garbage;;;", None),
    ],
)
def test_the_most_welcome_offer_is_chosen(accept, expected):
    assert choose(accept, OFFERS) == expected


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (None, False),
        ("", False),
        ("*/*", False),
        ("image/*", False),
        ("image/png", False),
        ("text/html", False),
        ("application/json", True),
        ("Application/JSON", True),
        ("application/*", True),
        ("application/json;charset=utf-8", True),
        ("application/json, text/plain, */*", False),
        ("application/json, */*;q=0.5", True),
        ("application/json;q=0.5, image/png", False),
        ("application/json;q=0.5, image/png;q=0.4", True),
        ("application/json, image/png;q=0.4", True),
        ("application/json;q=0", False),
        ("*/*, image/png;q=0", True),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", False),
        (CHROME, False),
    ],
)
def test_json_wins_only_where_it_is_more_welcome(accept, expected):
    assert prefers_json(accept, PNG) is expected


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (None, Choice(PNG, False)),
        ("application/json", Choice(PNG, True)),
        ("application/json, image/webp;q=0.5", Choice(WEBP, True)),
        ("application/json;q=0.5, image/webp", Choice(WEBP, False)),
        ("application/json, image/webp", Choice(WEBP, False)),
        ("text/html", None),
        ("application/json;q=0", None),
    ],
)
def test_format_and_wrapping_are_chosen_together(accept, expected):
    assert negotiate(accept, OFFERS) == expected


@given(st.text() | st.text(alphabet='imagepngjson/*;,q=.019 "\\'))
def test_any_text_is_a_legal_header(accept):
    assert choose(accept, OFFERS) in (None, *OFFERS)
    assert prefers_json(accept, PNG) in (False, True)


@pytest.mark.parametrize("unit", ["a/b,", "a/b;x=y,", "a/b;", ";a=b", '"', '"\\', ","])
def test_time_is_linear_in_a_hostile_header(unit):
    unremembered = choose.__wrapped__

    assert_linear(lambda accept: unremembered(accept, OFFERS), unit, 2**17)
