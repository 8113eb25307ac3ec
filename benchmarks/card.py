"""The card as Mimeo draws it, in-process and by URL."""

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType
from urllib.parse import quote, urlencode

from app.config import Settings
from app.renderer.base import Encoded, Output, Renderer
from app.renderer.catalogue import Catalogue
from app.renderer.produce import produce as draw_and_encode

OUTPUT = Output.model_validate({"format": "png"})
SIZE = (1200, 630)
# The number makes each card a new one.
TITLE = "Issue {n}: many pictures leave one stencil"
PARAMETERS: Mapping[str, str] = MappingProxyType(
    {
        "title": TITLE.format(n=12345678),
        "subtitle": "A self-hosted server for generated images, by URL or as JSON",
        "tag": "Release",
        "author": "Ada Lovelace",
    }
)


def path(base: str) -> str:
    """Return the path of the card with `{n}` for the number in its title."""
    query = urlencode(dict(PARAMETERS) | {"title": TITLE}, quote_via=quote)
    return f"{base}?{query}".replace(quote("{n}"), "{n}")


@cache
def renderer() -> Renderer:
    """Return Mimeo's card renderer."""
    return Catalogue(Settings(store="none")).get("card")


def produce(number: int, title: str = TITLE) -> Encoded:
    """Draw and encode the card of this number, as the server does."""
    values = dict(PARAMETERS) | {"title": title.format(n=number)}
    parameters = renderer().parameters.model_validate_strings(values)
    return draw_and_encode(renderer(), parameters, OUTPUT)
