"""Every script that Unicode recommends, drawn by the packaged fonts alone.

`exemplars.tsv` has the letters of 126 languages, a line each: the exemplar characters
of Unicode's CLDR, marks on a letter, of the largest sets every so many. The scripts
are those of UAX #31, table 5.
"""

import os
from itertools import pairwise
from pathlib import Path

import pytest
import regex
import uharfbuzz as hb
from PIL import Image, ImageChops

from app.renderer.engine.engine import Engine, Page
from app.renderer.engine.fonts import load_fonts
from app.renderer.engine.text_fitting import SCRIPTS, direction, families, fitter

HERE = Path(__file__).parent
LANGUAGES = {
    tag: letters.split(" ")
    for line in (HERE / "exemplars.tsv").read_text("utf-8").splitlines()
    for tag, _, letters in [line.partition("\t")]
}
# Of every script a few words, with its highest and deepest letters.
WORDS = {
    "am": "አማርኛ ቋንቋ",
    "ar": "اللغة العربية",
    "bg": "Българска Ђорђе",
    "bn": "বাংলা স্ত্রী ঐক্য",
    "bo": "བོད་ཡིག་ བསྒྲུབས་",
    "de": "Größe Ähre Übung",
    "dv": "ދިވެހި ބަސް",
    "el": "Ελληνική γλώσσα",
    "gu": "ગુજરાતી સ્ત્રી",
    "he": "שָׁלוֹם עברית",
    "hi": "हिन्दी स्त्रीं कृष्ण",
    "hy": "Հայերեն լեզու",
    "ja": "日本語のカナ直骨",
    "ka": "ქართული ენა",
    "km": "ភាសាខ្មែរ ស្ត្រី",
    "kn": "ಕನ್ನಡ ಸ್ತ್ರೀ",
    "ko": "한국어 제목 읽다",
    "lo": "ພາສາລາວ ທີ່ນີ້",
    "ml": "മലയാളം സ്ത്രീ",
    "my": "မြန်မာ ကျွန်ုပ်",
    "or": "ଓଡ଼ିଆ ସ୍ତ୍ରୀ",
    "pa": "ਪੰਜਾਬੀ ਸਿੱਖ",
    "si": "සිංහල ශ්‍රී",
    "ta": "தமிழ் ஶ்ரீ கௌ",
    "te": "తెలుగు స్త్రీ",
    "th": "ภาษาไทย ที่นี่ ปู่",
    "ur": "اُردُو ڈاکٹر",
    "vi": "NGUYỄN Ấn Ữ tiếng Việt",
    "zh-Hans": "简体中文直骨",
    "zh-Hant": "繁體中文直骨",
    "zh-HK": "廣東話直骨嘅",
    "zh-Bopo": "ㄅㄆㄇㄈ ㄓㄨˋ",
}
# Scripts whose letters join below each other, with the sign that joins them.
CONJUNCTS = {
    "Bengali": "\u09cd",
    "Devanagari": "\u094d",
    "Gujarati": "\u0acd",
    "Gurmukhi": "\u0a4d",
    "Kannada": "\u0ccd",
    "Khmer": "\u17d2",
    "Malayalam": "\u0d4d",
    "Myanmar": "\u1039",
    "Oriya": "\u0b4d",
    "Sinhala": "\u0dca\u200d",
    "Tamil": "\u0bcd",
    "Telugu": "\u0c4d",
}
# Every eleven of them make a picture; it was looked at before it was kept.
SHEETS = {number: tuple(WORDS)[number * 11 :][:11] for number in range(3)}
WRITE = "MIMEO_WRITE_SHEETS"


def ink(engine: Engine, text: str, lang: str | None = None) -> bytes:
    body = f'<div style="padding:30px;font-size:32px;color:#000">{text}</div>'
    picture = engine.draw(Page(body, lang=lang), (100, 120), 1)
    return picture.image.getchannel("A").tobytes()


@pytest.mark.parametrize("tag", LANGUAGES)
def test_every_letter_has_ink_of_its_own(tag: str, engine: Engine) -> None:
    notdef = ink(engine, "\u0378")
    drawn = [ink(engine, letter, tag) for letter in LANGUAGES[tag]]

    assert all(any(each) for each in drawn)
    assert notdef not in drawn
    assert all(one != other for one, other in pairwise(drawn))


@pytest.mark.parametrize("tag", LANGUAGES)
def test_every_letter_is_one_cluster(tag: str, engine: Engine) -> None:
    style = {"fontSize": "32px"}
    for letter in LANGUAGES[tag]:
        node = {"type": "text", "text": letter, "style": style}

        runs = engine.measure(node, 500, tag)["runs"]

        assert [run["text"] for run in runs] == [letter]


def test_the_list_has_120_languages_and_all_scripts() -> None:
    assert len(LANGUAGES) >= 120
    assert LANGUAGES.keys() >= {"dv", "bo", "zh-Bopo", "ja", "ko", "zh-Hant", "am"}


@pytest.mark.parametrize("weight", [400, 700])
@pytest.mark.parametrize("tag", WORDS)
def test_no_mark_is_cut_off_its_letter(tag: str, weight: int, engine: Engine) -> None:
    """The box of a text hides what leaves it, as an ellipsis needs."""
    fit = fitter(engine)

    found = fit(WORDS[tag], 900, 100, 48, 48, lines=1, weight=weight, leading=1.1)

    def box(css: str) -> Image.Image:
        body = f'<div style="padding:70px"><div style="{css}">{WORDS[tag]}</div></div>'
        return engine.draw(Page(body, lang=tag), (1040, 260), 1).image.getchannel("A")

    free = found.css.replace("line-clamp:1;text-overflow:ellipsis", "")
    assert free != found.css
    assert box(found.css).getbbox() == box(free).getbbox()


@pytest.mark.parametrize("tag", WORDS)
def test_lines_leave_room_for_marks(tag: str, engine: Engine) -> None:
    """Two lines of a script do not run into each other."""
    fit = fitter(engine)
    found = fit(WORDS[tag], 900, 100, 48, 48, lines=1, weight=700)
    body = (
        f'<div style="padding:70px"><div style="{found.css}">{WORDS[tag]}</div></div>'
    )

    picture = engine.draw(Page(body, lang=tag), (1040, 260), 1)

    box = picture.image.getchannel("A").getbbox()
    assert box is not None
    # Edges are smoothed over a pixel on each side.
    assert box[3] - box[1] <= found.height + 2


def sheet(tags: tuple[str, ...], engine: Engine) -> Image.Image:
    rows = "".join(
        f'<div lang="{tag}" style="display:flex"><div style="width:110px">{tag}</div>'
        f'<div dir="{direction(WORDS[tag])}" style="width:620px;line-height:58px;'
        f'font-size:30px;font-family:{families(WORDS[tag], "Inter")}">'
        f'{WORDS[tag]} <b style="font-weight:700">{WORDS[tag]}</b></div></div>'
        for tag in tags
    )
    style = "box-sizing:border-box;width:100%;height:100%;padding:10px 20px"
    body = f'<div style="{style};background:white">{rows}</div>'
    drawn = engine.draw(Page(body), (800, 660), 1)
    return drawn.image.convert("L")


@pytest.mark.parametrize("number", SHEETS)
def test_scripts_look_as_they_did_when_a_person_looked(
    number: int, engine: Engine
) -> None:
    """At most one pixel in a thousand may differ by more than an eighth."""
    path = HERE / "sheets" / f"{number}.png"
    drawn = sheet(SHEETS[number], engine)
    if os.environ.get(WRITE):
        drawn.save(path, optimize=True)

    with Image.open(path) as kept:
        differing = ImageChops.difference(drawn, kept).histogram()[32:]

    assert sum(differing) <= drawn.width * drawn.height // 1000


def shaper(family: str) -> hb.Font:
    """Return the first packaged face of a family, for HarfBuzz."""
    for file in load_fonts(None, system=False).faces:
        face = hb.Face(hb.Blob.from_file_path(str(file.path)))
        if face.get_name(hb.OTNameIdPredefined.FONT_FAMILY) == family:
            return hb.Font(face)
    raise LookupError(family)


def advance(font: hb.Font, text: str) -> float:
    """Return how wide HarfBuzz sets a text at 100 pixels."""
    buffer = hb.Buffer()
    buffer.add_str(text)
    buffer.guess_segment_properties()
    hb.shape(font, buffer)
    total = sum(position.x_advance for position in buffer.glyph_positions)
    return total / font.face.upem * 100


@pytest.mark.parametrize("script", CONJUNCTS)
def test_letters_join_as_in_harfbuzz(script: str, engine: Engine) -> None:
    """Noto Sans Bengali 3 lost the letter ra below another: pra read as p-ra."""
    family = SCRIPTS[script.upper()].family
    font = shaper(family)
    font.set_variations({"wght": 400})
    letters = regex.findall(
        rf"(?=\p{{{script}}})\p{{Lo}}", "".join(map(chr, range(0x900, 0x1800)))
    )
    known = [letter for letter in letters if ord(letter) in font.face.unicodes]
    style = {"fontFamily": family, "fontSize": "100px", "fontWeight": 400}
    wrong = []

    for one in known[::4]:
        for other in known:
            text = one + CONJUNCTS[script] + other
            node = {"type": "text", "text": text, "style": style}
            runs = engine.measure(node, 3000)["runs"]
            if abs(sum(run["width"] for run in runs) - advance(font, text)) > 2:
                wrong.append(text)

    assert len(known) > 20
    assert wrong == []
