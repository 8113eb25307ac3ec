"""Which language a text is in, as far as the choice of fonts depends on it.

One character of Unicode stands for the forms that China, Taiwan, Hong Kong, Japan
and Korea write, so a font has to be told whose text it sets.
"""

import codecs
import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType

# The faces of Noto Sans CJK, by the end of their names, and the language of each. The
# first is taken where a text says nothing.
REGIONS: Mapping[str, str] = MappingProxyType(
    {"SC": "zh-Hans", "TC": "zh-Hant", "HK": "zh-Hant-HK", "JP": "ja", "KR": "ko"}
)

_KANA = re.compile(
    "[\u3041-\u3096\u309d-\u309f\u30a1-\u30fa\u30fd-\u30ff\u31f0-\u31ff\uff66-\uff9d]"
)
_BOPOMOFO = re.compile("[\u3105-\u312f\u31a0-\u31bf]")
_HANGUL = re.compile(
    "[\u1100-\u11ff\u3131-\u318e\ua960-\ua97c\uac00-\ud7a3\ud7b0-\ud7fb\uffa1-\uffdc]"
)
_HAN = re.compile(
    "[\u2e80-\u2fdf\u3005-\u3007\u3021-\u3029\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\U00020000-\U0003ffff]"
)
# A national character set holds what its country writes: simplified characters are in
# the first alone, traditional ones in the second, Japan's own in the third. Names in
# characters that several share count as the first of these.
_CHARACTER_SETS = (
    ("gb2312", "SC"),
    ("big5", "TC"),
    ("cp932", "JP"),
    ("big5hkscs", "HK"),
    ("cp949", "KR"),
)
_CHINESE = frozenset({"zh", "yue", "nan", "hak", "lzh", "cmn", "wuu"})
# What is traditional where neither a script nor a territory is named.
_TRADITIONAL = frozenset({"nan", "hak", "lzh"})
_TAG = re.compile(r"[A-Za-z]{2,3}(?:[-_][A-Za-z0-9]{1,8}){0,6}\Z")


def preload() -> None:
    """Load the character sets, for a process that cannot open files later."""
    for codec, _ in _CHARACTER_SETS:
        codecs.lookup(codec)


def canonical(tag: str) -> str:
    """Return a language tag as RFC 5646, section 2.1.1, writes it: `zh-Hant-TW`.

    Takes `_` for `-`. Raises ValueError where it is not well-formed.
    """
    if not _TAG.match(tag):
        raise ValueError("is not a language tag such as ja, pt-BR or zh-Hant")
    first, *rest = tag.replace("_", "-").split("-")
    return "-".join((first.lower(), *map(_subtag, rest)))


def _subtag(text: str) -> str:
    if text.isalpha() and len(text) in (2, 4):
        return text.upper() if len(text) == 2 else text.capitalize()
    return text.lower()


def region(text: str, lang: str | None) -> str | None:
    """Return whose forms of Chinese characters a text wants, or None without any.

    The language decides where it is Chinese, Japanese or Korean, else the text: kana
    are Japanese, Bopomofo traditional Chinese, Hangul Korean; characters alone go by
    the first national character set that has them all.
    """
    if text.isascii():
        return None
    by_text = next(_evidence(text), None)
    if by_text is None or lang is None:
        return by_text
    return _region_of(lang) or by_text


def _evidence(text: str) -> Iterator[str]:
    if _KANA.search(text):
        yield "JP"
    if _BOPOMOFO.search(text):
        yield "TC"
    if _HANGUL.search(text):
        yield "KR"
    han = "".join(sorted(set(_HAN.findall(text))))
    if han:
        yield from (region for codec, region in _CHARACTER_SETS if _has(codec, han))
        yield "SC"


def _has(codec: str, text: str) -> bool:
    try:
        text.encode(codec)
    except UnicodeEncodeError:
        return False
    return True


def _region_of(lang: str) -> str | None:
    first, *rest = lang.split("-")
    if first in ("ja", "ko"):
        return "JP" if first == "ja" else "KR"
    if first not in _CHINESE:
        return None
    if "Hans" in rest:
        return "SC"
    if {"HK", "MO"} & set(rest) or (first == "yue" and not {"CN", "TW"} & set(rest)):
        return "HK"
    traditional = "Hant" in rest or "TW" in rest or first in _TRADITIONAL
    return "TC" if traditional else "SC"
