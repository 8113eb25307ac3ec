"""A whole collection in one answer: `/collections/<id>.<form>`, and made at once."""

from collections.abc import Callable
from contextlib import ExitStack
from functools import partial

from flask import Blueprint, Response, request
from werkzeug.exceptions import NotFound

from app.collection.export.exports import FORMS, Export, Form, read_options
from app.collection.lookahead import CollectionDrawing, Whole
from app.collection.repository import CollectionRepository
from app.config import Settings
from app.delivery.answer import Answer, choose_part, stream
from app.delivery.conditional import Conditions, select_range
from app.delivery.image import fact_headers, warn
from app.delivery.terms import Terms, answer_early, say_ignored
from app.renderer.catalogue import Catalogue
from app.renderer.errors import shorten
from app.views.body import read_link, receive
from app.views.images import spare

Later = Callable[[Form], Response | None]
# Beyond the length of any answer: whether a Range counts does not depend on it.
_ANY_LENGTH = 1 << 62


def blueprint(
    repository: CollectionRepository,
    drawing: CollectionDrawing,
    catalogue: Catalogue,
    settings: Settings,
    later: Later,
) -> Blueprint:
    """Return the routes of whole collections.

    `later` answers where the request would rather not wait for one.
    """
    bp = Blueprint("archives", __name__)

    def deliver(
        export: Export,
        pinned: bool,
        ending: ExitStack,
        warnings: tuple[str, ...] = (),
    ) -> Response:
        answer = _deliver(drawing, export, pinned, settings, ending, warnings)
        # As far as it is known: what is drawn for this answer is known at its end.
        for name, value in fact_headers(repository.notices(export.collection).facts):
            answer.headers[name] = value
        return answer

    @bp.get("/collections/<key>.<form>")
    def send(key: str, form: str) -> Response:
        """Send a collection that is kept."""
        row = form_of(form)
        given, ignored = read_link(row.names, settings.tracking_names)
        options = read_options(row.options, given)
        collection = repository.open(key)
        with ExitStack() as ending:
            export = Export(collection, row, options, kept=True)
            pinned = not repository.is_flawed(key)
            answer = deliver(export, pinned, ending)
            for name, value in say_ignored(ignored):
                answer.headers[name] = value
            return answer

    @bp.post("/collections.<form>")
    def create(form: str) -> Response:
        """Make a collection and send it at once."""
        row = form_of(form)
        answered = later(row)
        if answered is not None:
            return answered
        draft, given = receive(catalogue, settings, row.names)
        with ExitStack() as ending:
            ending.callback(draft.close)
            options = read_options(row.options, given)
            kept = repository.keep(draft)
            collection = draft.collection(catalogue, settings)
            export = Export(collection, row, options, kept)
            pinned = kept and not repository.is_flawed(draft.id)
            answer = deliver(export, pinned, ending, draft.warnings)
            if kept:
                place = f"/collections/{draft.id}.{row.name}{row.query(options)}"
                answer.headers["Content-Location"] = place
            return answer

    return bp


def _deliver(
    drawing: CollectionDrawing,
    export: Export,
    pinned: bool,
    settings: Settings,
    ending: ExitStack,
    warnings: tuple[str, ...],
) -> Response:
    """Return a collection in a form.

    `ending` holds what has to be closed when the last byte is sent; it is emptied
    where the answer takes that over. `warnings` say what was assumed of the rows.
    Raises what making the first image raises.
    """
    terms = _terms(export, pinned=pinned)
    early = answer_early(request.environ, terms)
    if early is not None:
        return early
    assumed = export.form.check(export.collection, export.options, settings)
    said = warn((*warnings, *assumed))
    if services := export.collection.services:
        would_buy = partial(drawing.would_buy, export.items())
        kind = export.form.media_type
        spared = spare(request.environ, kind, would_buy, services)
        if spared is not None:
            return spared
    whole = drawing.known(export) if pinned else None
    # HEAD draws nothing, so it takes no place of those who do.
    if request.method != "HEAD":
        ending.enter_context(drawing.admit())
        if whole is None and pinned and _wants_range(terms):
            whole = drawing.complete(export)
            if whole is None:
                terms = _terms(export, pinned=False)
    if whole is not None:
        return send_known(export.form, terms, whole, ending, said)
    # A stream that breaks off has told its status long before: not for good, then.
    pairs = [*headers_of(export.form, terms._replace(pinned=False)), *said]
    if request.method == "HEAD":
        return Answer("200 OK", pairs, ())
    chunks = drawing.first_run(export)
    return stream("200 OK", pairs, chunks, None, ending.pop_all().close)


def _terms(export: Export, *, pinned: bool) -> Terms:
    return Terms(
        export.tag if pinned else None,
        export.collection.id[:12],
        (export.form.name,),
        pinned=pinned,
        shared=False,
        download=export.options.download,
        attachment=export.form.attachment,
    )


def headers_of(form: Form, terms: Terms) -> list[tuple[str, str]]:
    """Return the headers that an answer in a form has, drawn or not."""
    return [
        ("Content-Type", form.media_type),
        ("Content-Disposition", terms.disposition),
        *terms.validators(),
    ]


def _wants_range(terms: Terms) -> bool:
    current = terms.representation
    asked = Conditions.from_environ(request.environ)
    return select_range(asked, current, _ANY_LENGTH).status != 200


def send_known(
    form: Form,
    terms: Terms,
    whole: Whole,
    ending: ExitStack,
    said: tuple[tuple[str, str], ...] = (),
) -> Response:
    """Send what has a known length, or the range of it that was asked for."""
    status, place, start, stop = choose_part(
        request.environ, terms.representation, whole.length
    )
    pairs = [*headers_of(form, terms), *said, ("Accept-Ranges", "bytes"), *place]
    if request.method == "HEAD":
        return Answer("200 OK", [*pairs, ("Content-Length", str(whole.length))], ())
    chunks = whole.cut(start, stop)
    return stream(status, pairs, chunks, stop - start, ending.pop_all().close)


def form_of(name: str) -> Form:
    """Return a form by its name; raise NotFound."""
    if name not in FORMS:
        known = ", ".join(FORMS)
        raise NotFound(
            f"Collections have no form {shorten(name)!r}; there are {known}."
        )
    return FORMS[name]
