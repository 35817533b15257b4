"""All that sign-in needs, made from the settings."""

from dataclasses import dataclass

from server.settings import ServerSettings
from server.sign_in.github import GitHub
from server.sign_in.signed_cookie import SignedCookie

CALLBACK = "/sign-in/callback"
SESSION_SECONDS = 7 * 24 * 3600
ATTEMPT_SECONDS = 600


@dataclass(frozen=True)
class SignIn:
    """GitHub, and the cookies of the browsers that go there and come back."""

    github: GitHub
    key: str
    """Signs what pages and browsers bring back."""
    session: SignedCookie
    """The author who is signed in."""
    attempt: SignedCookie
    """What a sign-in under way must bring back from GitHub."""


def set_up_sign_in(settings: ServerSettings) -> SignIn | None:
    """Sign-in as the settings have it; None where it is off."""
    if not settings.has_sign_in:
        return None
    key = settings.session_key.get_secret_value()
    over_https = settings.base_url.startswith("https://")
    return SignIn(
        github=GitHub(
            settings.github_client_id,
            settings.github_client_secret.get_secret_value(),
            f"{settings.base_url}{CALLBACK}",
        ),
        key=key,
        session=SignedCookie("session", key, SESSION_SECONDS, over_https=over_https),
        attempt=SignedCookie("sign-in", key, ATTEMPT_SECONDS, over_https=over_https),
    )
