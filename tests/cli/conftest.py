from pathlib import Path

import pytest


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keep the caller's settings and working folder out of a test."""
    for variable in ("HOST", "PORT", "WEB_CONCURRENCY", "MIMEO_TEMPLATES"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("MIMEO_SYSTEM_FONTS", "off")
    monkeypatch.chdir(tmp_path)
