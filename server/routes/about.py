"""What verdicts are made from, as JSON."""

from fastapi import APIRouter

from server.dependencies import ReadSession, Tracks
from server.error_answers import documented
from server.verdict.repeats import AboutNumbers, about_numbers

router = APIRouter(prefix="/about", tags=["about"])


@router.get("", responses=documented())
def get_about(session: ReadSession, tracks: Tracks) -> AboutNumbers:
    """When verdicts are taken, what each may err, and the noise of every track's board."""
    return about_numbers(session, tracks)
