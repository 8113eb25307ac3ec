"""Every URL that one machine hands out is the same at another, over one bucket.

The two share no disk. What the first answers is made by the first; then whatever URLs
are in its answers, and in what those lead to, are asked for at both.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any
from urllib.parse import urljoin, urlsplit

import pytest
from werkzeug.exceptions import HTTPException
from werkzeug.routing import Map

from app import create_app
from app.config import Settings
from tests.gunicorn_server import Reply, Server, serve
from tests.production.counting_service import CountingService, counting
from tests.s3_server import access, serving
from tests.waiting import wait_until

JSON = {"Content-Type": "application/json"}
HTML = {"Accept": "text/html"}
# What has no store behind it, and says the same by itself.
OF_THE_PROGRAM = {
    *("index.index", "studio.page", "studio.file", "reference.document"),
    *("reference.page", "reference.file", "health.live"),
    *("catalogue.index", "catalogue.show", "catalogue.fonts", "catalogue.problems"),
    *("catalogue.problem_type", "openai.models", "openai.model"),
    *("webui.models", "webui.samplers", "webui.options"),
    *("templates.index", "templates.show", "manual.page", "manual.file"),
}
# What each machine says of itself.
OF_THE_MACHINE = {"health.ready", "health.show_metrics", "studio.status"}
# What is a page, too, for whoever asks with a browser.
PAGES = {"collections.show", "jobs.show"}
ENDS = ("zip", "json", "ndjson", "pdf")
ITEMS = [
    *({"seed": f"row {number}", "size": 48} for number in range(3)),
    {"renderer": "ai-service", "params": {"prompt": "in a collection"}},
]
CHAT = "in an album"


class Machines:
    """Two servers, the service behind them, and what is asked at both."""

    def __init__(
        self, first: Server, second: Server, service: CountingService, rules: Map
    ) -> None:
        self.first, self.second, self.service = first, second, service
        self.rules = rules.bind("localhost")
        self.known: dict[str, str] = {}

    def endpoint(self, path: str, method: str = "GET") -> str | None:
        """Return the name of a path's route, if there is one."""
        try:
            name, _ = self.rules.match(urlsplit(path).path, method)
        except HTTPException:
            return None
        return str(name)

    def urls_of(self, path: str, reply: Reply) -> set[str]:
        """Return the paths that an answer names, with their queries."""
        named = [
            reply.headers.get(name) for name in ("Location", "Content-Location", "Link")
        ]
        found = re.findall(r"<([^>]+)>", named.pop() or "")
        found += [each for each in named if each]
        kind = reply.headers.get_content_type()
        if kind in ("application/json", "text/html"):
            text = reply.body.decode()
            found += (
                re.findall(r'(?:href|src)="([^"#]+)"', text)
                if kind == "text/html"
                else list(_strings(json.loads(text)))
            )
        places = (each.replace("&amp;", "&") for each in found)
        return {own for each in places if (own := self._own(path, each))}

    def _own(self, path: str, url: str) -> str | None:
        for server in (self.first, self.second):
            url = url.removeprefix(server.url)
        if "//" in url.partition("?")[0] or not url.startswith(("/", "?", ".")):
            return None
        place = urljoin(path, url)
        return place if self.endpoint(place) else None

    def compare(self, start: set[str]) -> None:
        """Ask for URLs at both, the second first, and for all that those lead to."""
        left = sorted(start)
        while left:
            path = left.pop()
            name = self.endpoint(path)
            if path in self.known or name is None or name in OF_THE_PROGRAM:
                continue
            assert name not in OF_THE_MACHINE, path
            self.known[path] = name
            for headers in ({}, HTML) if name in PAGES else ({},):
                there = self.second.ask(path, headers=headers)
                here = self.first.ask(path, headers=headers)
                assert there.status == here.status, (path, here, there)
                if here.status == 422:
                    # A form that these rows do not suit, such as frames of two sizes.
                    assert _problem(there) == _problem(here)
                    continue
                assert here.status == 200, (path, here)
                assert there.body == here.body, path
                for header in ("ETag", "Content-Type", "Content-Disposition"):
                    assert there.headers[header] == here.headers[header], path
                left += sorted(self.urls_of(path, here))


def _problem(reply: Reply) -> Any:
    return {**json.loads(reply.body), "request_id": None}


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _strings(each)


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    with ExitStack() as stack:
        url = stack.enter_context(serving(tmp_path_factory.mktemp("seaweed")))
        service = stack.enter_context(counting())
        servers = []
        for _ in range(2):
            home = str(tmp_path_factory.mktemp("home"))
            settings = {
                "MIMEO_STORE": "s3://bucket/mimeo",
                "MIMEO_COPIES": f"{home}/copies",
                "XDG_CACHE_HOME": home,
                "TMPDIR": home,
                "WEB_CONCURRENCY": "1",
                "AI_SERVICE_URL": service.url,
                **access(url),
            }
            servers.append(stack.enter_context(serve(settings=settings)))
        app = create_app(Settings(store="memory:", workers=1, access_log=False), {})
        app.extensions["mimeo"].close()
        yield Machines(servers[0], servers[1], service, app.url_map)


def made(reply: Reply) -> Reply:
    assert reply.status in (200, 201, 202), reply
    return reply


def post(server: Server, path: str, body: Any, **headers: str) -> Reply:
    data = json.dumps(body).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return made(server.ask(path, "POST", data, {**JSON, **named}))


def ended(server: Server, place: str) -> None:
    ends = ("succeeded", "failed", "cancelled", "completed")

    def look() -> bool:
        document = json.loads(server.ask(place).body)
        return document.get("state", document.get("status")) in ends

    wait_until(look, 120)


def images_of(server: Server) -> set[str]:
    """Return URLs of single images, whose parameters are all there is of them."""
    paths = {
        "/images/card.png?title=One",
        "/images/card?title=One",
        "/images/ai-service.png?prompt=one+cat",
        "/images/ai-service.webp?prompt=one+cat",
    }
    for path in sorted(paths):
        made(server.ask(path))
    return paths


def generated(machines: Machines) -> set[str]:
    """Buy images whose answers have signed URLs; the second repeats with the key."""
    body = {"prompt": CHAT, "n": 2, "model": "ai-service", "response_format": "url"}
    key = {"Idempotency_Key": "an album"}
    answers = [
        post(server, "/v1/images/generations", body, **key)
        for server in (machines.first, machines.second)
    ]
    found = [machines.urls_of("/v1/images/generations", each) for each in answers]
    here, there = ({place.partition("?")[0] for place in each} for each in found)
    assert here == there and len(here) == 2
    return found[0] | found[1]


def collected(server: Server) -> set[str]:
    place = post(server, "/collections", {"renderer": "identicon", "items": ITEMS})
    path = place.headers["Location"]
    ways = {f"{path}.{form}" for form in ENDS}
    images = {f"{path}/{number}.png" for number in range(1, len(ITEMS) + 1)}
    sheets = {f"{path}/sheet.png", f"{path}/sheet.png?columns=2", f"{path}/sheet.gif"}
    return {path, *ways, *images, *sheets}


def drawn_as_jobs(machines: Machines) -> set[str]:
    """Submit jobs at the first, all that `Prefer` makes ones as well."""
    first = machines.first
    found: set[str] = set()
    body = {"renderer": "identicon", "items": ITEMS}
    later = {"Prefer": "respond-async"}
    replies = [post(first, "/jobs", body)]
    replies += [post(first, f"/collections.{form}", body, **later) for form in ENDS]
    one = {"renderer": "card", "params": {"title": "Later"}, "format": "png"}
    replies.append(post(first, "/images", one, **later))
    for reply in replies:
        place = reply.headers["Location"]
        ended(first, place)
        document = json.loads(first.ask(place).body)
        # Those of methods that change something have a test of their own.
        links = set(document["links"].values())
        found |= {each for each in links if machines.endpoint(each)}
        found |= {place, f"{place}/events"}
    return found


def batched(machines: Machines) -> set[str]:
    """Upload at the first, and make the batch at the second."""
    lines = b"".join(
        json.dumps(
            {
                "custom_id": f"line {number}",
                "method": "POST",
                "url": "/v1/images/generations",
                "body": {"prompt": f"batch {number}", "model": "ai-service"},
            }
        ).encode()
        + b"\n"
        for number in range(3)
    )
    bound = "limit"
    body = (
        b'--limit\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nbatch\r\n'
        b'--limit\r\nContent-Disposition: form-data; name="file"; filename="a.jsonl"'
        b"\r\nContent-Type: application/jsonl\r\n\r\n" + lines + b"\r\n--limit--\r\n"
    )
    kind = {"Content-Type": f"multipart/form-data; boundary={bound}"}
    file = json.loads(made(machines.first.ask("/v1/files", "POST", body, kind)).body)
    content = machines.second.ask(f"/v1/files/{file['id']}/content")
    assert content.body.rstrip() == lines.rstrip()
    wish = {
        "input_file_id": file["id"],
        "endpoint": "/v1/images/generations",
        "completion_window": "24h",
    }
    batch = json.loads(post(machines.second, "/v1/batches", wish).body)
    place = f"/v1/batches/{batch['id']}"
    ended(machines.first, place)
    done = json.loads(machines.first.ask(place).body)
    ids = [file["id"], done["output_file_id"]]
    files = {f"/v1/files/{id}{part}" for id in ids for part in ("", "/content")}
    return {place, "/v1/batches", "/v1/files", *files}


def test_every_url_of_one_machine_is_the_others_too(machines: Machines) -> None:
    of_collection = collected(machines.first)
    start = images_of(machines.first) | generated(machines) | of_collection
    start |= drawn_as_jobs(machines) | batched(machines) | {"/jobs"}

    machines.compare(start)

    # The route map says that none is missing.
    routes = {
        rule.endpoint
        for rule in machines.rules.map.iter_rules()
        if rule.methods and "GET" in rule.methods
    }
    assert routes - OF_THE_PROGRAM - OF_THE_MACHINE == set(machines.known.values())
    # Nothing is bought twice, whichever machine was asked, how often, in what form.
    assert Counter(machines.service.sold) == {
        "one cat": 1,
        CHAT: 2,
        "in a collection": 1,
        **{f"batch {number}": 1 for number in range(3)},
    }


@pytest.mark.parametrize("form", ["zip", "pdf"])
def test_what_one_machine_begins_to_send_another_sends_on(
    machines: Machines, form: str
) -> None:
    items = [{"seed": f"{form} {number}", "size": 64} for number in range(40)]
    body = {"renderer": "identicon", "items": items}
    place = post(machines.first, "/collections", body).headers["Location"]
    whole = machines.first.ask(f"{place}.{form}")
    half = len(whole.body) // 2

    tag = whole.headers["ETag"]
    rest = machines.second.ask(
        f"{place}.{form}", headers={"Range": f"bytes={half}-", "If-Range": tag}
    )

    assert (rest.status, rest.body) == (206, whole.body[half:])


def test_what_changes_a_job_may_be_asked_of_any_machine(machines: Machines) -> None:
    items = [{"name": f"Guest {n}", "event": "Changed"} for n in range(3000)]
    body = {"renderer": "badge", "items": items}
    document = json.loads(post(machines.first, "/jobs", body).body)
    links = document["links"]

    asked = machines.second.ask(links["cancel"], "POST")
    ended(machines.first, links["self"])
    states = {
        json.loads(server.ask(links["self"]).body)["state"]
        for server in (machines.first, machines.second)
    }
    retried = machines.first.ask(f"{links['self']}/retry", "POST")
    again = machines.second.ask(f"{links['self']}/retry", "POST")
    other = retried.headers["Location"]
    machines.second.ask(other, "DELETE")
    ended(machines.first, other)
    purged = machines.second.ask(f"{links['self']}/purge", "POST")
    gone = {
        server.ask(links["self"]).status for server in (machines.first, machines.second)
    }

    assert asked.status == 202
    assert states == {"cancelled"}
    assert (retried.status, again.headers["Location"]) == (202, other)
    assert purged.status == 204
    assert gone == {410}


def test_an_idempotency_key_is_one_at_all_machines(machines: Machines) -> None:
    wishes = ["/v1/images/generations", "/inference"]
    bodies = [
        {"prompt": "with a key", "model": "ai-service", "response_format": "b64_json"},
        {"renderer": "ai-service", "prompt": "with another key"},
    ]
    before = Counter(machines.service.sold)

    for path, body, name in zip(wishes, bodies, ("a", "b"), strict=True):
        key = {"Idempotency_Key": f"wish {name}"}
        answers = [
            post(server, path, body, **key)
            for server in (machines.first, machines.second, machines.first)
        ]
        images = {_image_of(answer) for answer in answers}
        assert len(images) == 1, path
        refused = machines.second.ask(
            path,
            "POST",
            json.dumps(body).replace("key", "word").encode(),
            {**JSON, "Idempotency-Key": f"wish {name}"},
        )
        assert refused.status == 422, refused

    assert Counter(machines.service.sold) - before == {
        "with a key": 1,
        "with another key": 1,
    }


def _image_of(reply: Reply) -> Any:
    document = json.loads(reply.body)
    items = document.get("data", [document])
    return items[0].get("b64_json") or items[0]["image_base64"]
