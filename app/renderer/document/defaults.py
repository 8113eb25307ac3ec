"""How elements look before any style sheet (HTML, 15), and what old attributes say."""

import re
from collections.abc import Callable, Mapping
from functools import cache
from types import MappingProxyType

from turbohtml import Element, Namespace

from app.renderer.document import BASE, controls
from app.renderer.document.properties import Ignored
from app.renderer.document.stylesheet import Rule, read

_BLOCKS = (
    "html,body,address,blockquote,center,dialog,div,figure,figcaption,footer,form,"
    "header,hr,legend,listing,main,p,plaintext,pre,search,xmp,article,aside,h1,h2,h3,"
    "h4,h5,h6,hgroup,nav,section,dir,dd,dl,dt,menu,ol,ul,fieldset,details,summary,"
    "optgroup,option,frameset,frame"
)
_HIDDEN = (
    "area,audio,base,basefont,datalist,head,link,meta,noembed,noframes,param,rp,script,"
    "style,template,title,source,track,col,colgroup"
)
_CONTROL = (
    "display:inline-block;font-size:13.333px;letter-spacing:normal;line-height:normal;"
    "color:#000"
)
# In the middle where nothing around a cell says otherwise.
HEADING_ALIGN = "-internal-center"
_SHEET = (
    BASE + f"{_BLOCKS}{{display:block}}{_HIDDEN}{{display:none}}" + """
blockquote,figure{margin:1em 40px}
p,dl,listing,plaintext,pre,xmp,ul,ol,menu,dir{margin:1em 0}
dd{margin-left:40px}
h1{font-size:2em;margin:.67em 0;font-weight:bold}
h2{font-size:1.5em;margin:.83em 0;font-weight:bold}
h3{font-size:1.17em;margin:1em 0;font-weight:bold}
h4{margin:1.33em 0;font-weight:bold}
h5{font-size:.83em;margin:1.67em 0;font-weight:bold}
h6{font-size:.67em;margin:2.33em 0;font-weight:bold}
ul,menu,dir{list-style-type:disc;padding-left:40px;counter-reset:list-item}
ol{list-style-type:decimal;padding-left:40px;counter-reset:list-item}
li,summary{display:list-item}
summary{list-style-type:disclosure-open;list-style-position:inside}
address,cite,dfn,em,i,var{font-style:italic}
b,strong,th{font-weight:bold}
big{font-size:larger}
small,sub,sup{font-size:smaller}
sub{vertical-align:sub}
sup{vertical-align:super}
code,kbd,samp,tt,pre,listing,xmp,plaintext{font-family:monospace}
pre,listing,plaintext,xmp,textarea{white-space:pre}
u,ins{text-decoration:underline}
s,strike,del{text-decoration:line-through}
mark{background:#ff0;color:#000}
nobr{white-space:nowrap}
center{text-align:-webkit-center}
hr{color:gray;border:1px inset gray;margin:.5em auto;overflow:hidden}
fieldset{margin:0 2px;border:2px groove #c0c0c0;padding:.35em .75em .625em}
legend{padding:0 2px;width:fit-content}
img,video,canvas,iframe,object,embed,svg,audio{display:inline-block}
iframe{width:300px;height:150px;border:2px inset #c0c0c0}
canvas{width:300px;height:150px}
ruby{display:inline}
rt{font-size:50%}
table{display:table;border-spacing:2px;box-sizing:border-box;text-indent:0}
caption{display:table-caption;text-align:center}
tr{display:table-row;vertical-align:middle}
thead{display:table-header-group;vertical-align:middle}
tbody{display:table-row-group;vertical-align:middle}
tfoot{display:table-footer-group;vertical-align:middle}
td,th{display:table-cell;padding:1px}
"""
    f"th{{text-align:{HEADING_ALIGN}}}"
    + f"""
input,select,textarea,button,meter,progress{{{_CONTROL};text-indent:0;text-align:left}}
input,textarea{{background:#fff;border:1px solid #767676;border-radius:2px;
padding:2px 3px;white-space:pre;overflow:hidden}}
input{{width:161px;box-sizing:border-box;min-height:21px}}
textarea{{width:180px;min-height:32px;font-family:monospace;white-space:pre-wrap}}
select{{background:#fff;border:1px solid #767676;border-radius:2px;padding:1px 4px}}
button{{background:#efefef;border:1px solid #767676;border-radius:3px;
padding:1px 6px;text-align:center}}
meter,progress{{width:5em;height:1em;background:#efefef;border:1px solid #767676;
border-radius:8px;overflow:hidden;vertical-align:-.2em}}
progress{{width:10em}}
"""
)
_LISTS = ":is(ul,ol,dir,menu,dl)"
_LIST_TAGS = frozenset({"ul", "ol", "dir", "menu", "dl"})
# What hangs on more than the name: selector, and names of which one is needed.
_RELATED = (
    (f"{_LISTS} {_LISTS}", _LIST_TAGS, "margin-top:0;margin-bottom:0"),
    (":is(ul,ol,dir,menu) :is(ul,dir,menu)", _LIST_TAGS, "list-style-type:circle"),
    (
        ":is(ul,ol,dir,menu) :is(ul,ol,dir,menu) :is(ul,dir,menu)",
        _LIST_TAGS,
        "list-style-type:square",
    ),
    ("a[href],area[href]", {"a"}, "color:#0000ee;text-decoration:underline"),
    ("abbr[title],acronym[title]", {"abbr", "acronym"}, "text-decoration:underline"),
    ("details:not([open])>:not(summary)", {"details"}, "display:none"),
    (
        "details:not([open])>summary",
        {"details"},
        "list-style-type:disclosure-closed",
    ),
    ("dialog:not([open])", {"dialog"}, "display:none"),
    ("q::before", {"q"}, "content:open-quote"),
    ("q::after", {"q"}, "content:close-quote"),
)


@cache
def _by_tag() -> Mapping[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for rule in read(_SHEET, (0, 0), Ignored()).rules:
        found.setdefault(rule.selector, {}).update(
            {name: value for name, value, _ in rule.declarations}
        )
    return MappingProxyType(found)


@cache
def rules() -> tuple[tuple[Rule, frozenset[str]], ...]:
    """Return the defaults that hang on where an element stands, with names it needs."""
    return tuple(
        (rule, frozenset(tags))
        for selector, tags, css in _RELATED
        for rule in read(f"{selector}{{{css}}}", (0, 0), Ignored()).rules
    )


def style_of(element: Element) -> dict[str, str]:
    """Return the declarations that every element of this name has."""
    if element.namespace is not Namespace.HTML:
        return {"display": "inline-block"} if element.tag == "svg" else {}
    return dict(_by_tag().get(element.tag, ()))


_NUMBER = re.compile(r"\s*\+?(\d{1,9}(?:\.\d{0,9})?)\s*(%?)")
_COLOR = re.compile(r"#?[0-9a-f]{6}|#[0-9a-f]{3}|[a-z]+", re.IGNORECASE)


def length(text: str) -> str | None:
    """Return a length of HTML's, in pixels or per cent (HTML, 2.3.4.4)."""
    found = _NUMBER.match(text)
    return f"{found[1]}{found[2] or 'px'}" if found else None


def _length(name: str) -> Callable[[str], dict[str, str]]:
    def hint(text: str) -> dict[str, str]:
        found = length(text)
        return {name: found} if found else {}

    return hint


def _color(name: str) -> Callable[[str], dict[str, str]]:
    def hint(text: str) -> dict[str, str]:
        text = text.strip()
        if not _COLOR.fullmatch(text):
            return {}
        plain = not text.startswith("#") and len(text) == 6 and text.isalnum()
        is_hex = plain and not set(text.lower()) - set("0123456789abcdef")
        return {name: f"#{text}" if is_hex else text}

    return hint


# Which place blocks within, too.
_ALIGNED = MappingProxyType(
    {"left": "-webkit-left", "right": "-webkit-right", "center": "-webkit-center"}
    | {"middle": "-webkit-center", "justify": "justify"}
)


def _align(text: str) -> dict[str, str]:
    found = _ALIGNED.get(text.strip().lower())
    return {"text-align": found} if found else {}


def _align_box(text: str) -> dict[str, str]:
    word = text.strip().lower()
    if word in ("left", "right"):
        return {"float": "!float"}
    if word == "center":
        return {"margin-left": "auto", "margin-right": "auto"}
    return {"vertical-align": word} if word in ("top", "middle", "bottom") else {}


def _align_rule(text: str) -> dict[str, str]:
    word = text.strip().lower()
    if word not in ("left", "right"):
        return {}
    other = {"left": "right", "right": "left"}[word]
    return {f"margin-{word}": "0", f"margin-{other}": "auto"}


def _valign(text: str) -> dict[str, str]:
    word = text.strip().lower()
    return {"vertical-align": word} if word in _VERTICAL else {}


_VERTICAL = frozenset({"top", "middle", "bottom", "baseline"})


_SIZES = ("x-small", "small", "medium", "large", "x-large", "xx-large", "xxx-large")


def _font_size(text: str) -> dict[str, str]:
    found = re.fullmatch(r"\s*([+-]?)(\d{1,4})\s*", text)
    if found is None:
        return {}
    step = int(found[2])
    level = {"+": 3 + step, "-": 3 - step, "": step}[found[1]]
    return {"font-size": _SIZES[min(7, max(1, level)) - 1]}


def _image_border(text: str) -> dict[str, str]:
    found = length(text)
    return {"border": f"{found} solid"} if found and found != "0px" else {}


def _kind(text: str) -> dict[str, str]:
    names = {"1": "decimal", "a": "lower-alpha", "A": "upper-alpha"}
    names |= {"i": "lower-roman", "I": "upper-roman"}
    name = names.get(text, text.lower())
    known = {*names.values(), "disc", "circle", "square", "none"}
    return {"list-style-type": name} if name in known else {}


def _around(first: str, second: str) -> Callable[[str], dict[str, str]]:
    def hint(text: str) -> dict[str, str]:
        found = length(text)
        return {first: found, second: found} if found else {}

    return hint


def _direction(text: str) -> dict[str, str]:
    word = text.strip().lower()
    return {"direction": word} if word in ("ltr", "rtl") else {}


_Hint = Callable[[str], dict[str, str]]
_EVERYWHERE: Mapping[str, _Hint] = MappingProxyType(
    {
        "dir": _direction,
        "hidden": lambda text: {"display": "none"},
    }
)
_BLOCK_ALIGNED = ("div", "p", "h1", "h2", "h3", "h4", "h5", "h6", "caption")
_CELLS = ("td", "th")
_PARTS = (*_CELLS, "tr", "thead", "tbody", "tfoot")
_PICTURES = ("img", "video", "iframe", "object", "embed", "canvas", "input")


def _table() -> dict[str, dict[str, _Hint]]:
    """Return what attributes of which elements say (HTML, 15.3.2 to 15.4.3)."""
    hints: dict[str, dict[str, _Hint]] = {}

    def add(tags: tuple[str, ...], **rows: _Hint) -> None:
        for tag in tags:
            hints.setdefault(tag, {}).update(rows)

    add(_BLOCK_ALIGNED, align=_align)
    add(_PARTS, align=_align, valign=_valign)
    add((*_PARTS, "table", "body"), bgcolor=_color("background-color"))
    add((*_PARTS, "table", "body"), background=_background)
    add((*_CELLS, "table", "hr", "col", "colgroup"), width=_length("width"))
    add((*_PARTS, "table"), height=_length("height"))
    add(_CELLS, nowrap=lambda text: {"white-space": "nowrap"})
    add(("table",), align=_align_box, cellspacing=_length("border-spacing"))
    add(("table",), bordercolor=_color("border-color"))
    add(_PICTURES, width=_length("width"), height=_length("height"), align=_align_box)
    add(_PICTURES, hspace=_around("margin-left", "margin-right"))
    add(_PICTURES, vspace=_around("margin-top", "margin-bottom"))
    add(("img", "object", "input"), border=_image_border)
    add(("body",), text=_color("color"))
    add(("font",), color=_color("color"), size=_font_size)
    add(("font",), face=lambda text: {"font-family": text})
    add(("hr",), align=_align_rule, color=_color("color"))
    add(("ul", "ol", "li"), type=_kind)
    return hints


def _background(text: str) -> dict[str, str]:
    kept = text.strip().replace('"', "%22").replace("\\", "")
    return {"background-image": f'url("{kept}")'} if kept else {}


_HINTS = MappingProxyType(_table())
_NONE: Mapping[str, _Hint] = MappingProxyType({})


def hints(element: Element) -> dict[str, str]:
    """Return what the presentational attributes of an element say."""
    attributes = element.attrs
    if not attributes and element.tag not in _BY_PARENT:
        return {}
    found = controls.hints(element) if element.tag in controls.TAGS else {}
    known = _HINTS.get(element.tag, _NONE)
    for name in attributes:
        hint = known.get(name) or _EVERYWHERE.get(name)
        if hint is not None:
            found.update(hint(element.attr(name) or ""))
    if element.tag in _SPECIAL:
        found.update(_SPECIAL[element.tag](element))
    return found


# What an element around them says of them.
_BY_PARENT = frozenset({"li", "td", "th"})


def _rule(element: Element) -> dict[str, str]:
    found: dict[str, str] = {}
    if element.attr("color") is not None or element.attr("noshade") is not None:
        found["border-style"] = "solid"
        if color := _color("border-color")(element.attr("color") or ""):
            found |= color
    size = length(element.attr("size") or "")
    if size and not size.endswith("%"):
        pixels = float(size.removesuffix("px"))
        if "border-style" in found:
            found["border-width"] = f"{pixels / 2:g}px"
            if pixels <= 1:
                # Half a pixel is one, and one below the other would be two.
                found["border-width"] = "1px 0 0"
        elif pixels > 1:
            found["height"] = f"{max(0, pixels - 2):g}px"
        elif pixels:
            found["border-bottom-width"] = "0"
    return found


def _ordered(element: Element) -> dict[str, str]:
    start = _integer(element.attr("start"))
    if element.attr("reversed") is not None:
        items = sum(child.tag == "li" for child in _elements(element))
        start = items if start is None else start
        return {"counter-reset": f"list-item {start + 1}"}
    return {} if start is None else {"counter-reset": f"list-item {start - 1}"}


def _item(element: Element) -> dict[str, str]:
    value = _integer(element.attr("value"))
    if value is not None:
        return {"counter-set": f"list-item {value}"}
    parent = element.parent
    back = isinstance(parent, Element) and parent.attr("reversed") is not None
    return {"counter-increment": "list-item -1"} if back else {}


def _framed(element: Element) -> dict[str, str]:
    border = element.attr("border")
    if border is None:
        return {}
    width = length(border) or "1px"
    return {} if width == "0px" else {"border": f"{width} outset gray"}


def _celled(element: Element) -> dict[str, str]:
    table = element.closest("table")
    if table is None:
        return {}
    found: dict[str, str] = {}
    padding = length(table.attr("cellpadding") or "")
    if padding:
        found["padding"] = padding
    border = table.attr("border")
    if border is not None and length(border) != "0px":
        color = _color("color")(table.attr("bordercolor") or "").get("color", "gray")
        found["border"] = f"1px inset {color}"
    return found


def _linked(element: Element) -> dict[str, str]:
    body = element.closest("body")
    link = body.attr("link") if body is not None else None
    return _color("color")(link) if link and element.attr("href") is not None else {}


_SPECIAL: Mapping[str, Callable[[Element], dict[str, str]]] = MappingProxyType(
    {
        "hr": _rule,
        "ol": _ordered,
        "li": _item,
        "table": _framed,
        "td": _celled,
        "th": _celled,
        "a": _linked,
    }
)


def _integer(text: str | None) -> int | None:
    found = re.match(r"\s*([+-]?\d{1,9})(?!\d)", text or "")
    return int(found[1]) if found else None


def _elements(element: Element) -> list[Element]:
    return [child for child in element.children if isinstance(child, Element)]
