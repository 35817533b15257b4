"""What a form came to, carried over the redirect that follows it.

It travels in the address, signed for one session, so that nobody can put words on a page that
another person opens.
"""

import hashlib
from dataclasses import asdict
from urllib.parse import urlencode

from fastapi import Request
from itsdangerous import BadSignature, URLSafeTimedSerializer

from server.pages.page import Notice
from server.sign_in.session import BrowserSession
from server.sign_in.setup import SignIn

PARAMETER = "notice"
LIFE_SECONDS = 300
MAX_CHARACTERS = 600


def with_notice(request: Request, session: BrowserSession, path: str, notice: Notice) -> str:
    """The address of a page that is to show a notice to who is signed in."""
    shown = asdict(notice) | {"text": notice.text[:MAX_CHARACTERS]}
    return f"{path}?{urlencode({PARAMETER: _serializer(request, session).dumps(shown)})}"


def read_notice(request: Request, session: BrowserSession) -> Notice | None:
    """What the page that is asked for is to show; None without a notice of this session."""
    sent = request.query_params.get(PARAMETER, "")
    try:
        return Notice(**_serializer(request, session).loads(sent, max_age=LIFE_SECONDS))
    except BadSignature:
        return None


def _serializer(request: Request, session: BrowserSession) -> URLSafeTimedSerializer:
    sign_in: SignIn = request.app.state.sign_in
    return URLSafeTimedSerializer(
        sign_in.key,
        salt=f"notice {session.form_token}",
        signer_kwargs={"digest_method": hashlib.sha256},
    )
