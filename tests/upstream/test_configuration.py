"""Services are read from the environment and a file, and mistakes are named."""

from pathlib import Path

import pytest

from app.bootstrap import open_catalogue
from app.config import BadSetting, Settings
from app.upstream.configuration import VARIABLES, UpstreamSettingError, read_upstreams
from app.upstream.request.adapters import parameters
from app.upstream.service import Service

CANARY = "sk-canary-42"
GOOD = """\
[upstreams.painter]
kind = "json"
url = "http://10.0.0.7:9000/paint?token=query-canary"
pointer = "/result/*/image"
model = "m"
key_env = "PAINTER_KEY"
key_header = "X-Key"
key_scheme = ""
knows = ["seed", "n"]
sizes = ["512x512", "1024x768"]
connect_s = 1
first_byte_s = 2.5
idle_s = 3
total_s = 4
max_wire_bytes = 1000
max_image_bytes = 900
max_images = 3
max_pixels = 800
concurrency = 2

[upstreams.old-stability]
kind = "stability"
api = "v1"
model = "stable-diffusion-v1-6"
url = "https://api.example"
"""


def only(environ: dict[str, str]) -> Service:
    (found,) = read_upstreams(environ)
    return found


def from_text(tmp_path: Path, text: str, **environ: str) -> tuple[Service, ...]:
    file = tmp_path / "services.toml"
    file.write_text(text)
    return read_upstreams({"PAINTER_KEY": CANARY, **environ}, file)


def test_without_a_word_there_are_none():
    assert read_upstreams({"AI_SERVICE_URL": " ", "OPENAI_API_KEY": ""}) == ()


def test_an_ai_service_has_an_address_and_perhaps_a_key():
    found = only({"AI_SERVICE_URL": "http://ai-service:8001"})
    keyed = only(
        {"AI_SERVICE_URL": "http://127.0.0.1:8001", "AI_SERVICE_KEY": f" {CANARY}\n"}
    )

    assert (found.name, found.kind, found.url) == (
        *("ai-service", "auto"),
        "http://ai-service:8001",
    )
    assert found.credential is None
    assert keyed.credential is not None
    assert keyed.credential.value == f"Bearer {CANARY}"


@pytest.mark.parametrize(
    ("environ", "name", "url", "model", "keyed"),
    [
        (
            {"OPENAI_API_KEY": CANARY},
            *("openai", "https://api.openai.com/v1", "gpt-image-1", True),
        ),
        (
            {"OPENAI_BASE_URL": "http://localhost:8080/v1", "OPENAI_MODEL": "flux"},
            *("openai", "http://localhost:8080/v1", "flux", False),
        ),
        (
            {"STABILITY_API_KEY": CANARY, "STABILITY_MODEL": "sd3.5-large"},
            *("stability", "https://api.stability.ai", "sd3.5-large", True),
        ),
        (
            {"STABILITY_API_KEY": CANARY, "STABILITY_BASE_URL": "http://here:1"},
            *("stability", "http://here:1", "core", True),
        ),
        (
            {"SD_WEBUI_URL": "http://gpu:7860", "SD_WEBUI_AUTH": "me:secret"},
            *("sd-webui", "http://gpu:7860", None, True),
        ),
    ],
)
def test_the_usual_services_need_the_environment_alone(
    environ, name, url, model, keyed
):
    found = only(environ)

    assert (found.name, found.url, found.model) == (name, url, model)
    assert (found.credential is not None) == keyed


def test_a_model_or_a_password_alone_makes_no_service():
    environ = {"OPENAI_MODEL": "x", "STABILITY_MODEL": "y", "SD_WEBUI_AUTH": "a:b"}

    assert read_upstreams(environ) == ()


def test_every_key_of_the_file_counts(tmp_path):
    old, painter = from_text(tmp_path, GOOD)

    assert (old.name, old.api, old.credential) == ("old-stability", "v1", None)
    assert painter.name == "painter"
    assert painter.pointer == "/result/*/image"
    assert (painter.knows, painter.sizes) == (("seed", "n"), ((512, 512), (1024, 768)))
    assert painter.credential is not None
    assert (painter.credential.header, painter.credential.value) == ("X-Key", CANARY)
    times = (painter.connect_s, painter.first_byte_s, painter.idle_s)
    assert (*times, painter.total_s) == (1, 2.5, 3, 4)
    sizes = (painter.max_wire_bytes, painter.max_image_bytes, painter.max_images)
    assert (*sizes, painter.max_pixels, painter.concurrency) == (1000, 900, 3, 800, 2)


def test_the_file_goes_before_the_environment(tmp_path):
    text = '[upstreams.openai]\nkind = "openai"\nurl = "http://here:1/v1"\n'

    (found,) = from_text(tmp_path, text, OPENAI_API_KEY="k")

    assert (found.url, found.credential) == ("http://here:1/v1", None)


def test_no_secret_is_shown(tmp_path):
    shown = repr(from_text(tmp_path, GOOD))

    assert CANARY not in shown
    assert "query-canary" not in shown


def table(**changes: str) -> str:
    """Return a table in which some lines are others; an empty one is left out."""
    lines = {"kind": '"json"', "url": '"http://h:1/"', "key_env": '"PAINTER_KEY"'}
    rows = (f"{key} = {value}\n" for key, value in {**lines, **changes}.items())
    return "[upstreams.painter]\n" + "".join(row for row in rows if "= \n" not in row)


MISTAKES = [
    (table(kind=""), "painter.kind", "required"),
    (table(kind='"grpc"'), "painter.kind", "one of auto"),
    (table(kind="1"), "painter.kind", "text"),
    (table(url=""), "painter.url", "required"),
    (table(url='"ftp://h/"'), "painter.url", "http"),
    (table(url='"h:1"'), "painter.url", "http"),
    (table(url='"http://"'), "painter.url", "http"),
    (table(url='"http://h:99999/"'), "painter.url", "http"),
    (table(url=f'"http://me:{CANARY}@h/"'), "painter.url", "user"),
    (table(url='"http://h/#x"'), "painter.url", "fragment"),
    (table(url='"http://h/#"'), "painter.url", "fragment"),
    (table(kind='"openai"', url=f'"http://h/v1?k={CANARY}"'), "painter.url", "query"),
    (table(kind='"sdwebui"', url='"http://h/?"'), "painter.url", "query"),
    (table(url='"http://h/ x"'), "painter.url", "ASCII"),
    (table(url='"http://hö/"'), "painter.url", "ASCII"),
    (table(speed="1"), "painter.speed", "not known"),
    (table(api='"v1"'), "painter.api", "stability"),
    (table(kind='"stability"'), "painter.model", "required"),
    (table(kind='"stability"', model='"x"', api='"v3"'), "painter.api", "v2beta"),
    (table(kind='"stability"', model='"../x"'), "painter.model", "a model's name"),
    (table(kind='"stability"', api='"v1"'), "painter.model", "required"),
    (table(model=r'"a\nb"'), "painter.model", "one line"),
    (table(kind='"auto"', pointer='"/a"'), "painter.pointer", "kind json"),
    (table(pointer='"a/b"'), "painter.pointer", "JSON pointer"),
    (table(pointer=r'"/a\nb"'), "painter.pointer", "JSON pointer"),
    (table(pointer='"/a~2"'), "painter.pointer", "JSON pointer"),
    (table(key_env='"NOT_SET"'), "painter.key_env", "NOT_SET is not set"),
    (table(key_env='"A KEY"'), "painter.key_env", "name"),
    (table(key_env='"EMPTY"'), "painter.key_env", "not set"),
    (table(key_env='"LINED"'), "LINED", "characters"),
    (table(key_env='"FOREIGN"'), "FOREIGN", "characters"),
    (table(key_scheme='"Basic"'), "PAINTER_KEY", "user:password"),
    (table(key_scheme='"a b"'), "painter.key_scheme", "word"),
    (table(key_header='"Host"'), "painter.key_header", "header"),
    (table(key_header='"idempotency-key"'), "painter.key_header", "header"),
    (table(key_header='"a b"'), "painter.key_header", "header"),
    (table(key_header='""'), "painter.key_header", "header"),
    (table(key_header='"User-Agent"'), "painter.key_header", "header"),
    (table(key_env="", key_header='"X"'), "painter.key_header", "key_env"),
    (table(knows='"seed"'), "painter.knows", "list"),
    (table(knows='["lora"]'), "painter.knows", "'lora'"),
    (table(knows='["seed", "seed"]'), "painter.knows", "twice"),
    (table(sizes='["5x"]'), "painter.sizes", "1024x768"),
    (table(sizes='["0x5"]'), "painter.sizes", "1024x768"),
    (table(kind='"sdwebui"', sizes='["65x64"]'), "painter.sizes", "multiple of 8"),
    (
        table(kind='"stability"', model='"core"', sizes='["100x99"]'),
        "painter.sizes",
        "100x99",
    ),
    (table(total_s="0"), "painter.total_s", "more than 0"),
    (table(total_s="901"), "painter.total_s", "900"),
    (table(idle_s="true"), "painter.idle_s", "seconds"),
    (table(idle_s="nan"), "painter.idle_s", "seconds"),
    (table(max_images="0"), "painter.max_images", "from 1"),
    (table(max_images="1.5"), "painter.max_images", "whole"),
    (table(concurrency='"4"'), "painter.concurrency", "whole"),
    (table(price="0"), "painter.price", "more than 0"),
    (table(price='"0.04"'), "painter.price", "number"),
    (table().replace("painter", "'a//b'"), "upstreams.a//b", "letters"),
    (table().replace("painter", "'gpt-image-1.'"), "upstreams.gpt-image-1.", "letters"),
    (table().replace("painter", "'a b'"), "upstreams.a b", "letters"),
    (table().replace("painter", "'a b'"), "upstreams.a b", "letters"),
    ("[upstream.x]\n", "upstream", "say upstreams"),
    ("upstreams = 1\n", "upstreams", "table"),
    ("[upstreams]\nx = 1\n", "upstreams.x", "table"),
    ("[upstreams.x\n", "services.toml", "TOML"),
    ("x = " + "[" * 5_000, "services.toml", "nested"),
]


@pytest.mark.parametrize(("text", "place", "reason"), MISTAKES)
def test_a_mistake_in_the_file_is_named_with_its_place(tmp_path, text, place, reason):
    more = {"EMPTY": " ", "LINED": f"{CANARY}\nX-Evil: 1", "FOREIGN": f"{CANARY}ü"}

    with pytest.raises(UpstreamSettingError) as caught:
        from_text(tmp_path, text, **more)

    assert place in caught.value.place
    assert reason in caught.value.reason
    assert CANARY not in str(caught.value)


@pytest.mark.parametrize(
    ("environ", "place"),
    [
        ({"AI_SERVICE_URL": "ai-service:8001"}, "AI_SERVICE_URL"),
        ({"AI_SERVICE_URL": f"http://me:{CANARY}@h"}, "AI_SERVICE_URL"),
        ({"OPENAI_API_KEY": f"{CANARY}\r\nX: y"}, "OPENAI_API_KEY"),
        ({"OPENAI_BASE_URL": "localhost"}, "OPENAI_BASE_URL"),
        ({"OPENAI_BASE_URL": f"http://h/v1?k={CANARY}"}, "OPENAI_BASE_URL"),
        ({"OPENAI_API_KEY": "k", "OPENAI_MODEL": "a\nb"}, "OPENAI_MODEL"),
        ({"STABILITY_API_KEY": "k", "STABILITY_MODEL": "../x"}, "STABILITY_MODEL"),
        ({"STABILITY_BASE_URL": "http://h/?x"}, "STABILITY_BASE_URL"),
        ({"SD_WEBUI_URL": "http://h", "SD_WEBUI_AUTH": CANARY}, "SD_WEBUI_AUTH"),
    ],
)
def test_a_mistake_in_the_environment_is_named(environ, place):
    with pytest.raises(UpstreamSettingError) as caught:
        read_upstreams(environ)

    assert caught.value.place == place
    assert CANARY not in str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(UpstreamSettingError, match=r"none.toml: No such file"):
        read_upstreams({}, tmp_path / "none.toml")


def test_a_file_that_is_no_text_is_named(tmp_path):
    file = tmp_path / "services.toml"
    file.write_bytes(b"\xff\xfe")

    with pytest.raises(UpstreamSettingError, match=r"^services.toml: is not TOML"):
        read_upstreams({}, file)


@pytest.mark.parametrize(
    ("line", "fields"),
    [("", {"prompt", "seed", "width", "height"}), ("knows = []\n", {"prompt"})],
)
def test_a_service_can_know_nothing_beside_the_prompt(tmp_path, line, fields):
    (found,) = from_text(tmp_path, table() + line)

    assert set(parameters(found).model_fields) == fields


def test_the_start_names_the_mistake():
    with pytest.raises(BadSetting, match=r"^AI_SERVICE_URL: must be a URL"):
        open_catalogue(Settings(system_fonts=False), {"AI_SERVICE_URL": CANARY})


@pytest.mark.parametrize("name", ["card", "solid"])
def test_a_service_cannot_take_a_renderers_name(tmp_path, name):
    file = tmp_path / "services.toml"
    file.write_text(f'[upstreams.{name}]\nkind = "auto"\nurl = "http://h"\n')

    with pytest.raises(BadSetting, match=f"'{name}' is the name of a renderer"):
        open_catalogue(Settings(system_fonts=False, upstreams=file), {})


def test_every_variable_is_documented(root):
    text = (root / "docs" / "reference" / "settings.md").read_text()

    for variable, meaning in VARIABLES.items():
        assert f"| `{variable}` | {meaning} |" in text
