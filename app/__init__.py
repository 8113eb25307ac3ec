"""Mimeo, a server for generated images: the app factory."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flask import Flask

    from app.config import Settings


def create_app(
    settings: "Settings | None" = None, environ: "Mapping[str, str] | None" = None
) -> "Flask":
    """Return the WSGI app; settings come from the environment by default.

    Keys and addresses of services come from `environ`, the process's own by default.

    Raises BadSetting naming the variable where a setting cannot be used.
    """
    # Imported late: the renderer package, its tests and the process that draws
    # untrusted HTML do without Flask.
    from app.factory import build

    return build(settings, environ)
