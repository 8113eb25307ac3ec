"""Mimeo whose templates have no outlines, so that a PDF is a picture of each page."""

from typing import Any
from unittest import mock

from app import create_app
from app.renderer.base import Renderer
from app.renderer.template import template


def _without_outlines(**named: Any) -> Renderer:
    return Renderer(**{**named, "vector": None})


with mock.patch.object(template, "Renderer", _without_outlines):
    app = create_app()
