"""GitHub, asked for one thing: which account has just agreed to sign in.

The access token that GitHub gives has no scope, is used once and kept nowhere.
"""

import base64
import hashlib
import logging

import httpx
from httpx_oauth.clients.github import PROFILE_ENDPOINT, GitHubOAuth2
from httpx_oauth.exceptions import HTTPXOAuthError
from pydantic import BaseModel, ValidationError

from server.errors import GitHubUnavailable, SignInRefused

TIMEOUT_SECONDS = 10.0
FAULTS = (HTTPXOAuthError, httpx.HTTPError, ValidationError, KeyError, TypeError, ValueError)
"""What may come of an answer that is none, or not as documented."""

logger = logging.getLogger(__name__)


class GitHubAccount(BaseModel):
    """What is read of an account."""

    id: int
    login: str


class GitHub(GitHubOAuth2):
    """The OAuth application of this server at GitHub."""

    def __init__(
        self,
        client_id: str,
        client_secret: str,
        redirect_url: str,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """Describe the application; nothing is asked yet.

        Args:
            redirect_url: where GitHub sends browsers back to.
        """
        super().__init__(client_id, client_secret, scopes=None)
        self._redirect_url = redirect_url
        self._transport = transport

    def get_httpx_client(self) -> httpx.AsyncClient:
        """The client of every request to GitHub."""
        return httpx.AsyncClient(transport=self._transport, timeout=TIMEOUT_SECONDS)

    async def sign_in_url(self, state: str, verifier: str) -> str:
        """Where a browser asks its owner to agree; only the verifier's hash goes there (PKCE)."""
        digest = hashlib.sha256(verifier.encode()).digest()
        return await self.get_authorization_url(
            self._redirect_url,
            state=state,
            code_challenge=base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
            code_challenge_method="S256",
        )

    async def account_of(self, code: str, verifier: str) -> GitHubAccount:
        """The account whose owner agreed, by the code that came back.

        Raises:
            SignInRefused: GitHub does not accept the code.
            GitHubUnavailable: it cannot be reached, or its answer is not what it documents.
        """
        try:
            token = await self.get_access_token(code, self._redirect_url, verifier)
            if "error" in token:
                logger.warning("GitHub refused a sign-in: %s", ascii(token["error"]))
                raise SignInRefused("GitHub did not accept the sign-in; try again.")
            headers = {**self.request_headers, "Authorization": f"Bearer {token['access_token']}"}
            async with self.get_httpx_client() as client:
                response = await client.get(PROFILE_ENDPOINT, headers=headers)
                response.raise_for_status()
                return GitHubAccount.model_validate_json(response.content)
        except FAULTS as error:
            # Without the error itself, which may hold the code or the token.
            logger.warning("GitHub did not say who signs in: %s", type(error).__name__)
            raise GitHubUnavailable(
                "GitHub cannot be reached or did not say who signs in; try again in a minute."
            ) from None
