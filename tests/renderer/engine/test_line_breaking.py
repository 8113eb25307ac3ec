"""Lines break where UAX #14 lets them, and between words that have no spaces."""

import math
import random

import pytest
import regex

from app.renderer.engine.engine import Engine, Page
from app.renderer.engine.line_breaking import mark

THAI = "ภาษาไทยไม่มีการเว้นวรรคระหว่างคำ"
WORDS = {
    "Thai": ("ภาษาไทยไม่มีการเว้นวรรค", "ภาษา ไทย ไม่มี การ เว้น วรรค"),
    "Lao": ("ພາສາລາວບໍ່ມີ", "ພາສາ ລາວ ບໍ່ມີ"),
    "Khmer": ("ភាសាខ្មែរមិនមាន", "ភាសាខ្មែរ មិន មាន"),
    "Burmese": ("နေရာမခြား", "နေရာ မ ခြား"),
}
MARKS = "\u200b\u200c\u2060"
# What may not begin a line, and what may not end one, in Japanese and Chinese.
NOT_FIRST = "、。，．！？：；）」』】》”ーっゃ々"  # noqa: RUF001
NOT_LAST = "（「『【《“"  # noqa: RUF001


def lines(
    engine: Engine, text: str, width: float, lang: str | None = None, **style: object
) -> list[str]:
    """Return the lines of a text, without marks."""
    node = {
        "type": "text",
        "text": text,
        "style": {"fontSize": "20px", "lineHeight": 2, "width": "100%", **style},
    }
    rows: list[list[str]] = []
    last = -math.inf
    for run in engine.measure(node, width, lang)["runs"]:
        middle = run["y"] + run["height"] / 2
        if middle - last > 20:
            rows.append([])
            last = middle
        rows[-1].append(run["text"].translate(dict.fromkeys(map(ord, MARKS))))
    return ["".join(row) for row in rows]


@pytest.mark.parametrize("name", WORDS)
def test_words_without_spaces_are_told_apart(name: str) -> None:
    text, words = WORDS[name]

    marked = mark(text)

    assert marked.strip("\u200c").split("\u200b") == words.split(" ")
    assert marked.translate(dict.fromkeys(map(ord, MARKS))) == text


@pytest.mark.parametrize("width", [70, 100, 160])
def test_a_thai_text_breaks_between_its_words_only(engine: Engine, width: int) -> None:
    words = mark(THAI).strip("\u200c").split("\u200b")
    ends = {sum(map(len, words[: count + 1])) for count in range(len(words))}

    found = lines(engine, THAI, width)

    assert "".join(found) == THAI
    assert len(found) > 1
    assert {len("".join(found[: n + 1])) for n in range(len(found))} <= ends


@pytest.mark.parametrize("space", ["\u00a0", "\u202f", "\u2007"])
@pytest.mark.parametrize("width", range(30, 130, 10))
def test_a_no_break_space_holds_its_neighbours(
    engine: Engine, space: str, width: int
) -> None:
    found = lines(engine, f"aaa bbb 10{space}km ddd", width)

    assert any("10km" in line for line in found)


def test_a_no_break_space_is_about_as_wide_as_a_space(engine: Engine) -> None:
    def width(text: str) -> float:
        style = {"fontSize": "100px"}
        node = {"type": "text", "text": text, "style": style}
        runs = engine.measure(node, 2000)["runs"]
        return max(run["x"] + run["width"] for run in runs)

    assert width("ab\u00a0cd") == pytest.approx(width("ab cd"), abs=3)


@pytest.mark.parametrize("end", ["", " "])
def test_a_line_feed_behind_thai_is_kept(engine: Engine, end: str) -> None:
    found = lines(engine, f"ภาษาไทย{end}\nไม่มี", 500, whiteSpace="pre-line")

    assert [line.strip() for line in found] == ["ภาษาไทย", "ไม่มี"]


def test_a_break_behind_thai_is_kept(engine: Engine) -> None:
    def height(body: str) -> int:
        page = Page(f'<div style="font-size:20px;line-height:40px">{body}</div>')
        alpha = engine.draw(page, (300, 90), 1).image.getchannel("A")
        return alpha.getbbox()[3]

    assert height("<b>ไทย</b><br>ไทย") > 40 > height("<b>ไทย</b>ไทย")


def test_what_needs_no_mark_stays_as_it_is() -> None:
    for text in ("plain", "日本語、", '<b title="ไทย\u00a0x">x</b>', "&amp; é"):
        assert mark(text) == text


def test_references_to_no_break_spaces_are_spaces() -> None:
    assert mark("a&nbsp;b &lt;c") == mark("a\u00a0b &lt;c")
    assert mark("a&#160;b") == mark("a&#xA0;b") == mark("a\u00a0b")


@pytest.mark.parametrize("lang", ["ja", "zh-Hans", "zh-Hant"])
def test_japanese_and_chinese_keep_their_rules_of_line_breaks(
    engine: Engine, lang: str
) -> None:
    rng = random.Random(14)
    letters = "日本語中文漢字組版" * 3 + NOT_FIRST + NOT_LAST
    for _ in range(60):
        text = "".join(rng.choices(letters, k=40))
        # Four that may not be parted can be wider than the line.
        if regex.search(f"[{NOT_FIRST}{NOT_LAST}]{{3}}", text):
            continue
        for line in lines(engine, text, 160, lang)[1:]:
            assert line[0] not in NOT_FIRST
        for line in lines(engine, text, 160, lang)[:-1]:
            assert line[-1] not in NOT_LAST


@pytest.mark.parametrize(
    "text",
    [
        "नमस्ते क्षत्रिय स्त्री " * 4,
        "กำกี่น้ำใจเปื้อน" * 4,
        "e\u0301\u0323o\u0308\u0301a\u030a\u0327" * 8,
        "각갂각" * 8,
        "\u1112\u1161\u11ab\u1100\u1173\u11af" * 8,
        "தமிழ்க்ஷௌ" * 6,
    ],
)
@pytest.mark.parametrize("width", [60, 90, 130])
def test_no_grapheme_is_broken_where_letters_may_part_or_are_cut(
    engine: Engine, text: str, width: int
) -> None:
    ends = {0}
    for grapheme in regex.findall(r"\X", text):
        ends.add(max(ends) + len(grapheme))

    broken = lines(engine, text, width, overflowWrap="anywhere")
    cut = lines(engine, text, width, lineClamp=1, textOverflow="ellipsis")

    assert {len("".join(broken[:n])) for n in range(len(broken))} <= ends
    assert len(cut) == 1
    assert len(cut[0].removesuffix("…")) in ends


def test_the_marks_do_not_reach_the_facts(engine: Engine) -> None:
    assert engine.draw(Page(f"<p>{THAI}\u00a0x</p>"), (300, 90), 1).facts == {}
