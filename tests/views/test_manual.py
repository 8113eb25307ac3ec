"""The documents where nobody has built them."""

import pytest

from app import create_app
from app.config import Settings


def test_documents_that_are_not_built_lead_nobody_in_a_circle(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("app.views.manual.read_files", lambda folder: {})
    client = create_app(Settings(store="memory:", local_callers=True)).test_client()

    answer = client.get("/docs", headers={"Accept": "text/html"}, follow_redirects=True)

    assert answer.status_code == 404
    assert "bin/docs" in answer.get_json()["detail"]
