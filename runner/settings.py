"""Addresses and folders of this machine, from environment variables."""

from pathlib import Path

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from runner.errors import BadSettings


class RunnerSettings(BaseSettings):
    """Each setting is read from `FIVE_DOLLAR_` and its name in capitals."""

    model_config = SettingsConfigDict(
        env_prefix="FIVE_DOLLAR_",
        env_ignore_empty=True,
        frozen=True,
        use_attribute_docstrings=True,
    )

    server_url: str = Field(default="http://127.0.0.1:8000", pattern=r"^https?://[^/\s]+")
    """Address of the server."""
    directory: Path = Path("runs")
    """Folder of run folders: checkpoints, logs, metrics and results."""
    cache_directory: Path = Path.home() / ".cache" / "five-dollar-llm"
    """Token files, kept between runs."""
    mirror: Path | None = None
    """YAML or JSON file that maps data sets and tokenizers of the hub to local files."""
    rest_seconds: float = Field(default=15.0, ge=0.0, le=900.0)
    """How long a worker leaves the queue to others after its machine failed a job; doubled with
    each further one, up to 15 minutes."""


def read_settings(**chosen: object) -> RunnerSettings:
    """Read the settings of this process; what a command line chose comes first.

    Raises:
        BadSettings: a value is not allowed.
    """
    try:
        return RunnerSettings.model_validate(chosen) if chosen else RunnerSettings()
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        name = str(first["loc"][0])
        reason = f"{first['msg']}."
        if name == "server_url":
            reason = "it must start with http:// or https://, such as http://127.0.0.1:8000."
        raise BadSettings(
            f"{name} (FIVE_DOLLAR_{name.upper()}) is {first['input']!r}, which is not allowed: "
            f"{reason}"
        ) from error
