"""Imports run one way: views to pipeline to renderer, and never back."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FILES = sorted((ROOT / "app").rglob("*.py"))

# Room by room, what it may import of the others; `factory` is app/__init__.py.
ALLOWED = {
    "archive": {"errors"},
    "bootstrap": {"config", "observability", "renderer", "store", "upstream"},
    "cli": {
        "archive",
        "bootstrap",
        "collection",
        "config",
        "image_request",
        "parsing",
        "pipeline",
        "problems",
        "renderer",
        "store",
    },
    "collection": {
        "archive",
        "config",
        "errors",
        "image_request",
        "media",
        "observability",
        "parsing",
        "pipeline",
        "renderer",
        "store",
    },
    "config": {"errors"},
    "delivery": {"archive", "errors", "media", "parsing", "renderer", "store"},
    "dialects": {"media", "pipeline", "renderer"},
    "errors": set(),
    "factory": {
        "bootstrap",
        "collection",
        "config",
        "observability",
        "parsing",
        "pipeline",
        "problems",
        "renderer",
        "store",
        "views",
    },
    "image_request": {"config", "renderer"},
    "media": set(),
    "observability": set(),
    "parsing": {"config", "errors", "image_request", "renderer"},
    "pipeline": {
        "config",
        "errors",
        "image_request",
        "media",
        "observability",
        "renderer",
        "store",
    },
    "problems": {
        "collection",
        "delivery",
        "parsing",
        "pipeline",
        "renderer",
        "store",
        "upstream",
    },
    "renderer": {"config", "errors"},
    "store": set(),
    "upstream": {"errors", "renderer", "store"},
    "views": {
        "archive",
        "collection",
        "config",
        "delivery",
        "dialects",
        "image_request",
        "media",
        "observability",
        "parsing",
        "pipeline",
        "problems",
        "renderer",
        "store",
        "upstream",
    },
}
# The rooms that may know the web framework; the rest serve a command line as well.
WEB = {"delivery", "factory", "problems", "views"}
FRAMEWORK = {"flask", "werkzeug"}
# The parser of multipart is Werkzeug's; nothing else of it is known there.
FREE = {"app/collection/ingest/multipart.py", "app/parsing/accept.py"}
# Packages that one module alone may import.
ONLY = {
    "gunicorn": "app/cli/server.py",
    "prometheus_client": "app/observability/metrics.py",
    "pytakumi": "app/renderer/engine/engine.py",
}


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def room_of(module: str) -> str:
    """Return the room of a dotted module name that begins with `app`."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "factory"


def imports_of(path: Path) -> Iterator[str]:
    """Yield every module that a file imports, names taken from `app` included."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name_of(path)}: imports are absolute"
            own = node.module == "app"
            yield from (f"app.{a.name}" for a in node.names if own)
            yield from () if own else (node.module or "",)


def own_room(path: Path) -> str:
    module = path.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".")
    return room_of(module.removesuffix(".__init__"))


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_a_room_imports_only_what_its_row_allows(path):
    room = own_room(path)
    rooms = {room_of(name) for name in imports_of(path) if name.split(".")[0] == "app"}

    assert rooms - {room, "errors"} <= ALLOWED[room]


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_only_web_rooms_know_the_framework(path):
    packages = {name.split(".")[0] for name in imports_of(path)}

    free = own_room(path) in WEB or name_of(path) in FREE
    assert free or not packages & FRAMEWORK


@pytest.mark.parametrize("package", ONLY)
def test_some_packages_are_imported_in_one_place(package):
    importers = {
        name_of(path)
        for path in FILES
        if package in {name.split(".")[0] for name in imports_of(path)}
    }

    assert importers == {ONLY[package]}


def test_the_table_has_no_cycle():
    left = {room: set(others) for room, others in ALLOWED.items()}
    while free := [room for room, others in left.items() if not others & left.keys()]:
        for room in free:
            del left[room]

    assert left == {}
