"""What tests of rates and quotas share: a ledger of either kind."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.access.ledger import Ledger, open_ledger
from app.config import Settings
from tests.access.ledgers import in_file, redis_server


@pytest.fixture(params=["sqlite", "redis"])
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ledger]:
    if request.param == "sqlite":
        made: Ledger = in_file(tmp_path)
        yield made
        made.close()
        return
    with redis_server(tmp_path) as url:
        made = open_ledger(Settings(redis_url=url))
        yield made
        made.close()
