"""A collector gets a trace of each request, of streamed bodies too, and no words."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
)

from tests import redis_server
from tests.gunicorn_server import ROOT, Server, serve
from tests.jobs.receiver import receiving
from tests.jobs.workers import working
from tests.nginx_server import in_front
from tests.observability.test_metrics import wait_until
from tests.test_services import serving
from tests.upstream.pictures import PNG
from tests.upstream.wire_forms import Form

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
CALLED = {"traceparent": f"00-{TRACE}-{PARENT}-01"}
PROMPT = "zebra-in-a-prompt"


@dataclass
class Collector:
    """What came, as protocol buffers: requests, and their spans."""

    url: str = ""
    received: list[ExportTraceServiceRequest] = field(default_factory=list)

    def spans(self) -> list[Any]:
        return [
            span
            for request in list(self.received)
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    def of(self, request_id: str) -> tuple[Any, dict[str, Any]]:
        """Wait for the span of a request; return it and its children, by name."""

        def found() -> list[Any]:
            return [
                span
                for span in self.spans()
                if attributes(span).get("mimeo.request_id") == request_id
            ]

        wait_until(lambda: bool(found()))
        (span,) = found()
        inner = [each for each in self.spans() if each.parent_span_id == span.span_id]
        return span, {each.name: each for each in inner}

    def instances(self) -> set[str]:
        return {
            attributes(each.resource)["service.instance.id"]
            for request in list(self.received)
            for each in request.resource_spans
        }


def attributes(of: Any) -> dict[str, Any]:
    return {
        each.key: each.value.string_value or each.value.int_value
        for each in of.attributes
    }


@contextmanager
def collecting() -> Iterator[Collector]:
    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            assert self.path == "/v1/traces"
            collector.received.append(ExportTraceServiceRequest.FromString(body))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        collector.url = f"http://127.0.0.1:{server.server_port}"
        Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield collector
        server.shutdown()


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with collecting() as running:
        yield running


@pytest.fixture(scope="module")
def server(
    collector: Collector, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    with serving(Form(PNG, "image/png", (), "binary")) as service:
        settings = {
            "MIMEO_STORE": str(tmp_path_factory.mktemp("store")),
            "AI_SERVICE_URL": service.url,
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
            "OTEL_BSP_SCHEDULE_DELAY": "100",
        }
        with serve(settings=settings) as running:
            yield running


def test_a_request_is_a_span_with_its_phases_within(server, collector) -> None:
    reply = server.ask("/images/card.png?title=Traced", headers=CALLED)

    span, inner = collector.of(reply.headers["X-Request-ID"])
    assert (span.name, span.kind) == ("GET /images/<path:name>.<ending>", 2)
    assert (span.trace_id.hex(), span.parent_span_id.hex()) == (TRACE, PARENT)
    assert attributes(span)["http.response.status_code"] == 200
    assert {"queue", "fonts", "draw", "encode", "store", "send"} == inner.keys()
    for each in inner.values():
        assert each.trace_id == span.trace_id
        assert span.start_time_unix_nano <= each.start_time_unix_nano
        assert each.end_time_unix_nano <= span.end_time_unix_nano
    order = ("queue", "fonts", "draw", "encode", "send")
    ends = [inner[name].end_time_unix_nano for name in order]
    assert ends == sorted(ends)


@pytest.mark.parametrize(
    "sign",
    [
        {"Via": "1.1 somewhere"},
        {"X-Forwarded-For": "203.0.113.7"},
        {"Origin": "https://evil.example"},
        {"Host": "evil.example"},
    ],
    ids=lambda sign: next(iter(sign)),
)
@pytest.mark.parametrize("sampled", ["00", "01"])
def test_a_stranger_says_nothing_of_traces(server, collector, sign, sampled) -> None:
    # Believed, a stranger put requests into anybody's trace, or by 00 out of all.
    called = {
        "traceparent": f"00-{TRACE}-{PARENT}-{sampled}",
        "tracestate": f"vendor={PROMPT}",
    }
    reply = server.ask("/health/live", headers=called | sign)

    span, _ = collector.of(reply.headers["X-Request-ID"])
    assert (span.trace_id.hex() != TRACE, span.parent_span_id) == (True, b"")
    assert PROMPT not in span.trace_state


@pytest.fixture(scope="module")
def proxied() -> Iterator[tuple[Server, Collector]]:
    """A server that was told of one proxy, and its collector."""
    with collecting() as collector:
        settings = {
            "MIMEO_PROXIES": "1",
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
            "OTEL_BSP_SCHEDULE_DELAY": "100",
            "WEB_CONCURRENCY": "1",
        }
        with serve(settings=settings) as running:
            yield running, collector


def test_a_proxy_that_is_told_of_is_believed_as_in_its_other_headers(
    proxied,
) -> None:
    server, collector = proxied
    reply = server.ask(
        "/health/live", headers=CALLED | {"X-Forwarded-For": "203.0.113.7"}
    )

    span, _ = collector.of(reply.headers["X-Request-ID"])
    assert (span.trace_id.hex(), span.parent_span_id.hex()) == (TRACE, PARENT)


def test_the_shipped_nginx_lets_no_trace_of_its_clients_through(
    proxied,
) -> None:
    server, collector = proxied
    with in_front(server) as front:
        reply = front.ask("/health/live", headers=CALLED | {"tracestate": "a=b"})

    span, _ = collector.of(reply.headers["X-Request-ID"])
    assert (span.trace_id.hex() != TRACE, span.parent_span_id) == (True, b"")


def test_a_streamed_body_is_a_part_of_its_request(server, collector) -> None:
    rows = [{"title": f"Streamed {number}"} for number in range(60)]
    body = json.dumps({"renderer": "card", "items": rows}).encode()
    made = server.ask(
        "/collections", "POST", body, {"Content-Type": "application/json"}
    )

    with server.open(f"{made.headers['Location']}.zip") as stream:
        stream.read(1)
        begun_ns = time.time_ns()
        stream.read()

    span, inner = collector.of(stream.headers["X-Request-ID"])
    # OpenTelemetry's instrumentation of Flask ends a span before the body begins.
    assert inner["send"].start_time_unix_nano < begun_ns
    assert inner["send"].end_time_unix_nano > begun_ns
    assert span.end_time_unix_nano == inner["send"].end_time_unix_nano


def test_work_for_a_job_is_linked_to_the_request_that_submitted_it(
    server: Server, collector: Collector
) -> None:
    with receiving(204) as receiver:
        items = [{"title": f"{PROMPT} {number}"} for number in range(30)]
        sent = {"renderer": "card", "items": items, "webhook": receiver.url}
        json_type = {"Content-Type": "application/json"}
        reply = server.ask(
            "/jobs", "POST", json.dumps(sent).encode(), CALLED | json_type
        )
        wait_until(lambda: bool(receiver.got), 60)
        named = ("draw chunk", "tell receiver")

        def of_the_job() -> dict[str, list[Any]]:
            id = json.loads(reply.body)["id"][:12]
            found: dict[str, list[Any]] = {name: [] for name in named}
            for span in collector.spans():
                if attributes(span).get("mimeo.job") == id:
                    found[span.name].append(span)
            return found

        wait_until(lambda: all(of_the_job().values()))

    submitted, _ = collector.of(reply.headers["X-Request-ID"])
    chunks, (told,) = of_the_job().values()
    for chunk in chunks:
        (link,) = chunk.links
        assert (link.trace_id, link.span_id) == (submitted.trace_id, submitted.span_id)
        assert (chunk.parent_span_id, chunk.trace_id.hex() == TRACE) == (b"", False)
    assert sum(int(attributes(chunk)["mimeo.rows"]) for chunk in chunks) == 30
    assert (told.trace_id.hex(), told.parent_span_id) == (TRACE, submitted.span_id)
    assert attributes(told)["mimeo.event"] == "job.succeeded"
    # The receiver's own spans are parts of the trace, too.
    (got,) = receiver.got
    assert got.headers["traceparent"] == f"00-{TRACE}-{told.span_id.hex()}-01"
    assert all(PROMPT not in str(request) for request in collector.received)


def test_no_span_has_a_word_of_a_caller(server, collector) -> None:
    bought = server.ask(f"/images/ai-service.png?prompt={PROMPT}")
    lost = server.ask(f"/collections/{PROMPT}")

    _, inner = collector.of(bought.headers["X-Request-ID"])
    span, _ = collector.of(lost.headers["X-Request-ID"])
    assert "fetch" in inner
    assert (span.name, lost.status) == ("GET /collections/<undotted:key>", 404)
    assert all(PROMPT not in str(request) for request in collector.received)


def test_workers_are_instances_of_one_service(server, collector) -> None:
    def all_seen() -> bool:
        server.ask("/health/live")
        return len(collector.instances()) == 2

    wait_until(all_seen)

    names = {
        attributes(each.resource)["service.name"]
        for request in collector.received
        for each in request.resource_spans
    }
    assert names == {"mimeo"}
    ids = {int(each.rpartition("-")[2]) for each in collector.instances()}
    assert ids == server.workers()


def test_what_is_left_is_sent_when_a_worker_ends() -> None:
    with collecting() as collector:
        settings = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
            # Longer than the test: only the end of the worker sends.
            "OTEL_BSP_SCHEDULE_DELAY": "600000",
            "OTEL_SERVICE_NAME": "pictures",
        }
        with serve(settings=settings) as ending:
            request_id = ending.ask("/health/live").headers["X-Request-ID"]
            os.kill(ending.pid, 15)
            wait_until(lambda: bool(collector.received))

        span, _ = collector.of(request_id)
        resource = collector.received[0].resource_spans[0].resource
    assert span.name == "GET /health/live"
    assert attributes(resource)["service.name"] == "pictures"


def test_a_collector_that_is_gone_hinders_nobody() -> None:
    with collecting() as gone:
        pass
    settings = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": gone.url,
        "OTEL_BSP_SCHEDULE_DELAY": "50",
    }

    with serve(settings=settings) as server:
        statuses = {server.ask(f"/images/solid.png?width={n}").status for n in (1, 2)}

    assert statuses == {200}


@pytest.mark.parametrize("endpoint", ["", "http://127.0.0.1:4318"])
def test_nothing_is_imported_where_no_collector_is_set(endpoint: str) -> None:
    program = (
        "import sys; from app import create_app; from app.config import Settings;"
        f"app = create_app(Settings(store='none', traces={endpoint!r} or None), {{}});"
        "app.extensions['mimeo'].close(); print('opentelemetry.sdk' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True
    )

    assert done.stdout == f"{bool(endpoint)}\n", done.stderr


@pytest.mark.skipif(
    redis_server.PROGRAM is None, reason="redis-server is not installed"
)
def test_chunks_that_a_worker_draws_are_linked_to_the_servers_request(
    tmp_path: Path,
) -> None:
    with (
        collecting() as collector,
        redis_server.serving(tmp_path) as redis,
    ):
        settings = {
            "MIMEO_STORE": str(tmp_path / "store"),
            "REDIS_URL": redis,
            "TMPDIR": str(tmp_path),
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
            "OTEL_BSP_SCHEDULE_DELAY": "100",
        }
        with working(tmp_path, settings) as worker, serve(settings=settings) as server:
            items = [{"title": f"Row {number}"} for number in range(30)]
            body = json.dumps({"renderer": "card", "items": items}).encode()
            json_type = {"Content-Type": "application/json"}
            reply = server.ask("/jobs", "POST", body, CALLED | json_type)
            assert reply.status == 202
            submitted, _ = collector.of(reply.headers["X-Request-ID"])

            def chunks() -> list[Any]:
                return [s for s in collector.spans() if s.name == "draw chunk"]

            wait_until(lambda: len(chunks()) > 0, 120)
            drawn = {
                attributes(resource.resource)["service.instance.id"]
                for request in list(collector.received)
                for resource in request.resource_spans
                for scope in resource.scope_spans
                if any(span.name == "draw chunk" for span in scope.spans)
            }

    assert [int(name.rpartition("-")[2]) for name in drawn] == [worker.process.pid]
    for chunk in chunks():
        (link,) = chunk.links
        assert (link.trace_id, link.span_id) == (submitted.trace_id, submitted.span_id)
