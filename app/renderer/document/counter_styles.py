"""Numbers and symbols in the styles of counters (CSS Counter Styles 3, 6 and 7)."""

from collections.abc import Mapping
from types import MappingProxyType

_SYMBOLS: Mapping[str, str] = MappingProxyType(
    {"disc": "\u2022", "circle": "\u25e6", "square": "\u25aa", "none": ""}
    | {"disclosure-open": "\u25be", "disclosure-closed": "\u25b8"}
)
_GREEK = "αβγδεζηθικλμνξοπρστυφχψω"
_LATIN = "abcdefghijklmnopqrstuvwxyz"
_HIRAGANA = (
    "あいうえおかきくけこさしすせそたちつてとなにぬねの"
    "はひふへほまみむめもやゆよらりるれろわゐゑをん"
)
_IROHA = (
    "いろはにほへとちりぬるをわかよたれそつねならむ"
    "うゐのおくやまけふこえてあさきゆめみしゑひもせす"
)
# From hiragana to katakana.
_KATAKANA = 0x60
_ALPHABETS: Mapping[str, str] = MappingProxyType(
    {
        "hiragana": _HIRAGANA,
        "hiragana-iroha": _IROHA,
        "katakana": "".join(chr(ord(each) + _KATAKANA) for each in _HIRAGANA),
        "katakana-iroha": "".join(chr(ord(each) + _KATAKANA) for each in _IROHA),
    }
)
# Digits by their zero (CSS Counter Styles 3, 6.1).
_ZEROS: Mapping[str, int] = MappingProxyType(
    {"arabic-indic": 0x660, "persian": 0x6F0, "devanagari": 0x966, "bengali": 0x9E6}
    | {"gujarati": 0xAE6, "gurmukhi": 0xA66, "kannada": 0xCE6, "khmer": 0x17E0}
    | {"cambodian": 0x17E0, "lao": 0xED0, "malayalam": 0xD66, "mongolian": 0x1810}
    | {"myanmar": 0x1040, "oriya": 0xB66, "tamil": 0xBE6, "telugu": 0xC66}
    | {"thai": 0xE50, "tibetan": 0xF20}
)
_CJK = "〇一二三四五六七八九"
# Letters for 1 to 9, 10 to 90, 100 to 900 and thousands, as far as there are.
_ADDED: Mapping[str, str] = MappingProxyType(
    {
        "hebrew": "אבגדהוזחטיכלמנסעפצקרשת",
        "armenian": "".join(map(chr, range(0x531, 0x555))),
        "upper-armenian": "".join(map(chr, range(0x531, 0x555))),
        "lower-armenian": "".join(map(chr, range(0x561, 0x585))),
        "georgian": "აბგდევზჱთიკლმნჲოპჟრსტჳფქღყშჩცძწჭხჴჯჰ",
    }
)
_INFORMAL = frozenset(
    {"cjk-ideographic", "trad-chinese-informal", "simp-chinese-informal"}
    | {"japanese-informal"}
)
_ROMAN = (
    *((1000, "m"), (900, "cm"), (500, "d"), (400, "cd"), (100, "c"), (90, "xc")),
    *((50, "l"), (40, "xl"), (10, "x"), (9, "ix"), (5, "v"), (4, "iv"), (1, "i")),
)
NUMBERED = frozenset(
    {"decimal", "decimal-leading-zero", "lower-alpha", "lower-latin", "upper-alpha"}
    | {"upper-latin", "lower-greek", "lower-roman", "upper-roman", "cjk-decimal"}
    | {*_ALPHABETS, *_ZEROS, *_ADDED, *_INFORMAL}
)
SYMBOLS = frozenset(_SYMBOLS)


def number(value: int, style: str) -> str:
    """Return a counter's value in a style; in decimal where that is not known."""
    style = style.lower().strip() or "decimal"
    if style in _SYMBOLS:
        return _SYMBOLS[style]
    if style in ("lower-alpha", "lower-latin"):
        return _letters(value, _LATIN)
    if style in ("upper-alpha", "upper-latin"):
        return _letters(value, _LATIN).upper()
    if style == "lower-greek":
        return _letters(value, _GREEK)
    if style in ("lower-roman", "upper-roman") and 0 < value < 4000:
        found = _roman(value)
        return found if style == "lower-roman" else found.upper()
    if style == "decimal-leading-zero" and abs(value) < 10:
        return f"-0{-value}" if value < 0 else f"0{value}"
    if style in _ALPHABETS:
        return _letters(value, _ALPHABETS[style])
    if style in _ZEROS:
        return _digits(value, "".join(chr(_ZEROS[style] + n) for n in range(10)))
    if style == "cjk-decimal" and value >= 0:
        return _digits(value, _CJK)
    if style in _ADDED:
        return _added(value, _ADDED[style])
    if style in _INFORMAL and 0 < value < 10_000:
        return _informal(value, is_japanese=style.startswith("japanese"))
    return str(value)


def suffix(style: str) -> str:
    """Return what stands after a number in a list."""
    wide = style in _ALPHABETS or style in _INFORMAL or style == "cjk-decimal"
    return "\u3001" if wide else ". "


def _letters(value: int, alphabet: str) -> str:
    if value <= 0:
        return str(value)
    found = ""
    while value:
        value, place = divmod(value - 1, len(alphabet))
        found = alphabet[place] + found
    return found


def _digits(value: int, digits: str) -> str:
    return str(value).translate({ord("0") + n: digits[n] for n in range(10)})


def _added(value: int, letters: str) -> str:
    """Return a number as letters that add up, in decimal where they do not reach."""
    found, rest = "", value
    for place in range((len(letters) - 1) // 9, -1, -1):
        several = letters[9 * place : 9 * place + 9]
        # The highest are put beside each other where there are no nine of them.
        while (many := min(rest // 10**place, len(several))) > 0:
            found += several[many - 1]
            rest -= many * 10**place
            if value >= 1_000 and len(several) < 9:
                return str(value)
    # Fifteen and sixteen would be a name of God's.
    found = found.replace("\u05d9\u05d4", "\u05d8\u05d5")
    found = found.replace("\u05d9\u05d5", "\u05d8\u05d6")
    return found if value > 0 and not rest and value < 10_000 else str(value)


def _informal(value: int, *, is_japanese: bool) -> str:
    found, empty = "", False
    for place, unit in ((1_000, "千"), (100, "百"), (10, "十"), (1, "")):
        many = value // place % 10
        if not many:
            empty = bool(found)
            continue
        found += "零" if empty and not is_japanese else ""
        alone = many == 1 and unit and (is_japanese or (unit == "十" and not found))
        found += ("" if alone else _CJK[many]) + unit
        empty = False
    return found


def _roman(value: int) -> str:
    found = ""
    for amount, letters in _ROMAN:
        times, value = divmod(value, amount)
        found += letters * times
    return found
