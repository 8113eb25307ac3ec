"""Apps over one store, as workers or restarts are, and what is sent to them."""

from collections.abc import Callable
from typing import Any

from flask import Flask
from flask.testing import FlaskClient

from tests.waiting import wait_until

ASYNC = {"Prefer": "respond-async"}
FAR = {"X-Forwarded-For": "203.0.113.7"}
Open = Callable[..., Flask]


class WholeClient(FlaskClient):
    """Takes each answer whole, and closes it."""

    def open(self, *given: Any, **named: Any) -> Any:
        return super().open(*given, **{"buffered": True} | named)


def rows(count: int, **more: Any) -> dict[str, Any]:
    items = [{"seed": f"row {number}", "size": 32} for number in range(count)]
    return {"renderer": "identicon", "items": items, **more}


def close(app: Flask) -> None:
    app.extensions["mimeo.jobs"].close()
    app.extensions["mimeo"].close()


def hold(app: Flask) -> None:
    """Let an app draw no chunk: others, or nobody, do."""
    app.extensions["mimeo.jobs"].start = lambda: None


def ended(client: FlaskClient, place: str) -> dict[str, Any]:
    found: dict[str, Any] = {}

    def look() -> bool:
        found.clear()
        # A problem while what is spoilt is not drawn again.
        found.update(client.get(place).get_json())
        return found.get("state") in ("succeeded", "failed", "cancelled")

    wait_until(look, 180)
    return found
