"""What of a name is the name, and its initials."""

import pytest
import regex
from hypothesis import given
from hypothesis import strategies as st

from app.renderer.initials import bare, canonical, initial, initials
from app.renderer.params import is_visible


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Ada Lovelace", "AL"),
        ("ada", "A"),
        ("  Juan  Carlos de la Cruz ", "JC"),
        ("Jean-Luc (the captain) Picard", "JP"),
        ("émile Zola", "ÉZ"),
        ("e\u0301mile z\u0323ola", "\u00c9\u1e92"),
        ("ßeta ö", "ßÖ"),
        ("Жанна Орлова", "ЖО"),
        ("דוד כהן", "דכ"),
        ("محمد علي", "م\u200cع"),
        ("राज कुमार", "राकु"),
        ("山田 太郎", "山田"),
        ("王小明", "王"),
        ("김철수", "김"),
        ("😀", "😀"),
        ("👩‍👩‍👧", "👩‍👩‍👧"),
        ("👩‍👩‍👧 Family", "F"),
        ("🇫🇷", "🇫🇷"),
        ("Studio 54", "S5"),
        ("---", "-"),
        ("\u200b!", "!"),
        # What is left without the comma has no ink: not assigned in Unicode 14.
        ("\U00018cd6,", ","),
    ],
)
def test_initials_are_whole_graphemes(name, expected) -> None:
    assert initials(name) == expected


@given(st.text(min_size=1).filter(is_visible))
def test_every_visible_name_has_initials(name) -> None:
    assert initials(name)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("🇩🇪 Team", "T"),
        ("👩‍👩‍👧", "👩‍👩‍👧"),
        ("राज", "रा"),
        ("ada", "A"),
        ("\u200b!", "!"),
        ("", ""),
    ],
)
def test_initial_is_one_whole_grapheme(name, expected) -> None:
    assert initial(name) == expected


@pytest.mark.parametrize(
    "name",
    [
        "Mara Lindqvist (she/her)",
        "Mara Lindqvist [EXT]",
        "Mara Lindqvist (Acme GmbH)",
        "[EXT] Mara Lindqvist",
        "Mara Lindqvist <mara@example.org>",
        "Mara Lindqvist, she/her",
        "Mara Lindqvist she/her",
        "Mara Lindqvist (Acme",
        "Mara Lindqvist | Acme",
        "Mara Lindqvist - Sales Team",
        "Mara Lindqvist / Acme",
        "Lindqvist, Mara",
        "Mara Lindqvist, PhD",
        "Mara Lindqvist, M.D., Ph.D.",
        "Mara Lindqvist, Acme GmbH",
        "Mara Lindqvist MBA",
        "Mara Lindqvist Jr.",
        "Mara Lindqvist, CEO",
        "Mara Lindqvist CTO",
        "Dr. Mara Lindqvist",
        "Prof. Dr. med. Mara Lindqvist",
        "Frau Mara Lindqvist",
        "Mara de Lindqvist",
        "Mara d'Lindqvist",
        "Mara Lindqvist, PMP",
        "Mara Lindqvist, RN, BSN",
        "Ing. Mara Lindqvist, CSc.",
        "doc. RNDr. Mara Lindqvist",
        "Dr.-Ing. Mara Lindqvist",
        "Lt. Col. Mara Lindqvist",
        "Dra. Mara Lindqvist",
        "Avv. Mara Lindqvist",
        "Mara Lindqvist Jnr",
        "Mara Lindqvist 2nd",
        "Mara Lindqvist née Berg",
        "Mara Lindqvist geb. Berg",
    ],
)
def test_what_is_not_the_name_has_no_initial(name: str) -> None:
    assert initials(name) == "ML"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Martin Luther King, Jr.", "MK"),
        ("Ludwig van Beethoven", "LB"),
        ("van Gogh", "G"),
        ("al gore", "AG"),
        ("Mohammed al-Rashid", "MR"),
        ("Sin\u00e9ad O'Connor", "SO"),
        ("M. Night Shyamalan", "MS"),
        ("Jack Ma", "JM"),
        ("JACK MA", "JM"),
        ("Mr. T", "T"),
        ("Dr", "D"),
        ("Don Johnson", "DJ"),
        ("Lady Gaga", "LG"),
        ("Henry VIII", "HV"),
        ("Nee Okpara", "NO"),
        ("Lic Brown", "LB"),
        ("(EXT)", "E"),
        (",", ","),
        (", Ada", "A"),
    ],
)
def test_what_is_the_name_stays(name: str, expected: str) -> None:
    assert initials(name) == expected


@pytest.mark.parametrize(
    ("name", "lang", "expected"),
    [
        ("王小明 (Xiaoming Wang)", None, "王"),
        ("欧阳娜娜", None, "欧阳"),
        ("남궁민", None, "남궁"),
        ("長谷川 太郎", None, "長谷川"),
        ("佐藤花子", None, "佐"),
        ("佐藤花子", "ja", "佐藤"),
        ("森 鴎外", "ja", "森"),
        ("さくら", None, "さ"),
        ("王小明 先生", None, "王"),
        ("김철수 님", None, "김"),
        ("김철수 부장", None, "김"),
        ("山田 太郎 様", None, "山田"),
        ("アンナ・シュミット", None, "アシ"),
        ("アンナ\uff1dシュミット", None, "アシ"),
    ],
)
def test_east_asian_names_give_the_family_name(
    name: str, lang: str | None, expected: str
) -> None:
    assert initials(name, lang) == expected


@pytest.mark.parametrize(
    ("name", "lang", "expected"),
    [
        ("irem \u0131\u015f\u0131k", "tr", "\u0130I"),
        ("\ufb01ona \ufb02int", None, "FF"),
        ("\U0001d4d9\U0001d4ea\U0001d4f7 \U0001d4d3\U0001d4f8\U0001d4ee", None, "JD"),
        ("\uff2a\uff41\uff4e \uff24\uff4f\uff45", None, "JD"),
        ("\u02bbAlohi Kealoha", None, "AK"),
        ("irem", None, "I"),
        ("\u00dfeta", "de", "\u1e9e"),
        ("ijsbrand", "nl", "IJ"),
        ("ijsbrand", None, "I"),
        ("IJsbrand", None, "IJ"),
        ("\u0133sbrand", None, "\u0132"),
        ("Szab\u00f3 Csaba", "hu", "SzCs"),
        ("Llinos Rhys", "cy", "LlRh"),
        ("გიორგი ბერიძე", None, "გბ"),
        ("เอกชัย ใจดี", None, "อจ"),
    ],
)
def test_capitals_are_those_of_the_language(
    name: str, lang: str | None, expected: str
) -> None:
    assert initials(name, lang) == expected


@given(st.text(min_size=1).filter(is_visible))
def test_initials_never_split_a_mark_from_its_letter(name: str) -> None:
    marks = regex.compile(r"\p{M}")

    assert not marks.match(initials(name)) or marks.match(bare(name))


def test_a_name_has_one_canonical_spelling() -> None:
    assert canonical("Dr. MARA Lindqvist [EXT]") == canonical("Lindqvist, Mara")
    assert canonical("E\u0301mile") == canonical("\u00c9mile")
