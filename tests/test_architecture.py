"""The picture in docs/explanation/architecture.md is how the code is."""

import ast
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from functools import cache
from itertools import chain
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
APP = ROOT / "app"
FILES = sorted(APP.rglob("*.py"))
PAGE = (ROOT / "docs/explanation/architecture.md").read_text()
FLOORS = [
    line.split() for line in PAGE.split("```floors\n")[1].split("```")[0].splitlines()
]
GLOSSARY = re.findall(r"^\| ([\w ]+) \| .+ \| `([\w/]+\.py)` \|$", PAGE, re.MULTILINE)
# The rooms that may know the web framework.
WEB = {"app", "factory", "views", "delivery"}
# Its parsers of multipart and of Accept are Werkzeug's, which know nothing of Flask.
FREE = {"app/collection/ingest/multipart.py", "app/parsing/accept.py"}
# Packages that these modules alone may import.
ONLY = {
    "celery": {"app/jobs/carrier.py"},
    "gunicorn": {"app/cli/server.py", "app/serving/worker.py"},
    "prometheus_client": {
        *("app/observability/metrics.py", "app/observability/multiprocess.py"),
    },
    "opentelemetry": {"app/observability/tracing.py"},
    "sentry_sdk": {"app/observability/error_reports.py"},
    "pytakumi": {"app/renderer/engine/engine.py"},
}
# Names that stand in several rooms for the same thing: a room's exceptions, its part
# of a single image, and the view that shows what another room holds.
SHARED = {"catalogue", "errors", "image", "inference", "media", "openai", "webui"}
# Each drawn renderer has parameters of its own, derived from the common ones.
DERIVED = {"Parameters"}


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def module_of(path: Path) -> str:
    dotted = path.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".")
    return dotted.removesuffix(".__init__")


def room_of(module: str) -> str:
    """Return the room of a dotted module name that begins with `app`."""
    return module.split(".")[1] if "." in module else "app"


def _imports(node: ast.AST, path: Path) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        assert node.level == 0, f"{name_of(path)}: imports are absolute"
        own = node.module == "app"
        yield from (f"app.{a.name}" for a in node.names if own)
        yield from () if own else (node.module or "",)


@cache
def read(path: Path) -> tuple[frozenset[str], tuple[str, ...]]:
    """Return every module that a file imports, names taken from `app` included.

    And the names of its classes.
    """
    nodes = list(ast.walk(ast.parse(path.read_text())))
    imports = chain.from_iterable(_imports(node, path) for node in nodes)
    classes = (node.name for node in nodes if isinstance(node, ast.ClassDef))
    return frozenset(imports), tuple(classes)


def imports_of(path: Path) -> frozenset[str]:
    return read(path)[0]


def classes_of(path: Path) -> tuple[str, ...]:
    return read(path)[1]


def squeezed(text: str) -> str:
    return re.sub(r"[\W_]", "", text).lower()


def test_the_picture_shows_every_room_once():
    entries = {path.stem for path in APP.iterdir() if path.name != "__pycache__"}

    assert Counter(entries - {"__init__"}) == Counter(chain(*FLOORS))


def test_the_house_has_at_most_twenty_entries():
    names = {path.stem for path in APP.iterdir()} - {"__pycache__"}

    # And four that came later: access, serving, jobs and openapi.
    assert len(names) <= 24


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_imports_lead_to_lower_floors_only(path):
    height = {room: -n for n, rooms in enumerate(FLOORS) for room in rooms}
    height["app"] = 1
    own = room_of(module_of(path))
    others = {room_of(name) for name in imports_of(path) if name.split(".")[0] == "app"}

    assert [o for o in others - {own} if height[o] >= height[own]] == []


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_only_web_rooms_import_the_framework(path):
    packages = {name.split(".")[0] for name in imports_of(path)}

    free = room_of(module_of(path)) in WEB or name_of(path) in FREE
    assert free or not packages & {"flask", "werkzeug"}


def test_nothing_below_views_and_delivery_loads_flask():
    below = [m for m in map(module_of, FILES) if room_of(m) not in WEB]
    program = f"import sys, {', '.join(below)}\nprint('flask' in sys.modules)"
    command = [sys.executable, "-c", program]

    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)

    assert (done.stdout, done.stderr) == ("False\n", "")


@pytest.mark.parametrize("package", ONLY)
def test_some_packages_are_imported_in_one_place(package):
    importers = {
        name_of(path)
        for path in FILES
        if package in {name.split(".")[0] for name in imports_of(path)}
    }

    assert importers == ONLY[package]


def test_one_name_of_a_module_is_one_thing():
    counts = Counter(path.stem for path in FILES if path.stem != "__init__")
    several = {name for name, count in counts.items() if count > 1}

    assert several - SHARED == set()


def test_one_name_of_a_class_is_one_thing():
    counts = Counter(name.lstrip("_") for path in FILES for name in classes_of(path))

    assert {name for name, count in counts.items() if count > 1} <= DERIVED


def test_the_glossary_is_sorted_and_has_each_word_once():
    words = [word for word, _ in GLOSSARY]

    assert words == sorted(set(words)) and len(words) >= 30


@pytest.mark.parametrize(("word", "file"), GLOSSARY, ids=[row[0] for row in GLOSSARY])
def test_a_word_of_the_glossary_is_the_name_of_its_module(word, file):
    assert (APP / file).is_file()
    stem = squeezed(Path(file).stem).rstrip("s")
    assert squeezed(word).startswith(stem) or stem.startswith(squeezed(word))


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_every_package_is_described_by_the_page(path):
    if path.name == "__init__.py" and path.parent != APP:
        assert f"{path.parent.name}`" in PAGE or f"**{path.parent.name}**" in PAGE
