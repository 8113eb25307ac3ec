"""Who bought, who was refused and who deleted is in the log; nobody's words are."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from app.access.keys import digest_of, new_key
from app.access.signed_url import UrlSigner
from tests.gunicorn_server import ROOT, Reply, Server, serve
from tests.observability.test_metrics import read
from tests.test_services import Service, serving
from tests.upstream.pictures import PNG
from tests.upstream.wire_forms import Form

SECRET = "0123456789-abcdefghijklmnopqrstuv"
# What a caller types; no line may have any of it.
FORMS = ("zip", "json", "ndjson")
PROMPT, NAME = "zebra-in-a-prompt", "Ottilie-in-a-row"
PAGE = (ROOT / "docs/reference/audit.md").read_text()


class Audited(NamedTuple):
    """A server, its service, and its keys with their ids."""

    server: Server
    service: Service
    buyer: tuple[str, str]
    poor: tuple[str, str]
    late: tuple[str, str]
    # May buy two images, one for each form; and none.
    frugal: dict[str, tuple[str, str]]
    broke: tuple[str, str]

    def ask(self, path: str, token: str = "", **more: Any) -> Reply:
        # Through a proxy, so that nobody is local.
        headers = {"Via": "1.1 proxy", **more.pop("headers", {})}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        return self.server.ask(path, headers=headers, **more)

    def refusals(self, reason: str) -> float:
        """Return how many are counted for a reason, of the operator's own figures."""
        text = self.server.ask("/metrics").body.decode()
        return read(text, f'mimeo_refusals_total{{reason="{reason}"}}')

    def lines(self) -> list[dict[str, Any]]:
        """Return all audit lines so far."""
        found = []
        for line in self.server.log.read_text().splitlines():
            if line.startswith("{"):
                entry = json.loads(line)
                if entry["logger"] == "mimeo.audit":
                    found.append(entry)
        return found

    def of(self, reply: Reply) -> list[dict[str, Any]]:
        """Return the audit lines of one request."""
        wanted = reply.headers["X-Request-ID"]
        return [line for line in self.lines() if line["request_id"] == wanted]


@pytest.fixture(scope="module")
def audited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Audited]:
    ids = [new_key() for _ in range(3)]
    frugal, broke = {form: new_key() for form in FORMS}, new_key()
    bounded = ((*each, 0.2) for each in frugal.values())
    budgets = "".join(
        f'[keys.{id}]\nsha256 = "{digest_of(token)}"\nbudget = {budget}\n'
        'scopes = ["draw:*", "services"]\n'
        for id, token, budget in (*bounded, (*broke, 0))
    )
    scopes = ('["draw:*", "services"]', '["read"]', '["admin"]')
    keys = "".join(
        f'[keys.{id}]\nname = "{NAME}"\nsha256 = "{digest_of(token)}"\n'
        f"scopes = {scope}\n"
        for (id, token), scope in zip(ids, scopes, strict=True)
    )
    settings = {
        "MIMEO_STORE": str(tmp_path_factory.mktemp("store")),
        "MIMEO_KEYS": f"{keys}expires = 2020-01-01\n{budgets}",
        "MIMEO_URL_KEYS": f"urls:{SECRET}",
        "MIMEO_ALLOWED_HOSTS": "mimeo.example",
    }
    with serving(Form(PNG, "image/png", (), "binary")) as service:
        upstreams = tmp_path_factory.mktemp("services") / "services.toml"
        upstreams.write_text(
            f'[upstreams.paid]\nkind = "auto"\nurl = "{service.url}"\nprice = 0.1\n'
        )
        settings["MIMEO_UPSTREAMS"] = str(upstreams)
        with serve(settings=settings) as server:
            yield Audited(server, service, *ids, frugal, broke)


@pytest.fixture(autouse=True)
def silence(audited: Audited) -> Iterator[None]:
    """After every test: nothing of what was typed, and no secret, is in the log."""
    yield
    log = audited.server.log.read_text()
    tokens = [token for _, token in (audited.buyer, audited.poor, audited.late)]
    # The secret may hold the character that stands before it.
    secrets = [token.split("_", 2)[2] for token in tokens]
    for text in (PROMPT, NAME, SECRET, "signature=", *tokens, *secrets):
        assert text not in log


def test_a_purchase_is_one_line_and_a_hit_is_none(audited: Audited) -> None:
    id, token = audited.buyer
    path = f"/images/paid.png?prompt={PROMPT}"

    bought, again = audited.ask(path, token), audited.ask(path, token)

    assert (bought.status, again.status) == (200, 200)
    (line,) = audited.of(bought)
    assert audited.of(again) == []
    assert (line["message"], line["service"], line["caller"]) == (
        "purchase",
        "paid",
        id,
    )
    assert (line["count"], line["received"], line["outcome"]) == (1, 1, "ok")
    assert (line["price"], line["cost"]) == (0.1, 0.1)
    assert len(line["fingerprint"]) == 64


def test_a_purchase_that_made_nothing_costs_nothing(
    audited: Audited, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audited.service, "answer", lambda: b"no image")

    failed = audited.ask(f"/images/paid.png?prompt={PROMPT}2", audited.buyer[1])

    (line,) = audited.of(failed)
    assert failed.status >= 500
    assert (line["message"], line["received"]) == ("purchase", 0)
    assert line["outcome"] == "BadMedia"


def test_a_collection_is_bought_for_whoever_asked(audited: Audited) -> None:
    rows = [{"prompt": f"{PROMPT} {NAME} {number}"} for number in range(3)]
    body = json.dumps({"renderer": "paid", "items": rows}).encode()
    headers = {"Content-Type": "application/json"}

    made = audited.ask(
        "/collections.zip", audited.buyer[1], method="POST", body=body, headers=headers
    )

    lines = audited.of(made)
    assert made.status == 200
    assert {line["message"] for line in lines} == {"purchase"}
    assert [line["caller"] for line in lines] == [audited.buyer[0]] * 3


def test_every_refusal_is_one_line_that_says_why_and_where(audited: Audited) -> None:
    signer = UrlSigner(lambda: {"urls": SECRET.encode()})
    image = f"/images/solid.png?prompt={NAME}"
    signed = signer.sign("/images/solid.png", int(time.time()) + 60)
    late = signer.sign("/images/solid.png", int(time.time()) - 5)
    poor, wrong = audited.poor[1], f"{audited.poor[1][:-4]}AAAA"
    unknown = new_key()[1]
    buy = f"/images/paid.png?prompt={PROMPT}3"
    cases = [
        (audited.ask("/metrics"), "key-required", "health.show_metrics", "anonymous"),
        (audited.ask(buy), "key-required", "images.show", "anonymous"),
        (audited.ask(buy, poor), "scope-missing", "images.show", audited.poor[0]),
        (audited.ask(image, wrong), "key-invalid", "images.show", audited.poor[0]),
        (audited.ask(image, unknown), "key-invalid", "images.show", "anonymous"),
        (audited.ask("/nowhere", unknown), "key-invalid", None, "anonymous"),
        (
            audited.ask("/metrics", audited.late[1]),
            *("key-expired", "health.show_metrics", audited.late[0]),
        ),
        (audited.ask(f"{signed}x"), "bad-signature", "images.show", "urls"),
        (audited.ask(late), "expired-url", "images.show", "urls"),
        (
            audited.ask("/renderers", headers={"Host": f"{NAME}.example"}),
            *("unlisted-host", "catalogue.index", "anonymous"),
        ),
    ]
    for reply, reason, endpoint, caller in cases:
        (line,) = audited.of(reply)

        assert 400 <= reply.status < 500
        assert line["message"] == "refusal"
        assert (line["reason"], line["endpoint"]) == (reason, endpoint)
        assert (line["caller"], line["address"]) == (caller, "127.0.0.1")


@pytest.mark.parametrize("form", FORMS)
def test_images_refused_in_an_answer_that_goes_on_are_counted_and_one_line(
    audited: Audited, form: str
) -> None:
    # They were in what the archive carries, and nowhere where an operator looks.
    id, token = audited.frugal[form]
    rows = [{"prompt": f"{PROMPT} {form} {number}"} for number in range(5)]
    body = json.dumps({"renderer": "paid", "items": rows}).encode()
    headers = {"Content-Type": "application/json"}
    before = audited.refusals("budget")

    made = audited.ask(
        f"/collections.{form}", token, method="POST", body=body, headers=headers
    )

    bought = [each for each in audited.of(made) if each["message"] == "purchase"]
    refused = [each for each in audited.of(made) if each["message"] == "refusal"]
    assert made.status == 200
    assert len(bought) == 2
    (line,) = refused
    assert (line["reason"], line["caller"]) == ("budget-exhausted", id)
    assert (line["endpoint"], line["address"]) == ("archives.create", "127.0.0.1")
    assert 1 < line["index"] <= 5
    assert audited.refusals("budget") - before == 3


def test_an_answer_that_is_refused_at_its_first_image_is_one_line(
    audited: Audited,
) -> None:
    rows = [{"prompt": f"{PROMPT} first {number}"} for number in range(2)]
    body = json.dumps({"renderer": "paid", "items": rows}).encode()
    headers = {"Content-Type": "application/json"}
    before = audited.refusals("budget")

    token = audited.broke[1]
    made = audited.ask(
        "/collections.zip", token, method="POST", body=body, headers=headers
    )

    (line,) = audited.of(made)
    assert made.status == 429
    assert (line["reason"], line["index"]) == ("budget-exhausted", 1)
    assert audited.refusals("budget") - before == 1


def test_a_deletion_is_one_line(audited: Audited) -> None:
    body = json.dumps({"renderer": "solid", "items": [{"width": 9}]}).encode()
    headers = {"Content-Type": "application/json"}
    made = audited.ask(
        "/collections", audited.buyer[1], method="POST", body=body, headers=headers
    )
    place = made.headers["Location"]

    refused = audited.ask(place, method="DELETE")
    gone = audited.ask(place, audited.buyer[1], method="DELETE")

    assert (refused.status, gone.status) == (401, 204)
    assert [line["message"] for line in audited.of(refused)] == ["refusal"]
    (line,) = audited.of(gone)
    assert (line["message"], line["what"]) == ("deletion", "collection")
    assert (line["id"], line["caller"]) == (Path(place).name, audited.buyer[0])


def test_the_page_has_every_field(audited: Audited) -> None:
    audited.ask("/metrics")
    usual = {"time", "level", "logger", "message"}

    fields = {name for line in audited.lines() for name in line} - usual

    assert fields and {name for name in fields if f"`{name}`" not in PAGE} == set()
