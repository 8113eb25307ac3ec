"""Kinds of markup that were once drawn wrong, each beside the same in plain words.

Each was looked at beside Chromium; what is written out draws what the markup should.
"""

import pytest

from app.renderer.builtin.html import Parameters, page
from app.renderer.embedded_images import EmbeddedImages

SIZE = (220, 110)
RULE = "<div style='margin:8px {};height:{}px;background:{}'></div>"
INSET = (
    "<div style='margin:8px 0;border:solid;border-width:1px;"
    "border-color:#9a9a9a #eee #eee #9a9a9a'></div>"
)
GAP = "<span style='display:inline-block;width:{}px'></span>"
BLUE = "color:#0000ee;text-decoration:underline"
AT = "<div style='position:absolute;left:{}px;top:{}px;{}'>{}</div>"
DOT = "data:image/svg+xml,%3Csvg xmlns=%27http://www.w3.org/2000/svg%27 width=%2712%27"
DOT += " height=%2712%27%3E%3Crect width=%2712%27 height=%2712%27/%3E%3C/svg%3E"

IMAGE = f'<img src="{DOT}">'


@pytest.fixture
def drawn(engine):
    """Draws a document; returns its pixels, and what is told of it."""

    def draw(document: str):
        parameters = Parameters(html=document, width=SIZE[0], height=SIZE[1])
        found = page(parameters, EmbeddedImages(1_000_000), engine)
        image = engine.draw(found, SIZE, 1).image.convert("RGB")
        return image, found.facts.get("ignored", [])

    return draw


RULES = [
    ("a<hr>b", f"a{INSET}b"),
    ("a<hr noshade size=6>b", f"a{RULE.format(0, 6, 'gray')}b"),
    ("a<hr color=red size=4 width=100>b", f"a{RULE.format('58px', 4, 'red')}b"),
    (
        "a<hr color='#06c' noshade align=left width=80>b",
        f"a{RULE.format('138px 8px 0', 2, '#06c')}b",
    ),
    ("a<hr size=1 color=black>b", f"a{RULE.format(0, 1, '#000')}b"),
    (
        "a<hr style='border-top:5px solid green'>b",
        "a<div style='margin:8px 0;border:1px solid;border-top-width:5px;"
        "border-color:green #eee #eee #9a9a9a'></div>b",
    ),
    (
        "<style>hr{border:0;height:3px;background:#c30}</style>a<hr>b",
        f"a{RULE.format(0, 3, '#c30')}b",
    ),
]
LINKS = [
    (
        "<a href=x>a<b>b</b> <i>c</i></a>",
        f"<a style='{BLUE}'>a</a><b style='{BLUE}'>b</b><a style='{BLUE}'> </a>"
        f"<i style='{BLUE}'>c</i>",
    ),
    (
        "<a href=x><span style='color:red'>red</span></a>",
        f"<span style='{BLUE};text-decoration-color:#00e;color:red'>red</span>",
    ),
    ("<a name=x>no</a> <a>neither</a>", "no neither"),
    (
        "<style>a:visited{color:red}a:link{color:green}a:hover{color:red}</style>"
        "<a href=x>link</a>",
        "<span style='color:green;text-decoration:underline'>link</span>",
    ),
    (
        "<style>nav a{text-decoration:none;color:inherit}</style>"
        "<nav style='color:#c30'><a href=/>Home</a> | <a href=/b>About</a></nav>",
        "<div style='color:#c30'>Home | About</div>",
    ),
    (
        "<style>a[href^=http]::after{content:' &gt;'}</style><a href='http://a'>out</a>",
        f"<span style='{BLUE}'>out</span><span style='{BLUE}'> &amp;gt;</span>",
    ),
    (
        "<u>a<s>b</s></u>",
        "<u>a</u><span style='text-decoration:underline line-through'>b</span>",
    ),
    (
        "<a href=x style='text-decoration:none'>a<u>b</u></a>",
        f"<span style='color:#00e'>a</span><span style='{BLUE}'>b</span>",
    ),
    (
        "<u>a<span style='display:inline-block'>b</span></u>",
        "<u>a</u><span style='display:inline-block'>b</span>",
    ),
    (
        "<del><div>block</div></del>",
        "<div style='text-decoration:line-through'>block</div>",
    ),
]
RAISED = [
    (
        # normalize.css
        "<style>sup{font-size:75%;line-height:0;position:relative;vertical-align:baseline;"
        "top:-.5em}</style>x<sup>2</sup>y",
        "x<span style='font-size:75%;display:inline-block;line-height:normal;"
        "transform:translateY(-6px)'>2</span>y",
    ),
    (
        "a<span style='position:relative;bottom:4px;left:3px'>b</span>",
        "a<span style='display:inline-block;translate:3px -4px'>b</span>",
    ),
    (
        "a<span style='display:inline-block;position:relative;top:5px'>b</span>",
        "a<span style='display:inline-block;transform:translateY(5px)'>b</span>",
    ),
    ("a<sup>b</sup>", "a<span style='vertical-align:super;font-size:smaller'>b</span>"),
    ("a<sub>b</sub>", "a<span style='vertical-align:sub;font-size:smaller'>b</span>"),
    (
        "<table><td>m<sup>2</sup>",
        "<table><td>m<b style='vertical-align:super;font:.8333em Inter'>2</b>",
    ),
    (
        "a<sup>b</sup>c",
        "a<span style='vertical-align:6.333px;font-size:smaller'>b</span>c",
    ),
    (
        "a<sub>b</sub>c",
        "a<span style='vertical-align:-4.2px;font-size:smaller'>b</span>c",
    ),
]
MADE = [
    (
        "<style>li::before{content:'x';margin-right:8px}</style><p><li type=none>one",
        "<p><li type=none><span style='display:inline-block'>x</span>"
        + GAP.format(8)
        + "one",
    ),
    (
        f"<style>p::before{{content:url(\"{DOT}\")' '}}</style><p>image",
        f'<p><img src="{DOT}"> image',
    ),
    ("<style>p::before{content:'\\201C'}</style><p>a", "<p>\u201ca"),
    ("<style>b::before{content:'['attr(data-n)'] '}</style><b data-n=7>x", "<b>[7] x"),
    (
        "<style>q{quotes:'\u00ab' '\u00bb' '\u2039' '\u203a'}</style><q>a <q>b</q></q>",
        "\u00aba \u2039b\u203a\u00bb",
    ),
    (
        "<style>ol{counter-reset:s;list-style:none}li{counter-increment:s}"
        "li::before{content:counters(s,'.')' '}</style><ol><li>a<ol><li>b</ol></ol>",
        "<ol><li type=none>1 a<ol><li type=none>1.1 b</ol></ol>",
    ),
    (
        "<style>p{margin:0;position:relative}p::after{content:'';position:absolute;"
        "left:0;top:30px;width:50%;border-top:3px solid red}</style>"
        "<div style='display:flex'><p style='width:80px'>a</p><p>b</p></div>",
        "<style>p{margin:0;position:relative}i{position:absolute;left:0;top:30px;"
        "width:50%;height:3px;background:red}</style><div style='display:flex'>"
        "<p style='width:80px'>a<i></i></p><p>b<i></i></p></div>",
    ),
    (
        "<style><!--\n p{color:red}\n--></style><p>a",
        "<p style='color:red'>a",
    ),
    (
        "<style>p::before{content:'a\\A b';white-space:pre}</style><p>x",
        "<p>a<br>bx",
    ),
    (
        "<span style='display:inline-block;margin-right:30px'>Home</span>About",
        "<span style='display:inline-block'>Home</span>" + GAP.format(30) + "About",
    ),
    (
        "<span style='display:inline-block;margin:0 20px;padding:0 8px;background:red'>"
        "a <b>b</b></span>c",
        GAP.format(20)
        + "<span style='display:inline-block;padding:0 8px;background:red'>"
        "a <b>b</b></span>" + GAP.format(20) + "c",
    ),
]
IMAGES = [
    (
        f'<img style="margin:0 9px 0 4px" src="{DOT}">a',
        GAP.format(4) + IMAGE + GAP.format(9) + "a",
    ),
    (f'<img hspace=5 src="{DOT}">a', GAP.format(5) + IMAGE + GAP.format(5) + "a"),
]
FEEDS = [
    ("<div>a<br></div>b", "<div>a</div>b"),
    ("<div><br></div>b", "&nbsp;<br>b"),
    ("<div>a<br><br></div>b", "a<br>&nbsp;<br>b"),
    ("a<br><div>b</div>", "a<br>b"),
    ("<br><div>b</div>", "&nbsp;<br>b"),
    ("<div><b>a<br></b></div>b", "<b>a</b><br>b"),
    ("<div>a<br>&nbsp;</div>b", "a<br>&nbsp;<br>b"),
    ("<table cellspacing=0><td>a<br></table>b", "<table cellspacing=0><td>a</table>b"),
    (f"<div>a<br>{IMAGE}</div>b", f"a<br>{IMAGE}<br>b"),
]
LINES = [
    (f"<div>{IMAGE}</div>b", f"<div>{IMAGE}&nbsp;</div>b"),
    (f"<div><a href=x>{IMAGE}</a></div>b", f"<div>{IMAGE}&nbsp;</div>b"),
    (
        "<div><svg width=40 height=20><rect width=40 height=20 /></svg></div>b",
        "<div><svg width=40 height=20><rect width=40 height=20 /></svg>&nbsp;</div>b",
    ),
    (
        f"<div>{GAP.format('9px;height:20')}</div>b",
        f"<div>{GAP.format('9px;height:20')}&nbsp;</div>b",
    ),
    (
        "<div><b style='font-size:8px;background:red'>a</b></div>b",
        "<div><b style='font-size:8px;background:red'>a</b>&nbsp;</div>b",
    ),
    (
        "<div><b style='display:inline-block;font-size:8px'>a</b></div>b",
        "<div><b style='display:inline-block;font-size:8px'>a</b>&nbsp;</div>b",
    ),
]
COLLAPSED = "table{border-collapse:collapse}"
ROWS = "<table><tr><td>a<td>b<tr><td>c<td>d</table>"
STACKED = "*{display:block}style{display:none}"
TABLES = [
    (f"<style>table{{display:block;width:100%}}</style>{ROWS}", ROWS),
    (f"<style>{STACKED}td{{padding:0}}</style>{ROWS}", "a<br>b<br>c<br>d"),
    (
        "<table style='text-align:right;width:200px'><th>a<tr><td>b</table>",
        "<table style='width:200px'><td align=right><b>a</b>"
        "<tr><td align=right>b</table>",
    ),
    (
        "<table width=200><tr style='text-align:left'><th>a</table>",
        "<table width=200><td><b>a</b></table>",
    ),
    (
        "<center><table width=200><th>a</table></center>",
        "<table width=200 align=center><td align=center><b>a</b></table>",
    ),
    (
        f"<style>{COLLAPSED}tr{{border-bottom:3px solid red}}</style>{ROWS}",
        f"<style>{COLLAPSED}td{{border-bottom:3px solid red}}</style>{ROWS}",
    ),
    (
        f"<style>{COLLAPSED}*{{border-width:0;border-style:solid;border-color:red}}"
        f"tr+tr{{border-top-width:2px}}tbody{{border-bottom-width:3px}}</style>{ROWS}",
        f"<style>{COLLAPSED}tr+tr td{{border-top:2px solid red}}"
        f"tr:last-child td{{border-bottom:3px solid red}}</style>{ROWS}",
    ),
    (f"<style>tr{{border:3px solid red}}</style>{ROWS}", ROWS),
    (
        f"<style>{COLLAPSED}table{{border:3px solid blue}}td{{border:1px solid red}}"
        f"</style>{ROWS}",
        f"<style>{COLLAPSED}td{{border:1px solid red}}td:first-child{{border-left:3px "
        "solid blue}td:last-child{border-right:3px solid blue}tr:first-child td"
        "{border-top:3px solid blue}tr:last-child td{border-bottom:3px solid blue}"
        f"</style>{ROWS}",
    ),
    (
        f"<style>{COLLAPSED}td{{border-top:3px solid red}}</style>{ROWS}",
        f"<style>table{{border-spacing:0}}td{{border-top:3px solid red}}</style>{ROWS}",
    ),
    (
        "<style>caption{caption-side:bottom}</style>"
        "<table width=99><caption>a</caption><td>b</table>",
        "<table width=99 style='caption-side:bottom'><caption>a</caption><td>b</table>",
    ),
    (
        "<table width=180 cellspacing=0 style='table-layout:fixed'>"
        "<td bgcolor=red style='min-width:100%;padding:18px'>a</table>",
        "<table width=180 cellspacing=0><td bgcolor=red style='padding:18px'>a</table>",
    ),
    (
        "<div style='width:120px'><table cellspacing=0 width=100%>"
        "<td bgcolor=red style='width:100px'>a<td style='width:100px'>a</table></div>",
        "<div style='width:120px'><table cellspacing=0 width=100%>"
        "<td bgcolor=red width=58>a<td width=58>a</table></div>",
    ),
]
TICK = "width:13px;height:13px;min-height:0;padding:0;vertical-align:-3px"
PAINTED = [
    (
        "a <em style='background:linear-gradient(red 60%,gold 60%)'>b</em>",
        "a <em style='background-image:linear-gradient(red 60%,gold 60%)'>b</em>",
    ),
    (
        "<span style='position:absolute;background:red;font-size:9px'>a</span><p>b",
        "<div style='position:absolute;background:red;font-size:9px'>a</div><p>b",
    ),
    (
        "<input type=submit value=go style='background:blue;width:60px'>",
        "<input value=go style='background:blue;width:60px;text-align:center'>",
    ),
    (
        "<input type=checkbox style='margin:0 0 0 30px;background:red'>",
        f"<input style='{TICK};margin:0 0 0 30px;background:red'>",
    ),
    (
        "<textarea rows=4 style='font-size:10px;vertical-align:top'>a</textarea>",
        "<textarea style='font-size:10px;vertical-align:top'>a\n\n\n&nbsp;</textarea>",
    ),
    (
        "<div style='margin:10px;width:40px;height:40px;background:#eee;"
        "box-shadow:4px 4px blue,8px 8px rgb(255,0,0)'></div>",
        AT.format(18, 18, "width:40px;height:40px;background:red", "")
        + AT.format(14, 14, "width:40px;height:40px;background:blue", "")
        + AT.format(10, 10, "width:40px;height:40px;background:#eee", ""),
    ),
    (
        "a<span style='opacity:.4'><b>b</b></span>",
        "a<span style='display:inline-block;opacity:.4'><b>b</b></span>",
    ),
    (
        "<code style='font-size:85%'>a</code>",
        "<code style='font-size:11.05px'>a</code>",
    ),
    (
        "<p style='line-height:2'><b style='font-size:9px;background:none'>a</b><p>b",
        "<p style='line-height:2'><b style='font-size:9px'>a</b><p>b",
    ),
    (
        "<div style='display:flex'>a <b>b</b></div>",
        "<div style='display:flex'><div>a</div><b>b</b></div>",
    ),
    (
        f"<style>{COLLAPSED}td{{border:solid red 1.0pt}}</style>{ROWS}",
        f"<style>{COLLAPSED}td{{border:solid red 1px}}</style>{ROWS}",
    ),
]
CHILDREN = [
    (
        "<style>tr:nth-child(even) td{background:red}</style>"
        "<table><tr><td>1<tr><td>2</table>",
        "<table><tr><td>1<tr><td style='background:red'>2</table>",
    ),
    (
        "<style>p:nth-child(2n+1 of .x){color:red}</style><p class=x>1<p>2<p class=x>3"
        "<p class=x>4",
        "<p style='color:red'>1<p>2<p>3<p style='color:red'>4",
    ),
    (
        "<style>p:nth-last-child(-n+2){color:red}</style><p>1<p>2<p>3",
        "<p>1<p style='color:red'>2<p style='color:red'>3",
    ),
    (
        "<style>p:nth-of-type(2){color:red}</style><p>1<h4>a</h4><p>2",
        "<p>1<h4>a</h4><p style='color:red'>2",
    ),
    (
        "<style>p:NTH-CHILD( 3N - 1 ){color:red}</style><p>1<p>2<p>3",
        "<p>1<p style='color:red'>2<p>3",
    ),
    (
        "<style>tbody tr:nth-child(odd){color:red}</style><table><thead><tr><th>h"
        "<tbody><tr><td>1<tr><td>2</table>",
        "<table><thead><tr><th>h<tbody><tr style='color:red'><td>1<tr><td>2</table>",
    ),
]

TABULAR = "font-variant-numeric:tabular-nums"
SET_IN = "<div style='padding-left:40px'>{}</div>"
BULLET = "width:5px;height:5px;background:{};border-radius:50%"
LISTS = [
    (
        "<ul style='margin:0'><li>one</ul>",
        SET_IN.format("one") + AT.format(23, 9, BULLET.format("#000"), ""),
    ),
    (
        "<ul style='margin:0;text-align:center;color:red'><li>one</ul>",
        "<div style='padding-left:40px;text-align:center;color:red'>one</div>"
        + AT.format(23, 9, BULLET.format("red"), ""),
    ),
    (
        "<ul style='margin:0;list-style:square'><li>one<li>two</ul>",
        "<div style='padding-left:40px'>one<br>two</div>"
        + AT.format(23, 9, "width:5px;height:5px;background:#000", "")
        + AT.format(23, 29, "width:5px;height:5px;background:#000", ""),
    ),
    (
        "<style>li{padding-left:10px;border-left:2px solid}</style>"
        "<ul style='margin:0'><li>a</ul>",
        "<div style='margin-left:40px;padding-left:10px;border-left:2px solid'>a</div>"
        + AT.format(23, 9, BULLET.format("#000"), ""),
    ),
    (
        f"<ul style='margin:0;list-style-image:url(\"{DOT}\")'><li>a</ul>",
        SET_IN.format("a") + AT.format(21, 4, "line-height:0", IMAGE),
    ),
    (
        f"<ul style='margin:0;padding:0;list-style:inside url(\"{DOT}\")'><li>a</ul>",
        f"<div>{IMAGE}{GAP.format(7)}a</div>",
    ),
    (
        "<ul dir=rtl style='margin:0'><li>\u05d0</ul>",
        "<div dir=rtl style='padding-right:40px'>\u05d0</div>"
        + AT.format(192, 9, BULLET.format("#000"), ""),
    ),
    (
        "<ol style='margin:0;list-style:hiragana'><li>a</ol>",
        "<ol style='margin:0;list-style:\"\u3042\u3001\"'><li>a</ol>",
    ),
    (
        "<ol reversed style='margin:0'><li>a<li value=7>b<li>c</ol>",
        "<ol style='margin:0'><li value=3>a<li value=7>b<li value=6>c</ol>",
    ),
    (
        "<ul style='margin:0;list-style-type:\"\u2192 \"'><li>a</ul>",
        "<style>li::marker{content:'\\2192  '}</style><ul style='margin:0'><li>a</ul>",
    ),
]
MARKERS = [
    (
        "<style>li::marker{color:red}</style><ul style='margin:0'><li>one</ul>",
        "<div style='padding-left:40px'>one</div>"
        + AT.format(23, 9, BULLET.format("red"), ""),
    ),
    (
        "<style>li::marker{content:counter(list-item) ') '}</style>"
        "<ol style='margin:0'><li>one<li>two</ol>",
        "<ul style='margin:0'><li style='list-style:\"1) \"'>one"
        "<li style='list-style:\"2) \"'>two</ul>",
    ),
    (
        "<style>li::marker{content:''}</style><ul style='margin:0'><li>one</ul>",
        "<ul style='margin:0;list-style:none'><li>one</ul>",
    ),
    (
        "<style>::marker{font-size:8px}</style><ol style='margin:0'><li>one</ol>",
        "<div style='padding-left:40px'>one</div>"
        + "<div style='position:absolute;right:180px;top:8px;font-size:8px;"
        f"line-height:10px;white-space:pre;{TABULAR}'>1. </div>",
    ),
    (
        "<ol style='margin:0'><li>one</ol>",
        "<div style='padding-left:40px'>one</div>"
        + "<div style='position:absolute;right:180px;top:0;white-space:pre;"
        f"{TABULAR}'>1. </div>",
    ),
    (
        "<style>h3{display:list-item;list-style:inside;margin:0}"
        "h3::marker{content:'+ '}</style><h3>head</h3>",
        f"<h3 style='margin:0'><span style='{TABULAR}'>+ </span>head</h3>",
    ),
    (
        "<style>summary::marker{content:'+ ';color:red}</style><details><summary>a"
        "</summary>b</details>",
        f"<span style='color:red;{TABULAR}'>+ </span>a",
    ),
]


@pytest.mark.parametrize(
    ("markup", "plain"),
    [
        pytest.param(*case, id=f"{kind} {number}")
        for kind, cases in (
            *(("hr", RULES), ("a", LINKS), ("sub", RAISED), ("content", MADE)),
            *(("br", FEEDS), ("line", LINES), ("table", TABLES)),
            ("paint", PAINTED),
            *(
                ("img", IMAGES),
                ("nth-child", CHILDREN),
                ("list", LISTS),
                ("marker", MARKERS),
            ),
        )
        for number, case in enumerate(cases)
    ],
)
def test_markup_is_drawn_as_what_it_means(drawn, markup: str, plain: str) -> None:
    image, told = drawn(markup)

    assert len(image.getcolors(1 << 16)) > 1
    assert image.tobytes() == drawn(plain)[0].tobytes()
    assert told == []


def test_a_code_point_of_an_icon_font_that_is_not_there_is_told(engine) -> None:
    css = "<style>i::before{content:'\\f101';font-family:Icons}</style>"
    parameters = Parameters(html=f"{css}<i></i> icon", width=99, height=40)
    found = page(parameters, EmbeddedImages(100), engine)

    assert engine.draw(found, (99, 40), 1).facts["missing_glyphs"] == ["U+F101"]
