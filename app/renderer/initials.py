"""Whose initials a name has: what of it is a name, and how its language writes them."""

import unicodedata
from collections.abc import Iterator, Mapping
from functools import lru_cache
from types import MappingProxyType

import regex  # type: ignore[import-untyped]

from app.renderer.engine.language import region
from app.renderer.params import is_visible

_GRAPHEME = regex.compile(r"\X")
# Scripts that join their letters: initials side by side would read as a syllable.
_JOINING = regex.compile(r"[\p{Arabic}\p{Syriac}\p{Nko}\p{Mongolian}]")
# Thai and Lao write some vowels before the consonant that begins the syllable.
_LEADING_VOWELS = "\u0e40-\u0e44\u0ec0-\u0ec4"
_FIRST = regex.compile(rf"[{_LEADING_VOWELS}](?=\p{{L}})")

# Katakana write the parts of a foreign name with a dot or a double hyphen between them.
_BETWEEN_KATAKANA = regex.compile(
    r"(?<=[\p{Katakana}\u30fc])[\u30fb\uff65=\uff1d\u30a0](?=\p{Katakana})"
)
# What stands in brackets, whatever their kind and even where they are left open, is a
# pronoun, a company or a note; what follows one of these signs too.
_BRACKETS = regex.compile(
    r"\([^()]*(?:\)|\Z)|\[[^\[\]]*(?:\]|\Z)|\{[^{}]*(?:\}|\Z)|<[^<>]*(?:>|\Z)"
    r"|\uff08[^\uff08\uff09]*(?:\uff09|\Z)|\u3010[^\u3010\u3011]*(?:\u3011|\Z)"
)
_NOTE = regex.compile(r"\s(?:[|/@\u00b7\u2022]|[-\u2013\u2014]+)\s.*", regex.DOTALL)
# The name that somebody was born with, or had before.
_FORMER = regex.compile(r"\s(?:n\u00e9e?|nee|born|geb\.|geborene?r?)\s.*", regex.DOTALL)
_PRONOUNS = regex.compile(r"[a-z]{1,5}(?:/[a-z]{1,6})+\Z", regex.IGNORECASE)

# Those with a dot are names without it.
_TITLES = frozenset(
    {"dr", "prof", "professor", "mr", "mrs", "ms", "mx", "miss", "sir", "dame"}
    | {"herr", "frau", "fru", "mme", "mlle", "sra", "srta", "dott", "dott.ssa", "rev"}
    | {"dipl.-ing", "univ.-prof", "\u0434-\u0440", "\u043f\u0440\u043e\u0444"}
    | {"dr.-ing", "captain", "lieutenant", "se\u00f1or", "se\u00f1ora", "shri"}
    | {"mudr", "mddr", "mvdr", "rndr", "phdr", "judr", "paeddr"}
    | {"fr.", "hon.", "hr.", "ing.", "mag.", "mag.a", "sr.", "dra.", "avv.", "arch."}
    | {"bc.", "mgr.", "doc.", "eng.", "lic.", "smt.", "hj."}
    | {"lt.", "col.", "capt.", "cpt.", "maj.", "sgt.", "gen.", "cmdr."}
)
_SUFFIXES = frozenset(
    {
        "jr",
        "sr",
        "jun",
        "sen",
        "jnr",
        "snr",
        "2nd",
        "3rd",
        "ii",
        "iii",
        "iv",
        "phd",
        "dphil",
        "esq",
        "mba",
        "msc",
    }
    | {
        "bsc",
        "csc",
        "drsc",
        "dsc",
        "edd",
        "pharmd",
        "llb",
        "llm",
        "obe",
        "mbe",
        "cbe",
        "ceo",
        "cto",
        "cfo",
        "coo",
        "cmo",
        "vp",
    }
)
# These are names as well, unless they follow a comma or stand in capitals alone.
_DEGREES = frozenset({"MA", "BA", "MD", "DO", "RN", "BSN", "PMP", "DDS", "CPA"})
_COMPANIES = frozenset(
    {"gmbh", "ag", "inc", "ltd", "llc", "llp", "corp", "plc", "bv", "nv", "sa", "srl"}
    | {"kg", "ab", "oy", "as", "pty", "co", "university", "institute"}
)
# Small words in front of a family name, in small letters.
_PARTICLES = frozenset(
    {"de", "da", "do", "dos", "das", "di", "del", "della", "du", "des", "la", "le"}
    | {"van", "der", "den", "von", "zu", "zum", "zur", "ter", "ten", "te", "af", "av"}
    | {"bin", "ibn", "bint", "al", "el", "y", "e", "und", "and", "&"}
)
_JOINED_PARTICLE = regex.compile(r"(?:al|el|d|l)[-'\u2019](?=\p{L})")

# Letters of a font, width, position or frame of their own (UAX #44, 5.7.3).
_STYLED = regex.compile("<(?:font|wide|narrow|circle|square|isolated|initial)>")

# Letters of two characters, by language: both are one initial.
_DIGRAPHS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "bs": ("dž", "lj", "nj"),
        "cs": ("ch",),
        "cy": ("ch", "dd", "ff", "ng", "ll", "ph", "rh", "th"),
        "hr": ("dž", "lj", "nj"),
        "hu": ("dzs", "cs", "dz", "gy", "ly", "ny", "sz", "ty", "zs"),
        "nl": ("ij",),
        "sk": ("ch", "dz", "dž"),
        "sr": ("dž", "lj", "nj"),
    }
)
# Dutch by the way it is written: nobody else begins a word with both in capitals.
_DUTCH = regex.compile(r"IJ\p{Ll}")
_DOTTED = frozenset({"tr", "az"})

# Family names of two characters: Chinese, and Korean.
_COMPOUND = frozenset(
    regex.findall(
        "..",
        "欧阳歐陽司马司馬上官诸葛諸葛司徒司空夏侯东方東方尉迟尉遲公孙公孫慕容令狐宇文"
        "长孙長孫轩辕軒轅皇甫端木独孤獨孤南宫南宮西门西門呼延"
        "남궁황보제갈사공선우서문독고동방",
    )
)
_EAST_ASIAN = regex.compile(r"[\p{Han}\p{Hangul}\u3005]+\Z")
_LONGEST_FAMILY_NAME = 3
_LONGEST_KOREAN = 2
# What stands behind a whole name: Mr, Mrs, Miss, doctor, teacher, ...
_HONORIFICS = frozenset(
    {"先生", "女士", "小姐", "太太", "老师", "老師", "博士", "教授", "様", "殿", "氏"}
    | {"さん", "님", "씨"}
)
# Names remembered: whoever signs cards signs many.
_REMEMBERED = 1024


def initials(name: str, lang: str | None = None) -> str:
    """Return the initials of a person's name, as whole graphemes.

    They are those of the first and the last word that have a letter; a name in Chinese
    characters or Hangul gives its family name. A name without letters gives its first
    grapheme, an emoji perhaps.
    """
    person = bare(name)
    family = _family_name(person, lang)
    if family:
        return family
    found = list(_each(person, lang))
    letters = [found[0], found[-1]] if len(found) > 1 else [initial(name, lang)]
    # The non-joiner keeps each letter in the form that it has alone.
    return ("\u200c" if _JOINING.search(letters[0]) else "").join(letters)


def initial(name: str, lang: str | None = None) -> str:
    """Return the initial of the first word that has a letter or digit.

    A name without gives its first visible grapheme, or nothing.
    """
    return next(_each(bare(name), lang), "") or _first_visible(name)


@lru_cache(_REMEMBERED)
def bare(name: str) -> str:
    """Return what of a name is the name: no brackets, titles, degrees or companies.

    A family name before a comma goes to the end. Canonically equal names are equal.
    """
    text = _BETWEEN_KATAKANA.sub(" ", unicodedata.normalize("NFC", name)).strip()
    for pattern in (_BRACKETS, _NOTE, _FORMER):
        text = _if_letters(pattern.sub(" ", text), text)
    parts = [part.split() for part in text.split(",")]
    rest = [words for words in parts[1:] if words and not _is_addition(words)]
    if parts[0] and rest:
        # Family name first, as in lists.
        return " ".join(_person([*rest[0], *parts[0]]))
    return " ".join(_person(parts[0] or text.split()))


def canonical(name: str, lang: str | None = None) -> str:
    """Return a spelling that a name has in any case, with any title: for its colour."""
    text = bare(name)
    if _primary(lang) in _DOTTED:
        text = text.replace("I", "\u0131").replace("\u0130", "i")
    return unicodedata.normalize("NFC", text.casefold())


def _if_letters(text: str, otherwise: str) -> str:
    return text.strip() if any(map(str.isalnum, text)) else otherwise


def _key(word: str) -> str:
    """Return a title or degree without its dots."""
    return (
        word.strip(".").lower()
        if word.count(".") < 2
        else word.replace(".", "").lower()
    )


def _is_addition(words: list[str]) -> bool:
    """Tell whether words after a comma are degrees or a company."""
    keys = [_key(word) for word in words]
    degrees = all(k in _SUFFIXES or k.upper() in _DEGREES for k in keys)
    return degrees or not _COMPANIES.isdisjoint(keys)


def _person(words: list[str]) -> list[str]:
    """Leave out titles at the beginning and degrees at the end, but not all."""
    named = [word for word in words if not _PRONOUNS.match(word)] or words
    first, last = 0, len(named)
    while first < last - 1 and _is_title(named, first):
        first += 1
    while last > first + 1 and _is_degree(named, last - 1):
        last -= 1
    return named[first:last]


def _is_title(words: list[str], at: int) -> bool:
    # "Dr. med. dent.": what is abbreviated behind a title belongs to it.
    behind = at > 0 and words[at].endswith(".") and words[at].islower()
    word = words[at].lower()
    return behind or word in _TITLES or word.rstrip(".") in _TITLES


def _is_degree(words: list[str], at: int) -> bool:
    key = _key(words[at])
    if key in _SUFFIXES:
        return True
    alone = not " ".join(words[:at]).isupper()
    return alone and words[at].replace(".", "") in _DEGREES


def _family_name(person: str, lang: str | None) -> str:
    """Return the family name where it stands first and is no longer than initials."""
    words = [word for word in person.split() if word not in _HONORIFICS]
    if not words or not all(map(_EAST_ASIAN.match, words)):
        return ""
    first = words[0]
    hangul = "\uac00" <= first[0] <= "\ud7a3"
    longest = _LONGEST_KOREAN if hangul else _LONGEST_FAMILY_NAME
    if len(words) > 1 and len(first) <= longest:
        return first
    if first[:2] in _COMPOUND and len(first) > 2:
        return first[:2]
    # Most Japanese family names have two characters, and so have most given names.
    japanese = region(first, lang) == "JP" and len(first) > 3
    return first[:2] if japanese else first[0]


def _each(person: str, lang: str | None) -> Iterator[str]:
    """Yield the initial of each word that begins with a letter or digit."""
    words = person.split()
    names = [word for word in words if word not in _PARTICLES]
    # Two words in small letters are two names: "al gore".
    chosen = words if not names or (len(words) == 2 and person.islower()) else names
    yield from filter(None, (_initial_of(word, lang) for word in chosen))


def _initial_of(word: str, lang: str | None) -> str:
    word = _FIRST.sub("", _JOINED_PARTICLE.sub("", word, count=1), count=1)
    digraphs = _DIGRAPHS.get(_primary(lang), ())
    head = next((word[: len(d)] for d in digraphs if word.lower().startswith(d)), "")
    if head:
        return head.upper() if _primary(lang) == "nl" else head.capitalize()
    if _DUTCH.match(word):
        return "IJ"
    letters = [str(each) for each in _GRAPHEME.findall(word) if each[0].isalnum()]
    # An okina is a letter to Unicode, and none that begins a name.
    plain = (each for each in letters if unicodedata.category(each[0]) != "Lm")
    first = next(plain, letters[0] if letters else "")
    return _capital(_without_style(first), lang) if first else ""


def _without_style(grapheme: str) -> str:
    """Return a letter as it is without its font, width or ligature."""
    if (
        _STYLED.match(unicodedata.decomposition(grapheme[0]))
        or "\ufb00" <= grapheme[0] <= "\ufb17"
    ):
        return unicodedata.normalize("NFKC", grapheme[0])[0] + grapheme[1:]
    return grapheme


def _capital(grapheme: str, lang: str | None) -> str:
    if _primary(lang) in _DOTTED and grapheme[0] == "i":
        return "İ" + grapheme[1:]
    # Title case, which leaves Georgian alone. Some letters grow when raised: the
    # German sharp s becomes Ss, where it has a capital of its own.
    raised = grapheme[0].title()
    if grapheme[0] == "ß":
        raised = "\u1e9e" if _primary(lang) == "de" else "ß"
    return (raised if len(raised) == 1 else grapheme[0]) + grapheme[1:]


def _primary(lang: str | None) -> str:
    return (lang or "").partition("-")[0]


def _first_visible(text: str) -> str:
    return str(next(filter(is_visible, _GRAPHEME.findall(text)), ""))
