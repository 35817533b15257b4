"""Making, listing and revoking access tokens, for administrators."""

from fastapi import APIRouter

from core.schema.access import NewToken, TokenList, TokenRequest, TokenStatus
from server.access import tokens
from server.access.requirement import Administrator
from server.database import write_session
from server.dependencies import Database, ReadSession
from server.error_answers import guarded

router = APIRouter(prefix="/tokens", tags=["tokens"])


@router.post("", status_code=201, responses=guarded(413))
def create_token(request: TokenRequest, _: Administrator, database: Database) -> NewToken:
    """Make a token; the answer is the only one that holds its secret."""
    with write_session(database) as session:
        return tokens.issue(session, request)


@router.get("", responses=guarded())
def list_tokens(_: Administrator, session: ReadSession) -> TokenList:
    """Every token that was made, without secrets."""
    return TokenList(tokens=tokens.list_tokens(session))


@router.post("/{token_id}/revoke", responses=guarded(404, 413))
def revoke_token(token_id: str, _: Administrator, database: Database) -> TokenStatus:
    """End a token at once; the same again changes nothing."""
    with write_session(database) as session:
        return tokens.revoke(session, token_id)
