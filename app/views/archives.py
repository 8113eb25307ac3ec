"""A whole collection in one answer: `/collections/<id>.<form>`, and made at once."""

import logging
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

from flask import Blueprint, Response, request
from werkzeug.exceptions import NotFound

from app.archive.layout import Layout
from app.archive.manifest import Manifest
from app.collection.collection import Collection, Item
from app.collection.export.exports import FORMS, Form, Options, read_options
from app.collection.export.zip import first_run, parts
from app.collection.ingest.writer import Draft
from app.collection.lookahead import Studio, Unfinished, Unsure
from app.collection.outcome import Bundle, Failed, Outcomes
from app.collection.repository import Shelf
from app.config import Settings
from app.delivery.answer import Answer, Pair
from app.delivery.conditional import Conditions, select_range
from app.delivery.errors import RangeNotSatisfiable
from app.delivery.stream import stream
from app.delivery.terms import Terms, answer_early
from app.image_request import in_format, unique
from app.observability import metrics
from app.parsing.image import read_pairs
from app.problems import describe
from app.renderer.catalogue import Catalogue
from app.renderer.errors import shorten
from app.store import StoreError
from app.views.body import receive
from app.views.images import refuse_prefetch

# Drawing stops when nobody waits for it.
_UNFINISHED_RETRY_S = 1
_LOG = logging.getLogger("mimeo.archives")
Archive = tuple[Manifest, Layout]
# Beyond the length of any archive: whether a Range counts does not depend on it.
_ANY_LENGTH = 1 << 62


@dataclass(frozen=True, slots=True)
class Desk:
    """What it takes to hand out collections."""

    shelf: Shelf
    studio: Studio
    settings: Settings


def blueprint(desk: Desk, catalogue: Catalogue) -> Blueprint:
    """Return the routes of whole collections."""
    bp = Blueprint("archives", __name__)

    @bp.get("/collections/<key>.<form>")
    def send(key: str, form: str) -> Response:
        """Send a collection that is kept."""
        row = _form(form)
        options = read_options(row.options, unique(read_pairs(request.query_string)))
        with ExitStack() as ending:
            order = Order(desk, desk.shelf.open(key), row, options, kept=True)
            return deliver(order, ending)

    @bp.post("/collections.<form>")
    def create(form: str) -> Response:
        """Make a collection and send it at once."""
        row = _form(form)
        own = tuple(row.options.model_fields)
        draft, given = receive(catalogue, desk.settings, own)
        with ExitStack() as ending:
            ending.callback(draft.close)
            options = read_options(row.options, given)
            kept = desk.shelf.keeps and _keep(desk.shelf, draft)
            collection = draft.collection(catalogue, desk.settings)
            answer = deliver(Order(desk, collection, row, options, kept), ending)
            if kept:
                place = f"/collections/{draft.id}.{row.name}"
                answer.headers["Content-Location"] = place
            return answer

    return bp


def _keep(shelf: Shelf, draft: Draft) -> bool:
    """Keep a collection; a store at fault costs the resuming, not the answer."""
    try:
        shelf.add(draft)
    except StoreError as error:
        _LOG.warning("store: %s", error)
        return False
    return True


@dataclass(frozen=True, slots=True)
class Order:
    """Who wants what: a collection in a form, and whether it is kept."""

    desk: Desk
    collection: Collection
    form: Form
    options: Options
    kept: bool

    def terms(self) -> Terms:
        """Return the terms of the answer."""
        key = self.collection.id
        pinned = self.kept and not self.desk.shelf.is_flawed(key)
        return Terms(
            f"{key}-{self.form.tag(self.options)}" if pinned else None,
            key[:12],
            (self.form.name,),
            pinned=pinned,
            shared=False,
            download=self.options.download,
            attachment=self.form.attachment,
        )

    def draw(self, first: int = 1, last: int | None = None) -> Outcomes:
        """Draw the images of these numbers, all by default."""
        items = self.collection.items(first, last)
        if self.form.image_format is not None:
            items = map(self._converted, items)
        return self.desk.studio.draw(items)

    def bundle(self) -> Bundle:
        """Return all images on their way."""
        outcomes = self.draw()
        return Bundle(
            self.collection.id, self.collection.count, outcomes, describe, self.flaw
        )

    def flaw(self) -> None:
        """Note that this collection no longer has one sequence of bytes."""
        if self.kept:
            self.desk.shelf.flaw(self.collection.id)

    def keep(self, manifest: Manifest) -> None:
        """Keep what a complete run leaves, unless another run would differ."""
        try:
            if self.kept and not self.desk.shelf.is_flawed(self.collection.id):
                self.desk.shelf.keep_manifest(manifest)
        except StoreError as error:
            # It costs the resuming, not the answer.
            _LOG.warning("store: %s", error)
            metrics.count_store_error()

    def _converted(self, item: Item | Failed) -> Item | Failed:
        assert self.form.image_format is not None
        if isinstance(item, Failed):
            return item
        return item._replace(request=in_format(item.request, self.form.image_format))


def deliver(order: Order, ending: ExitStack) -> Response:
    """Return a collection in a form.

    `ending` holds what has to be closed when the last byte is sent; it is emptied
    where the answer takes that over. Raises what making the first image raises.
    """
    terms = order.terms()
    early = answer_early(request.environ, terms)
    if early is not None:
        return early
    if order.collection.buys:
        refuse_prefetch(request.environ)
    order.form.check(order.collection, order.options, order.desk.settings)
    if order.form.make is None:
        return _archive(order, terms, ending)
    pairs = _pairs(order, terms, whole=False)
    if request.method == "HEAD":
        return Answer("200 OK", pairs, ())
    ending.enter_context(order.desk.studio.admit())
    chunks = order.form.make(order.bundle(), order.collection, order.options)
    return _stream("200 OK", pairs, chunks, None, ending)


def _archive(order: Order, terms: Terms, ending: ExitStack) -> Response:
    archive = _known(order) if terms.pinned else None
    if archive is None and request.method == "HEAD":
        return Answer("200 OK", _pairs(order, terms, whole=False), ())
    ending.enter_context(order.desk.studio.admit())
    if archive is None and terms.pinned and _wants_range(terms):
        archive = _completed(order)
        if archive is None:
            order.flaw()
            terms = terms._replace(tag=None, pinned=False)
    if archive is None:
        chunks = first_run(order.bundle(), order.keep)
        pairs = _pairs(order, terms, whole=False)
        return _stream("200 OK", pairs, chunks, None, ending)
    return _laid_out(order, terms, archive, ending)


def _pairs(order: Order, terms: Terms, *, whole: bool) -> list[Pair]:
    """Return the headers; only what is `whole` may be kept for good.

    A stream that breaks off has told its status long before.
    """
    kept = terms if whole else terms._replace(pinned=False)
    return [
        ("Content-Type", order.form.media_type),
        ("Content-Disposition", terms.disposition),
        *kept.validators(),
    ]


def _known(order: Order) -> Archive | None:
    """Return the layout that a run left, or that the store's images make."""
    archive = order.desk.shelf.archive(order.collection.id)
    if archive is not None:
        return archive
    manifest = order.desk.studio.survey(order.collection)
    if manifest is None:
        return None
    order.keep(manifest)
    return manifest, manifest.layout()


def _completed(order: Order) -> Archive | None:
    """Go on with a first run that broke off: draw what is missing of its layout.

    Returns None where no layout can be relied on. Raises Unfinished when the time is
    up; what was drawn until then is kept.
    """
    manifest = order.desk.shelf.begun(order.collection)
    try:
        done = order.desk.studio.lay_out(order.collection, manifest, describe)
    except Unsure:
        return None
    order.keep(manifest)
    if not done:
        raise Unfinished(_UNFINISHED_RETRY_S)
    return manifest, manifest.layout()


def _wants_range(terms: Terms) -> bool:
    asked = Conditions.from_environ(request.environ)
    return select_range(asked, terms.representation, _ANY_LENGTH).status != 200


def _laid_out(
    order: Order, terms: Terms, archive: Archive, ending: ExitStack
) -> Response:
    """Send an archive whose every byte is known, or the range that was asked for."""
    manifest, layout = archive
    asked = Conditions.from_environ(request.environ)
    decision = select_range(asked, terms.representation, layout.length)
    if decision.status == 416:
        raise RangeNotSatisfiable(layout.length)
    pairs = [*_pairs(order, terms, whole=True), ("Accept-Ranges", "bytes")]
    start, stop = decision.span or (0, layout.length)
    if request.method == "HEAD":
        return Answer("200 OK", [*pairs, ("Content-Length", str(layout.length))], ())
    status = "200 OK"
    if decision.span is not None:
        status = "206 PARTIAL CONTENT"
        place = f"bytes {start}-{stop - 1}/{layout.length}"
        pairs.append(("Content-Range", place))
    chunks = parts(manifest, layout, (start, stop), order.draw, order.flaw)
    return _stream(status, pairs, chunks, stop - start, ending)


def _stream(
    status: str,
    pairs: list[Pair],
    chunks: Iterator[bytes],
    length: int | None,
    ending: ExitStack,
) -> Response:
    return stream(status, pairs, chunks, length, ending.pop_all().close)


def _form(name: str) -> Form:
    if name not in FORMS:
        known = ", ".join(FORMS)
        raise NotFound(
            f"Collections have no form {shorten(name)!r}; there are {known}."
        )
    return FORMS[name]
