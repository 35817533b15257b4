"""What an administrator of a server does."""

from runner.api.client import AdminClient
from runner.api.transport import Transport
from runner.authoring import RETRY_SECONDS
from runner.settings import RunnerSettings


def open_admin_client(settings: RunnerSettings) -> AdminClient:
    """A client of the configured server for its tokens and workers."""
    return AdminClient(Transport(settings.server_url, RETRY_SECONDS, token=settings.token))
