"""Settings come from the environment once, and a bad one is named."""

from dataclasses import FrozenInstanceError
from pathlib import Path

import pytest

from app.config import BadSetting, Settings, variables

BAD = [
    ("PORT", "http"),
    ("PORT", "0"),
    ("PORT", "65536"),
    ("PORT", "9" * 5000),
    ("PORT", "+80"),
    ("PORT", "8_0"),
    ("PORT", "080"),
    ("PORT", "80.0"),
    ("WEB_CONCURRENCY", "0000000000000000001999999"),
    ("MIMEO_RENDER_TIMEOUT_S", "1_0"),
    ("MIMEO_RENDER_TIMEOUT_S", "+1"),
    ("MIMEO_RENDER_TIMEOUT_S", "1e400"),
    ("WEB_CONCURRENCY", "-1"),
    ("WEB_CONCURRENCY", "٣"),
    ("HOST", "127.0.0.1 8000"),
    ("MIMEO_STORE", "ftp://host/path"),
    ("MIMEO_STORE", "s3://"),
    ("MIMEO_STORE", "s3:///path"),
    ("MIMEO_STORE", "disk:"),
    ("MIMEO_STORE_BYTES", "1k"),
    ("MIMEO_TEMPLATES", "/does/not/exist"),
    ("MIMEO_DEVELOPMENT", "perhaps"),
    ("MIMEO_WEBHOOK_HOSTS", "https://shop.example"),
    ("MIMEO_WEBHOOK_HOSTS", "shop.example:8443"),
    ("MIMEO_RENDER_TIMEOUT_S", "nan"),
    ("MIMEO_RENDER_TIMEOUT_S", "soon"),
]


@pytest.mark.parametrize(("variable", "value"), BAD)
def test_bad_value_is_named_with_its_variable(variable: str, value: str) -> None:
    with pytest.raises(BadSetting) as caught:
        Settings.from_env({variable: value})

    assert caught.value.variable == variable
    assert str(caught.value).startswith(f"{variable}='{value}': ")


def test_misspelt_setting_is_refused_without_its_value() -> None:
    with pytest.raises(BadSetting, match="MIMEO_URLKEY: is not a setting") as caught:
        Settings.from_env({"MIMEO_URLKEY": "hunter2"})

    assert "hunter2" not in f"{caught.value} {caught.value!r}"


def test_password_in_a_bad_url_is_not_told() -> None:
    with pytest.raises(BadSetting, match="MIMEO_PUBLIC_URL: must be") as caught:
        Settings.from_env({"MIMEO_PUBLIC_URL": "https://me:hunter2@host.example"})

    assert "hunter2" not in f"{caught.value} {caught.value!r}"


@pytest.mark.parametrize("variable", ["REDIS_URL", "MIMEO_BROKER_URL"])
@pytest.mark.parametrize(
    "value",
    [
        "rubbish",
        "hunter2@host",
        "redis:",
        "redis://",
        "http://hunter2@host/0",
        "redis://:hunter2@host:port/0",
        "redis://:hunter2@[::1/0",
        "redis://host:0",
        "redis://:hunter2#@host",
    ],
)
def test_a_url_that_names_no_server_is_refused_and_not_told(
    variable: str, value: str
) -> None:
    with pytest.raises(BadSetting, match=f"^{variable}: ") as caught:
        Settings.from_env({variable: value})

    assert "hunter2" not in f"{caught.value} {caught.value!r}"


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("REDIS_URL", "redis://:a%2Fb@10.0.0.5:6379/0"),
        ("REDIS_URL", "rediss://[::1]:6379"),
        ("REDIS_URL", "unix:///run/redis.sock"),
        ("MIMEO_BROKER_URL", "amqps://me:secret@host/vhost"),
        ("MIMEO_BROKER_URL", "rediss://host?ssl_cert_reqs=CERT_NONE"),
    ],
)
def test_a_url_of_a_server_is_taken_as_it_stands(variable: str, value: str) -> None:
    settings = Settings.from_env({variable: value})

    assert value in (settings.redis_url, settings.broker_url)


def test_image_pixels_end_where_pillow_does() -> None:
    # Twice the default of `PIL.Image.MAX_IMAGE_PIXELS`: from there on it is an error.
    most = 2 * (1024**3 // 4 // 3)
    variable = "MIMEO_MAX_IMAGE_PIXELS"

    assert Settings.from_env({variable: str(most)}).max_image_pixels == most
    with pytest.raises(BadSetting, match=variable):
        Settings.from_env({variable: str(most + 1)})


def test_empty_value_counts_as_unset() -> None:
    assert Settings.from_env({"PORT": ""}).port == 8000


def test_values_are_parsed_by_their_unit(tmp_path: Path) -> None:
    settings = Settings.from_env(
        {
            "PORT": "9000",
            "MIMEO_FONTS": str(tmp_path),
            "MIMEO_DEVELOPMENT": "yes",
            "MIMEO_RENDER_TIMEOUT_S": "2.5",
        }
    )

    assert settings.port == 9000
    assert settings.fonts == tmp_path
    assert settings.development is True
    assert settings.render_timeout_s == 2.5


@pytest.mark.parametrize("url", ["s3://bucket", "gs://bucket/path", "az://b/path"])
def test_a_bucket_is_kept_as_it_is_written(url: str) -> None:
    assert Settings.from_env({"MIMEO_STORE": url}).store == url


def test_settings_are_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        Settings().port = 1  # type: ignore[misc]


def test_every_setting_is_documented() -> None:
    reference = Path("docs/reference/settings.md").read_text()

    for variable, default, doc in variables():
        assert f"| `{variable}` | {default} | {doc} |" in reference


def test_memory_without_its_colon_is_no_folder() -> None:
    assert Settings.from_env({"MIMEO_STORE": "memory"}).store == "memory:"
    folder = Settings.from_env({"MIMEO_STORE": "./memory"}).store
    assert folder == str(Path("memory").absolute())
