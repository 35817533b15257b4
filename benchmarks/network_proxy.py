"""A TCP proxy in front of a server, which loses, delays and cuts what passes through it."""

import contextlib
import socket
import threading
from collections.abc import Callable

CHUNK_BYTES = 65_536
HEAD_END = b"\r\n\r\n"
POLL_SECONDS = 0.05


class NetworkProxy:
    """Listens on a port of its own and passes bytes on, until it is told to do worse.

    `drop` is a network that refuses: connections break, new ones are closed at once. `hold` is
    one that falls silent: what was sent waits, and arrives when the network is back, though its
    sender may have given up on it long ago.
    """

    def __init__(self, server_port: int) -> None:
        self._server = ("127.0.0.1", server_port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(POLL_SECONDS)
        self.port: int = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._lock = threading.Lock()
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._threads: list[threading.Thread] = []
        self._flows = threading.Event()
        self._flows.set()
        self._dropping = False
        self._closed = False
        self._faults = {"lost": 0, "halved": 0}
        self._start(self._accept)

    def drop(self) -> None:
        """Break every connection, and refuse new ones."""
        self._dropping = True
        self._break_all()

    def hold(self) -> None:
        """Pass nothing on, and keep it."""
        self._flows.clear()

    def mend(self) -> None:
        """Pass on again, first what was held."""
        self._dropping = False
        self._flows.set()

    def lose_answers(self, count: int) -> None:
        """Deliver the next requests, and break the connection instead of answering."""
        with self._lock:
            self._faults["lost"] = count

    def halve_requests(self, count: int) -> None:
        """Deliver half of the body of the next requests, then break the connection."""
        with self._lock:
            self._faults["halved"] = count

    def close(self) -> None:
        """End all connections and threads."""
        self._closed = True
        self._flows.set()
        self._listener.close()
        self._break_all()
        for thread in list(self._threads):
            thread.join()

    def _start(self, work: Callable[..., None], *arguments: socket.socket) -> None:
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        with self._lock:
            self._threads = [known for known in self._threads if known.is_alive()] + [thread]
            thread.start()

    def _accept(self) -> None:
        while not self._closed:
            try:
                client = self._listener.accept()[0]
            except TimeoutError:
                continue
            except OSError:
                return
            if self._dropping:
                client.close()
                continue
            self._start(self._connect, client)

    def _connect(self, client: socket.socket) -> None:
        try:
            server = socket.create_connection(self._server)
        except OSError:
            client.close()
            return
        client.settimeout(None)
        with self._lock:
            self._pairs.append((client, server))
        self._start(self._pass_answers, server, client)
        self._pass_requests(client, server)

    def _pass_requests(self, client: socket.socket, server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := client.recv(CHUNK_BYTES):
                self._flows.wait()
                body = data.partition(HEAD_END)[2] if HEAD_END in data else data
                if body and self._spend("halved"):
                    server.sendall(data[: len(data) - (len(body) + 1) // 2])
                    break
                server.sendall(data)
        self._end(client, server)

    def _pass_answers(self, server: socket.socket, client: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := server.recv(CHUNK_BYTES):
                self._flows.wait()
                if self._spend("lost"):
                    break
                client.sendall(data)
        self._end(client, server)

    def _spend(self, fault: str) -> bool:
        """Whether what passes now is to suffer a fault that was asked for."""
        with self._lock:
            if self._faults[fault] == 0:
                return False
            self._faults[fault] -= 1
        return True

    def _break_all(self) -> None:
        with self._lock:
            pairs = list(self._pairs)
        for client, server in pairs:
            self._end(client, server)

    def _end(self, client: socket.socket, server: socket.socket) -> None:
        """Close both sides; a thread that waits for one of them wakes up."""
        for side in (client, server):
            with contextlib.suppress(OSError):
                side.shutdown(socket.SHUT_RDWR)
            side.close()
        with self._lock, contextlib.suppress(ValueError):
            self._pairs.remove((client, server))
