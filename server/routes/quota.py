"""What authors have used, and what they have left."""

from typing import Annotated

from fastapi import APIRouter, Path

from core.schema.quota import QuotaStatus
from core.schema.submission import AUTHOR
from server.dependencies import ReadSession, Settings
from server.error_answers import documented
from server.quota.usage import quota_status

router = APIRouter(prefix="/quota", tags=["quota"])


@router.get("/{author}", responses=documented())
def get_quota(
    author: Annotated[str, Path(max_length=40, pattern=AUTHOR)],
    session: ReadSession,
    settings: Settings,
) -> QuotaStatus:
    """GPU-minutes of an author, of the last seven days."""
    return quota_status(session, author, settings.quota_gpu_minutes)
