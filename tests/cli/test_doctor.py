"""The doctor finds what is wrong, and says how to mend it."""

import re
import socket
from contextlib import closing
from pathlib import Path

import pytest

from app.cli import doctor, listener
from app.cli.doctor import Finding


@pytest.fixture
def environ(tmp_path):
    """An environment in which all is well."""
    with closing(listener.listen("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    return {"PORT": str(port), "MIMEO_STORE": str(tmp_path / "store")}


# What looks at a subject: drawing every example takes seconds.
CHECKS = {
    "settings": (),
    "codecs": (doctor._codecs,),
    "fonts": (doctor._fonts,),
    "packages": (doctor._packages,),
    "redis": (doctor._shared,),
    "secrets": (doctor._secrets,),
    "store": (doctor._store,),
    "templates": (doctor._drawing,),
}


def look(environ: dict[str, str], subject: str) -> list[Finding]:
    rows = doctor.findings(environ, CHECKS[subject])
    return [row for row in rows if row.subject == subject]


def test_nothing_fails_where_all_is_well(environ, capsys):
    status = doctor.examine(environ)

    assert status == 0, capsys.readouterr().out


def test_every_finding_that_is_not_ok_says_how_to_mend_it(environ):
    environ |= {"MIMEO_SYSTEM_FONTS": "off", "WEB_CONCURRENCY": "1024"}

    rows = list(doctor.findings(environ))

    assert {row.state for row in rows} == {"ok", "warn"}
    assert all(row.mend for row in rows if row.state != "ok")


def test_a_bad_setting_fails_and_the_rest_is_still_looked_at(environ, capsys):
    status = doctor.examine(environ | {"MIMEO_MAX_SIDE": "big"})

    out = capsys.readouterr().out
    assert status == 1
    assert "fail  settings   MIMEO_MAX_SIDE='big'" in out
    assert "drawing" in out


@pytest.mark.parametrize("variable", ["REDIS_URL", "MIMEO_BROKER_URL"])
def test_a_redis_that_is_none_fails_with_the_name_of_its_setting(environ, variable):
    [finding] = look({**environ, variable: "rubbish"}, "settings")

    assert finding.state == "fail"
    assert finding.detail.startswith(f"{variable}: must be redis://")


def test_a_redis_that_does_not_answer_is_a_warning(environ):
    [finding] = look({**environ, "REDIS_URL": "redis://:hunter2@127.0.0.1:9"}, "redis")

    assert (finding.state, finding.detail) == ("warn", "REDIS_URL is not answered")


def test_a_redis_url_that_its_library_refuses_fails(environ):
    url = "redis://:hunter2@127.0.0.1:9/0?db=first"

    [finding] = look({**environ, "REDIS_URL": url}, "redis")

    assert finding.state == "fail"
    assert finding.detail.startswith("REDIS_URL: ") and "hunter2" not in str(finding)


def test_missing_fonts_are_named_by_script(environ, monkeypatch):
    monkeypatch.setattr(doctor, "SCRIPTS", {"Latin": "A", "Linear A": "\U00010600"})

    (row,) = look(environ | {"MIMEO_SYSTEM_FONTS": "off"}, "fonts")

    assert (row.state, row.detail) == ("fail", "none for Linear A")
    assert "requirements.txt" in row.mend


def test_every_living_script_and_emoji_are_there(environ):
    (row,) = look(environ | {"MIMEO_SYSTEM_FONTS": "off"}, "fonts")

    assert row.state == "ok"
    assert {"Thai", "emoji"} <= set(re.split(", | draw ", row.detail))


def test_a_damaged_font_fails(environ, tmp_path):
    (tmp_path / "own.ttf").write_bytes(b"no font")

    rows = look(environ | {"MIMEO_FONTS": str(tmp_path)}, "fonts")

    assert rows[0].state == "fail"
    assert "own.ttf" in rows[0].detail


@pytest.mark.parametrize(("fixed", "state"), [(True, "fail"), (False, "warn")])
def test_a_taken_port_fails_only_where_it_was_asked_for(fixed, state):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        settings = doctor.Settings(port=port)
        environ = {"PORT": str(port)} if fixed else {}
        rows = list(doctor._port(settings, environ))

    assert [row.state for row in rows] == [state]


def test_a_store_that_cannot_be_made_fails(environ, tmp_path):
    (tmp_path / "file").write_text("")

    rows = look(environ | {"MIMEO_STORE": str(tmp_path / "file" / "store")}, "store")

    assert rows[0].state == "fail"
    assert "MIMEO_STORE" in rows[0].mend


def test_a_broken_template_fails_with_file_and_line(environ, tmp_path):
    folder = tmp_path / "templates" / "mine"
    folder.mkdir(parents=True)
    (folder / "parameters.toml").write_text("title = \n")
    (folder / "template.html").write_text("<p></p>")

    rows = look(environ | {"MIMEO_TEMPLATES": str(folder.parent)}, "templates")

    assert rows[0].state == "fail"
    assert "mine/parameters.toml, line 1" in rows[0].detail


def test_a_codec_that_pillow_lacks_fails(environ, monkeypatch):
    monkeypatch.setattr(doctor.features, "check", lambda name: name != "avif")

    rows = look(environ, "codecs")

    assert [row.state for row in rows] == ["fail"]
    assert "no avif" in rows[0].detail


def test_packages_off_their_pins_are_named(environ, monkeypatch, tmp_path):
    pins = tmp_path / "requirements.txt"
    pins.write_text("# comment\npillow==1.0\nno-such-package==2.0\n")
    monkeypatch.setattr(doctor, "_PINS", pins)

    rows = look(environ, "packages")

    assert rows[0].state == "warn"
    assert "instead of 1.0" in rows[0].detail
    assert "no-such-package missing" in rows[0].detail


def test_a_service_is_named_and_not_called() -> None:
    environ = {"MIMEO_STORE": "none", "AI_SERVICE_URL": "http://127.0.0.1:9"}

    found = [row for row in doctor.findings(environ) if row.subject == "services"]

    assert [(row.state, row.detail) for row in found] == [
        ("ok", "ai-service (not called)")
    ]


def test_a_service_that_cannot_be_used_is_a_failure_and_the_rest_is_drawn() -> None:
    environ = {"MIMEO_STORE": "none", "AI_SERVICE_URL": "ai-service:8001"}

    found = {row.subject: row for row in doctor.findings(environ)}

    assert found["services"].state == "fail"
    assert "AI_SERVICE_URL" in found["services"].detail
    assert found["drawing"].state == "ok"


def test_a_release_without_faults_says_so_in_one_line(environ, capsys):
    status = doctor.release(environ)

    assert status == 0
    assert len(capsys.readouterr().out.splitlines()) == 1


@pytest.mark.parametrize(
    ("changes", "subject"),
    [
        ({"MIMEO_MAX_SIDE": "big"}, "settings"),
        ({"MIMEO_STORE": "/proc/none"}, "store"),
        ({"MIMEO_STORE": "/proc/none"}, "secrets"),
        ({"MIMEO_FONTS": "{folder}"}, "fonts"),
        ({"OPENAI_API_KEY": "sk-x", "OPENAI_BASE_URL": "gopher://x"}, "services"),
    ],
)
def test_a_release_with_a_fault_fails_with_a_line_that_names_it(
    environ, tmp_path, capsys, changes, subject
):
    (tmp_path / "own.ttf").write_bytes(b"no font")
    given = {name: text.format(folder=tmp_path) for name, text in changes.items()}

    status = doctor.release(environ | given)

    lines = capsys.readouterr().out.splitlines()
    assert status == 1
    assert any(line.startswith(f"mimeo: {subject}: ") for line in lines)
    assert all(line.startswith("mimeo: ") and " -> " in line for line in lines)


def test_a_store_of_a_later_version_fails(environ, tmp_path):
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "format").write_text("2\n")

    (row,) = look(environ, "store")

    assert row.state == "fail"
    assert "has format 2" in row.detail


def test_a_bucket_that_does_not_answer_fails(environ, monkeypatch):
    with closing(listener.listen("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")

    (row,) = look(environ | {"MIMEO_STORE": "s3://bucket/none"}, "store")

    assert row.state == "fail"
    assert "cannot write" in row.detail


def test_a_damaged_secret_fails(environ):
    assert look(environ, "secrets")[0].state == "ok"
    [secret] = Path(environ["MIMEO_STORE"], "keys").glob("*/*")
    secret.write_bytes(b"short")

    assert look(environ, "secrets")[0].state == "fail"


def test_where_no_worker_finds_a_secret_a_warning_says_so(environ):
    several = {"MIMEO_STORE": "none", "WEB_CONCURRENCY": "2"}

    assert look(environ | several, "secrets")[0].state == "warn"
    named = environ | several | {"MIMEO_URL_KEY": "0123456789-abcdefghijklmnopqrstuv"}
    assert look(named, "secrets")[0].state == "ok"
