"""`mimeo key` and `mimeo sign`: what callers show, and URLs that carry it."""

import argparse
import json
import os
import secrets
import time
from datetime import date, timedelta
from urllib.parse import urlsplit, urlunsplit

from app.access.keys import SCOPES, BadKeys, digest_of, new_key, read_keys
from app.bootstrap import open_secrets, open_signer
from app.cli.command_parser import CommandParser, Commands, add_command
from app.cli.exit_status import ExitStatus
from app.cli.options import Misuse
from app.config import BadSetting, Settings, parsers
from app.jobs.signature import receiver_secret
from app.jobs.webhooks import origin_of, secrets_of
from app.store import StoreError

_SECRET_BYTES = 32
_DAY_S, _MOST_DAYS = 86_400, 36_600
_KEYS = (
    "mimeo key new --name 'The shop' --scopes draw:card,read --days 90",
    "mimeo key secret",
    "mimeo key webhook https://example.com/hooks/mimeo",
)
_SIGNED = (
    "mimeo sign '/images/card.png?title=Hello'",
    "mimeo sign 'https://images.example.com/images/card.png?title=A' --expires 600",
)


def add(commands: "Commands[CommandParser]") -> None:
    """Add both commands to the parser of `mimeo`."""
    key = add_command(commands, "key", "make a key for a caller, or a secret", _KEYS)
    kinds = key.add_subparsers(required=True, metavar="WHAT")
    new = add_command(
        kinds, "new", "print a key once, and the lines for the file", _KEYS[:1]
    )
    new.add_argument("--name", default="", help="who it is for")
    new.add_argument(
        "--scopes",
        default="draw:*,read",
        help=f"between commas: draw:<renderer>, draw:*, {', '.join(SCOPES)} "
        "(draw:*,read)",
    )
    new.add_argument("--days", help="days after which it expires (never)")
    new.add_argument("--json", action="store_true", help="the same for programs")
    new.set_defaults(run=_new)
    about = "print a secret for MIMEO_URL_KEYS and the like"
    secret = add_command(kinds, "secret", about, _KEYS[1:2])
    secret.set_defaults(run=_secret)
    about = "print the secret by which a receiver verifies messages"
    webhook = add_command(kinds, "webhook", about, _KEYS[2:])
    webhook.add_argument("url", help="where the messages go")
    webhook.set_defaults(run=_webhook)
    sign = add_command(commands, "sign", "sign a URL", _SIGNED)
    sign.add_argument("url", help="a whole URL, or a path with its query")
    sign.add_argument(
        "--expires",
        metavar="SECONDS",
        help="how long it works, or `never` (MIMEO_URL_TTL_S)",
    )
    sign.add_argument("--free", default="", help="names that may be appended to it")
    sign.add_argument("--key", help="the id of the secret (the first)")
    sign.set_defaults(run=_sign)


def _new(options: argparse.Namespace) -> int:
    scopes = [each.strip() for each in options.scopes.split(",")]
    id, token = new_key()
    lines = [f"[keys.{id}]"]
    if options.name:
        lines.append(f"name = {_quoted(options.name)}")
    lines.append(f'sha256 = "{digest_of(token)}"')
    lines.append(f"scopes = [{', '.join(map(_quoted, scopes))}]")
    if options.days is not None:
        try:
            days = parsers.whole(1, _MOST_DAYS)(options.days)
        except ValueError as error:
            raise Misuse(f"--days: {error}") from error
        ends = date.today() + timedelta(days=days)
        lines.append(f"expires = {ends.isoformat()}")
    text = "\n".join(lines)
    try:
        read_keys(None, text)
    except BadKeys as error:
        raise Misuse(f"--scopes: {error}") from error
    if options.json:
        print(json.dumps({"id": id, "key": token, "toml": text}, indent=2))
        return ExitStatus.DONE
    print(f"# The key, shown this once: {token}")
    print("# For the file that MIMEO_KEYS_FILE names:")
    print(text)
    return ExitStatus.DONE


def _quoted(text: str) -> str:
    """Spell a string as TOML's basic one, which is JSON's (TOML 1.0)."""
    return json.dumps(text, ensure_ascii=False)


def _secret(options: argparse.Namespace) -> int:
    print(secrets.token_urlsafe(_SECRET_BYTES))
    return ExitStatus.DONE


def _webhook(options: argparse.Namespace) -> int:
    settings = Settings.from_env(os.environ)
    found = secrets_of(settings, open_secrets(settings))
    if found is None:
        raise BadSetting(
            "MIMEO_WEBHOOK_SECRETS", None, "is needed where nothing is kept"
        )
    try:
        print(receiver_secret(found()[0], origin_of(options.url)))
    except (ValueError, StoreError) as error:
        raise Misuse(f"{options.url}: {error}") from error
    return ExitStatus.DONE


def _sign(options: argparse.Namespace) -> int:
    settings = Settings.from_env(os.environ)
    try:
        parts = urlsplit(options.url)
    except ValueError:
        parts = urlsplit("")
    if not parts.path.startswith("/"):
        reason = "is no URL with a path, such as /images/card.png"
        raise Misuse(f"{options.url}: {reason}")
    target = urlunsplit(("", "", parts.path, parts.query, ""))
    signer = open_signer(settings, open_secrets(settings))
    if signer is None:
        raise BadSetting("MIMEO_URL_KEYS", None, "is needed where nothing is kept")
    free = [name.strip() for name in options.free.split(",") if name.strip()]
    try:
        signed = signer.sign(target, _end(options.expires, settings), free, options.key)
    except (ValueError, StoreError) as error:
        raise Misuse(str(error)) from error
    origin = f"{parts.scheme}://{parts.netloc}" if parts.netloc else ""
    print(f"{origin or settings.public_url or ''}{signed}")
    return ExitStatus.DONE


def _end(text: str | None, settings: Settings) -> int | None:
    if text == "never":
        return None
    if text is None:
        return int(time.time()) + settings.url_ttl_s
    try:
        return int(time.time()) + parsers.whole(1, _MOST_DAYS * _DAY_S)(text)
    except ValueError as error:
        raise Misuse(f"--expires: {error}, or `never`") from error
