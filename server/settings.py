"""What the person who runs the server may set, as `FIVE_DOLLAR_...` environment variables."""

from enum import StrEnum
from ipaddress import ip_address
from pathlib import Path

from pydantic import Field, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from core.tracks import BASELINES


class Access(StrEnum):
    """Whom the server asks who they are."""

    OPEN = "open"
    """Nobody: for one machine."""
    TOKENS = "tokens"
    """Everybody who writes."""


class ServerSettings(BaseSettings):
    """Addresses, folders and times of one server."""

    model_config = SettingsConfigDict(
        env_prefix="FIVE_DOLLAR_",
        env_ignore_empty=True,
        frozen=True,
        extra="forbid",
        use_attribute_docstrings=True,
    )

    database_url: str = "sqlite:///data/board.sqlite"
    """SQLAlchemy address of the database; a folder that SQLite needs is created."""
    host: str = Field(default="127.0.0.1", min_length=1)
    """Address to listen on."""
    port: int = Field(default=8000, ge=0, le=65_535)
    """Port to listen on."""
    access: Access = Access.OPEN
    """`open`: everybody may write, so the server listens on its own machine alone; `tokens`:
    writing needs an access token. Reading is free in both."""
    writes_per_minute: int = Field(default=1200, ge=1, le=1_000_000)
    """Requests that one token, or one address without a token, may make in the long run to submit,
    to report and to administer. A worker makes five a second at most. Limits hold in `tokens`."""
    reads_per_minute: int = Field(default=6000, ge=1, le=1_000_000)
    """Requests that one token, or one address without a token, may make in the long run to read."""
    public_url: str = Field(default="", pattern=r"^(https?://.*[^/])?$")
    """Address that links in answers start with, without a slash at the end; empty for
    `http://host:port`."""
    tracks_folder: Path = BASELINES
    """Folder with one folder for each track."""
    queues_runs: bool = True
    """Whether runs are queued that nobody asked for: of baselines, further seeds that would settle
    a verdict, and what idle workers measure."""
    canary_hours: float = Field(default=24.0, ge=0.0, le=8760.0)
    """How often a worker that works repeats the baseline, to see whether it still measures the
    same; 0 for never."""
    lease_seconds: float = Field(default=90.0, gt=0.0, le=86_400.0)
    """How long a job stays with a worker that says nothing."""
    alarm_seconds: float = Field(default=900.0, gt=0.0, le=604_800.0)
    """How long no worker that may take a waiting job may have been seen before that is an alarm."""

    @field_validator("database_url")
    @classmethod
    def _keeps_data(cls, value: str) -> str:
        try:
            url = make_url(value)
        except ArgumentError as error:
            raise ValueError(
                f"{value!r} is not a database address; write for instance "
                "sqlite:///data/board.sqlite or postgresql+psycopg://user@host/name"
            ) from error
        if url.get_backend_name() == "sqlite" and url.database in (None, "", ":memory:"):
            raise ValueError(
                "a SQLite database in memory is lost with the process; "
                "name a file, for instance sqlite:///data/board.sqlite"
            )
        return value

    @field_validator("access")
    @classmethod
    def _lets_nobody_in(cls, value: Access, info: ValidationInfo) -> Access:
        host = info.data.get("host", "")
        if value is Access.OPEN and host and not _is_loopback(host):
            raise ValueError(
                f"everybody who reaches {host} could submit and report results. Make a first token "
                "with `python -m server token NAME` and set FIVE_DOLLAR_ACCESS=tokens, or listen "
                "on this machine alone with FIVE_DOLLAR_HOST=127.0.0.1"
            )
        return value

    @property
    def base_url(self) -> str:
        """Address that links in answers start with, without a slash at the end."""
        return self.public_url or f"http://{self.host}:{self.port}"


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
