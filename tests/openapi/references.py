"""References of an OpenAPI document, followed."""

from typing import Any

Document = dict[str, Any]


def resolved(document: Document, node: Document) -> Document:
    while "$ref" in node:
        place: Any = document
        for part in node["$ref"].removeprefix("#/").split("/"):
            place = place[part.replace("~1", "/")]
        node = place
    return node
