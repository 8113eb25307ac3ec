"""Two servers that share a bucket and no disk."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import pytest

from tests.gunicorn_server import Server, serve
from tests.s3_server import access, serving


@contextmanager
def two_servers(
    folders: pytest.TempPathFactory, settings: Mapping[str, str]
) -> Iterator[list[Server]]:
    """Run them with these settings, each with a home of its own."""
    with serving(folders.mktemp("seaweed")) as url:
        shared = {"MIMEO_STORE": "s3://bucket/mimeo", **access(url), **settings}
        homes = [str(folders.mktemp("home")) for _ in range(2)]
        with (
            serve(settings={**shared, "XDG_CACHE_HOME": homes[0]}) as first,
            serve(settings={**shared, "XDG_CACHE_HOME": homes[1]}) as second,
        ):
            yield [first, second]
