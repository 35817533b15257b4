"""A cookie that only the server can write, and that is worth nothing after its time."""

import hashlib
from typing import Any

from fastapi import Request, Response
from itsdangerous import BadSignature, URLSafeTimedSerializer


class SignedCookie:
    """One cookie of the site: its owner can read it, no script can, and nobody can change it."""

    def __init__(self, name: str, key: str, life_seconds: int, *, over_https: bool) -> None:
        """Describe the cookie.

        Args:
            name: its name; over HTTPS with the prefix that keeps other hosts of the domain from
                setting it.
            life_seconds: how long it is good for, whatever the browser does with it.
        """
        self.name = f"__Host-{name}" if over_https else name
        self._life_seconds = life_seconds
        self._over_https = over_https
        self._serializer = URLSafeTimedSerializer(
            key, salt=f"cookie {name}", signer_kwargs={"digest_method": hashlib.sha256}
        )

    def read(self, request: Request) -> Any:
        """What the server wrote; None without the cookie, or if it is forged or too old."""
        try:
            return self._serializer.loads(
                request.cookies.get(self.name, ""), max_age=self._life_seconds
            )
        except BadSignature:
            return None

    def write(self, response: Response, value: str | dict[str, str]) -> None:
        """Give the browser a value to keep."""
        response.set_cookie(
            self.name,
            str(self._serializer.dumps(value)),
            max_age=self._life_seconds,
            secure=self._over_https,
            httponly=True,
            samesite="lax",
        )

    def delete(self, response: Response) -> None:
        """Have the browser forget it."""
        response.delete_cookie(self.name, secure=self._over_https, httponly=True, samesite="lax")
