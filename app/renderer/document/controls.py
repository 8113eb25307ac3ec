"""Form controls as they look when nobody has touched them (HTML, 15.5)."""

from turbohtml import Element

from app.renderer.document.cascade import Style

TAGS = frozenset({"input", "select", "textarea", "progress", "meter"})
_BUTTONS = frozenset({"submit", "reset", "button"})
_TICKS = frozenset({"checkbox", "radio"})
_LABELS = {"submit": "Submit", "reset": "Reset"}


def styled(element: Element, style: Style) -> Style:
    """Return the style of a control: what its type and state say, then its own."""
    kind = (element.attr("type") or "text").lower()
    found: Style = {}
    if element.tag == "input":
        found = _input(element, kind)
    elif element.tag in ("progress", "meter"):
        share = _share(element)
        color = "#0075ff" if element.tag == "progress" else "#107c10"
        found["background"] = (
            f"linear-gradient(to right,{color} {share:.1f}%,#efefef {share:.1f}%)"
        )
    if element.attr("disabled") is not None:
        found["color"] = "#808080"
    return {**style, **found}


def _input(element: Element, kind: str) -> Style:
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
        return element.text or element.attr("placeholder") or ""
    kind = (element.attr("type") or "text").lower()
    value = element.attr("value") or ""
    if kind in _TICKS or kind in ("hidden", "color", "range", "image"):
        return ""
    if kind == "password":
        return "\u2022" * len(value[:200])
    return value or _LABELS.get(kind) or element.attr("placeholder") or ""
