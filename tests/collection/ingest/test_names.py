"""Names are safe on every system, unique whatever their case, and ASCII."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.archive.layout import Layout, Member
from app.collection.ingest.binding import LONGEST, NamePattern
from app.collection.ingest.validate import Names, safe
from app.renderer.errors import BadParameter

KNOWN = ("title", "size")
ONE = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?\Z")
DEVICE = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\.|\Z)", re.I)


def filled(pattern: str, **values: object) -> str:
    return NamePattern(pattern, KNOWN).fill(7, "card", values)


def test_placeholders_are_filled_in() -> None:
    assert filled("{index}-{title}_{renderer}", title="A") == "00007-A_card"


def test_a_number_and_nothing_are_spelt() -> None:
    assert filled("{title}{size}", title=None, size=2.5) == "2.5"


def test_an_image_is_no_text() -> None:
    assert filled("x{title}", title=b"\x89PNG") == "x"


def test_a_value_is_not_filled_in_again() -> None:
    assert filled("{title}", title="{size}", size=3) == "{size}"


def test_an_index_of_six_digits_is_whole() -> None:
    assert NamePattern("{index}", ()).fill(123_456, "card", {}) == "123456"


@pytest.mark.parametrize("text", ["{shoe}", "{}", "{title!r}", "{title:>9}", "{0}"])
def test_an_unknown_placeholder_hears_the_known_ones(text: str) -> None:
    with pytest.raises(BadParameter) as caught:
        NamePattern(text, KNOWN)

    fault = caught.value.faults[0]
    assert fault.field == "name"
    assert "known are {index}, {renderer}, {title}, {size}" in fault.reason


@pytest.mark.parametrize("text", ["{", "}", "{title", "a}b", "{{title}}"])
def test_a_brace_alone_is_refused(text: str) -> None:
    with pytest.raises(BadParameter):
        NamePattern(text, KNOWN)


def test_equal_names_are_numbered() -> None:
    names = Names()

    given = [names.give(name, 1) for name in ("a", "A", "a-2", "a", "b")]

    assert given == ["a", "A-2", "a-2-2", "a-3", "b"]


def test_a_file_name_does_not_end_twice() -> None:
    names = Names(endings=("jpg", "jpeg"))

    given = [names.give(name, 7) for name in ("Dup.JPG", "dup.jpeg", "a.png", ".jpg")]

    assert given == ["Dup", "dup-2", "a.png", "00007"]


def test_a_name_that_is_taken_is_not_given() -> None:
    assert Names(("manifest",)).give("Manifest", 1) == "Manifest-2"


def test_long_names_that_begin_alike_stay_in_bounds() -> None:
    names = Names()

    given = [names.give("x" * 120 + str(number), number) for number in range(50)]

    assert len({*given}) == 50
    assert max(map(len, given)) <= LONGEST


def test_many_equal_names_take_linear_time() -> None:
    names = Names()

    given = [names.give("same", number) for number in range(50_000)]

    assert given[-1] == "same-50000"


@given(st.lists(st.text(max_size=120) | st.sampled_from(["con", "a", "A", "a-2"])))
def test_every_name_is_safe_and_unique(texts: list[str]) -> None:
    names = Names()

    given = [names.give(text, index) for index, text in enumerate(texts, 1)]

    assert len({name.lower() for name in given}) == len(texts)
    for name in given:
        assert 1 <= len(name) <= LONGEST
        assert ONE.match(name) and not DEVICE.match(name)


@given(st.text())
def test_what_is_safe_stays_as_it_is(text: str) -> None:
    assert safe(safe(text)) == safe(text)


def test_a_pattern_without_a_placeholder_is_refused_with_the_usual_cause():
    with pytest.raises(BadParameter, match="curl"):
        NamePattern("index-name", KNOWN)


@pytest.mark.parametrize(
    ("wanted", "given"),
    [
        ("Zoe\u0308 M\u00fcller", "Zo\u00eb M\u00fcller"),
        ("\u738b\u5c0f\u660e", "\u738b\u5c0f\u660e"),
        ("../\u00e9tc", "\u00e9tc"),
        ("a<b>:c", "a-b-c"),
        ("\u202egnp.exe", "gnp.exe"),
        ("con.\u00e9", "image-con.\u00e9"),
        ("  two\u00a0 words. ", "two words"),
        ("\U0001f389", "00007"),
    ],
)
def test_a_name_may_keep_its_script(wanted: str, given: str) -> None:
    assert Names(unicode=True).give(wanted, 7) == given


def test_a_long_name_is_cut_between_graphemes() -> None:
    given = Names(unicode=True).give("\u0e01\u0e33" * 90, 1)

    assert len(given.encode()) <= 180
    assert given == "\u0e01\u0e33" * (len(given) // 2)


def test_names_that_a_file_system_takes_for_one_are_numbered() -> None:
    names = Names(unicode=True)

    given = [names.give(name, 1) for name in ("\u00c9a", "e\u0301a", "STRASSE")]

    assert given == ["\u00c9a", "\u00e9a-2", "STRASSE"]


def test_a_slash_of_the_pattern_parts_folders_and_one_of_a_value_does_not() -> None:
    wanted = filled("{renderer}/{title}/{index}", title="a/../b")

    assert wanted == "card/a-..-b/00007"
    assert Names().give(wanted, 7, folders=True) == "card/a-..-b/00007"


def test_a_folder_without_a_name_is_none() -> None:
    assert Names().give("//../x", 1, folders=True) == "x"


def test_folders_are_bounded() -> None:
    with pytest.raises(BadParameter, match="more than 4 folders"):
        NamePattern("a/b/c/d/e/{index}", KNOWN)


@given(
    st.lists(st.text(max_size=120) | st.sampled_from(["con", "a/b", "A/B", "\u00e9"]))
)
def test_every_name_in_its_script_fits_an_archive(texts: list[str]) -> None:
    names, layout = Names(unicode=True), Layout()

    for index, text in enumerate(texts, 1):
        layout.add(Member(names.give(text, index, folders=True) + ".png", 0, 0))

    assert len(layout) == len(texts)
