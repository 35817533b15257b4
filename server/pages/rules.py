"""The page of a track's rules."""

from dataclasses import dataclass

from sqlmodel import Session

from core.schema.track import Track
from server.pages.page import Page
from server.track_contract import TrackContract, track_contract


@dataclass(frozen=True, kw_only=True)
class RulesPage(Page):
    """Context of `rules.html`."""

    contract: TrackContract
    track: Track


def rules_page(session: Session, track: Track) -> RulesPage:
    """The rules of a track."""
    return RulesPage(
        title=f"Rules of {track.rules.title}",
        section="tracks",
        json_url=f"/api/v1/tracks/{track.rules.name}/rules",
        contract=track_contract(session, track),
        track=track,
    )
