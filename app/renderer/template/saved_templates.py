"""Templates that were saved over HTTP: versions in the store, none ever changed.

They are a stranger's work until the operator makes a folder of them: nothing of theirs
is compiled or expanded here, but in the process that can be killed.
"""

import base64
import html
import logging
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from types import MappingProxyType
from typing import Any, NamedTuple, NoReturn

import orjson

from app.config import Settings
from app.errors import with_fields
from app.renderer.base import ImageSource, Renderer
from app.renderer.engine.engine import Engine, Page
from app.renderer.errors import BrokenTemplate, RendererError, UnknownRenderer
from app.renderer.params import RESERVED, EmojiStyle
from app.renderer.template import declaration
from app.renderer.template.template import HELPERS, version_of
from app.renderer.template.template_files import DECLARATION, NAME, TemplateFiles
from app.store import Store, StoreError, key_for

_LOG = logging.getLogger("mimeo.templates")
# Of one template: an archive of all of them is still read in a moment.
MOST_VERSIONS = 1000
# As many versions and deletions are kept of all, for each template that there may be.
_VERSIONS_EACH = 20
# All entries have keys below this one: one listing tells of all templates.
_ROOT = key_for("templates")
# How long another worker may not know of a new version.
_FRESH_S = 1.0
# Listings for names that are not known: so many at once, then one a second. Whoever
# makes names up has the store listed no more often.
_SOUGHT = 16
# Files of versions that are in memory, each of 3 MB at most.
_LOADED = 16
# Old versions that are ready, beside the newest of each template.
_OLD = 64
# A declaration of 32 KiB in JSON, with what stands before and behind it.
_HEAD = 1 << 17
# A version that is no template: the name was deleted. No template is as short.
_DELETED = b"deleted"
_USED = "used"


@with_fields
class TakenTemplate(RendererError):
    """The name is that of a renderer that nobody may replace over HTTP."""

    name: str

    def __str__(self) -> str:
        return (
            f"{self.name!r} is a renderer of this server, and no template that was"
            " saved: choose another name."
        )


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


@with_fields
class TemplatesFull(RendererError):
    """There is no room for another template, or version, in all.

    `limit` is the name of the setting; `unit` is what `value` counts.
    """

    limit: str
    allowed: int
    value: int
    unit: str

    def __str__(self) -> str:
        return (
            f"There is no room: it would be {self.value:,} {self.unit}, and"
            f" {self.limit} allows {self.allowed:,}. DELETE /templates/<name> makes"
            " room."
        )


class Saved(NamedTuple):
    """What there is of a name: sizes of versions, deletions, and what is in use."""

    versions: Mapping[int, int]
    deletions: frozenset[int]
    used: frozenset[int]

    @property
    def last(self) -> int:
        """The highest number that was given away, of a deletion perhaps."""
        return max((*self.versions, *self.deletions), default=0)

    @property
    def newest(self) -> int:
        """The number of the version that the bare name means; 0 where it is deleted."""
        return self.last if self.last in self.versions else 0


_NOTHING = Saved({}, frozenset(), frozenset())


def pinned(name: str, version: int) -> str:
    """Return the name of a version: `badge@2`."""
    return f"{name}@{version}"


def split_version(name: str) -> tuple[str, int | None]:
    """Return the name of a template, and the version that is named with it."""
    bare, at, number = name.partition("@")
    plain = number.isascii() and number.isdigit() and number[:1] != "0"
    return (bare, int(number)) if at and plain and len(number) < 5 else (name, None)


@dataclass
class _Listing:
    """What the store had when it was last looked at, and how often one may look."""

    rows: Mapping[str, Saved] | None = None
    looked: float = -_FRESH_S
    spare: float = float(_SOUGHT)
    spared: float = 0.0
    guard: threading.Lock = field(default_factory=threading.Lock)


class SavedTemplates:
    """The templates of a room of the store, for all threads of a worker.

    Of all who add one version at one moment one succeeds, on whatever machine. What
    the store has is listed at most once a second where it is only read: templates
    that are known go on while it cannot be reached. `images` reads what callers name
    by URL. All methods that write may raise StoreError.
    """

    def __init__(
        self,
        store: Store,
        engine: Engine,
        settings: Settings,
        images: ImageSource | None = None,
    ) -> None:
        self._store = store
        self._engine = engine
        self._settings = settings
        self._images = images
        self._listing = _Listing()
        # What is not found is not remembered: it may be saved a moment later.
        self._built = lru_cache(settings.max_templates + _OLD)(self._build)
        self._named = lru_cache(settings.max_templates)(self._name)
        self._files = lru_cache(_LOADED)(self._read)

    def state(self, name: str) -> Saved:
        """Return what there is of a name at this moment; raise StoreError."""
        return self._look().get(name, _NOTHING)

    def names(self) -> tuple[str, ...]:
        """Return the names of all templates, as they were a second ago."""
        return tuple(self.versions())

    def versions(self) -> Mapping[str, int]:
        """Return the newest version of each template by its name, in their order."""
        rows = sorted(self._known().items())
        return {name: row.newest for name, row in rows if row.newest}

    def files(self, name: str, version: int) -> TemplateFiles | None:
        """Return a version, or None where there is none.

        Raises BrokenTemplate where it is damaged, and StoreError.
        """
        try:
            return self._files(name, version)
        except LookupError:
            return None

    def add(self, files: TemplateFiles, version: int) -> bool:
        """Keep a version; return whether nobody has kept one of its number."""
        made = self._store.create(_key(files.name, version), _packed(files))
        self._forget_listing()
        return made

    def check_room(self, files: TemplateFiles) -> None:
        """Raise TemplateFull or TemplatesFull where another version has no room.

        Of several that are saved at one moment all may pass. Raises StoreError.
        """
        rows = self._look()
        own = rows.get(files.name, _NOTHING)
        if own.last >= MOST_VERSIONS:
            raise TemplateFull(files.name, MOST_VERSIONS)
        most = self._settings.max_templates
        count = sum(1 for row in rows.values() if row.newest)
        if not own.newest and count >= most:
            raise TemplatesFull("MIMEO_MAX_TEMPLATES", most, count + 1, "templates")
        entries = sum(len(row.versions) + len(row.deletions) for row in rows.values())
        if entries >= most * _VERSIONS_EACH:
            unit = f"versions, {_VERSIONS_EACH} for each template that may be kept"
            total = most * _VERSIONS_EACH
            raise TemplatesFull("MIMEO_MAX_TEMPLATES", total, entries + 1, unit)
        size = len(_packed(files))
        size += sum(sum(row.versions.values()) for row in rows.values())
        if size > self._settings.templates_bytes:
            allowed = self._settings.templates_bytes
            raise TemplatesFull("MIMEO_TEMPLATES_BYTES", allowed, size, "bytes")

    def delete(self, name: str, version: int) -> bool:
        """Delete a name whose newest version is this one; return whether it still was.

        Versions of which a collection or a job was made stay, and are drawn by their
        numbers; the others go.
        """
        # A version as well, so that of a save and a deletion at one moment one succeeds
        # and no number is given twice.
        if not self._store.create(_key(name, version + 1), _DELETED):
            self._forget_listing()
            return False
        # Listed after that: whoever begins to use one looks for the deletion after they
        # said so, and one of both sees the other.
        row = self._look().get(name, _NOTHING)
        for each in (row.versions.keys() | row.deletions) - row.used:
            if each <= version:
                self._store.delete(_key(name, each))
        self._forget_listing()
        return True

    def use(self, name: str, version: int) -> None:
        """Note that something is made of a version, which then stays.

        Raises UnknownRenderer where it is deleted at this moment, and StoreError.
        """
        if version in self._known().get(name, _NOTHING).used:
            return
        new = self._store.create(f"{_key(name, version)}.{_USED}", b"1")
        row = self._look().get(name, _NOTHING)
        if version not in row.versions or (new and row.last in row.deletions):
            raise UnknownRenderer(pinned(name, version), self.names())

    def renderer(self, name: str) -> Renderer | None:
        """Return what draws `badge` in its newest version, or `badge@2`.

        None where there is no such version. Raises BrokenTemplate where it is damaged,
        and StoreError where it is not known and the store cannot tell.
        """
        bare, version = split_version(name)
        if not NAME.match(bare):
            return None
        number = _number(self._known(), bare, version)
        if not number and self._may_seek():
            # Another worker may have saved it in this second.
            number = _number(self._look(), bare, version)
        return self._drawing(bare, number) if number else None

    def listed(self) -> tuple[tuple[Renderer, ...], tuple[BrokenTemplate, ...]]:
        """Return what draws each template, by its bare name, and what is damaged."""
        found: list[Renderer] = []
        damaged: list[BrokenTemplate] = []
        for name, version in self.versions().items():
            try:
                found.append(self._named(name, version))
            except BrokenTemplate as error:
                damaged.append(error)
            except (LookupError, StoreError) as error:
                # Deleted at this moment, or not to be read at this moment.
                _LOG.warning("store: %s: %s", pinned(name, version), error)
        return tuple(found), tuple(damaged)

    def _drawing(self, name: str, version: int) -> Renderer | None:
        try:
            return self._built(name, version)
        except LookupError:
            return None

    def _known(self) -> Mapping[str, Saved]:
        """Return what the store had a second ago, or before it could not be reached."""
        listing = self._listing
        if listing.rows is not None and _since(listing.looked) < _FRESH_S:
            return listing.rows
        try:
            return self._look(_FRESH_S)
        except StoreError as error:
            if not error.known:
                _LOG.warning("store: %s", error)
            return listing.rows or {}

    def _look(self, age_s: float = 0.0) -> Mapping[str, Saved]:
        """Return what the store has, or had so long ago; raise StoreError."""
        listing = self._listing
        with listing.guard:
            if listing.rows is not None and _since(listing.looked) < age_s:
                return listing.rows
            listing.looked = time.monotonic()
            listing.rows = _rows_of(self._store.below(_ROOT))
            return listing.rows

    def _forget_listing(self) -> None:
        self._listing.looked = -_FRESH_S

    def _may_seek(self) -> bool:
        """Tell whether the store may be listed once more for what is not known."""
        listing = self._listing
        with listing.guard:
            now = time.monotonic()
            more = (now - listing.spared) / _FRESH_S
            listing.spare = min(float(_SOUGHT), listing.spare + more)
            listing.spared = now
            if listing.spare < 1:
                return False
            listing.spare -= 1
            return True

    def _read(self, name: str, version: int) -> TemplateFiles:
        data = self._store.get(_key(name, version))
        if data is None or data == _DELETED:
            raise LookupError(pinned(name, version))
        try:
            head, _, rest = bytes(data).partition(b"\n")
            files: Mapping[str, str] = orjson.loads(rest)
            found = {each: base64.b64decode(text) for each, text in files.items()}
            made = TemplateFiles(name, found)
            if orjson.loads(head)["digest"] == made.digest():
                return made
        except (ValueError, LookupError, TypeError) as error:
            raise _damaged(name, version) from error
        raise _damaged(name, version)

    def _drawn_files(self, name: str, version: int) -> TemplateFiles:
        """Return a version's files for a drawing; raise UnknownRenderer."""
        files = self.files(name, version)
        if files is None:
            raise UnknownRenderer(pinned(name, version), self.names())
        return files

    def _name(self, name: str, version: int) -> Renderer:
        return replace(self._built(name, version), name=name)

    def _build(self, name: str, version: int) -> Renderer:
        """Return a renderer whose drawing is left to the process that can be killed.

        Made of its declaration alone, which that process has read before it was saved.
        """
        data = self._store.read(_key(name, version), 0, _HEAD)
        if data is None or data == _DELETED:
            raise LookupError(pinned(name, version))
        try:
            head = orjson.loads(data.partition(b"\n")[0])
            written, digest = head["declaration"].encode(), str(head["digest"])
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise _damaged(name, version) from error
        files = TemplateFiles(name, {DECLARATION: written})
        declared = declaration.read(files, HELPERS | RESERVED)
        paper = declared.paper
        width, height = declared.pixels
        engine = self._engine

        def preflight(parameters: Any, _: bool) -> Mapping[str, Any]:
            own = (getattr(parameters, name) for name in declared.parameters)
            texts = "\n".join(each for each in own if isinstance(each, str))
            named = "emoji" in declared.parameters
            emoji: EmojiStyle = "color" if named else parameters.emoji
            return engine.preflight(Page(html.escape(texts), emoji=emoji))

        made = Renderer(
            name=pinned(name, version),
            title=declared.title,
            parameters=declared.model(name, engine.families),
            size=(width, height),
            paper=paper,
            draw=_elsewhere,
            vector=_elsewhere,
            images=self._images,
            preflight=preflight,
            version=version_of(digest, engine),
            example=MappingProxyType(declared.example),
            isolated=True,
            files=partial(self._drawn_files, name, version),
        )
        if paper is None or declared.bleed is None:
            return made
        more = 2 * paper.overhang
        bled = replace(made, size=(width + more, height + more))
        return replace(made, bled=bled)


def _number(rows: Mapping[str, Saved], name: str, version: int | None) -> int:
    """Return which version a name and number mean, 0 for none."""
    row = rows.get(name, _NOTHING)
    if version is None:
        return row.newest
    return version if version in row.versions else 0


def _since(moment: float) -> float:
    return time.monotonic() - moment


def _key(name: str, version: int) -> str:
    # A key has no underscores, and a name no dots.
    return f"{_ROOT}/{name.replace('_', '.')}/{version}"


def _rows_of(entries: list[tuple[str, int]]) -> Mapping[str, Saved]:
    """Return what a listing says of each name."""
    found: dict[str, tuple[dict[int, int], set[int], set[int]]] = {}
    for name, version, use, size in _parts(entries):
        versions, deletions, used = found.setdefault(name, ({}, set(), set()))
        if use:
            used.add(version)
        elif size == len(_DELETED):
            deletions.add(version)
        else:
            versions[version] = size
    return {
        name: Saved(versions, frozenset(deletions), frozenset(used))
        for name, (versions, deletions, used) in found.items()
    }


def _parts(entries: list[tuple[str, int]]) -> Iterator[tuple[str, int, bool, int]]:
    for key, size in entries:
        _, name, entry = key.split("/")
        version, _, use = entry.partition(".")
        yield name.replace(".", "_"), int(version), use == _USED, size


def _packed(files: TemplateFiles) -> bytes:
    """Return a version as it is kept: what a renderer is made of, then all files."""
    head = {"declaration": files.text(DECLARATION), "digest": files.digest()}
    texts = {
        name: base64.b64encode(data).decode() for name, data in files.files.items()
    }
    return orjson.dumps(head) + b"\n" + orjson.dumps(texts)


def _damaged(name: str, version: int) -> BrokenTemplate:
    reason = "is damaged in the store: save it again"
    return BrokenTemplate(name, pinned(name, version), None, reason)


def _elsewhere(parameters: Any, scale: float) -> NoReturn:
    raise AssertionError("a saved template is drawn in the process that can be killed")
