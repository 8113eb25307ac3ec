"""Dashboard, alerts and how-to name what a running server exports, and nothing else."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from app.access.keys import digest_of, new_key
from app.config import settings
from tests.gunicorn_server import ROOT, Server, serve
from tests.test_services import serving
from tests.upstream.pictures import PNG
from tests.upstream.wire_forms import Form

DASHBOARD = json.loads((ROOT / "deploy/grafana-dashboard.json").read_text())
ALERTS = yaml.safe_load((ROOT / "deploy/prometheus-alerts.yaml").read_text())
RULES: list[dict[str, Any]] = [
    rule for group in ALERTS["groups"] for rule in group["rules"]
]
HOW_TO = (ROOT / "docs/how-to/monitoring.md").read_text()
REFERENCE = (ROOT / "docs/reference/metrics.md").read_text()
TABLE = {
    name: (kind, re.findall(r"`(\w+)`", labels))
    for name, kind, labels in re.findall(
        r"^\| `(\w+)` \| (\w+) \|(.*?)\|", REFERENCE, re.MULTILINE
    )
}
# What a scrape adds, and what PromQL calls by these names.
TARGET = {"job", "instance"}


def panels() -> list[dict[str, Any]]:
    return [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]


def expressions() -> list[str]:
    found = [target["expr"] for panel in panels() for target in panel["targets"]]
    variables = [v["definition"] for v in DASHBOARD["templating"]["list"][1:]]
    return [*found, *variables, *(rule["expr"] for rule in RULES)]


@pytest.fixture(scope="module")
def token() -> tuple[str, str]:
    return new_key()


@pytest.fixture(scope="module")
def server(
    token: tuple[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """A server that has drawn, bought and refused, and had a service fail."""
    id, secret = token
    with serving(Form(PNG, "image/png", (), "binary")) as service:
        given = {
            "MIMEO_STORE": str(tmp_path_factory.mktemp("store")),
            "AI_SERVICE_URL": service.url,
            "MIMEO_OPEN_SERVICES": "ai-service",
            "MIMEO_LOCAL_CALLERS": "off",
            "MIMEO_KEYS": f'[keys.{id}]\nsha256 = "{digest_of(secret)}"\n'
            'scopes = ["admin"]\n',
        }
        with serve(settings=given) as running:
            running.ask("/images/card.png")
            running.ask("/images/ai-service.png?prompt=fox")
            yield running


@pytest.fixture(scope="module")
def exported(server: Server, token: tuple[str, str]) -> dict[str, set[str]]:
    """The labels of every sample that the server exports, by its name."""
    text = server.ask("/metrics", headers={"X-API-Key": token[1]}).body.decode()
    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


def known(exported: dict[str, set[str]]) -> dict[str, set[str]]:
    """Add what is exported only where a service sent something odd, or workers are."""
    odd = {f"mimeo_upstream_{name}_total" for name in ("repairs", "missing")}
    odd.add("mimeo_jobs_worker_seen_seconds")
    return exported | {name: set(TABLE[name][1]) for name in odd}


def test_every_name_and_label_in_use_is_exported(exported) -> None:
    names = known(exported)
    for expression in expressions():
        used = set(re.findall(r"\bmimeo_\w+", expression))
        labels = {
            label
            for inside in re.findall(r"\{(.*?)\}", expression)
            for label in re.findall(r"(\w+)\s*(?:=|!=|=~|!~)\s*\"", inside)
        }
        groups = {
            label
            for inside in re.findall(r"\b(?:by|on) \((.*?)\)", expression)
            for label in inside.split(", ")
        }

        assert used <= names.keys(), expression
        has = set().union(*(names[name] for name in used), TARGET)
        assert labels | groups <= has, expression


def test_every_name_of_the_reference_is_in_the_dashboard_or_an_alert() -> None:
    text = "\n".join(expressions())
    bare = {"mimeo_upstream_image_bytes_total", "mimeo_store_evictions_total"}

    assert {name for name in TABLE if name not in text} <= bare


def test_what_is_exported_is_in_the_reference_with_its_labels(exported) -> None:
    suffix = re.compile(r"_(bucket|sum|count)$")
    for name, labels in exported.items():
        family = name if name in TABLE else suffix.sub("", name)

        assert family in TABLE, name
        assert labels - {"le"} == set(TABLE[family][1]), name


def test_the_dashboard_is_one_that_grafana_imports() -> None:
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    cells = [
        (panel["gridPos"]["x"] + x, panel["gridPos"]["y"] + y)
        for panel in DASHBOARD["panels"]
        for x in range(panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["h"])
    ]
    names = [each["name"] for each in DASHBOARD["templating"]["list"]]

    assert len(set(ids)) == len(ids)
    # No panel lies over another, nor beyond the 24 columns.
    assert len(set(cells)) == len(cells) and max(x for x, _ in cells) < 24
    assert names == ["datasource", "job", "instance"]
    assert all(p["datasource"]["uid"] == "${datasource}" for p in panels())
    for panel in panels():
        for target in panel["targets"]:
            assert target["datasource"]["uid"] == "${datasource}"
            assert '{job=~"$job", instance=~"$instance"' in target["expr"]


def test_rules_have_what_prometheus_and_people_need() -> None:
    names = [rule["alert"] for rule in RULES]

    assert len(set(names)) == len(names)
    for rule in RULES:
        assert rule.keys() <= {"alert", "expr", "for", "labels", "annotations"}
        assert rule["labels"]["severity"] in ("critical", "warning", "info")
        assert rule["annotations"]["summary"].endswith(".")
        assert re.fullmatch(r"\d+[mh]", rule.get("for", "0m"))
        for opening, closing in ("()", "{}", "[]"):
            assert rule["expr"].count(opening) == rule["expr"].count(closing)
        # A label that the summary names must survive the aggregation.
        told = set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"]))
        for inside in re.findall(r"\bsum by \((.*?)\)", rule["expr"]):
            assert told <= set(inside.split(", "))


def test_the_how_to_says_what_to_do_about_each_alert() -> None:
    table = HOW_TO.split("| alert | do |")[1].split("\n## ")[0]
    settings_named = set(re.findall(r"\bMIMEO_[A-Z_]+|WEB_CONCURRENCY", HOW_TO))

    assert set(re.findall(r"`(Mimeo\w+)`", table)) == {rule["alert"] for rule in RULES}
    assert settings_named <= {variable for variable, _, _ in settings.variables()}


def test_the_scrape_of_the_how_to_is_let_in(server, token) -> None:
    [text] = re.findall(r"```yaml\n(.*?)```", HOW_TO, re.DOTALL)
    [scrape] = yaml.safe_load(text)["scrape_configs"]
    kind = scrape["authorization"]["type"]

    reply = server.ask(
        scrape["metrics_path"], headers={"Authorization": f"{kind} {token[1]}"}
    )

    assert reply.status == 200
    assert scrape["job_name"] == "mimeo"
    assert server.ask(scrape["metrics_path"]).status == 401
