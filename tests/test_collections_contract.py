"""What a client sees of collections, through a real gunicorn, curl and nginx.

The numbers are those of the behaviours that a media server has to show: 11 to 18.
"""

import base64
import hashlib
import io
import json
import os
import random
import signal
import subprocess
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from PIL import Image

from tests.gunicorn_server import Server, serve
from tests.nginx_server import in_front

APP = "tests.faulty:build()"


@pytest.fixture(scope="module")
def traces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the drawings of all tests leave their traces."""
    return tmp_path_factory.mktemp("traces")


@pytest.fixture(scope="module")
def server(traces: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with a store that outlives its workers, which leave traces."""
    with serve(APP, _settings(tmp_path_factory.mktemp("store"), traces)) as running:
        yield running


@pytest.fixture
def folder(traces: Path) -> Iterator[Path]:
    """The traces of one test; what it changed is changed no more for the next."""
    clear(traces)
    yield traces
    clear(traces)


@pytest.fixture
def own_server(folder: Path, tmp_path: Path) -> Iterator[Server]:
    """A server that is at work when its test ends."""
    with serve(APP, _settings(tmp_path / "store", folder)) as running:
        yield running


def _settings(store: Path, folder: Path) -> dict[str, str]:
    return {"MIMEO_STORE": str(store), "FAULTY_FOLDER": str(folder)}


def clear(folder: Path) -> None:
    for trace in folder.iterdir():
        trace.unlink()


def table(count: int, **columns) -> bytes:
    """A CSV of `count` rows; a column is a function of the row's number."""
    names = ["number", *columns]
    lines = [
        ",".join([str(n), *(str(columns[name](n)) for name in names[1:])])
        for n in range(1, count + 1)
    ]
    return "\n".join([",".join(names), *lines]).encode()


def create(server: Server, data: bytes, query: str = "width=64&height=48") -> str:
    """Keep a collection, of images that no other test has, and return its path."""
    test = os.environ["PYTEST_CURRENT_TEST"].encode()
    color = hashlib.sha256(test).hexdigest()[:6]
    path = f"/collections?renderer=faulty&color={color}&{query}"
    reply = server.ask(path, "POST", data, {"Content-Type": "text/csv"})
    assert reply.status in (200, 201), reply.body
    return reply.headers["Location"]


def at(row: int, value: str):
    """A column that has a value in one row."""
    return lambda number: value if number == row else ""


def drawn(folder: Path) -> set[int]:
    """The numbers of the images that were drawn."""
    return {int(path.name.partition("-")[0]) for path in folder.glob("*-*")}


def restart(server: Server) -> None:
    """Replace the workers, as a deployment does, and wait for the new ones."""
    before = server.workers()
    os.kill(server.pid, signal.SIGHUP)
    assert eventually(lambda: server.workers() and not before & server.workers())


def kill_midway(server: Server, path: str, target: Path) -> int:
    """Begin a download, kill it when some of it is there; return how much that is."""
    url = server.url + path
    client = subprocess.Popen(["curl", "-s", "--no-buffer", "-o", target, url])
    assert eventually(lambda: target.exists() and target.stat().st_size)
    client.kill()
    client.wait()
    return target.stat().st_size


def eventually(condition) -> bool:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.02)
    return False


def in_flight(server: Server, name: str) -> float:
    lines = server.ask("/metrics").body.decode().splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith(name))


# 11


def test_a_killed_download_resumes_byte_exact_after_a_restart(server, tmp_path):
    path = create(server, table(40, wait_s=lambda n: 0.02))
    target = tmp_path / "a.zip"
    part = kill_midway(server, f"{path}.zip", target)

    restart(server)
    done = server.curl(f"{path}.zip", "-f", "-C", "-", "-o", str(target))

    assert done.returncode == 0, done.stderr
    assert 0 < part < target.stat().st_size
    assert target.read_bytes() == server.ask(f"{path}.zip").body
    with zipfile.ZipFile(target) as archive:
        assert archive.testzip() is None


@pytest.mark.parametrize("form", ["json", "ndjson", "pdf", "gif", "webp", "apng"])
def test_a_killed_download_of_any_form_resumes_byte_exact(server, tmp_path, form):
    path = create(server, table(60, wait_s=lambda n: 0.04 if n > 1 else 0))
    target = tmp_path / f"a.{form}"
    part = kill_midway(server, f"{path}.{form}", target)

    done = server.curl(f"{path}.{form}", "-f", "-C", "-", "-o", str(target))

    assert done.returncode == 0, done.stderr
    assert 0 < part < target.stat().st_size
    assert target.read_bytes() == server.ask(f"{path}.{form}").body


def test_an_answer_whose_images_are_others_now_never_ends(server, folder, tmp_path):
    path = create(server, table(4))
    whole = server.ask(f"{path}.json").body
    (folder / "change").touch()
    target = tmp_path / "a.json"
    target.write_bytes(whole[:100])

    done = server.curl(f"{path}.json", "-f", "-C", "-", "-o", str(target))

    assert done.returncode != 0
    assert "ETag" not in server.ask(f"{path}.json", "HEAD").headers


def test_downloads_cut_at_random_bytes_always_end_the_same(server, tmp_path):
    path = create(server, table(30))
    whole = server.ask(f"{path}.zip").body
    chance = random.Random(7)
    target = tmp_path / "a.zip"
    for attempt in range(50):
        target.write_bytes(whole[: chance.randrange(1, len(whole))])
        if attempt % 10 == 0:
            restart(server)

        done = server.curl(f"{path}.zip", "-f", "-C", "-", "-o", str(target))

        assert done.returncode == 0, done.stderr
        assert target.read_bytes() == whole


# 12


def test_head_tells_the_length_of_a_known_archive_without_drawing(server, folder):
    path = create(server, table(12))
    whole = server.ask(f"{path}.zip").body
    before = len(list(folder.iterdir()))

    head = server.ask(f"{path}.zip", "HEAD")

    assert int(head.headers["Content-Length"]) == len(whole)
    assert head.headers["Accept-Ranges"] == "bytes"
    assert len(list(folder.iterdir())) == before


def test_an_archive_is_known_when_the_store_has_its_images(server):
    path = create(server, table(3))
    for number in (1, 2, 3):
        assert server.ask(f"{path}/{number}.png").status == 200

    head = server.ask(f"{path}.zip", "HEAD")

    assert int(head.headers["Content-Length"]) == len(server.ask(f"{path}.zip").body)


def test_a_range_draws_only_what_it_touches(server, folder):
    path = create(server, table(30))
    whole = server.ask(f"{path}.zip").body
    clear(folder)
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        member = archive.infolist()[19]
    start, stop = member.header_offset, member.header_offset + 60

    reply = server.ask(f"{path}.zip", headers={"Range": f"bytes={start}-{stop - 1}"})

    assert reply.status == 206
    assert reply.body == whole[start:stop]
    assert drawn(folder) == {20}


@pytest.mark.parametrize(
    ("header", "status"),
    [
        ({"Range": "bytes=0-3"}, 206),
        ({"Range": "bytes=-4"}, 206),
        ({"Range": "bytes=99999999-"}, 416),
        ({"Range": "items=0-3"}, 200),
        ({"Range": "bytes=0-1,5-6"}, 200),
        ({"Range": "bytes=0-3", "If-Range": '"other"'}, 200),
        ({"Range": "bytes=0-3", "If-Range": "ETAG"}, 206),
        ({"Range": "bytes=0-3", "If-Range": "W/ETAG"}, 200),
        ({"Range": "bytes=0-3", "If-None-Match": "ETAG"}, 304),
        ({"Range": "bytes=0-3", "If-Match": '"other"'}, 412),
    ],
)
def test_ranges_and_conditions_of_an_archive(server, header, status):
    path = create(server, table(3))
    tag = server.ask(f"{path}.zip").headers["ETag"]
    sent = {name: value.replace("ETAG", tag) for name, value in header.items()}

    reply = server.ask(f"{path}.zip", headers=sent)

    assert reply.status == status
    if status == 416:
        assert reply.headers["Content-Range"].startswith("bytes */")
        assert reply.headers["Content-Type"] == "application/problem+json"


# 13


def test_every_reader_accepts_the_archive(server, tmp_path):
    path = create(server, table(25))
    target = tmp_path / "a.zip"
    server.curl(f"{path}.zip", "-f", "-o", str(target))

    for command in (
        ["unzip", "-tq", str(target)],
        ["7z", "t", str(target)],
        ["sh", "-c", f"bsdtar -tf - <'{target}'"],
    ):
        done = subprocess.run(command, capture_output=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


# 14


@contextmanager
def through(server: Server, proxy: str) -> Iterator[Server]:
    if proxy == "direct":
        yield server
    else:
        with in_front(server) as front:
            yield front


@pytest.mark.parametrize("proxy", ["direct", "nginx"])
@pytest.mark.parametrize("form", ["zip", "json", "ndjson", "pdf"])
@pytest.mark.parametrize("kind", ["crash", "socket"])
def test_a_failure_midway_is_a_failure_for_the_client(
    server, tmp_path, proxy, form, kind
):
    path = create(server, table(60, fail=at(40, kind)), "width=300&height=200")
    target = tmp_path / "x"
    with through(server, proxy) as asked:
        done = asked.curl(f"{path}.{form}", "-f", "-o", str(target))
        again = asked.curl(f"{path}.{form}", "-f", "-o", str(target))

    assert done.returncode == 18
    assert again.returncode == 18
    assert target.stat().st_size > 0


def test_a_failure_midway_of_a_known_length_is_one_too(server, folder, tmp_path):
    path = create(server, table(60), "width=300&height=200")
    whole = server.ask(f"{path}.zip").body
    # The first image is in the store and will be what it was.
    assert server.ask(f"{path}/1.png").status == 200
    (folder / "change").touch()

    done = server.curl(f"{path}.zip", "-f", "-o", str(tmp_path / "x"))
    again = server.ask(f"{path}.zip", headers={"Range": "bytes=500-"})

    # Other bytes are an abort, never a splice; and from then on a new beginning.
    assert done.returncode == 18
    assert whole.startswith((tmp_path / "x").read_bytes())
    assert again.status == 200
    assert again.body != whole


# 15


@pytest.mark.parametrize("form", ["zip", "json", "ndjson", "pdf", "gif", "apng"])
def test_a_failure_of_the_first_image_is_a_problem(server, form):
    path = create(server, table(5, fail=at(1, "crash")))

    reply = server.ask(f"{path}.{form}")

    assert reply.status == 500
    assert reply.headers["Content-Type"] == "application/problem+json"


def test_the_problem_of_the_first_image_says_which_it_is(server):
    path = create(server, table(5, fail=at(1, "undrawable")))

    reply = server.ask(f"{path}.zip")

    problem = json.loads(reply.body)
    assert (reply.status, problem["index"]) == (422, 1)
    assert problem["type"] == "/problems/undrawable"


def test_a_row_that_fails_is_reported_and_the_rest_delivered(server):
    path = create(server, table(6, fail=at(4, "undrawable")))

    archive = zipfile.ZipFile(io.BytesIO(server.ask(f"{path}.zip").body))
    listed = json.loads(archive.read("manifest.json"))
    images = json.loads(server.ask(f"{path}.json").body)

    assert len(archive.namelist()) == 5 + 1
    assert [row["index"] for row in listed["images"]] == [1, 2, 3, 5, 6]
    assert [(row["index"], row["status"]) for row in listed["errors"]] == [(4, 422)]
    assert images["failed"] == 1
    assert images["images"][3]["error"]["type"] == "/problems/undrawable"
    # It fails every time, so the archive may still be resumed.
    assert server.ask(f"{path}.zip", "HEAD").headers["Content-Length"]


def test_what_may_succeed_next_time_makes_an_archive_that_cannot_be_resumed(server):
    path = create(server, table(6, fail=at(4, "timeout")))
    first = server.ask(f"{path}.zip")

    resumed = server.ask(f"{path}.zip", headers={"Range": "bytes=10-"})

    assert first.status == resumed.status == 200
    assert "ETag" not in resumed.headers
    assert "Content-Length" not in server.ask(f"{path}.zip", "HEAD").headers


# 16


def test_a_stalled_reader_stalls_the_drawing(server, folder):
    # More than the sockets hold: a picture has a few kilobytes.
    path = create(server, table(2000), "width=1200&height=900&compression=fast")
    with server.open(f"{path}.ndjson") as answer:
        answer.read(1)
        # A busy machine takes its time to fill the sockets between the two.
        for _ in range(20):
            seen = len(drawn(folder))
            time.sleep(2)
            if len(drawn(folder)) == seen:
                break

        assert len(drawn(folder)) == seen
    assert seen < 2000


# 17


def test_a_client_that_leaves_stops_the_work(server, folder):
    path = create(server, table(500, wait_s=lambda n: 0.02))
    server.curl(f"{path}.zip", "-m", "0.5", "-o", os.devnull)

    assert eventually(lambda: in_flight(server, "mimeo_streams_in_flight") == 0)
    assert eventually(lambda: in_flight(server, "mimeo_renders_in_flight") == 0)
    seen = len(drawn(folder))
    time.sleep(0.3)
    assert len(drawn(folder)) == seen < 500


def test_a_client_that_leaves_a_slow_drawing_is_noticed(own_server):
    path = create(own_server, table(50, wait_s=at(2, "40")))
    own_server.curl(f"{path}.ndjson", "-m", "1", "-o", os.devnull)

    assert eventually(lambda: in_flight(own_server, "mimeo_streams_in_flight") == 0)
    # And not at its end.
    assert in_flight(own_server, "mimeo_renders_in_flight") == 1


def state(server: Server) -> tuple[int, int, float]:
    """Threads, open files and resident MiB of all workers."""
    threads = files = 0
    mib = 0.0
    for pid in server.workers():
        status = Path(f"/proc/{pid}/status").read_text()
        fields = dict(line.split(":", 1) for line in status.splitlines())
        threads += int(fields["Threads"])
        files += len(os.listdir(f"/proc/{pid}/fd"))
        mib += int(fields["VmRSS"].split()[0]) / 1024
    return threads, files, mib


def leave(server: Server, path: str, chance: random.Random) -> None:
    """Begin a download and kill the client at a random moment."""
    form = chance.choice(["zip", "json", "ndjson", "pdf"])
    url = f"{server.url}{path}.{form}"
    client = subprocess.Popen(["curl", "-s", "-o", os.devnull, url])
    time.sleep(chance.uniform(0, 0.15))
    client.kill()
    client.wait()


def test_two_hundred_clients_that_leave_leave_nothing_behind(server):
    path = create(server, table(400, wait_s=lambda n: 0.005), "width=600&height=400")
    chance = random.Random(3)
    for _ in range(60):
        leave(server, path, chance)
    assert eventually(lambda: in_flight(server, "mimeo_streams_in_flight") == 0)
    threads, files, mib = state(server)

    for _ in range(200):
        leave(server, path, chance)

    assert eventually(lambda: in_flight(server, "mimeo_renders_in_flight") == 0)
    assert eventually(lambda: in_flight(server, "mimeo_streams_in_flight") == 0)
    after = state(server)
    # gunicorn starts its threads as they are needed, up to MIMEO_THREADS.
    assert after[0] <= threads + 8
    assert after[1] <= files + 8
    assert after[2] <= mib + 16


# 19, of a stream: no silence longer than 20 seconds.


def test_a_slow_drawing_does_not_silence_the_stream(server):
    path = create(server, table(3, wait_s=at(2, "15")))
    with server.open(f"{path}.json") as answer:
        longest = 0.0
        last = time.monotonic()
        body = b""
        while block := answer.read1(65536):
            longest = max(longest, time.monotonic() - last)
            last = time.monotonic()
            body += block

    assert longest < 12
    assert len(json.loads(body)["images"]) == 3


# The same bytes in every form.


def test_image_json_and_member_are_the_same_bytes(server):
    path = create(server, table(4), "format=webp&width=64&height=48")
    archive = zipfile.ZipFile(io.BytesIO(server.ask(f"{path}.zip").body))
    images = json.loads(server.ask(f"{path}.json").body)["images"]
    lines = server.ask(f"{path}.ndjson").body.splitlines()

    for number, name in enumerate(archive.namelist()[:4], 1):
        alone = server.ask(f"{path}/{number}.webp").body
        assert alone == archive.read(name)
        assert alone == base64.b64decode(images[number - 1]["data"])
        assert alone == base64.b64decode(json.loads(lines[number - 1])["data"])
    assert json.loads(lines[-1]) == {"done": True, "count": 4, "failed": 0}


def test_ten_thousand_images_are_valid_json(server):
    data = b"color\n" + b"".join(b"%06x\n" % (n * 1663) for n in range(10_000))
    path = "/collections.json?renderer=solid&width=8&height=8"

    reply = server.ask(path, "POST", data, {"Content-Type": "text/csv"})

    images = json.loads(reply.body)["images"]
    assert [image["index"] for image in images] == list(range(1, 10_001))


def test_the_same_rows_have_the_same_id_on_any_process(server):
    assert create(server, table(3)) == create(server, table(3))
    assert create(server, table(3)) != create(server, table(4))


def test_a_collection_is_made_and_delivered_in_one_request(server):
    reply = server.ask(
        "/collections.zip?renderer=faulty",
        "POST",
        table(3),
        {"Content-Type": "text/csv"},
    )

    place = reply.headers["Content-Location"]
    assert server.ask(place).body == reply.body


def test_a_server_without_a_store_still_delivers_at_once(folder):
    settings = {"MIMEO_STORE": "none", "FAULTY_FOLDER": str(folder)}
    kind = {"Content-Type": "text/csv"}
    with serve(APP, settings) as server:
        path = "/collections{}?renderer=faulty"
        whole = server.ask(path.format(".zip"), "POST", table(3), kind)
        kept = server.ask(path.format(""), "POST", table(3), kind)

    assert len(zipfile.ZipFile(io.BytesIO(whole.body)).namelist()) == 4
    assert (kept.status, json.loads(kept.body)["type"]) == (501, "/problems/no-shelf")


def test_an_image_outside_the_collection_is_404_and_says_the_range(server):
    path = create(server, table(3))

    reply = server.ask(f"{path}/4.png")

    assert reply.status == 404
    assert json.loads(reply.body)["count"] == 3


def test_a_contact_sheet_shows_all_images(server):
    path = create(server, table(7))

    reply = server.ask(f"{path}/sheet.png?columns=3")

    image = Image.open(io.BytesIO(reply.body))
    assert image.width > 3 * 64
    assert reply.headers["ETag"]


def test_an_answer_that_breaks_off_ends_no_worker(server):
    path = create(server, table(60, fail=at(40, "crash")), "width=300&height=200")
    before = server.workers()

    codes = [server.curl(f"{path}.json", "-f").returncode for _ in range(6)]

    assert codes == [18] * 6
    assert server.workers() == before
