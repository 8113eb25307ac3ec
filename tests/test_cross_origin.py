"""Pages of other origins may send to and read of every route, by one policy."""

import pytest

ROUTES = [
    ("/", "GET, HEAD, OPTIONS"),
    ("/studio", "GET, HEAD, OPTIONS"),
    ("/studio/main.js", "GET, HEAD, OPTIONS"),
    ("/images/card.png", "GET, HEAD, OPTIONS, POST"),
    ("/images/card", "GET, HEAD, OPTIONS, POST"),
    ("/images", "OPTIONS, POST"),
    ("/inference", "OPTIONS, POST"),
    ("/v1/images/generations", "OPTIONS, POST"),
    ("/v1/images/edits", "OPTIONS, POST"),
    ("/v1/images/variations", "OPTIONS, POST"),
    ("/v1/models", "GET, HEAD, OPTIONS"),
    ("/v1/models/dream", "GET, HEAD, OPTIONS"),
    ("/sdapi/v1/txt2img", "OPTIONS, POST"),
    ("/sdapi/v1/sd-models", "GET, HEAD, OPTIONS"),
    ("/sdapi/v1/samplers", "GET, HEAD, OPTIONS"),
    ("/sdapi/v1/options", "GET, HEAD, OPTIONS"),
    ("/collections", "OPTIONS, POST"),
    ("/collections.zip", "OPTIONS, POST"),
    ("/collections/abc", "DELETE, GET, HEAD, OPTIONS"),
    ("/collections/abc.zip", "GET, HEAD, OPTIONS"),
    ("/collections/abc/1.png", "GET, HEAD, OPTIONS"),
    ("/collections/abc/sheet.png", "GET, HEAD, OPTIONS"),
    ("/jobs", "GET, HEAD, OPTIONS, POST"),
    (f"/jobs/{'0' * 64}", "DELETE, GET, HEAD, OPTIONS"),
    (f"/jobs/{'0' * 64}/cancel", "OPTIONS, POST"),
    (f"/jobs/{'0' * 64}/retry", "OPTIONS, POST"),
    (f"/jobs/{'0' * 64}/purge", "OPTIONS, POST"),
    (f"/jobs/{'0' * 64}/archive.zip", "GET, HEAD, OPTIONS"),
    (f"/jobs/{'0' * 64}/answer", "GET, HEAD, OPTIONS"),
    (f"/jobs/{'0' * 64}/manifest.json", "GET, HEAD, OPTIONS"),
    (f"/jobs/{'0' * 64}/errors", "GET, HEAD, OPTIONS"),
    (f"/jobs/{'0' * 64}/deliveries", "GET, HEAD, OPTIONS"),
    (f"/jobs/{'0' * 64}/events", "GET, HEAD, OPTIONS"),
    ("/v1/files", "GET, HEAD, OPTIONS, POST"),
    ("/v1/files/abc", "DELETE, GET, HEAD, OPTIONS"),
    ("/v1/files/abc/content", "GET, HEAD, OPTIONS"),
    ("/v1/batches", "GET, HEAD, OPTIONS, POST"),
    ("/v1/batches/abc", "GET, HEAD, OPTIONS"),
    ("/v1/batches/abc/cancel", "OPTIONS, POST"),
    ("/templates", "GET, HEAD, OPTIONS"),
    ("/templates/card", "DELETE, GET, HEAD, OPTIONS, PUT"),
    ("/templates/export", "DELETE, GET, HEAD, OPTIONS, POST, PUT"),
    ("/templates/preview", "DELETE, GET, HEAD, OPTIONS, POST, PUT"),
    ("/renderers", "GET, HEAD, OPTIONS"),
    ("/renderers/card", "GET, HEAD, OPTIONS"),
    ("/fonts", "GET, HEAD, OPTIONS"),
    ("/problems", "GET, HEAD, OPTIONS"),
    ("/problems/busy", "GET, HEAD, OPTIONS"),
    ("/openapi.json", "GET, HEAD, OPTIONS"),
    ("/docs/api", "GET, HEAD, OPTIONS"),
    ("/docs/api/start.js", "GET, HEAD, OPTIONS"),
    ("/docs", "GET, HEAD, OPTIONS"),
    ("/docs/", "GET, HEAD, OPTIONS"),
    ("/docs/no-such-page", "GET, HEAD, OPTIONS"),
    ("/media/abc.png", "GET, HEAD, OPTIONS"),
    ("/health/live", "GET, HEAD, OPTIONS"),
    ("/health/ready", "GET, HEAD, OPTIONS"),
]
UNSHARED = "/metrics"
METHODS = ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT")
SENT = (
    *("authorization", "content-type", "idempotency-key", "if-match", "if-none-match"),
    *("if-range", "range", "prefer", "x-api-key"),
)


def test_every_route_is_in_the_table(app):
    adapter = app.url_map.bind("localhost")
    paths = [*ROUTES, (UNSHARED, "GET, HEAD, OPTIONS")]

    found = {
        adapter.match(path, method, return_rule=True)[0].rule
        for path, methods in paths
        for method in methods.split(", ")
    }

    assert found == {rule.rule for rule in app.url_map.iter_rules()}


@pytest.mark.parametrize(("path", "methods"), ROUTES, ids=[path for path, _ in ROUTES])
def test_allow_lists_what_a_route_answers(client, path, methods):
    answered = [m for m in METHODS if client.open(path, method=m).status_code != 405]

    assert ", ".join(answered) == methods


@pytest.mark.parametrize(("path", "methods"), ROUTES, ids=[path for path, _ in ROUTES])
def test_a_preflight_is_answered_on_every_route(client, path, methods):
    headers = {
        "Origin": "https://page.example",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type, x-stainless-lang",
    }

    answer = client.options(path, headers=headers)

    allowed = answer.headers["Access-Control-Allow-Headers"].lower().split(", ")
    assert (answer.status_code, answer.data) == (204, b"")
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert set(SENT) <= set(allowed) and "x-stainless-lang" in allowed
    assert "Content-Type" not in answer.headers
    assert answer.headers["Allow"] == methods
    assert answer.headers["Access-Control-Allow-Methods"] == methods


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/", 200),
        ("/images/solid.png", 200),
        ("/images/nothing.png", 404),
        ("/images/solid.png?color=no", 422),
        ("/v1/models", 200),
        ("/v1/nothing", 404),
        ("/inference", 405),
        ("/collections/abc", 404),
        ("/renderers", 200),
        ("/problems", 200),
        ("/health/live", 200),
        ("/nowhere", 404),
    ],
)
def test_every_answer_can_be_read_and_none_is_sniffed(client, path, status):
    answer = client.get(path)

    assert answer.status_code == status
    assert answer.headers.getlist("Access-Control-Allow-Origin") == ["*"]
    assert answer.headers.getlist("X-Content-Type-Options") == ["nosniff"]
    # It stands for every header, for as long as no credentials are allowed.
    assert answer.headers.getlist("Access-Control-Expose-Headers") == ["*"]
    assert "Access-Control-Allow-Credentials" not in answer.headers


@pytest.mark.parametrize("path", ["/nowhere", "/v1/images/nothing"])
def test_a_page_can_learn_that_a_path_is_not_there(client, path):
    headers = {
        "Origin": "https://page.example",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type",
    }

    preflight = client.options(path, headers=headers)
    asked, bare = client.post(path, json={}), client.options(path)

    # Fetch: a preflight that is no success hides the answer that follows.
    assert preflight.status_code == 204
    assert "POST" in preflight.headers["Access-Control-Allow-Methods"].split(", ")
    assert "Allow" not in preflight.headers
    assert (asked.status_code, bare.status_code) == (404, 404)


def test_what_a_preflight_asks_for_is_not_echoed_at_will(client):
    asked = "x-evil, x-stainless-a:b, x-stainless-os, openai-organization"

    answer = client.options(
        "/inference", headers={"Access-Control-Request-Headers": asked}
    )

    allowed = answer.headers["Access-Control-Allow-Headers"]
    assert allowed.endswith("x-stainless-os, openai-organization")
    assert "evil" not in allowed and ":" not in allowed


@pytest.mark.parametrize(
    "name",
    [
        *("traceparent", "tracestate", "baggage", "sentry-trace", "b3", "x-b3-traceid"),
        *("x-datadog-trace-id", "newrelic", "x-amzn-trace-id", "request-id"),
        *("http-referer", "x-title", "if-modified-since", "last-event-id"),
    ],
)
def test_a_page_may_send_what_tracing_and_clients_add_to_it(client, name):
    answer = client.options(
        "/v1/images/generations", headers={"Access-Control-Request-Headers": name}
    )

    assert answer.headers["Access-Control-Allow-Headers"].endswith(f", {name}")


def test_the_figures_of_the_server_are_not_for_other_pages(client):
    answer = client.get(UNSHARED)

    assert "Access-Control-Allow-Origin" not in answer.headers
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("path", ["/", "/renderers", "/renderers/card", "/problems"])
def test_a_page_that_has_to_be_asked_for_again_has_a_validator(client, path):
    tag = client.get(path).headers["ETag"]

    again = client.get(path, headers={"If-None-Match": tag})

    assert (again.status_code, again.data) == (304, b"")
    assert again.headers["Cache-Control"] == "no-cache"


def test_the_description_of_a_collection_has_a_validator(client):
    body = {"renderer": "solid", "items": [{"color": "red"}]}
    place = client.post("/collections", json=body).headers["Location"]
    tag = client.get(place).headers["ETag"]

    again = client.get(place, headers={"If-None-Match": tag})

    assert (again.status_code, again.data) == (304, b"")
    assert again.headers["Cache-Control"] == "private, no-cache"
