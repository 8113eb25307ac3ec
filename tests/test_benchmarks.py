"""The benchmarks start, and what they report is sane; their targets are not judged."""

import http.server
import json
import re
import threading
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from xml.etree import ElementTree

import pytest

from app.config import Settings
from app.renderer.catalogue import Catalogue
from benchmarks import (
    against,
    budget,
    chart,
    guard,
    inprocess,
    lines,
    load,
    machine,
    memory,
    nginx,
    pdf,
    pictures,
    render,
    segments,
    table,
    titles,
    tree,
    walks,
)
from benchmarks import http as over_http
from benchmarks.load import Load, Target
from benchmarks.products import Product
from benchmarks.servers import ROOT
from benchmarks.soak import __main__ as soak
from benchmarks.soak import report
from benchmarks.soak.clients import Record
from benchmarks.soak.faults import FAULTS, Window

MODULES = (
    *(
        "against",
        "archives",
        "budget",
        "card",
        "chart",
        "cluster",
        "fidelity",
        "guard",
        "http",
        "pictures",
        "products",
        "titles",
    ),
    *("inprocess", "lines", "load", "machine", "memory"),
    *("nginx", "pdf", "render", "segments", "soak", "tree", "walks"),
)


class Hello(http.server.BaseHTTPRequestHandler):
    """Answers every path with itself."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer 200."""
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.path)))
        self.end_headers()
        self.wfile.write(self.path.encode())

    def log_message(self, *_: object) -> None:
        """Write nothing."""


@pytest.fixture
def base() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hello) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("name", MODULES)
def test_every_benchmark_has_a_description(name: str) -> None:
    assert import_module(f"benchmarks.{name}").__doc__


def test_every_request_has_a_number_of_its_own() -> None:
    target = Target("http://127.0.0.1", "/{n}?color={color}", {})

    paths = {target.fill(number) for number in range(1000)}

    assert len(paths) == 1000
    assert target.fill(1) == "/1?color=001eef"


def test_the_load_in_python_counts_answers_and_times(base: str) -> None:
    target = Target(base, "/{n}", {})

    result = load._python(target, 0.3, 2, 0)

    assert result.requests > 2
    assert result.failures == 0
    assert result.p50_ms is not None and result.p99_ms is not None
    assert 0 < result.p50_ms <= result.p99_ms < 1000


def test_the_machine_is_described() -> None:
    facts = machine.describe()

    assert "cores" in facts["Processor"]
    assert all(facts.values())


def test_a_table_is_markdown_on_request() -> None:
    shown = table.show("T", ("", "ms"), [("a", "1.0")], markdown=True)

    assert shown.splitlines() == [
        "### T",
        "",
        "|   |  ms |",
        "| - | --: |",
        "| a | 1.0 |",
    ]


def test_a_ratio_is_the_median_of_rounds_and_judged_by_its_target() -> None:
    ours = [Load(30, 1), Load(100, 1), Load(50, 1)]
    theirs = [Load(10, 1), Load(10, 1), Load(10, 1)]
    contender = over_http.Contender("other", lambda turn: theirs[turn], 8)

    result = over_http.beside(contender, theirs, ours)

    assert result.cells()[5:] == ["5.00 x", ">= 8 x", "MISSED"]
    assert not result.met
    assert result.report()["ratios"] == [3, 10, 5]


def test_a_contender_that_is_not_installed_is_named_with_the_way_to_get_it() -> None:
    product = Product("Other", (("python", "no-such-package"), ("python", "flask")))

    reason = product.missing()
    result = over_http.Result("Other", missing=reason)

    assert reason is not None
    assert "no-such-package (pip install -r benchmarks/requirements.txt)" in reason
    assert "flask" not in reason
    assert result.cells()[-1] == reason
    assert result.report() == {"name": "Other", "missing": reason}


def test_every_case_of_a_file_of_results_is_kept_but_the_one_measured(
    tmp_path: Path,
) -> None:
    run = over_http.Run(seconds=1, rounds=1, connections=2, workers=1, samples=None)
    file = tmp_path / "results.json"

    over_http._save(file, "304", "Old", run, [over_http.Result("Mimeo", [Load(9, 1)])])
    over_http._save(file, "card", "C", run, [over_http.Result("Mimeo", [Load(3, 1)])])
    over_http._save(file, "304", "New", run, [over_http.Result("Mimeo", [Load(5, 1)])])

    cases = json.loads(file.read_text())["cases"]
    assert list(cases) == ["card", "304"]
    assert cases["304"]["title"] == "New"
    assert cases["304"]["results"][0]["rate"] == 5
    assert cases["card"]["versions"]["pillow"]


def test_the_archive_over_segments_is_sent_and_read(capsys) -> None:
    # Others who use the machine may stretch one time and not the other.
    statuses = (segments.main(["--rows", "1200"]) for _ in range(3))

    assert 0 in statuses
    shown = capsys.readouterr().out
    assert "1,201 by unzip, 1,201 by bsdtar" in shown


def test_titles_are_unique_of_every_length_and_script_and_the_same_again() -> None:
    block = titles.block(3)
    titles.block.cache_clear()

    assert titles.block(3) == block
    assert len(set(block)) == titles.COUNT >= 2000
    assert {len(text) for text in block} == set(range(3, 81))
    for low, high in (("a", "z"), ("\u4e00", "\u9fff"), ("\u0600", "\u06ff")):
        share = sum(any(low <= c <= high for c in text) for text in block) / len(block)
        assert 0.15 < share < 0.5
    assert titles.title(3 * titles.BLOCK + 7) == block[7]


def test_a_longer_title_is_smaller_and_none_is_larger_than_its_box_allows() -> None:
    box = titles.Box(644, 258, 76)

    assert titles.font_size("Short", box) == 76
    assert titles.font_size("数" * 80, box) < titles.font_size("数" * 40, box) < 76


@pytest.mark.parametrize("name", ["card", "poster", "badge", "certificate"])
def test_a_picture_is_exported_with_the_text_that_changes(
    name: str, tmp_path: Path
) -> None:
    pictures.export(tmp_path, name)

    page = json.loads((tmp_path / "page.json").read_text())
    assert f">{page['mark']}<" in page["html"]
    for file in page["images"]:
        assert (tmp_path / file).stat().st_size > 100
    faces = json.loads((tmp_path / "fonts.json").read_text())
    assert len({(face["name"], face["weight"], face["style"]) for face in faces}) == 13
    for face in faces:
        assert (tmp_path / face["file"]).stat().st_size > 10_000


def test_a_failed_request_spoils_the_comparison() -> None:
    contender = over_http.Contender("other", lambda turn: Load(9, 1))

    with pytest.raises(RuntimeError, match="2 of 9 requests failed"):
        over_http._clean(contender, Load(9, 1, failures=2))


def test_the_pdf_benchmark_has_pages_of_both_kinds() -> None:
    catalogue = Catalogue(Settings(store="none", system_fonts=False))
    badge = catalogue.get("badge")

    rows = [*pdf.single(badge, 1, 2), pdf.over_http(badge, 1, 2)]

    assert [row.name.partition(",")[0] for row in rows] == ["badge"] * 3
    for row in rows:
        assert 0 < row.time < 50
        assert row.size < 1


def test_the_render_benchmark_times_both_steps_and_counts_faults() -> None:
    pairs = render.compare(1, 2, quick=True)

    assert [(row.renderer, row.format) for row, _ in pairs] == [
        ("solid", "png"),
        ("card", "png"),
        ("card", "svg"),
    ]
    for row in (row for pair in pairs for row in pair):
        assert 0 < row.total_ms < 5000
        assert row.faults >= 0
        assert row.size > 50


def test_cards_are_made_in_processes_that_start_together() -> None:
    result = inprocess.measure(0.3, processes=2, threads=1)

    assert result.requests >= 2
    assert result.rate > 1


def test_a_304_is_compared_with_bare_flask_through_gunicorn() -> None:
    run = over_http.Run(seconds=1, rounds=1, connections=2, workers=1, samples=None)

    results = over_http.compare(over_http.not_modified_case, run)

    assert [result.name for result in results] == ["Mimeo", "bare Flask"]
    assert all((result.middle("rate") or 0) > 10 for result in results)


def test_a_short_soak_samples_the_worker_and_its_slope() -> None:
    result = memory.soak(len(memory.PLAN) * 2)

    assert result.samples[0].renders == 0
    assert result.samples[-1].renders == len(memory.PLAN) * 2
    assert all(sample.rss_mib > 20 and sample.threads > 0 for sample in result.samples)
    assert isinstance(result.slope_mib, float)


@pytest.fixture(scope="module")
def found() -> dict[str, walks.Walk]:
    return walks.measure(ROOT)


def test_every_trip_is_walked_and_its_modules_and_classes_are_named(found) -> None:
    assert list(found) == [
        "card, drawn",
        "card, stored",
        "card, 304",
        "ZIP of 3 rows",
        "/v1 over dream",
        "/inference over a service",
        "/v1 over a service",
    ]
    for walk in found.values():
        assert walk.calls >= walk.functions >= len(walk.modules) > 1
        assert walk.calls > walk.moves >= len(walk.modules) - 1
        assert all(name.startswith("app.") for name in walk.classes)
    drawn, stored = found["card, drawn"], found["card, stored"]
    # What a reader has to open to follow a card; more is a reason to look again. Five
    # came with languages, initials, emoji and names that others append to URLs, four
    # with access: gate, signature, policy and rates; two with turns by cost: what a
    # drawing costs, and whose it is; one with the phases that are told of,
    # one with the time that a template has, and one that leaves out what Flask does.
    assert len(drawn.modules) <= 40, drawn.modules
    assert len(stored.modules) < len(drawn.modules)
    # One that is made by a dataclass's own `__init__`, and one by pydantic's core.
    shown = {name.rpartition(".")[2] for name in drawn.classes}
    assert {"ImageRequest", "Output"} <= shown


def test_the_walk_of_a_card_is_told_where_the_house_is_shown(found) -> None:
    page = (ROOT / "docs/explanation/architecture.md").read_text()
    walk = page.partition("## A walk")[2].partition("\n## ")[0]

    told = re.findall(r"`([a-z_]+(?:/[a-z_]+)*)`", walk)

    named = [f"app.{name.replace('/', '.')}" for name in told]
    assert sorted(named) == sorted(found["card, drawn"].modules)


def test_what_was_there_before_a_trip_is_not_constructed_in_it() -> None:
    ours = type("Ours", (), {"__module__": "app.made"})
    there = ours()
    recorder = walks.Recorder("/nowhere/")

    kept = recorder.walk("kept", lambda: repr(there))
    made = recorder.walk("made", lambda: setattr(there, "other", ours()))

    assert kept.classes == []
    assert made.classes == ["app.made.Ours"]


MODULE = '''"""A module,

described in three lines."""

# Why it is so.
LONG = """one
two"""  # and why that


class Thing:
    """A thing."""

    def do(self) -> None:
        """Do it."""
        self.do()  # type: ignore
        return None
'''


def test_code_docstrings_and_comments_are_counted_apart() -> None:
    found = lines.count(MODULE)

    assert (found.lines, found.code) == (16, 6)
    assert (found.docstrings, found.comments) == (5, 2)
    assert (found.classes, found.functions) == (1, [3])


def test_all_of_the_app_is_the_sum_of_its_packages() -> None:
    whole, *parts = lines.packages(ROOT).values()

    assert whole.code == sum(part.code for part in parts) > 1000
    assert len(whole.functions) == sum(len(part.functions) for part in parts)


def test_a_gain_is_judged_by_old_against_old_of_the_same_rounds() -> None:
    old, again = [10.0, 10.0, 10.0], [10.0, 11.0, 10.0]

    same = against.Beside("same", old, [10.2, 10.4, 10.1], again)
    slower = against.Beside("slower", old, [11.5, 11.5, 11.5], again)

    assert same.floor == slower.floor == pytest.approx(0.932, abs=0.001)
    assert (round(same.gain, 2), same.met) == (0.99, True)
    assert (round(slower.gain, 2), slower.met) == (0.87, False)


def test_one_round_times_every_case_of_two_checkouts() -> None:
    rows = against.compare(ROOT, ROOT, rounds=1, quick=True)

    names = ["card", "badge", "certificate", "solid", "304", "stored image"]
    names.append("ZIP of 10")
    assert [row.name for row in rows] == names
    for row in rows:
        assert all(0 < ms < 5000 for ms in (*row.old, *row.new, *row.again))


def test_each_step_of_a_card_takes_time_alone_and_in_a_request() -> None:
    alone, inside, whole = budget.measure(5)

    assert alone.keys() == inside.keys() == set(budget.STEPS)
    for step in budget.STEPS:
        assert alone[step] > 0, step
        assert 0 < inside[step] < whole, step
    assert sum(inside.values()) == pytest.approx(whole)


def test_results_are_drawn_as_bars_and_what_is_not_installed_in_words() -> None:
    rows = [
        {"name": "Mimeo", "rate": 300.0},
        {"name": "Other", "rate": 3.0},
        {"name": "in-process, 1 x 2 threads", "rate": 9000.0},
    ]
    case = {
        "title": "Card",
        "method": "5 rounds of 3 s, on one machine",
        "machine": {"Processor": "A"},
    }
    absent = {"name": "Third", "missing": "not installed: third"}

    def drawn(*results: object) -> ElementTree.Element:
        cases = {"card": {**case, "results": [*rows, *results]}}
        return ElementTree.fromstring(chart.draw({"cases": cases}, chart.LIGHT))

    two, three = drawn(), drawn(absent)

    assert two.tag.endswith("svg")
    assert int(three.attrib["height"]) - int(two.attrib["height"]) == chart.ROW
    assert len(list(three.iter())) > len(list(two.iter()))
    with pytest.raises(ValueError, match="none of the cases card, poster"):
        chart.draw({"cases": {}}, chart.DARK)


def test_the_chart_in_the_readme_is_that_of_the_results_kept() -> None:
    results = json.loads((ROOT / "benchmarks/results.json").read_text())

    for file, colours in (("speed", chart.LIGHT), ("speed-dark", chart.DARK)):
        kept = (ROOT / f"docs/images/{file}.svg").read_text()
        assert kept == chart.draw(results, colours) + "\n", f"draw {file}.svg anew"


def test_no_hot_path_is_slower_than_the_reference_allows() -> None:
    _, late = guard.check()

    assert late == {}, "slower, in times: mend it, or see python -m benchmarks.guard"


def test_a_path_that_takes_half_as_long_again_is_noticed() -> None:
    found = guard.run(slowdown=1.5)

    plain = {name: ratio for name, ratio in found.items() if "slowed" not in name}
    slowed = {name: found[f"{name} slowed"] for name in plain}
    assert list(plain) == ["card drawn", "badge drawn", "solid", "304", "stored image"]
    assert plain.keys() == json.loads(guard.FILE.read_text()).keys()
    assert guard.slow(plain, plain) == {}
    assert guard.slow(slowed, plain).keys() == plain.keys()


def test_another_app_than_that_of_the_tree_is_never_measured(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="was imported instead of"):
        tree.use(tmp_path)


def test_a_short_soak_loses_nothing_and_is_plotted(tmp_path: Path) -> None:
    found = soak.soak(0.05, ("HUP",), reloads=1)
    report.write(found, tmp_path)

    told = json.loads((tmp_path / "report.json").read_text())
    assert told["lost"] == 0, told["losses"]
    assert told["outcomes"]["served"] > 10
    assert told["faults"][0]["name"] == "HUP"
    assert told["memory"]["pss_mib_most"] > 50
    plots = ("latency", "memory", "files", "rate")
    for name in plots:
        assert ElementTree.parse(tmp_path / f"{name}.svg").getroot().tag.endswith("svg")


def test_a_failure_counts_unless_a_fault_of_that_moment_excuses_it() -> None:
    records = [
        Record(10, 11, "card", 200, "served"),
        Record(12, 13, "card", 0, "broken"),
        Record(30, 31, "card", 0, "broken"),
        Record(12, 13, "card", 200, "wrong"),
        Record(12, 13, "card", 503, "refused"),
    ]
    killed = Window("KILL", 12.5, 14, frozenset({"broken", "away"}))

    found = report.Soak(0, 60, records, [], [], [killed])

    assert [(r.began, r.outcome) for r in found.losses()] == [
        (30, "broken"),
        (12, "wrong"),
    ]
    assert [r.began for r in found.excused(killed)] == [12]


def test_the_cache_of_nginx_is_compared_with_a_file() -> None:
    size, found = nginx.compare(nginx.IMAGES["QR code"], 1, 1)

    assert size > 100
    assert list(found) == [nginx.FILE, nginx.BARE, nginx.SHIPPED]
    assert all(min(each) > 0 for loads in found.values() for each in loads)


def test_a_ratio_to_a_file_is_the_middle_of_the_rounds() -> None:
    ours = [nginx.Load(80, 12), nginx.Load(10, 90), nginx.Load(90, 11)]
    file = [nginx.Load(100, 10), nginx.Load(100, 10), nginx.Load(100, 10)]

    assert nginx.ratios(ours, file) == (0.8, 1.2)


def test_every_fault_of_a_soak_has_its_figures_on_the_page() -> None:
    page = (ROOT / "docs/explanation/reliability.md").read_text()

    assert [name for name in FAULTS if f"\n| {name} | " not in page] == []
