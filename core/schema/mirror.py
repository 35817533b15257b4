"""Local stand-ins for data sets and tokenizers of the hub."""

from pydantic import Field

from core.schema.base import Config


class Mirror(Config):
    """What a worker reads instead of the hub.

    Hashes are taken of what was loaded, so results on other bytes get another comparability
    key and are never ranked with the hub's.
    """

    datasets: dict[str, str] = Field(default_factory=dict)
    """`owner/name/subset` to a local file or folder."""
    tokenizers: dict[str, str] = Field(default_factory=dict)
    """`owner/name` to a folder with `tokenizer.json`."""
