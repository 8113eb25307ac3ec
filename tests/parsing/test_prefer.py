"""The Prefer header, as RFC 7240 has it and as clients write it."""

import pytest

from app.parsing.prefer import Preference, read_prefer


@pytest.mark.parametrize(
    ("lines", "wanted"),
    [
        ([], Preference()),
        (["respond-async"], Preference(True)),
        (["respond-async, wait=10"], Preference(True, 10)),
        (["wait=10,respond-async"], Preference(True, 10)),
        (["respond-async", "wait=100"], Preference(True, 100)),
        (["Respond-Async; foo=bar, WAIT = 7"], Preference(True, 7)),
        (['wait="20"'], Preference(False, 20)),
        (['foo="a, respond-async"; x="b,c", wait=3'], Preference(False, 3)),
        # Of a preference that comes twice the first counts.
        (["wait=1", "wait=2"], Preference(False, 1)),
        (["wait=-1"], Preference()),
        (["wait=1.5"], Preference()),
        (["wait=99999999999999999999"], Preference()),
        (["wait"], Preference()),
        (["return=minimal; wait=4"], Preference()),
        ([", ,;;,=,"], Preference()),
        (['"'], Preference()),
    ],
)
def test_what_is_preferred(lines: list[str], wanted: Preference) -> None:
    assert read_prefer(lines) == wanted


def test_a_long_header_takes_no_long_time() -> None:
    assert read_prefer(['"' + "\\" * 8000, "a;" * 4000, " " * 8000]) == Preference()
