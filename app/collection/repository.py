"""Collections at rest: their rows, what was laid out of them, and what is in doubt."""

import logging
import re
import struct
from collections import OrderedDict
from collections.abc import Callable
from itertools import chain
from threading import Lock
from typing import NamedTuple

import orjson

from app.access.caller import CALLER, Caller
from app.access.quotas import Quotas
from app.archive.errors import DamagedManifest
from app.archive.layout import Layout
from app.archive.manifest import Manifest
from app.collection.collection import Collection, Item
from app.collection.errors import (
    DamagedCollection,
    ExpiredCollection,
    UnknownCollection,
)
from app.collection.ingest.writer import Draft
from app.collection.notices import Notices, gathered
from app.config import Settings
from app.image_request import ImageRequest
from app.observability import metrics
from app.renderer.catalogue import Catalogue
from app.renderer.encode import FORMATS
from app.store import (
    Copies,
    Store,
    StoreError,
    checked,
    key_for,
    sees_all,
    unchecked,
)

_LOG = logging.getLogger("mimeo.collections")
# Archives whose layout is remembered, about 150 bytes a member.
_ARCHIVES = 2
# What is kept beside the rows.
_KEPT = (".archive", ".begun", ".notices", ".flawed")
_ID = re.compile(r"[0-9a-f]{64}\Z")
_LENGTH = struct.Struct(">QI")


class CollectionsNotKept(Exception):
    """This server cannot keep collections; the text says why and what works."""

    def __str__(self) -> str:
        return (
            "Collections are not kept here: MIMEO_STORE is none, or memory of several"
            " workers. POST to /collections.zip makes and delivers at once."
        )


class LaidOut(NamedTuple):
    """What a complete run of an archive left, laid out."""

    manifest: Manifest
    layout: Layout


class Length(NamedTuple):
    """How many bytes a complete run of another form had, and their CRC-32."""

    bytes: int
    crc32: int


class CollectionRepository:
    """The collections of a store, which all workers see.

    A `flawed` collection had an image fail that may be drawn next time, after bytes
    of it had left: its URL no longer names one sequence of bytes, so nothing of it
    may be resumed or revalidated. What is kept for resuming alone is no reason to
    fail: where it cannot be read or written, that is logged and counted.
    """

    def __init__(
        self,
        store: Store,
        catalogue: Catalogue,
        settings: Settings,
        quotas: Quotas | None = None,
        copies: Copies | None = None,
    ) -> None:
        self._store = store
        self._copies = copies or Copies()
        self._quotas = quotas or Quotas(None, None, 0)
        self._catalogue = catalogue
        self._settings = settings
        self.keeps = sees_all(store, settings.workers)
        self._lock = Lock()
        self._archives: OrderedDict[str, LaidOut] = OrderedDict()

    def check(self) -> None:
        """Raise CollectionsNotKept where nothing can be kept."""
        if not self.keeps:
            raise CollectionsNotKept

    def add(self, draft: Draft) -> bool:
        """Keep a collection; return whether it is new.

        Raises CollectionsNotKept, QuotaExceeded, StoreError, and UnknownRenderer where
        a saved template is deleted at this moment.
        """
        self.check()
        self._catalogue.use(draft.header.renderers)
        new = not self._store.has(draft.id)
        caller = CALLER.get()
        if new:
            # First: what is over a quota pushes nothing of anybody out.
            self._quotas.keep(caller, draft.id, draft.size, self._store.has)
        try:
            self._add(draft, caller, new=new)
        except BaseException:
            if new:
                self._quotas.forget(draft.id)
            raise
        return new

    def _add(self, draft: Draft, caller: Caller, *, new: bool) -> None:
        if new and caller.kind == "key":
            # Whoever was first stays it: another who sends the same deletes nothing.
            self._store.create(f"{draft.id}.owner", checked(caller.id.encode()))
        # Written again all the same: what is used is not to be the oldest.
        self._store.put(draft.id, draft.chunks())
        if not new and self.is_flawed(draft.id):
            # The mark must not be older, and so swept earlier, than what it is about.
            self.flaw(draft.id)

    def owner(self, key: str) -> str | None:
        """Return the id of the caller whose key made a collection, if one did.

        Raises UnknownCollection.
        """
        self.check()
        if not _ID.match(key) or not self._store.has(key):
            raise UnknownCollection(key)
        owner = self._store.get(f"{key}.owner")
        if owner is None:
            return None
        try:
            return unchecked(owner).decode()
        except ValueError as error:
            # Then it is nobody's, and whoever administers may delete it.
            _LOG.warning("store: %s.owner: %s", key, error)
            return None

    def delete(self, key: str, forget: Callable[[ImageRequest], None]) -> None:
        """Delete a collection with all that was kept of it; raise StoreError.

        `forget` is called with each image request of it.
        """
        collection = self.open(key)
        # Whatever it was sent in, a sheet's thumbnails and a PDF's pages too.
        for name, bleed in (*((name, False) for name in FORMATS), ("pdf", True)):
            for item in collection.items(format_name=name, bleed=bleed):
                if isinstance(item, Item):
                    forget(item.request)
        # Last: until then it can be tried again.
        for suffix in (*_KEPT, ".owner", ""):
            self._store.delete(key + suffix)
        self._quotas.forget(key)
        with self._lock:
            self._archives.pop(key, None)

    def keep(self, draft: Draft) -> bool:
        """Keep a collection where that can be done; return whether it was.

        Raises QuotaExceeded and UnknownRenderer.
        """
        if not self.keeps:
            return False
        try:
            self.add(draft)
        except StoreError as error:
            _warn(error)
            return False
        return True

    def open(self, key: str) -> Collection:
        """Return a collection; raise UnknownCollection, or ExpiredCollection.

        A collection of pixels that are no longer made gets a new id, which the error
        names and under which it is at once.
        """
        self.check()
        # Callers make ids up; a store takes another form of key for a mistake of ours.
        if not _ID.match(key):
            raise UnknownCollection(key)

        def read(start: int, stop: int) -> bytes:
            block = self._store.read(key, start, stop)
            # It may have been swept since it was opened.
            if block is None:
                raise UnknownCollection(key)
            return block

        # Of what was deleted elsewhere there may be copies.
        if self._copies.keeps and not self._store.has(key):
            raise UnknownCollection(key)
        copied = self._copies.reading(key, read)
        collection = Collection.open(copied, self._catalogue, self._settings)
        if collection.id != key:
            raise DamagedCollection("The collection is damaged: it is another one.")
        if collection.edition_is_current:
            return collection
        current, head = collection.relabel()
        # Anybody can ask for an old id, as often as they like.
        if not self._store.has(current):
            self._store.put(current, chain((head,), collection.data()))
        raise ExpiredCollection(key, current)

    def archive(self, key: str) -> LaidOut | None:
        """Return what the first complete run left, laid out, or None.

        Of the last two it is remembered: a download manager asks for dozens of ranges
        of one archive, and 100,000 members take 2 s to lay out.
        """
        # Held while it is laid out: of two requests at once, one does the work.
        with self._lock:
            if key not in self._archives:
                manifest = self._unpacked(f"{key}.archive")
                if manifest is None:
                    return None
                self._archives[key] = LaidOut(manifest, manifest.layout())
            self._archives.move_to_end(key)
            while len(self._archives) > _ARCHIVES:
                self._archives.popitem(last=False)
            return self._archives[key]

    def length(self, tag: str) -> Length | None:
        """Return what a complete run under this tag had, or None."""
        data = self._get(_length_key(tag))
        try:
            return None if data is None else Length(*_LENGTH.unpack(unchecked(data)))
        except (ValueError, struct.error) as error:
            # Believed, it would call what is drawn now another sequence of bytes.
            _LOG.warning("store: the length of %s: %s", tag, error)
            return None

    def keep_length(self, tag: str, length: Length) -> None:
        """Keep what a complete run had."""
        # The check tells a resumed answer that the same length has other bytes.
        self._keep(_length_key(tag), checked(_LENGTH.pack(*length)))

    def notices(self, collection: Collection) -> Notices:
        """Return what is known of the texts: from a run, else from the rows."""
        data = self._get(f"{collection.id}.notices")
        try:
            found = collection.header.notices if data is None else orjson.loads(data)
            return Notices.decode(found)
        except ValueError as error:
            # They are gathered again by the next run.
            _LOG.warning("store: %s.notices: %s", collection.id, error)
            return Notices()

    def keep_notices(self, key: str, notices: Notices) -> None:
        """Keep what a complete run showed of the texts."""
        self._keep(f"{key}.notices", notices.encode())

    def begun(self, collection: Collection) -> Manifest:
        """Return what a run left that broke off: complete up to some image."""
        found = self._unpacked(f"{collection.id}.begun")
        return found or Manifest(collection.id, collection.count)

    def keep_manifest(self, manifest: Manifest) -> None:
        """Keep what a run left, complete or not."""
        suffix = "archive" if manifest.complete else "begun"
        self._keep(f"{manifest.collection_id}.{suffix}", manifest.pack())
        if manifest.complete:
            rows = ((entry.index, entry.facts) for entry in manifest.entries())
            self.keep_notices(manifest.collection_id, gathered(rows))

    def _keep(self, key: str, data: bytes) -> None:
        try:
            self._store.put(key, data)
        except StoreError as error:
            _warn(error)

    def _get(self, key: str) -> bytes | memoryview | None:
        try:
            return self._store.get(key)
        except StoreError as error:
            _warn(error)
            return None

    def _unpacked(self, key: str) -> Manifest | None:
        data = self._get(key)
        try:
            return None if data is None else Manifest.unpack(bytes(data))
        except DamagedManifest as error:
            # It can be made again.
            _LOG.warning("store: %s: %s", key, error)
            return None

    def is_flawed(self, key: str) -> bool:
        """Tell whether the collection's URL names more than one sequence of bytes.

        Nothing may be resumed where the store cannot tell.
        """
        try:
            return self._store.has(f"{key}.flawed")
        except StoreError as error:
            _warn(error)
            return True

    def flaw(self, key: str) -> None:
        """Note for all workers and all time that it does; raise StoreError."""
        self._store.put(f"{key}.flawed", b"1")


def _length_key(tag: str) -> str:
    return f"{key_for(tag)}.length"


def _warn(error: StoreError) -> None:
    if not error.known:
        _LOG.warning("store: %s", error)
    metrics.count_store_error()
