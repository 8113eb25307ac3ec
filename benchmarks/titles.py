"""Titles to draw: 3 to 80 characters in Latin, CJK and Arabic, equal everywhere.

Each request has a title of its own in its block; the load of a round takes a block.
"""

import math
import random
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

# Request numbers of one round; no number comes twice while a server runs.
BLOCK = 16_000_000
# Titles of a block, more than any server has drawn in a round; then they come again.
COUNT = 10_000
SHORTEST, LONGEST = 3, 80
SEED = 20_261_127

# Each line is a script or language: its words, and what stands between them.
_LATIN = (
    "the of and to in for with from over a on by at new many one first little open"
    " picture stencil server badge garden river morning letter number market winter"
    " bridge window paper colour silver yellow engine history question answer harbour"
    " Überraschung Straße Größe führt durch zwölf Wörter façade élève forêt où naïve"
    " español niño corazón mañana ção São Åse smörgås žlutý kůň łódź çiçek İstanbul"
    " Ada Grace Katherine Linus Release Issue Summit Journal Notes 2026 42 1815"
)
_CHINESE = (
    "图像 服务器 生成 海报 标题 模板 一万 张 徽章"
    " 证书 城市 早晨 河流 图书馆 数学 历史 音乐 我们"
    " 今天 发布 新的 版本 和 在 的 从 开始"
    " 快速 简单 开放 源代码 学生 老师 会议 设计 颜色 窗户"
)
_JAPANESE = (
    "画像 を 作る サーバー の ための テンプレート 名前"
    " だけ が 違う 一万枚 バッジ 証明書 東京 朝"
    " 図書館 新しい 版 と 速さ について ひらがな カタカナ"
    " 設計 色 窓 学生 先生 会議 音楽 歴史 です"
)
_KOREAN = (
    "그림 서버 만드는 제목 새로운 이름 만 다른 배지"
    " 수료증 도서관 아침 강 음악 역사 학생 회의 디자인"
    " 색 창문 오늘 발표 우리"
    " 빠른 간단한 열린 첫 번째 서울"
)
_ARABIC = (
    "صورة خادم عنوان قالب شارة شهادة مدينة"
    " صباح نهر مكتبة رياضيات تاريخ موسيقى نحن اليوم"
    " إصدار جديد و في من إلى على سريع"
    " بسيط مفتوح مصدر طالب معلم مؤتمر تصميم لون نافذة"
    " الكتاب الأول"
    " كثيرة واحدة القاهرة"
)
# A third of the titles is Latin, a third one of the CJK languages, a third Arabic.
_LANGUAGES = (
    ((_LATIN.split(), " "),),
    ((_CHINESE.split(), ""), (_JAPANESE.split(), ""), (_KOREAN.split(), " ")),
    ((_ARABIC.split(), " "),),
)
# What a letter is wide on average, in parts of the font size, by its first code point.
_ADVANCES = ((0x1100, 1.0), (0x0600, 0.5), (0, 0.58))
_LEADING = 1.15
# Lines end before they are full.
_FULL = 0.85

ALPHABET = "".join(sorted({*_CHINESE, *_JAPANESE, *_KOREAN, *_ARABIC, *_LATIN}))


class Box(NamedTuple):
    """Where a title goes, and its largest size, in CSS pixels."""

    width: int
    height: int
    largest: int


def title(number: int) -> str:
    """Return the title of a request."""
    return block(number // BLOCK)[number % BLOCK % COUNT]


@lru_cache(4)
def block(number: int) -> tuple[str, ...]:
    """Return `COUNT` different titles of block `number`, which is the seed."""
    source = random.Random(SEED + number)
    found: dict[str, None] = {}
    while len(found) < COUNT:
        found[_compose(source)] = None
    return tuple(found)


def _compose(source: random.Random) -> str:
    words, space = source.choice(source.choice(_LANGUAGES))
    length = source.randint(SHORTEST, LONGEST)
    text = ""
    while len(text) < length:
        text += (space if text else "") + source.choice(words)
    cut = text[:length].strip()
    # A title that ended with a space has a letter less, and 3 is the least.
    return cut if len(cut) >= SHORTEST else text


def font_size(text: str, box: Box) -> int:
    """Return the size at which a text fills a box by the area of its letters.

    It is given to the servers that cannot fit text, so that it costs them nothing.
    """
    wide = sum(_advance(letter) for letter in text)
    most = math.isqrt(int(box.width * box.height * _FULL / (wide * _LEADING)))
    # A line is the least that a box has to hold.
    return max(8, min(box.largest, most, int(box.height / _LEADING)))


def _advance(letter: str) -> float:
    return next(wide for start, wide in _ADVANCES if ord(letter) >= start)


def lines(number: int, box: Box) -> Iterator[tuple[str, int]]:
    """Yield the titles of a block with their sizes, in the order of requests."""
    for text in block(number):
        yield text, font_size(text, box)
