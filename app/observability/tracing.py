"""Traces of requests, for an OpenTelemetry collector; needs the extra `otel`.

A request is a span from its head to the last byte of its body, the phases of a picture
and the sending of a body are spans within it. What is drawn and sent for a job later is
linked to the request that submitted it. No path, query or address is in them.
"""

import os
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import (
    Link,
    Span,
    SpanKind,
    Status,
    StatusCode,
    Tracer,
    get_current_span,
    set_span_in_context,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from app.observability import metrics, spans

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

# A worker that ends waits so long for a collector that does not answer.
_TIMEOUT_S = 3
_PROPAGATOR = TraceContextTextMapPropagator()


def open_provider(endpoint: str, environ: Mapping[str, str]) -> TracerProvider:
    """Start sending to a collector, in this process: its threads survive no fork.

    Service name, sampler and headers are as OpenTelemetry's own variables say.
    """
    about = {
        "service.version": metrics.release(),
        # Of each worker its own: else they are taken for one that contradicts itself.
        "service.instance.id": f"{socket.gethostname()}-{os.getpid()}",
    }
    named = environ.get("OTEL_RESOURCE_ATTRIBUTES", "")
    if "OTEL_SERVICE_NAME" not in environ and "service.name=" not in named:
        about["service.name"] = "mimeo"
    provider = TracerProvider(resource=Resource.create(about))
    url = f"{endpoint.rstrip('/')}/v1/traces"
    exporter = OTLPSpanExporter(endpoint=url, timeout=_TIMEOUT_S)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    return provider


class Tracing:
    """Makes spans; may be used by several threads.

    `provide` is called at the first: a worker that forks before has no threads.
    """

    def __init__(self, provide: Callable[[], TracerProvider]) -> None:
        self._provide = provide
        self._guard = threading.Lock()
        self._opened: Tracer | None = None

    @property
    def tracer(self) -> Tracer:
        """Return what begins spans."""
        if self._opened is None:
            with self._guard:
                # Asked again: another thread may have been first.
                if self._opened is None:
                    self._opened = self._provide().get_tracer("mimeo")
        return self._opened

    @contextmanager
    def work(
        self,
        name: str,
        cause: str | None,
        about: Mapping[str, str],
        *,
        apart: bool = False,
    ) -> Iterator[str | None]:
        """Make a span of the body, as app.observability.spans.TraceWork says."""
        given = {} if cause is None else {"traceparent": cause}
        context = _PROPAGATOR.extract(given, Context())
        links: tuple[Link, ...] = ()
        if apart:
            # A job of 2,000 chunks would be a trace that nobody can look at.
            submitted = get_current_span(context).get_span_context()
            links = (Link(submitted),) if submitted.is_valid else ()
            context = Context()
        kind = SpanKind.CONSUMER if apart else SpanKind.CLIENT
        span = self.tracer.start_span(name, context, kind, dict(about), links)
        try:
            yield traceparent(span)
        except BaseException as error:
            span.set_attribute("error.type", type(error).__name__)
            span.set_status(Status(StatusCode.ERROR))
            raise
        finally:
            span.end()


def traceparent(span: Span) -> str:
    """Return how W3C Trace Context names a span."""
    carrier: dict[str, str] = {}
    _PROPAGATOR.inject(carrier, set_span_in_context(span, Context()))
    return carrier["traceparent"]


class Traced:
    """A WSGI app whose requests are spans.

    A request is part of the caller's trace where `vouches` says that it may be, else a
    trace of its own: a stranger could put requests into others' traces, or out of all.
    """

    def __init__(
        self,
        app: "WSGIApplication",
        tracing: Tracing,
        vouches: Callable[["WSGIEnvironment"], bool],
    ) -> None:
        self._app = app
        self._tracing = tracing
        self._vouches = vouches

    def __call__(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        """Serve one request."""
        method = environ["REQUEST_METHOD"]
        given = {
            name: environ[variable]
            for name, variable in (
                ("traceparent", "HTTP_TRACEPARENT"),
                ("tracestate", "HTTP_TRACESTATE"),
            )
            if variable in environ
        }
        if given and not self._vouches(environ):
            given = {}
        parent = _PROPAGATOR.extract(given)
        span = self._tracing.tracer.start_span(method, parent, SpanKind.SERVER)
        span.set_attribute("http.request.method", method)

        def start(status: str, headers: Any, exc_info: Any = None) -> Any:
            code = int(status[:3])
            span.set_attribute("http.response.status_code", code)
            if code >= 500:
                span.set_status(Status(StatusCode.ERROR))
            return start_response(status, headers, exc_info)

        submitting = spans.TRACE.set(traceparent(span))
        try:
            body = self._app(environ, start)
        except BaseException:
            span.set_status(Status(StatusCode.ERROR))
            span.end()
            raise
        finally:
            spans.TRACE.reset(submitting)
        _describe(span, environ)
        for phase, seconds, ended_ns in spans.noted():
            self._child(span, phase, ended_ns - round(seconds * 1e9), ended_ns)
        return _TracedBody(body, span, self)

    def finish(self, span: Span, sent_ns: int) -> None:
        """End a request's span; its body was sent from then on."""
        ended_ns = time.time_ns()
        self._child(span, "send", sent_ns, ended_ns)
        span.end(ended_ns)

    def _child(self, span: Span, name: str, start_ns: int, end_ns: int) -> None:
        within = set_span_in_context(span)
        tracer = self._tracing.tracer
        tracer.start_span(name, within, start_time=start_ns).end(end_ns)


class _TracedBody:
    """A body whose request ends when the server has closed it."""

    __slots__ = ("_body", "_sent_ns", "_span", "_traced")

    def __init__(self, body: Iterable[bytes], span: Span, traced: Traced) -> None:
        self._body = body
        self._span = span
        self._traced = traced
        self._sent_ns = time.time_ns()

    def __iter__(self) -> Iterator[bytes]:
        try:
            yield from self._body
        except BaseException as error:
            # A body that breaks off, or a client that leaves.
            self._span.set_attribute("error.type", type(error).__name__)
            self._span.set_status(Status(StatusCode.ERROR))
            raise

    def close(self) -> None:
        """Close the body first: that may still be work."""
        try:
            getattr(self._body, "close", bool)()
        finally:
            self._traced.finish(self._span, self._sent_ns)


def _describe(span: Span, environ: "WSGIEnvironment") -> None:
    """Name a span by its route; a path is in none."""
    route = environ.get("mimeo.route")
    if route is not None:
        span.set_attribute("http.route", route)
        span.update_name(f"{environ['REQUEST_METHOD']} {route}")
    span.set_attribute("mimeo.request_id", environ.get("mimeo.request_id", ""))
