"""A generator of documents that are made to hurt whoever lays them out."""

import random
import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

from app.renderer.document.properties import _DEFAULTS, _DRAWN, _SPECIAL

PROPERTIES = tuple(sorted({*_DRAWN, *_SPECIAL, *_DEFAULTS}))
_NUMBERS = (
    *("0", "-1", "1", "-0", "0.0000001", "-99999px", "1e38px", "1e39px", "-1e38px"),
    *("NaN", "inf", "calc(1px / 0)", "calc(infinity * 1px)", "calc(NaN * 1px)"),
    *("2147483648px", "99999999999999999999", "100000%", "-50%", "1e9em", "1e-38px"),
    *("calc(100% - 1e30px)", "1000vw", "33.3333ch", "4294967296", "16777217px", "1fr"),
)
_WORDS = (
    *("auto", "none", "normal", "inherit", "initial", "unset", "flex", "grid", "table"),
    *("inline-block", "absolute", "fixed", "column", "wrap-reverse", "baseline", "red"),
    *("min-content", "max-content", "fit-content", "stretch", "space-between", "pre"),
    *("repeat(auto-fill,1px)", "repeat(9999,minmax(1px,1fr))", "span 9999", "1/-9999"),
    *("repeat(auto-fit,minmax(0,0))", "-9999/9999", "rotate(1e30deg)", "scale(-1e9)"),
    *("matrix(1,1,1,1,1,1)", "blur(1e9px)", "blur(90px)", "skew(90deg)", "ellipsis"),
    *("linear-gradient(1e9deg,red -1e9%,blue 1e38%)", "conic-gradient(red 0 0)"),
    *("radial-gradient(0 0,red,blue)", "repeating-linear-gradient(red 0,blue 0)"),
    *("polygon(0 0,1e30px 9px,NaN 1px)", "circle(-1px)", "inset(1e30px)", "text"),
    *("drop-shadow(1e9px 1e9px 1e9px red)", "var(--a)", "var(--a,var(--b,1px))"),
    *("1px solid red", "1e9px dashed blue", "0 0 1e9px 1e9px red", "min(1px,2px)"),
    *("'\\0'", '"', "url(data:image/png;base64,AAAA)", "attr(x)", "counter(a)"),
    *("counters(a,'.')", "open-quote", "rgb(NaN 1e99 -1)", "color-mix(in hsl,red,)"),
)
_TAGS = (
    *("div", "p", "b", "i", "span", "table", "tr", "td", "th", "ul", "ol", "li", "a"),
    *("h1", "pre", "q", "svg", "g", "select", "option", "button", "input", "details"),
    *("summary", "ruby", "rt", "marquee", "center", "font", "caption", "col", "tbody"),
    *("math", "template", "progress", "textarea", "img", "hr", "br", "wbr", "dl", "dd"),
)
_TEXTS = (
    *("word ", "x" * 400, "\u202e\u2066\u2067\u202d", "שלום عليكم ", "a\u0301" * 90),
    *("\x00", "\ud800", "\udfff", "\ufdd0\uffff", "👨‍👩‍👧‍👦" * 9, "\u200d\ufe0f\u20e3"),
    *(
        "王小明" * 40,
        "&#0;&#xD800;&#x110000;&bogus",
        "\u2028\u2029\x0b",
        "नमस्ते",
        "﷽" * 20,
    ),
)
_REFUSED = re.compile("[\x00-\x08\x0b\x0e-\x1f\ud800-\udfff\ufdd0\uffff]")
_SIDES = (1, 16, 200, 640, 1200)


class Hostile(NamedTuple):
    """A document, of what kind it is, and its canvas in CSS pixels."""

    kind: str
    number: int
    html: str
    size: tuple[int, int]


def _value(pick: random.Random) -> str:
    some = [pick.choice(pick.choice((_NUMBERS, _WORDS))) for _ in range(3)]
    return " ".join(some[: pick.choice((1, 1, 1, 2, 3))])


def _style(pick: random.Random) -> str:
    many = pick.randint(1, 9)
    return ";".join(f"{pick.choice(PROPERTIES)}:{_value(pick)}" for _ in range(many))


def _properties(pick: random.Random) -> str:
    parts: list[str] = []
    for _ in range(pick.randint(1, 40)):
        tag = pick.choice(_TAGS)
        style = _style(pick).replace("'", "&#39;")
        parts.append(f"<{tag} style='{style}'>{pick.choice(_TEXTS)}")
        if pick.random() < 0.6:
            parts.append(f"</{tag}>")
    return "".join(parts)


def _nesting(pick: random.Random) -> str:
    tags = "".join(f"<{pick.choice(_TAGS)}>" for _ in range(pick.randint(1, 4)))
    style = f"<style>*{{{_style(pick)}}}</style>"
    return style + tags * pick.choice((9, 40, 99, 400, 9_000)) + "x"


def _tags(pick: random.Random) -> str:
    marks = ("<", ">", "</", "<!--", "-->", "<![CDATA[", "]]>", "=", "'", '"', "/>")
    pieces = (*marks, *_TAGS, *_TEXTS, "<?", "<!DOCTYPE", "style=", " class=a ", "\x00")
    return "".join(pick.choices(pieces, k=pick.choice((9, 90, 900))))


def _attributes(pick: random.Random) -> str:
    names = (*("style", "class", "id", "width", "height", "border", "bgcolor"), "size")
    parts: list[str] = []
    for number in range(pick.randint(1, 30)):
        name = pick.choice(
            (*names, "colspan", "rowspan", "start", "value", "src", "tw")
        )
        value = pick.choice((_value(pick), "9" * 400, "a " * 9_000, "-1", "p-[1e9px]"))
        value = value.replace('"', "&quot;")
        tag, more = pick.choice(_TAGS), f"x{number}='' " * pick.choice((0, 0, 900))
        parts.append(f'<{tag} {more}{name}="{value}">x')
    return "".join(parts)


def _tables(pick: random.Random) -> str:
    spans = ("1", "2", "0", "-1", "999", "1000", "65534", "99999999999", "x")
    rows: list[str] = []
    for _ in range(pick.choice((1, 5, 60))):
        cells = "".join(
            f"<td colspan={pick.choice(spans)} rowspan={pick.choice(spans)}"
            f" width={pick.choice(spans)}>x"
            for _ in range(pick.choice((1, 5, 30)))
        )
        rows.append(f"<tr style='{pick.choice(('', 'height:1e9px'))}'>{cells}")
    table = f"<table border={pick.choice(spans)} cellspacing={pick.choice(spans)}>"
    body = table + f"<col span={pick.choice(spans)} width={pick.choice(spans)}>"
    return (body + "".join(rows)) * pick.choice((1, 1, 3))


def _selectors(pick: random.Random) -> str:
    parts = ("*", "b", "i~i", ":not(:not(", ":is(:is(", ":has(", ">", "+", " ", ".a")
    more = (":nth-child(2n+1 of ", "[x^=", "::before", ",", ")", "))", "#", "\\", "@")
    rules = "".join(
        "".join(pick.choices(parts + more, k=pick.choice((3, 30, 300))))
        + f"{{{_style(pick)}}}"
        for _ in range(pick.randint(1, 20))
    )
    joined = ":is(b,i)" * pick.choice((1, 30)) + "{color:red}"
    body = "<b class=a><i></i></b>" * pick.choice((1, 50, 900))
    return f"<style>{rules}{joined}</style>{body}"


def _counters(pick: random.Random) -> str:
    names = " ".join(f"c{n}" for n in range(pick.choice((1, 30, 900))))
    content = pick.choice(("counter(c0)", "counters(c0,'.')", "open-quote", "'\\\"'"))
    css = (
        f"*{{counter-{pick.choice(('reset', 'increment', 'set'))}:{names} -2147483649}}"
    )
    css += f"*::before{{content:{content * pick.choice((1, 9, 300))}}}"
    kind = pick.choice(("upper-roman", "'x'", "lower-alpha", "hebrew", "none"))
    css += f"li::marker{{content:{content}}}ol{{list-style:{kind}}}"
    start = pick.choice(("1", "-2147483648", "99999999999", "NaN"))
    return f"<style>{css}</style><ol start={start}>" + "<li>x" * pick.choice(
        (1, 99, 900)
    )


def _variables(pick: random.Random) -> str:
    many = pick.choice((3, 30, 300))
    doubled = "".join(f"--v{n}:var(--v{n - 1})var(--v{n - 1});" for n in range(1, many))
    ring = f"--v0:var(--v{many - 1});" if pick.random() < 0.5 else "--v0:1px;"
    name = pick.choice(PROPERTIES)
    css = f"*{{{ring}{doubled}{name}:var(--v{many - 1})}}"
    return f"<style>{css}</style>" + "<b>x" * pick.choice((1, 40, 150))


def _svg(pick: random.Random) -> str:
    count = pick.choice((3, 12, 30, 200))
    laughs = "".join(
        f"<g id=g{n}>" + f"<use href='#g{n - 1}'/>" * 10 + "</g>"
        for n in range(1, count)
    )
    parts = (
        f"<defs><g id=g0><rect width=9 height=9 /></g>{laughs}</defs>"
        f"<use href='#g{count - 1}'/>",
        "<g id=a><use href='#a'/></g><use href='#a'/>",
        "<pattern id=p width=1e-9 height=1><rect fill='url(#p)'/></pattern>"
        "<rect width=99 height=99 fill='url(#p)'/>",
        "<filter id=f><feGaussianBlur stdDeviation=1e9 /><feTurbulence"
        " baseFrequency=1e9 numOctaves=9999 /></filter><rect filter='url(#f)'/>",
        "<path d='" + "M0 0L1e38 NaN" * 900 + "'/>",
        "<mask id=m><rect mask='url(#m)'/></mask><rect mask='url(#m)'/>",
        "<style>*{fill:url(#x);r:1e38;d:path('M')}</style><circle/>" * 50,
        "<image href='data:image/svg+xml,<svg/>' width=1e9 height=1e9 />",
    )
    inner = pick.choice(parts)
    size = pick.choice(("width=99 height=99", "viewBox='0 0 0 0'", "viewBox='a'", ""))
    svg = f"<svg xmlns='http://www.w3.org/2000/svg' {size}>{inner}</svg>"
    entities = "".join(
        f'<!ENTITY l{n} "{f"&l{n - 1};" * 9}">' for n in range(1, pick.choice((2, 12)))
    )
    entity = f'<!DOCTYPE svg [<!ENTITY l0 "ha">{entities}]>{svg}'
    uri = pick.choice((svg, entity)).replace('"', "%22").replace("#", "%23")
    return pick.choice((svg, f'<img src="data:image/svg+xml,{uri}">'))


def _uris(pick: random.Random) -> str:
    kinds = ("image/png", "image/svg+xml", "image/gif", "font/woff2", "", "text/html")
    bodies = ("", "AAAA", "%", "iVBORw0KGgo=", "A" * 9_999, "%00%ff", "R0lGODlh//8=")
    parts: list[str] = []
    for _ in range(pick.randint(1, 30)):
        mark = pick.choice((";base64,", ",", ";base64;base64,", ";charset=x,", ""))
        uri = f"data:{pick.choice(kinds)}{mark}{pick.choice(bodies)}"
        tags = (f'<img src="{uri}">', f"<p style='background:url({uri})'>x")
        face = f"<style>@font-face{{font-family:a;src:url({uri})}}*{{font-family:a}}"
        parts.append(pick.choice((*tags, f"{face}</style>x")))
    return "".join(parts)


def _fonts(pick: random.Random) -> str:
    faces = pick.choice((1, 20, 400))
    data = "AAEAAAAS" * pick.choice((1, 99, 20_000))
    uri = f"url(data:font/{pick.choice(('ttf', 'woff2'))};base64,{data[:200_000]})"
    css = f"@font-face{{font-family:a;src:{uri}}}" + "@font-face{}" * faces
    return f"<style>{css}@page{{size:{_value(pick)};margin:{_value(pick)}}}</style>x"


def _sheets(pick: random.Random) -> str:
    marks = ("{", "}", "@media ", "@layer", "@page", ";", "/*", "*/", '"', "'", "\\")
    more = ("a", ":", "url(", ")", "!important", "@", "screen", "<", "\x00", "(", "{}")
    css = "".join(pick.choices(marks + more, k=pick.choice((9, 99, 9_000))))
    return f"<style>{css}</style><a class=a style='{css[:999]}'>x"


def _texts(pick: random.Random) -> str:
    text = "".join(pick.choices(_TEXTS, k=pick.choice((3, 30, 300))))
    return f"<div style='{_style(pick)}' dir={pick.choice(('rtl', 'auto'))}>{text}"


KINDS: dict[str, Callable[[random.Random], str]] = {
    "properties": _properties,
    "nesting": _nesting,
    "tags": _tags,
    "attributes": _attributes,
    "tables": _tables,
    "selectors": _selectors,
    "counters": _counters,
    "variables": _variables,
    "SVG": _svg,
    "data URIs": _uris,
    "fonts": _fonts,
    "style sheets": _sheets,
    "texts": _texts,
}


def hostile(count: int, seed: int = 0, first: int = 0) -> Iterator[Hostile]:
    """Yield so many documents from a number on, all kinds in turn.

    Equal seeds make equal ones, wherever a slice begins.
    """
    kinds = tuple(KINDS.items())
    for number in range(first, first + count):
        pick = random.Random(f"{seed} {number}")
        kind, make = kinds[number % len(kinds)]
        size = pick.choice(_SIDES), pick.choice(_SIDES)
        html = make(pick)
        if pick.random() < 0.9:
            # A single one is refused before anything is drawn.
            html = _REFUSED.sub("", html)
        yield Hostile(kind, number, html, size)
