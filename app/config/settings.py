"""Settings: one frozen object, read from the environment once."""

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any

from app.config import parsers
from app.errors import with_fields


@with_fields
class BadSetting(ValueError):
    """A setting holds a value that cannot be used; None is one not to be shown."""

    variable: str
    value: str | None
    reason: str

    def __str__(self) -> str:
        shown = "" if self.value is None else f"={self.value!r}"
        return f"{self.variable}{shown}: {self.reason}"


def _default_store() -> str:
    """Return the user's cache folder by the custom of the platform."""
    home = Path("~").expanduser()
    if sys.platform == "darwin":
        base = home / "Library" / "Caches"
    elif sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local")
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache")
    return str(base / "mimeo")


def _setting(
    default: Any, parse: Callable[[str], Any], doc: str, variable: str = "", **own: Any
) -> Any:
    """Return a field of Settings; its variable is `MIMEO_` and its name by default."""
    metadata = {"variable": variable, "parse": parse, "doc": doc}
    given = "default_factory" if callable(default) else "default"
    return field(**{given: default}, metadata=metadata, **own)


def _variable(item: Any) -> str:
    return item.metadata["variable"] or f"MIMEO_{item.name.upper()}"


_BYTES = 1 << 40
# By the documentation of those who append them: Google, Meta, Microsoft, Yandex, X,
# TikTok, LinkedIn, Pinterest, Snapchat, Reddit, Mailchimp, HubSpot, Klaviyo, Marketo,
# Matomo, Vero, Branch; then what scripts put against caches.
_TRACKING = (
    *("utm_*", "mtm_*", "pk_*", "matomo_*", "hsa_*", "_hs*", "__hs*", "_branch_*"),
    *("gclid", "gclsrc", "gbraid", "wbraid", "dclid", "gad_*", "srsltid", "_ga", "_gl"),
    *("fbclid", "fb_*", "igsh", "igshid", "mibextid", "msclkid", "yclid", "ysclid"),
    *("_openstat", "twclid", "ref_src", "ref_url", "ttclid", "li_fat_id", "epik"),
    *("sccid", "rdt_cid", "mc_cid", "mc_eid", "mkt_tok", "_ke", "_kx", "vero_id"),
    *("hsctatracking", "sc_click_id", "rb_clickid", "irclickid", "cjevent", "xtor"),
    *("s_kwcid", "ef_id", "piwik_*", "at_medium", "at_campaign", "cx_click"),
    *("oly_anon_id", "oly_enc_id", "wickedid", "elqtrackid", "elqtrack", "dm_i"),
    *("ck_subscriber_id", "sfmc_*", "bsft_*", "omnisend*", "ml_subscriber*", "__s"),
    *("inf_contact_key", "_bta_*", "bxid", "trk_contact", "trk_msg", "vgo_ee"),
    *("sfnsn", "rdid", "__cft__*", "__tn__", "__xts__*", "hc_ref", "hc_location"),
    *("paipv", "eav", "tt_medium", "tt_content", "share_id", "guccounter", "guce_*"),
    *("ref", "referrer", "spm", "wprov", "cvid", "ncid", "cmpid", "amp_js_v", "usqp"),
    *("_", "_t", "cb", "cachebust*", "nocache", "rnd", "ver"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All that an operator can choose, each by a variable; `variables` lists them."""

    # HOST, PORT and WEB_CONCURRENCY are what hosting platforms set and gunicorn reads.
    host: str = _setting(
        "127.0.0.1", parsers.host, "Address to listen on.", variable="HOST"
    )
    port: int = _setting(
        8000, parsers.whole(1, 65535), "TCP port to listen on.", variable="PORT"
    )
    workers: int = _setting(
        lambda: os.cpu_count() or 1,
        parsers.whole(1, 1024),
        "Worker processes at most; one for each core, as memory allows.",
        variable="WEB_CONCURRENCY",
    )
    bulk_processes: int = _setting(
        lambda: os.cpu_count() or 1,
        parsers.whole(0, 1024),
        "Processes that draw collections, those of all workers together, at most; one "
        "for each core, as memory allows. 0: threads of the workers draw them. A "
        "worker of jobs with 1 draws by itself.",
    )
    memory_bytes: int | None = _setting(
        None,
        parsers.whole(1 << 28, _BYTES),
        "Memory of all processes together, by default that of the cgroup or machine; "
        "it yields workers and bounds.",
    )
    threads: int = _setting(
        32,
        parsers.whole(4, 1024),
        "Requests that one worker holds at a time; most of them wait or are sent.",
    )
    receive_timeout_s: float = _setting(
        10.0,
        parsers.seconds(1, 300),
        "Seconds for the head of a request to arrive, and that its body may stand "
        "still; then 408.",
    )
    store: str = _setting(
        _default_store,
        parsers.store,
        "Where encoded images are kept: a folder, a bucket, `memory:` or `none`.",
    )
    store_bytes: int = _setting(
        1 << 30,
        parsers.whole(1 << 20, _BYTES),
        "Bytes that the store may hold; the oldest go first.",
    )
    copies: str = _setting(
        _default_store,
        parsers.place,
        "Folder of this machine for copies of what is read from a bucket.",
    )
    copies_bytes: int = _setting(
        1 << 28,
        parsers.whole(0, _BYTES),
        "Bytes that these copies may take; 0: none are kept.",
    )
    templates: Path | None = _setting(
        None, parsers.folder, "Folder of your own templates, one folder each."
    )
    template_editing: bool = _setting(
        False,
        parsers.switch,
        "Keep templates that keys with the scope `templates` save, and draw them.",
    )
    max_templates: int = _setting(
        200, parsers.whole(1, 10_000), "Templates that may be saved."
    )
    templates_bytes: int = _setting(
        1 << 30,
        parsers.whole(1 << 20, _BYTES),
        "Bytes that the store may hold of saved templates, all versions together.",
    )
    fonts: Path | None = _setting(
        None, parsers.folder, "Folder of font files to load beside the packaged ones."
    )
    system_fonts: bool = _setting(
        True, parsers.switch, "Whether the system's font folders fill the gaps."
    )
    development: bool = _setting(
        False, parsers.switch, "Read changed templates at the next request."
    )
    access_log: bool = _setting(
        True, parsers.switch, "Write one JSON line for each request to standard error."
    )
    max_age_s: int = _setting(
        0,
        parsers.whole(0, 31_536_000),
        "Seconds a cache may keep an image whose URL does not pin it; 0: revalidate.",
    )
    max_side: int = _setting(
        8192, parsers.whole(1, 65_535), "Longest side of a picture, in device pixels."
    )
    max_pixels: int = _setting(
        1 << 24,
        parsers.whole(1, 1 << 30),
        "Largest area of a picture after scale, in device pixels.",
    )
    max_text_chars: int = _setting(
        5000,
        parsers.whole(1, 1 << 20),
        "Characters of text in one request, HTML apart.",
    )
    max_html_bytes: int = _setting(
        1 << 18, parsers.whole(1, 1 << 24), "Bytes of a caller's own HTML."
    )
    max_html_depth: int = _setting(
        200, parsers.whole(1, 512), "How deep elements of a caller's own HTML may nest."
    )
    # 700 MB decoded.
    max_image_pixels: int = _setting(
        50_000_000,
        parsers.whole(1, 178_956_970),
        "Pixels of an image sent as a parameter.",
    )
    image_origins: tuple[str, ...] = _setting(
        (),
        parsers.origins,
        "Origins of https from which an image may be named by URL, with commas.",
    )
    max_body_bytes: int = _setting(
        8 << 20, parsers.whole(1024, 1 << 32), "Bytes of a request body."
    )
    max_rows: int = _setting(
        100_000, parsers.whole(1, 10_000_000), "Images of one collection."
    )
    max_collection_bytes: int = _setting(
        1 << 26, parsers.whole(1024, 1 << 36), "Bytes of a collection's upload."
    )
    max_collection_pixels: int = _setting(
        10**11,
        parsers.whole(1, 1 << 50),
        "Area of all images of a collection together, in device pixels.",
    )
    max_frames: int = _setting(
        1000, parsers.whole(1, 100_000), "Images of one animation or contact sheet."
    )
    collections_bytes: int = _setting(
        1 << 30,
        parsers.whole(1 << 20, _BYTES),
        "Bytes that the store may hold of collections and their manifests.",
    )
    jobs_bytes: int | None = _setting(
        None,
        parsers.whole(1 << 20, _BYTES),
        "Bytes that the store may hold of jobs; nothing of them goes to make room. By "
        "default 10 GiB in a folder, 256 MiB in memory, and no bound in a bucket.",
    )
    jobs_ttl_s: int = _setting(
        604_800,
        parsers.whole(60, 31_536_000),
        "Seconds for which a job is kept after its end.",
    )
    max_job_rows: int = _setting(
        10_000_000, parsers.whole(1, 100_000_000), "Images of one job."
    )
    max_job_bytes: int = _setting(
        1 << 33, parsers.whole(1024, 1 << 40), "Bytes of a job's upload."
    )
    lookahead_bytes: int = _setting(
        1 << 24,
        parsers.whole(1, 1 << 32),
        "Bytes of images drawn ahead of one client, at most; drawing pauses there.",
    )
    lookahead_images: int = _setting(
        8,
        parsers.whole(1, 256),
        "Images drawn ahead of one client, for each process that draws; drawing pauses "
        "there.",
    )
    layout_wait_s: float = _setting(
        20.0,
        parsers.seconds(0, 300),
        "Seconds a resumed download waits for an archive never sent whole; then 503.",
    )
    render_timeout_s: float = _setting(
        10.0,
        parsers.seconds(0.1, 300),
        "Seconds after which a caller's HTML, or a template's loops, are stopped.",
    )
    queue_timeout_s: float = _setting(
        10.0,
        parsers.seconds(0, 300),
        "Seconds a request waits for its turn to draw before it gets a 503.",
    )
    drawing_bytes: int = _setting(
        1 << 30,
        parsers.whole(1 << 24, 1 << 36),
        "Memory that one picture may take while it is drawn and encoded, at most.",
    )
    html_memory_bytes: int = _setting(
        1 << 30,
        parsers.whole(1 << 28, 1 << 36),
        "Memory of the process that draws a caller's own HTML, at most.",
    )
    browser: Path | None = _setting(
        None,
        parsers.browser,
        "Chromium, whose path it is, for the renderer `browser`; `on` finds it.",
    )
    browser_sandbox: bool = _setting(
        True,
        parsers.switch,
        "Whether Chromium's own sandbox is on; off only where a container stands for "
        "it.",
    )

    tracking_names: tuple[str, ...] = _setting(
        lambda: _TRACKING,
        parsers.patterns(_TRACKING),
        "Names that others append to URLs, which are passed over, between commas; "
        "`default` stands for the usual ones, `none` is no name.",
    )
    model_aliases: tuple[tuple[str, str], ...] = _setting(
        tuple,
        parsers.aliases,
        "Models that clients name, and the renderers that they are, such as "
        "`dall-e-3=dream,gpt-image-1=openai`.",
    )
    upstreams: Path | None = _setting(
        None, parsers.file, "TOML file that names services that make images."
    )
    default_renderer: str | None = _setting(
        None, str, "Renderer of prompts that name none; see docs/how-to/upstreams.md."
    )
    purchases_bytes: int = _setting(
        1 << 31,
        parsers.whole(1 << 20, _BYTES),
        "Bytes that the store may hold of images that services made.",
    )
    reuse_s: int = _setting(
        600,
        parsers.whole(0, 86_400),
        "Seconds in which a prompt that comes again without a key is not paid again.",
    )
    access: str = _setting(
        "open",
        parsers.choice("open", "signed", "keys"),
        "Who may draw: `open` is anyone, `signed` a signed URL or a key, `keys` the "
        "same and nobody else keeps anything.",
    )
    keys_file: Path | None = _setting(
        None, parsers.file, "TOML file with the keys of callers; see `mimeo key new`."
    )
    keys: str | None = _setting(
        None,
        str,
        "Keys of callers as TOML, where there is no file.",
        repr=False,
    )
    open_services: tuple[str, ...] = _setting(
        (),
        parsers.names,
        "Services that anyone may buy from within their budget, between commas.",
    )
    local_callers: bool = _setting(
        False,
        parsers.switch,
        "Whether programs on this machine need no key; `mimeo serve` on a loopback "
        "address sets it.",
    )
    proxies: int = _setting(
        0,
        parsers.whole(0, 8),
        "Proxies in front, whose X-Forwarded-For and X-Forwarded-Proto are believed.",
    )
    allowed_hosts: tuple[str, ...] = _setting(
        (),
        parsers.names,
        "Hosts that are answered, without a port, between commas; with none, and no "
        "MIMEO_PUBLIC_URL, all are.",
    )
    url_keys: tuple[tuple[str, str], ...] = _setting(
        (),
        parsers.secrets,
        "Secrets that sign URLs, `id:secret` between commas: the first signs, all "
        "verify.",
        repr=False,
    )
    url_key: str | None = _setting(
        None,
        parsers.secret,
        "One such secret alone, with the id `default`; without any the store's own.",
        # A traceback or a log may show the settings whole.
        repr=False,
    )
    url_ttl_s: int = _setting(
        3600,
        parsers.whole(60, 604_800),
        "Seconds for which a signed URL works, where nothing else is said.",
    )
    webhook_hosts: tuple[str, ...] = _setting(
        (),
        parsers.hosts,
        "Hosts to which alone messages about jobs may go, without a port, between "
        "commas.",
    )
    webhook_secrets: tuple[str, ...] = _setting(
        (),
        parsers.secret_pair,
        "Secret by which messages about jobs are signed, or a new and an old one, "
        "between commas; without any the store's own.",
        repr=False,
    )
    rate_anonymous: parsers.Rate | None = _setting(
        parsers.Rate(600.0, 60),
        parsers.rate,
        "Megapixels that an address without a key may have drawn, or `none`.",
    )
    rate_key: parsers.Rate | None = _setting(
        None, parsers.rate, "Megapixels that a key may have drawn, or `none`."
    )
    redis_url: str | None = _setting(
        None,
        parsers.server("redis", "rediss", "unix"),
        "Redis in which several machines count rates together.",
        variable="REDIS_URL",
        repr=False,
    )
    broker_url: str | None = _setting(
        None,
        parsers.server("redis", "rediss", "amqp", "amqps"),
        "Redis or RabbitMQ by which workers hear of jobs; REDIS_URL by default.",
        repr=False,
    )
    traces: str | None = _setting(
        None,
        str,
        "OpenTelemetry collector (OTLP over HTTP) that gets a trace of each request.",
        variable="OTEL_EXPORTER_OTLP_ENDPOINT",
        repr=False,
    )
    error_reports: str | None = _setting(
        None,
        str,
        "DSN of Sentry, or of what speaks its protocol, that gets unexpected errors.",
        variable="SENTRY_DSN",
        repr=False,
    )
    budget_images: int = _setting(
        1000,
        parsers.whole(0, 1_000_000),
        "Images a day (UTC) that are bought of one service.",
    )
    gateway_status: int | None = _setting(
        None,
        parsers.whole(500, 599),
        "Status in place of 502 and 504, whose bodies some proxies replace.",
    )
    public_url: str | None = _setting(
        None,
        parsers.origin,
        "Origin that signed URLs begin with; that of the request by default.",
    )

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> "Settings":
        """Read the settings; raise BadSetting that names the first bad variable.

        An empty variable counts as unset. A `MIMEO_` variable that is no setting
        is refused too: a misspelt limit must not pass for a set one.
        """
        known = {_variable(item) for item in fields(cls)}
        for variable in sorted(environ):
            if variable.startswith("MIMEO_") and variable not in known:
                # Without the value: it may be the secret of a misspelt MIMEO_URL_KEY.
                raise BadSetting(variable, None, "is not a setting of Mimeo")
        return cls(**dict(_read(environ)))


def variables() -> tuple[tuple[str, str, str], ...]:
    """List every setting as variable, default and description, for the docs."""
    return tuple(
        (_variable(item), _shown(item), item.metadata["doc"])
        for item in fields(Settings)
    )


def _shown(item: Any) -> str:
    special = {
        "store": "the user's cache folder",
        "copies": "the user's cache folder",
        "workers": "the number of cores",
        "bulk_processes": "the number of cores",
        "tracking_names": "the usual ones",
        "model_aliases": "none",
    }
    if item.default is MISSING:
        return special[item.name]
    if item.default in (None, ()):
        return "none"
    if isinstance(item.default, parsers.Rate):
        return "600/minute"
    if isinstance(item.default, bool):
        return "on" if item.default else "off"
    return f"{item.default}"


def _read(environ: Mapping[str, str]) -> Any:
    for item in fields(Settings):
        variable = _variable(item)
        text = environ.get(variable, "").strip()
        if not text:
            continue
        try:
            yield item.name, item.metadata["parse"](text)
        except ValueError as error:
            # A URL may hold a user and a password.
            shown = text if item.repr and "@" not in text else None
            raise BadSetting(variable, shown, str(error)) from error
