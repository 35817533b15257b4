"""Addresses and folders of this machine, from environment variables."""

import re
from pathlib import Path

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from core.schema.access import TOKEN
from runner.errors import BadSettings


class RunnerSettings(BaseSettings):
    """Each setting is read from `FIVE_DOLLAR_` and its name in capitals."""

    model_config = SettingsConfigDict(
        env_prefix="FIVE_DOLLAR_",
        env_ignore_empty=True,
        frozen=True,
        use_attribute_docstrings=True,
        hide_input_in_errors=True,
    )

    server_url: str = Field(default="http://127.0.0.1:8000", pattern=r"^https?://[^/\s]+")
    """Address of the server."""
    token: SecretStr | None = None
    """Access token that every request carries; none for a server that is open."""
    directory: Path = Path("runs")
    """Folder of run folders: checkpoints, logs, metrics and results."""
    cache_directory: Path = Path.home() / ".cache" / "five-dollar-llm"
    """Token files, kept between runs."""
    mirror: Path | None = None
    """YAML or JSON file that maps data sets and tokenizers of the hub to local files."""
    rest_seconds: float = Field(default=15.0, ge=0.0, le=900.0)
    """How long a worker leaves the queue to others after its machine failed a job; doubled with
    each further one, up to 15 minutes."""
    hang_seconds: float = Field(default=900.0, ge=10.0, le=86_400.0)
    """How long training may show no progress, no count and no metric, before the worker ends it
    as a fault of the platform. Compiling shows none until it is done."""

    upload_seconds: float = Field(default=300.0, ge=0.0, le=86_400.0)
    """How long a run trains between two uploads of its newest checkpoint, from which another
    worker goes on should this one be lost; 0 uploads none."""

    @field_validator("token")
    @classmethod
    def _looks_like_a_token(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not re.fullmatch(TOKEN, value.get_secret_value()):
            raise ValueError("a token is fdl_ and 43 letters, digits, dashes and underscores")
        return value


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
        if name == "token":
            # Neither the value nor the error that holds it may reach a log.
            reason = first["msg"].removeprefix("Value error, ")
            message = f"FIVE_DOLLAR_TOKEN is not a token: {reason}."
            raise BadSettings(message) from None
        reason = f"{first['msg'].replace('Input should', 'it must').partition(', unable')[0]}."
        if name == "server_url":
            reason = "it must start with http:// or https://, such as http://127.0.0.1:8000."
        raise BadSettings(
            f"{name} (FIVE_DOLLAR_{name.upper()}) is {first['input']!r}, which is not allowed: "
            f"{reason}"
        ) from error
