import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.renderer.engine import language


@pytest.mark.parametrize(
    ("tag", "expected"),
    [
        ("ja", "ja"),
        ("JA", "ja"),
        ("zh_hant_tw", "zh-Hant-TW"),
        ("ZH-hans-cn", "zh-Hans-CN"),
        ("es-419", "es-419"),
        ("de-1996", "de-1996"),
        ("yue", "yue"),
    ],
)
def test_tags_have_one_spelling(tag: str, expected: str) -> None:
    assert language.canonical(tag) == expected


@pytest.mark.parametrize(
    "tag", ["", "j", "japanese", "ja-", "ja JP", "zh-Hant-", "日本"]
)
def test_what_is_no_tag_is_refused(tag: str) -> None:
    with pytest.raises(ValueError, match="is not a language tag"):
        language.canonical(tag)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hello", None),
        ("Ελληνικά", None),
        ("日本語のタイトル", "JP"),
        ("ｶﾀｶﾅ", "JP"),
        ("漢字 한국어", "KR"),
        ("國語 ㄍㄨㄛˊ", "TC"),
        ("简体中文", "SC"),
        ("繁體中文", "TC"),
        ("日本国憲法", "JP"),
        ("髙橋", "JP"),
        ("我哋嘅", "HK"),
        ("王小明", "SC"),
        ("\U00020000", "SC"),
    ],
)
def test_the_text_tells_whose_characters_it_has(text: str, expected: str) -> None:
    assert language.region(text, None) == expected


@pytest.mark.parametrize(
    ("lang", "expected"),
    [
        ("ja", "JP"),
        ("ko-KR", "KR"),
        ("zh", "SC"),
        ("zh-CN", "SC"),
        ("zh-Hans-HK", "SC"),
        ("zh-TW", "TC"),
        ("zh-Hant", "TC"),
        ("zh-HK", "HK"),
        ("zh-Hant-MO", "HK"),
        ("yue", "HK"),
        ("nan", "TC"),
    ],
)
def test_the_language_comes_before_the_text(lang: str, expected: str) -> None:
    assert language.region("直の", lang) == expected


def test_a_language_without_such_characters_leaves_it_to_the_text() -> None:
    assert language.region("直の", "de") == "JP"
    assert language.region("Straße", "ja") is None


@given(st.text(), st.sampled_from([None, "ja", "zh-Hant", "de"]))
def test_any_text_has_a_region_or_none(text: str, lang: str | None) -> None:
    assert language.region(text, lang) in {None, *language.REGIONS}
