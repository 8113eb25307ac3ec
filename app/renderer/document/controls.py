"""Form controls as they look when nobody has touched them (HTML, 15.5)."""

import re

from turbohtml import Element

TAGS = frozenset({"input", "select", "textarea", "progress", "meter"})
_BUTTONS = frozenset({"submit", "reset", "button"})
_TICKS = frozenset({"checkbox", "radio"})
# Lines of a text area.
_ROWS = re.compile(r"\s*([1-9]\d{0,2})(?!\d)")
_LABELS = {"submit": "Submit", "reset": "Reset"}


def hints(element: Element) -> dict[str, str]:
    """Return what the type and state of a control say of it before any style sheet."""
    found = {}
    if element.tag == "input":
        found = _input(element, (element.attr("type") or "text").lower())
    if element.attr("disabled") is not None:
        found["color"] = "#808080"
    return found


def styled(element: Element, style: dict[str, str]) -> dict[str, str]:
    """Return the style of a control with how far a bar is filled."""
    if element.tag not in ("progress", "meter"):
        return style
    share = _share(element)
    color = "#0075ff" if element.tag == "progress" else "#107c10"
    bar = f"linear-gradient(to right,{color} {share:.1f}%,#efefef {share:.1f}%)"
    return {**style, "background": bar}


def _input(element: Element, kind: str) -> dict[str, str]:
    if kind == "hidden":
        return {"display": "none"}
    if kind in _BUTTONS:
        return {"width": "auto", "background": "#efefef", "text-align": "center"}
    if kind == "color":
        return {"width": "44px", "background": element.attr("value") or "#000"}
    if kind not in _TICKS:
        return {}
    found = {"width": "13px", "height": "13px", "min-height": "0", "padding": "0"}
    found |= {"margin": "3px 3px 3px 4px", "vertical-align": "-3px"}
    if kind == "radio":
        found |= {"border-radius": "50%", "margin": "3px 3px 0 5px"}
    if element.attr("checked") is not None:
        ring = "box-shadow" if kind == "radio" else ""
        found |= {"background": "#0075ff", "border-color": "#0075ff"}
        if ring:
            found[ring] = "inset 0 0 0 2px #fff"
    return found


def _share(element: Element) -> float:
    try:
        value = float(element.attr("value") or 0)
        most = float(element.attr("max") or 1)
        return max(0.0, min(100.0, 100 * value / most))
    except (ValueError, ZeroDivisionError):
        return 0.0


def text_of(element: Element) -> str | None:
    """Return the text that a control shows; None where it shows what is in it."""
    if element.tag in ("progress", "meter"):
        return ""
    if element.tag == "select":
        chosen = element.select_one("option[selected]") or element.select_one("option")
        return chosen.text.strip() if chosen is not None else ""
    if element.tag == "textarea":
        text = element.text or element.attr("placeholder") or ""
        rows = _ROWS.match(element.attr("rows") or "")
        lacking = (int(rows[1]) if rows else 2) - 1 - text.count("\n")
        return text + "\n" * lacking + "\u200b" * (lacking > 0)
    kind = (element.attr("type") or "text").lower()
    value = element.attr("value") or ""
    if kind in _TICKS or kind in ("hidden", "color", "range", "image"):
        return ""
    if kind == "password":
        return "\u2022" * len(value[:200])
    return value or _LABELS.get(kind) or element.attr("placeholder") or ""
