"""The ledger: reading it, and having it checked."""

from typing import Annotated

from fastapi import APIRouter, Query

from core.schema.base import MAX_COUNT
from core.schema.ledger import LedgerPage
from server.dependencies import ReadSession
from server.error_answers import documented
from server.ledger import entries
from server.ledger.check import LedgerReport, check_ledger

router = APIRouter(prefix="/ledger", tags=["ledger"])
MAX_ENTRIES = 1000


@router.get("", responses=documented())
def get_ledger(
    session: ReadSession,
    after: Annotated[int, Query(ge=0, le=MAX_COUNT)] = 0,
    limit: Annotated[int, Query(ge=1, le=MAX_ENTRIES)] = 100,
) -> LedgerPage:
    """Entries in order, those that follow number `after`."""
    return entries.read(session, after, limit)


@router.get("/check", responses=documented())
def get_check(session: ReadSession) -> LedgerReport:
    """Follow the whole chain, and compare the database with what was entered."""
    return check_ledger(session)
