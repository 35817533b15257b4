"""What the person who runs the server may set, as `FIVE_DOLLAR_...` environment variables."""

import re
from enum import StrEnum
from ipaddress import ip_address
from pathlib import Path
from typing import Self

from fsspec import get_filesystem_class
from pydantic import Field, SecretStr, ValidationInfo, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from core.schema.track import GIB
from core.tracks import BASELINES

MIN_KEY_LENGTH = 32


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
    artifacts_url: str = ""
    """Where this server, and no other, keeps checkpoints of unfinished jobs: `file:///folder` or
    `s3://bucket/prefix`. Empty for a folder `artifacts` beside a SQLite database, or in `data`."""
    checkpoint_gib: float = Field(default=8.0, ge=0.0, le=1024.0)
    """Largest checkpoint that a worker may leave here, in GiB; 0 for none."""
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
    page_cache_seconds: float = Field(default=1.0, ge=0.0, le=60.0)
    """How old a page may be that readers who are not signed in are sent again, if the server has
    changed no board since; 0 renders each anew."""
    quota_gpu_minutes: float = Field(default=0.0, ge=0.0, le=1_000_000.0)
    """GPU-minutes that the runs of one author may take in seven days; 0 for any amount."""
    public_url: str = Field(default="", pattern=r"^(https?://.*[^/])?$")
    """Address that links in answers start with, without a slash at the end; empty for
    `http://host:port`."""
    github_client_id: str = ""
    """Client id of an OAuth application at GitHub, with which people sign in; empty for none."""
    github_client_secret: SecretStr = SecretStr("")
    """Its client secret."""
    session_key: SecretStr = SecretStr("")
    """Signs the cookies of those who sign in, at least 32 characters; a new one ends all
    sessions."""
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

    @field_validator("artifacts_url")
    @classmethod
    def _keeps_files(cls, value: str) -> str:
        if value:
            require_storage(value)
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

    @model_validator(mode="after")
    def _signs_in_wholly_or_not(self) -> Self:
        parts = {
            "FIVE_DOLLAR_GITHUB_CLIENT_ID": self.github_client_id,
            "FIVE_DOLLAR_GITHUB_CLIENT_SECRET": self.github_client_secret.get_secret_value(),
            "FIVE_DOLLAR_SESSION_KEY": self.session_key.get_secret_value(),
        }
        missing = [name for name, value in parts.items() if not value]
        if missing and len(missing) < len(parts):
            raise ValueError(
                f"sign-in with GitHub needs {', '.join(missing)} too; set all of "
                f"{', '.join(parts)}, or none"
            )
        if self.has_sign_in and len(parts["FIVE_DOLLAR_SESSION_KEY"]) < MIN_KEY_LENGTH:
            raise ValueError(
                f"FIVE_DOLLAR_SESSION_KEY has fewer than {MIN_KEY_LENGTH} characters; make one "
                'with python -c "import secrets; print(secrets.token_urlsafe())"'
            )
        if self.has_sign_in and self.access is Access.OPEN:
            raise ValueError(
                "sign-in with GitHub needs FIVE_DOLLAR_ACCESS=tokens: an open server asks nobody "
                "who they are"
            )
        return self

    @property
    def has_sign_in(self) -> bool:
        """Whether people can sign in with GitHub."""
        return bool(self.github_client_id)

    @property
    def artifacts_address(self) -> str:
        """Where artifacts are kept, for fsspec."""
        if self.artifacts_url:
            return self.artifacts_url
        url = make_url(self.database_url)
        is_file = url.get_backend_name() == "sqlite" and url.database
        folder = Path(url.database).parent if is_file and url.database else Path("data")
        return f"file://{folder.absolute()}/artifacts"

    @property
    def checkpoint_bytes(self) -> int:
        """Largest checkpoint that a worker may leave here."""
        return round(self.checkpoint_gib * GIB)

    @property
    def base_url(self) -> str:
        """Address that links in answers start with, without a slash at the end."""
        return self.public_url or f"http://{self.host}:{self.port}"


def require_storage(url: str) -> None:
    """Check that an address of artifacts can be opened by what is installed.

    Raises:
        ValueError: it cannot.
    """
    protocol = url.partition("://")[0]
    if not re.fullmatch(r"file:///.+|s3://[^/]+(/.*)?", url):
        raise ValueError(
            f"{url!r} is no place for artifacts; write file:///folder or s3://bucket/prefix"
        )
    try:
        get_filesystem_class(protocol)
    except ImportError as error:
        raise ValueError(
            f"{protocol}:// needs a package that is not installed; "
            "add it with pip install 'five-dollar-llm[s3]'"
        ) from error


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
