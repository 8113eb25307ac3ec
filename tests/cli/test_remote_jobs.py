"""`mimeo jobs` and `batch --async`: submitted, watched, cancelled, brought home."""

import json
import os
import signal
import threading
import time
import zipfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from app.access.keys import digest_of, new_key
from app.cli.client import RemoteServer
from app.cli.main import main
from tests.gunicorn_server import Server, listening, serve
from tests.waiting import wait_until

ID = "0123456789abcdef" * 4


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_rows(120)
    return tmp_path


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    place = tmp_path_factory.mktemp("server")
    settings = {"MIMEO_STORE": str(place / "store"), "FAULTY_FOLDER": str(place)}
    with serve("tests.faulty:build()", settings) as running:
        yield running


def write_rows(count: int, **column: str) -> None:
    lines = [",".join(("number", *column))]
    lines += [",".join((str(n), *column.values())) for n in range(1, count + 1)]
    Path("rows.csv").write_text("\n".join(lines) + "\n")


def submit(url: str, *more: str) -> int:
    size = ("--width", "60", "--height", "40")
    fixed = ("rows.csv", "--renderer", "faulty", "--url", url, "--async", *size)
    return main(["batch", *fixed, *more])


def submitted(capsys: pytest.CaptureFixture[str], url: str, *more: str) -> str:
    """Submit the table; return the job's URL."""
    assert submit(url, *more) == 0
    return capsys.readouterr().out.strip()


@contextmanager
def answering(*answers: tuple[int, dict[str, str], bytes]) -> Iterator[tuple[str, Any]]:
    """Serve answers, one a GET, the last for ever; yield URL, paths and headers.

    Of a POST it is the body.
    """
    left, asked = list(answers), []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append((self.path, dict(self.headers)))
            status, headers, body = left.pop(0) if len(left) > 1 else left[0]
            self.send_response(status)
            for name, value in (headers | {"Content-Length": str(len(body))}).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            body = self.rfile.read(length)
            asked.append((self.path, json.loads(body) if body else None))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *given: Any) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as fake:
        thread = threading.Thread(target=fake.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{fake.server_port}", asked
        fake.shutdown()
        thread.join()


def document(state: str = "running", done: int = 0, **more: Any) -> dict[str, Any]:
    place = f"/jobs/{ID}"
    links = {"self": place, "archive": f"{place}/archive.zip", "errors": f"{place}/e"}
    counts = {"total": 9, "done": done, "failed": 0}
    about = {"id": ID, "state": state, "counts": counts, "form": "zip", "links": links}
    return about | more


def answer(state: str, done: int = 0, **more: Any) -> tuple[int, dict[str, str], bytes]:
    body = json.dumps(document(state, done, **more)).encode()
    return 200, {"ETag": f'"{state}{done}"', "Content-Type": "application/json"}, body


UNCHANGED: tuple[int, dict[str, str], bytes] = (304, {}, b"")


def test_a_job_is_submitted_and_its_url_is_all_that_is_printed(server, folder, capsys):
    url = submitted(capsys, server.url)

    place, _, id = url.rpartition("/")
    assert place == f"{server.url}/jobs"
    assert len(id) == 64
    assert list(folder.glob("*.zip")) == []


def test_a_job_is_waited_for_and_is_what_a_batch_would_have_been(
    server, folder, capsys
):
    url = submitted(capsys, server.url)

    status = main(["jobs", "wait", url, "-o", "job.zip"])

    said = capsys.readouterr()
    assert (status, said.out) == (0, "")
    assert "job.zip: 120 images" in said.err
    size = ("--width", "60", "--height", "40")
    batch = ["batch", "rows.csv", "--renderer", "faulty", "--url", server.url, *size]
    assert main([*batch, "-o", "batch.zip"]) == 0
    assert Path("job.zip").read_bytes() == Path("batch.zip").read_bytes()
    assert list(folder.glob("*.part")) == []


def test_an_archive_goes_on_from_its_part(server, folder, capsys):
    url = submitted(capsys, server.url)
    main(["jobs", "wait", url, "-o", "job.zip"])
    whole = Path("job.zip").read_bytes()
    id = url.rpartition("/")[2]
    Path(f"job.zip.{id[:12]}.part").write_bytes(whole[: len(whole) // 2])
    capsys.readouterr()

    status = main(["jobs", "wait", url, "-o", "job.zip"])

    assert status == 0
    assert Path("job.zip").read_bytes() == whole
    assert "of them found" in capsys.readouterr().err


def test_an_archive_goes_to_standard_output(server, folder, capfdbinary):
    submit(server.url)
    url = capfdbinary.readouterr().out.decode().strip()

    assert main(["jobs", "wait", url, "-o", "-"]) == 0

    Path("piped.zip").write_bytes(capfdbinary.readouterr().out)
    with zipfile.ZipFile("piped.zip") as archive:
        assert archive.testzip() is None
        assert len(archive.namelist()) == 121


def test_a_job_with_images_that_failed_says_where_they_are_named(
    server, folder, capsys
):
    write_rows(3, fail="undrawable")
    url = submitted(capsys, server.url)

    status = main(["jobs", "wait", url])

    said = capsys.readouterr().err
    assert status == 1
    assert "state: succeeded" in said
    assert "0 of 3, 3 failed" in said
    assert f"errors: {url}/errors" in said


def test_a_job_sent_again_is_the_same(server, folder, capsys):
    assert submitted(capsys, server.url) == submitted(capsys, server.url)


def test_jobs_are_listed_and_shown_for_people_and_for_programs(server, folder, capsys):
    url = submitted(capsys, server.url)
    id = url.rpartition("/")[2]
    main(["jobs", "wait", url])
    capsys.readouterr()

    assert main(["jobs", "list", "--url", server.url]) == 0
    listed = capsys.readouterr().out
    assert main(["jobs", "list", "--url", server.url, "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert main(["jobs", "show", id, "--url", server.url]) == 0
    shown = capsys.readouterr().out
    assert main(["jobs", "show", url, "--json"]) == 0
    same = json.loads(capsys.readouterr().out)

    [line] = [line for line in listed.splitlines() if line.startswith(id)]
    assert "succeeded" in line and "120 of 120" in line
    assert [row for row in rows if row["id"] == id] == [same]
    assert f"archive: {url}/archive.zip" in shown
    assert same["counts"] == {"total": 120, "done": 120, "failed": 0}


def page(number: int, next: object) -> tuple[int, dict[str, str], bytes]:
    place = f"/jobs/{number}"
    links = {"self": place, "archive": f"{place}/archive.zip", "errors": f"{place}/e"}
    listed = [document("succeeded", 9, id=str(number), links=links)]
    return 200, {}, json.dumps({"jobs": listed, "next": next}).encode()


def test_all_pages_are_listed_or_so_many_jobs(capsys: pytest.CaptureFixture[str]):
    pages = [page(1, "/jobs?after=1"), page(2, "/jobs?after=2"), page(3, None)]

    with answering(*pages) as (url, asked):
        assert main(["jobs", "list", "--url", url]) == 0
    whole = [line[0] for line in capsys.readouterr().out.splitlines()]
    with answering(*pages) as (url, few):
        assert main(["jobs", "list", "--url", url, "--limit", "2"]) == 0
    part = [line[0] for line in capsys.readouterr().out.splitlines()]

    assert whole == ["1", "2", "3"] and part == ["1", "2"]
    assert [path for path, _ in asked] == ["/jobs", "/jobs?after=1", "/jobs?after=2"]
    assert len(few) == 2


@pytest.mark.parametrize("next", ["http://elsewhere/jobs?a", "/jobsx", 7, ["/jobs?"]])
def test_no_page_elsewhere_is_asked_for(next, capsys: pytest.CaptureFixture[str]):
    with answering(page(1, next)) as (url, asked):
        assert main(["jobs", "list", "--url", url]) == 1

    assert len(asked) == 1
    assert "no next page" in capsys.readouterr().err


def test_pages_that_go_round_end(capsys: pytest.CaptureFixture[str]):
    round = [page(1, "/jobs?after=1"), page(2, "/jobs?after=1")]

    with answering(*round) as (url, asked):
        assert main(["jobs", "list", "--url", url]) == 0

    assert len(asked) == 2


@pytest.mark.parametrize("limit", ["0", "-1", "x", "", "1.5"])
def test_a_limit_is_a_number(limit, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as ended:
        main(["jobs", "list", "--limit", limit])

    assert ended.value.code == 2
    assert "--limit" in capsys.readouterr().err


def test_a_cancelled_job_ends_and_is_a_failure_to_whoever_waits(server, folder, capsys):
    write_rows(120, wait_s="0.3")
    url = submitted(capsys, server.url)

    assert main(["jobs", "cancel", url, "--json"]) == 0
    cancelled = json.loads(capsys.readouterr().out)
    status = main(["jobs", "wait", url, "-o", "job.zip"])

    assert cancelled["state"] in ("cancelling", "cancelled")
    assert status == 1
    assert "state: cancelled" in capsys.readouterr().err
    assert not Path("job.zip").exists()


def test_a_job_that_has_ended_is_not_cancelled(server, folder, capsys):
    url = submitted(capsys, server.url)
    main(["jobs", "wait", url])
    capsys.readouterr()

    assert main(["jobs", "cancel", url]) == 1
    assert "cannot be cancelled" in capsys.readouterr().err


def test_what_a_cancelled_job_lacks_is_drawn_as_another(server, folder, capsys):
    write_rows(90, wait_s="0.2")
    url = submitted(capsys, server.url)
    main(["jobs", "cancel", url])
    main(["jobs", "wait", url])
    capsys.readouterr()

    assert main(["jobs", "retry", url, "--json"]) == 0
    other = json.loads(capsys.readouterr().out)
    assert main(["jobs", "retry", url]) == 0
    said = capsys.readouterr().out
    status = main(["jobs", "wait", other["id"], "--url", server.url])

    assert other["retry_of"] == url.rpartition("/")[2]
    assert f"job: {server.url}/jobs/{other['id']}" in said
    assert status == 0


def test_where_nothing_is_lacking_a_retry_says_so(server, folder, capsys):
    write_rows(11)
    url = submitted(capsys, server.url)
    main(["jobs", "wait", url])
    capsys.readouterr()

    assert main(["jobs", "retry", url]) == 1
    assert "Nothing is left to be drawn" in capsys.readouterr().err


def test_jobs_are_purged_by_name(server, folder, capsys):
    urls = []
    for count in (5, 6):
        write_rows(count)
        urls.append(submitted(capsys, server.url))
        main(["jobs", "wait", urls[-1]])
    capsys.readouterr()

    assert main(["jobs", "purge", *urls]) == 0
    said = capsys.readouterr().out
    status = main(["jobs", "purge", urls[0], "--json"])
    again = capsys.readouterr()

    ids = [url.rpartition("/")[2] for url in urls]
    assert said == "".join(f"purged: {id}\n" for id in ids)
    assert main(["jobs", "show", urls[1]]) == 1
    assert status == 1
    assert "was purged" in again.err
    told = json.loads(again.out)
    assert (told["purged"], list(told["kept"])) == ([], ids[:1])


def test_all_jobs_that_have_ended_are_purged_and_no_other(folder, capsys):
    settings = {"MIMEO_STORE": str(folder / "store"), "FAULTY_FOLDER": str(folder)}
    with serve("tests.faulty:build()", settings) as running:
        for count in (5, 6):
            write_rows(count)
            main(["jobs", "wait", submitted(capsys, running.url)])
        write_rows(120, wait_s="1")
        open_one = submitted(capsys, running.url)

        there = ("--url", running.url, "--json")
        assert main(["jobs", "purge", "--older-than", "2d", *there]) == 0
        young = json.loads(capsys.readouterr().out)
        assert main(["jobs", "purge", "--ended", *there]) == 0
        ended = json.loads(capsys.readouterr().out)
        assert main(["jobs", "list", *there]) == 0
        [left] = json.loads(capsys.readouterr().out)

    assert young == {"purged": [], "kept": {}}
    assert (len(ended["purged"]), ended["kept"]) == (2, {})
    assert open_one.endswith(left["id"])


def test_jobs_are_purged_by_when_they_ended_but_not_those_that_are_retried(
    folder, capsys
):
    jobs = {
        "jobs": [
            document("running", id="4" * 64, retry_of="3" * 64),
            document(
                "cancelled",
                id="3" * 64,
                retry_of="5" * 64,
                finished="2026-01-01T00:00:00Z",
            ),
            document("failed", id="5" * 64, finished="2026-01-01T00:00:00Z"),
            document("succeeded", 9, id="2" * 64, finished="2026-01-01T00:00:00Z"),
            document("succeeded", 9, id="1" * 64, finished="2999-01-01T00:00:00Z"),
        ]
    }
    with answering((200, {}, json.dumps(jobs).encode())) as (url, asked):
        status = main(["jobs", "purge", "--older-than", "12h", "--url", url])

    posted = [path for path, _ in asked if path.endswith("/purge")]
    assert status == 0
    assert posted == [f"/jobs/{'2' * 64}/purge"]


def test_a_job_that_is_not_there_is_said_in_a_line(server, folder, capsys):
    assert main(["jobs", "show", ID, "--url", server.url]) == 1

    assert capsys.readouterr().err.count("\n") == 1


def test_a_server_without_a_store_refuses_a_job(folder, capsys):
    table = ("batch", "rows.csv", "--renderer", "solid", "--ignore", "number")
    with serve() as running:
        status = main([*table, "--url", running.url, "--async"])

    assert status == 1
    assert "Jobs are not kept here" in capsys.readouterr().err


def test_bad_rows_of_a_job_are_named_as_at_home(server, folder, capsys):
    Path("rows.csv").write_text("number\n1\nx\n")

    assert submit(server.url) == 2
    assert "row 2, line 3: number:" in capsys.readouterr().err


def test_a_receiver_is_told_of_the_end(server, folder, capsys):
    write_rows(7)
    with answering(UNCHANGED) as (receiver, told):
        url = submitted(capsys, server.url, "--webhook", f"{receiver}/told")
        main(["jobs", "wait", url])
        wait_until(lambda: bool(told), 30)

    [(path, event)] = told
    assert path == "/told"
    assert event["type"] == "job.succeeded"
    assert event["data"]["id"] == url.rpartition("/")[2]
    capsys.readouterr()
    shown: list[str] = []

    def is_noted() -> bool:
        main(["jobs", "show", url])
        shown[:] = capsys.readouterr().out.splitlines()
        return not shown[-1].startswith("webhook: sending")

    wait_until(is_noted, 30)
    assert shown[-1] == "webhook: delivered at attempt 1"


def test_columns_passed_over_are_said(server, folder, capsys):
    write_rows(2, remark="none")

    assert submit(server.url) == 0
    assert "remark" in capsys.readouterr().err


def test_a_key_opens_a_server_that_asks_for_one(folder, capsys, monkeypatch):
    id, token = new_key()
    scopes = 'scopes = ["draw:*", "read", "jobs"]'
    Path("keys.toml").write_text(
        f'[keys.{id}]\nsha256 = "{digest_of(token)}"\n{scopes}\n'
    )
    Path("key").write_text(f"{token}\n")
    settings = {
        "MIMEO_STORE": str(folder / "store"),
        "MIMEO_ACCESS": "keys",
        "MIMEO_KEYS_FILE": str(folder / "keys.toml"),
        "MIMEO_LOCAL_CALLERS": "off",
    }
    # What a ~/.netrc says goes before the header of a session.
    Path("netrc").write_text("machine 127.0.0.1 login somebody password else\n")
    monkeypatch.setenv("NETRC", str(folder / "netrc"))
    table = ("batch", "rows.csv", "--renderer", "identicon", "--bind", "seed={number}")
    with serve(settings=settings) as running:
        there = (*table, "--url", running.url)
        refused = main([*there, "--async"])
        said = capsys.readouterr()
        assert main([*there, "--async", "--key-file", "key"]) == 0
        url = capsys.readouterr().out.strip()
        waited = main(["jobs", "wait", url, "--key-file", "key", "-o", "job.zip"])
        batch = main([*there, "--key-file", "key", "-o", "batch.zip"])

    assert refused == 1
    assert "401" in said.err
    assert (waited, batch) == (0, 0)
    assert Path("job.zip").read_bytes() == Path("batch.zip").read_bytes()


def test_a_restart_midway_is_survived_by_whoever_waits(server, folder, capsys):
    write_rows(120, wait_s="0.05")
    url = submitted(capsys, server.url)
    timer = threading.Timer(1, os.kill, (server.pid, signal.SIGHUP))
    timer.start()

    status = main(["jobs", "wait", url, "-o", "job.zip"])

    timer.join()
    assert status == 0
    with zipfile.ZipFile("job.zip") as archive:
        assert len(archive.namelist()) == 121


def test_news_are_asked_for_by_what_is_known(folder, monkeypatch):
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    answers = answer("queued"), answer("running", 4), UNCHANGED, answer("succeeded", 9)
    with answering(*answers) as (url, asked), closing(RemoteServer(url)) as remote:
        seen = [(job.state, job.done) for job in remote.watch(ID)]

    assert seen == [("queued", 0), ("running", 4), ("succeeded", 9)]
    tags = [headers.get("If-None-Match") for _, headers in asked]
    assert tags == [None, '"queued0"', '"running4"', '"running4"']
    assert "Prefer" not in asked[0][1]
    assert asked[1][1]["Prefer"] == "wait=20"


def test_a_server_that_answers_at_once_is_not_asked_without_a_pause(
    folder, monkeypatch
):
    pauses: list[float] = []
    monkeypatch.setattr(time, "sleep", pauses.append)
    answers = answer("running"), UNCHANGED, UNCHANGED, answer("failed")
    with answering(*answers) as (url, _), closing(RemoteServer(url)) as remote:
        list(remote.watch(ID))

    assert len(pauses) == 3
    assert min(pauses) > 0


def test_a_passing_refusal_is_waited_out(folder, capsys, monkeypatch):
    pauses: list[float] = []
    monkeypatch.setattr(time, "sleep", pauses.append)
    busy = (503, {"Retry-After": "7"}, b"{}")
    with answering(answer("running"), busy, busy, answer("succeeded", 9)) as (url, _):
        status = main(["jobs", "wait", ID, "--url", url])

    assert status == 0
    assert 7 in pauses
    assert "answered 503" in capsys.readouterr().err


def test_a_server_that_stays_away_is_given_up(folder, capsys, monkeypatch):
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    with answering(answer("running"), (502, {}, b"")) as (url, asked):
        status = main(["jobs", "wait", ID, "--url", url])

    assert status == 1
    assert len(asked) == 12
    assert "goes on without being watched" in capsys.readouterr().err


def test_a_job_that_failed_says_why(folder, capsys):
    ended = answer("failed", error={"detail": "Its images are of another version."})
    with answering(ended) as (url, _):
        status = main(["jobs", "wait", ID, "--url", url])

    assert status == 1
    assert "error: Its images are of another version." in capsys.readouterr().err


def test_ctrl_c_leaves_the_job_alone(folder, capsys, monkeypatch):
    def interrupt(seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(time, "sleep", interrupt)
    with answering(answer("running")) as (url, asked):
        status = main(["jobs", "wait", ID, "--url", url])

    assert status == 130
    assert [path for path, _ in asked] == [f"/jobs/{ID}"] * len(asked)


def test_another_form_than_a_zip_is_not_fetched(folder, capsys):
    with answering(answer("running", form="pdf")) as (url, _):
        status = main(["jobs", "wait", ID, "--url", url, "-o", "a.zip"])

    assert status == 2
    assert f"{url}/jobs/{ID}/archive.zip" in capsys.readouterr().err


def test_a_password_in_the_url_is_not_shown(folder, capsys):
    with answering(answer("succeeded", 9)) as (url, asked):
        secret = url.replace("://", "://somebody:secret@")
        status = main(["jobs", "show", ID, "--url", secret])

    said = capsys.readouterr()
    assert status == 0
    assert f"{url}/jobs/{ID}" in said.out
    assert "secret" not in said.out + said.err
    assert asked[0][1]["Authorization"].startswith("Basic ")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b'{"id": 1}',
        json.dumps(document(id="../x")).encode(),
        json.dumps(document(links={"self": "x", "archive": "/y"})).encode(),
        json.dumps(document(links={"self": "/x", "archive": "@y"})).encode(),
        json.dumps(document(counts={"total": "many"})).encode(),
    ],
)
def test_what_describes_no_job_is_said_in_a_line(folder, capsys, body):
    with answering((200, {}, body)) as (url, _):
        status = main(["jobs", "show", ID, "--url", url])

    assert status == 1
    assert "describes no job" in capsys.readouterr().err


def test_nobody_there_is_said_in_a_line(folder, capsys):
    with closing(listening()) as probe:
        url = f"http://127.0.0.1:{probe.getsockname()[1]}"

    assert main(["jobs", "list", "--url", url]) == 1
    assert "no connection" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("show", "12"), "12: is no job's id"),
        (("show", f"http://127.0.0.1:1/x/{ID}"), "is no job's id"),
        (("show", f"http://127.0.0.1:1/jobs/{ID}", "--url", "http://x"), "--url: "),
        (("wait", ID, "-o", "."), "-o .: is a folder"),
        (("wait", ID, "-o", "no/a.zip"), "there is no such folder"),
        (("wait", ID, "-o", "-", "--json"), "both go to standard output"),
        (("show", ID, "--key-file", "none"), "--key-file none: No such file"),
        (("purge",), "name jobs, or which are meant"),
        (("purge", ID, "--ended"), "name jobs, or which are meant"),
        (("purge", "--older-than", "2 weeks"), "--older-than 2 weeks: is no time"),
        (("purge", "--older-than", ""), "--older-than : is no time"),
        (("purge", f"http://a/jobs/{ID}", f"http://b/jobs/{ID}"), "several servers"),
    ],
)
def test_misuse_of_jobs_is_named(folder, capsys, arguments, said):
    assert main(["jobs", *arguments]) == 2

    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--async",), "--async: is for a server"),
        (("--webhook", "http://x", "-o", "a.zip"), "--webhook: is told of the end"),
        (("--key-file", "k", "-o", "a.zip"), "--key-file: is for a server"),
        (("--async", "--url", "http://x", "-o", "a.zip"), "mimeo jobs wait"),
        (("--async", "--url", "http://x", "--dry-run"), "a dry run makes no job"),
    ],
)
def test_misuse_of_a_batch_as_a_job_is_named(folder, capsys, more, said):
    assert main(["batch", "rows.csv", "--renderer", "faulty", *more]) == 2

    assert said in capsys.readouterr().err
