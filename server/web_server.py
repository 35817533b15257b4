"""The HTTP server: uvicorn, which ends streams of events before it waits for answers under way."""

import socket
import sys
from contextlib import suppress

import uvicorn

from server.live.hub import Hub

STARTUP_FAILURE = 3
"""As uvicorn ends a process that it could not start in."""


class WebServer(uvicorn.Server):
    """Serves an application until it is interrupted."""

    def __init__(self, config: uvicorn.Config, hub: Hub) -> None:
        super().__init__(config)
        self._hub = hub

    def serve_until_interrupted(self) -> None:
        """Serve; a start that fails ends the process."""
        # Raised once all is closed.
        with suppress(KeyboardInterrupt):
            self.run()
        if not self.started:
            sys.exit(STARTUP_FAILURE)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop: an open stream is an answer that would never be done."""
        self._hub.close()
        await super().shutdown(sockets)
