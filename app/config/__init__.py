"""Settings, read from the environment once."""

from app.config.settings import BadSetting, Settings, variables

__all__ = ["BadSetting", "Settings", "variables"]
