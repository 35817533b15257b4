"""What a result adds to its run: the columns that repeat it, and the ledger's entry."""

from typing import Any, NamedTuple, Self

from core.schema.ledger import LedgerKind, digest
from core.schema.result import RunResult
from core.schema.track import Track
from server.ledger.entries import News
from server.tables import RunPurpose


class Measured(NamedTuple):
    """A result, and how it is stored."""

    result: RunResult
    stored: dict[str, Any]
    """As JSON."""
    digest: str
    """Of the JSON."""

    @classmethod
    def of(cls, result: RunResult) -> Self:
        """Write a result as JSON."""
        stored = result.model_dump(mode="json")
        return cls(result, stored, digest(stored))

    def columns(
        self, purpose: RunPurpose, track_name: str, track_version: int, track: Track | None
    ) -> dict[str, Any]:
        """The measured columns of a run. A canary gets no key: it is on no board.

        Args:
            track: as it is served; None if it is not any more.
        """
        data, key = self.result.provenance.data, None
        if purpose is not RunPurpose.CANARY:
            key = data.comparability_key(track_name, track_version)
        return {
            "result": self.stored,
            "comparability_key": key,
            "val_loss": self.result.val_loss,
            "cost_usd": _cost_usd(self.result, track),
        }

    def news(self, run_id: str, columns: dict[str, Any]) -> News:
        """What the ledger tells of a run with these columns."""
        contents = {"digest": self.digest, "key": columns["comparability_key"]}
        return News(LedgerKind.RESULT, run_id, contents)


def _cost_usd(result: RunResult, track: Track | None) -> float | None:
    """Dollars for compile and training time; None if the track has no price for the device."""
    price = track.rules.price_usd_per_hour(result.provenance.device) if track else None
    return None if price is None else result.cost_usd(price)
