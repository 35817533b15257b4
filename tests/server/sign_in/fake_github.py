"""GitHub as far as sign-in knows it, inside the process."""

import base64
import hashlib
import json
from urllib.parse import parse_qs, parse_qsl, urlsplit

import httpx

CLIENT_ID = "Iv1.client"
CLIENT_SECRET = "the-client-secret"
ACCESS_TOKEN = "gho_the-access-token"


class FakeGitHub:
    """Asks its one user, who agrees, and lets in only who comes with the right secrets."""

    def __init__(self, login: str = "ada", github_id: int = 1) -> None:
        self.login, self.github_id = login, github_id
        self.answers: dict[str, httpx.Response] = {}
        """Answers to give instead, by path."""
        self._challenges: dict[str, tuple[str, str]] = {}

    def agree(self, address: str) -> dict[str, str]:
        """The user agrees to what a browser was sent here with; what the browser takes back."""
        asked = dict(parse_qsl(urlsplit(address).query))
        assert asked["client_id"] == CLIENT_ID
        assert asked["code_challenge_method"] == "S256"
        assert "scope" not in asked
        code = f"code-{len(self._challenges)}"
        self._challenges[code] = asked["code_challenge"], asked["redirect_uri"]
        return {"code": code, "state": asked["state"]}

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.url.path in self.answers:
            return self.answers[request.url.path]
        if str(request.url) == "https://github.com/login/oauth/access_token":
            return self._token(request)
        assert str(request.url) == "https://api.github.com/user"
        if request.headers["Authorization"] != f"Bearer {ACCESS_TOKEN}":
            return httpx.Response(401)
        return httpx.Response(200, json={"login": self.login, "id": self.github_id, "bio": "x"})

    def _token(self, request: httpx.Request) -> httpx.Response:
        sent = {name: values[0] for name, values in parse_qs(request.content.decode()).items()}
        challenge, redirect = self._challenges.pop(sent["code"], ("", ""))
        digest = hashlib.sha256(sent["code_verifier"].encode()).digest()
        is_good = (
            sent["client_id"] == CLIENT_ID
            and sent["client_secret"] == CLIENT_SECRET
            and sent["redirect_uri"] == redirect
            and base64.urlsafe_b64encode(digest).decode().rstrip("=") == challenge
        )
        # GitHub answers 200 to both.
        answer = {"access_token": ACCESS_TOKEN} if is_good else {"error": "bad_verification_code"}
        return httpx.Response(200, content=json.dumps(answer))
