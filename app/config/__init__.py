"""Settings, read from the environment once, and the memory that they may take."""

from app.config.memory import (
    BROWSER_BYTES,
    PIXEL_BYTES,
    MemoryBudget,
    budget_of,
    host_bytes,
    weight_of,
)
from app.config.settings import BadSetting, Settings, variables

__all__ = [
    "BROWSER_BYTES",
    "PIXEL_BYTES",
    "BadSetting",
    "MemoryBudget",
    "Settings",
    "budget_of",
    "host_bytes",
    "variables",
    "weight_of",
]
