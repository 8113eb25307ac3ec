"""Templates that were saved over HTTP: versions in the store, none ever changed.

They are a stranger's work until the operator makes a folder of them: nothing of theirs
is compiled or expanded here, but in the process that can be killed.
"""

import base64
import html
import logging
import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from types import MappingProxyType
from typing import Any, NoReturn

import orjson

from app.errors import with_fields
from app.renderer.base import Renderer
from app.renderer.engine.engine import Engine, Page
from app.renderer.errors import RendererError
from app.renderer.params import RESERVED, EmojiStyle
from app.renderer.template import declaration
from app.renderer.template.template import HELPERS, version_of
from app.renderer.template.template_files import NAME, TemplateFiles
from app.store import Store, key_for

_LOG = logging.getLogger("mimeo.templates")
# Of one template: an archive of all of them is still read in a moment.
MOST_VERSIONS = 1000
# How long another worker may not know of a new version, and how many names are known.
_FRESH_S = 1.0
_REMEMBERED = 1024
# Renderers that are ready, each with its files.
_BUILT = 32


@with_fields
class TakenTemplate(RendererError):
    """The name is that of a renderer that nobody may replace over HTTP."""

    name: str

    def __str__(self) -> str:
        return f"{self.name!r} is the name of another renderer: choose one of your own."


class TemplatesNotSaved(RendererError):
    """This server keeps no templates of others; the text says what opens it."""

    def __str__(self) -> str:
        return (
            "Templates are not saved here: MIMEO_TEMPLATE_EDITING=on lets keys with the"
            " scope templates do so. POST to /templates/export makes a ZIP."
        )


@with_fields
class TemplateFull(RendererError):
    """The template has as many versions as one may have."""

    name: str
    allowed: int

    def __str__(self) -> str:
        return f"{self.name!r} has {self.allowed:,} versions: save it as another one."


def pinned(name: str, version: int) -> str:
    """Return the name of a version: `badge@2`."""
    return f"{name}@{version}"


def split_version(name: str) -> tuple[str, int | None]:
    """Return the name of a template, and the version that is named with it."""
    bare, at, number = name.partition("@")
    plain = number.isascii() and number.isdigit() and number[:1] != "0"
    return (bare, int(number)) if at and plain and len(number) < 5 else (name, None)


class SavedTemplates:
    """The templates of a room of the store, for all threads of a worker.

    Of all who add one version at one moment one succeeds, on whatever machine. All may
    raise StoreError.
    """

    def __init__(self, store: Store, engine: Engine) -> None:
        self._store = store
        self._engine = engine
        self._newest: OrderedDict[str, tuple[float, int]] = OrderedDict()
        # What is not found is not remembered: it may be saved a moment later.
        self._renderer = lru_cache(_BUILT)(self._built)

    def newest(self, name: str, *, fresh: bool = False) -> int:
        """Return the number of the newest version; 0 where there is none.

        It may be a second old, unless it is to be `fresh`.
        """
        if not NAME.match(name):
            return 0
        known = self._newest.get(name)
        now = time.monotonic()
        if known is not None and not fresh and now - known[0] < _FRESH_S:
            return known[1]
        entries = self._store.below(key_for(name))
        found = max((int(key.rpartition("/")[2]) for key, _ in entries), default=0)
        self._newest[name] = now, found
        while len(self._newest) > _REMEMBERED:
            self._newest.popitem(last=False)
        return found

    def names(self) -> tuple[str, ...]:
        """Return the names of all templates."""
        found = []
        for folder in self._store.folders():
            data = self._store.get(f"{folder}/1")
            try:
                if data is not None:
                    found.append(str(orjson.loads(bytes(data))["name"]))
            except (ValueError, LookupError) as error:
                # One that is damaged must not take the others with it.
                _LOG.warning("store: %s/1: %s", folder, error)
        return tuple(sorted(found))

    def files(self, name: str, version: int) -> TemplateFiles | None:
        """Return a version, or None where there is none."""
        data = self._store.get(f"{key_for(name)}/{version}")
        if data is None:
            return None
        files: Mapping[str, str] = orjson.loads(bytes(data))["files"]
        return TemplateFiles(
            name, {each: base64.b64decode(text) for each, text in files.items()}
        )

    def add(self, files: TemplateFiles, version: int) -> bool:
        """Keep a version; return whether nobody has kept one of its number."""
        texts = {
            name: base64.b64encode(data).decode() for name, data in files.files.items()
        }
        data = orjson.dumps({"name": files.name, "files": texts})
        made = self._store.create(f"{key_for(files.name)}/{version}", data)
        self._newest.pop(files.name, None)
        return made

    def renderer(self, name: str) -> Renderer | None:
        """Return what draws `badge` in its newest version, or `badge@2`."""
        bare, version = split_version(name)
        if not NAME.match(bare):
            return None
        number = self.newest(bare) if version is None else version
        try:
            return self._renderer(bare, number) if number else None
        except LookupError:
            return None

    def _built(self, name: str, version: int) -> Renderer:
        files = self.files(name, version)
        if files is None:
            raise LookupError(pinned(name, version))
        return _renderer_of(files, version, self._engine)


def _renderer_of(files: TemplateFiles, version: int, engine: Engine) -> Renderer:
    """Return a renderer whose drawing is left to the process that can be killed.

    Read of its declaration alone, which that process has read before it was saved.
    """
    declared = declaration.read(files, HELPERS | RESERVED)
    paper = declared.paper
    width, height = declared.pixels

    def preflight(parameters: Any, _: bool) -> Mapping[str, Any]:
        own = (getattr(parameters, name) for name in declared.parameters)
        texts = "\n".join(each for each in own if isinstance(each, str))
        named = "emoji" in declared.parameters
        emoji: EmojiStyle = "color" if named else parameters.emoji
        return engine.preflight(Page(html.escape(texts), emoji=emoji))

    made = Renderer(
        name=pinned(files.name, version),
        title=declared.title,
        parameters=declared.model(files.name, engine.families),
        size=(width, height),
        paper=paper,
        draw=_elsewhere,
        vector=_elsewhere,
        preflight=preflight,
        version=version_of(files, engine),
        example=MappingProxyType(declared.example),
        isolated=True,
        files=files,
    )
    if paper is None or declared.bleed is None:
        return made
    more = 2 * paper.overhang
    bled = replace(made, size=(width + more, height + more))
    return replace(made, bled=bled)


def _elsewhere(parameters: Any, scale: float) -> NoReturn:
    raise AssertionError("a saved template is drawn in the process that can be killed")
