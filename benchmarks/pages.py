"""How fast pages are on a large board: `python -m benchmarks.pages --rows 100000`.

Prints a table in Markdown: server time of pages that are rendered anew, and requests a second for
one that is kept, over HTTP while workers report. Server and clients share the machine.
docs/board.md says what was measured.
"""

import asyncio
import logging
import statistics
import tempfile
import threading
import time
from http.client import HTTPConnection
from typing import Annotated, NamedTuple

import httpx
import typer

from benchmarks.pages_board import fill
from benchmarks.store_board import Board
from benchmarks.store_clients import API, HOST
from server.app import create_app
from server.collection import spare_startup
from server.curve_keeper import CurveKeeper

CACHED_PATH = "/tracks/debug"
REPORTS_A_SECOND = 5.0
"""Of each worker."""
MAX_SECONDS = 15.0
"""A page that is too slow to be asked for as often as wanted is left after so long."""


class ServerTime(NamedTuple):
    """How long a page took, in milliseconds."""

    name: str
    median: float
    p99: float
    num_bytes: int


def main(
    rows: Annotated[int, typer.Option(min=2, max=1_000_000, help="Submissions.")] = 100_000,
    points: Annotated[int, typer.Option(min=0, max=20_000_000, help="Metric points.")] = 10_000,
    times: Annotated[int, typer.Option(min=1, max=10_000, help="Requests a page, at most.")] = 100,
    connections: Annotated[int, typer.Option(min=1, max=500, help="To the server.")] = 50,
    seconds: Annotated[float, typer.Option(min=0.1, max=600.0, help="Of load.")] = 10.0,
    workers: Annotated[int, typer.Option(min=0, max=64, help="Workers that report.")] = 20,
) -> None:
    """Fill a board and measure its pages."""
    logging.disable(logging.INFO)
    with tempfile.TemporaryDirectory() as folder:
        board = Board(f"sqlite:///{folder}/board.sqlite")
        began = time.perf_counter()
        ids = fill(board, rows, points)
        typer.echo(f"filled in {time.perf_counter() - began:,.0f} s")
        began = time.perf_counter()
        condense(board)
        typer.echo(f"curves of long runs kept in {time.perf_counter() - began:,.0f} s\n")
        typer.echo(f"| rendered anew, {rows:,} rows | p50 ms | p99 ms | KiB |\n|---|---|---|---|")
        for page in measure_rendering(board, ids, times):
            size = page.num_bytes / 1024
            typer.echo(f"| {page.name} | {page.median:.1f} | {page.p99:.1f} | {size:,.0f} |")
        rate = measure_load(board, connections, seconds, workers)
        typer.echo(
            f"\n{CACHED_PATH}, kept, {connections} connections: {rate:,.0f} requests a second"
        )
        board.close()


def condense(board: Board) -> None:
    """Keep the curves of long runs, as the server does ten seconds after they went on."""
    keeper = CurveKeeper(board.engine, 1.0)
    while keeper.keep():
        pass


def measure_rendering(board: Board, ids: list[str], times: int) -> list[ServerTime]:
    """Ask for each page one at a time, in the server's own process and without keeping any."""
    last = max(1, min(1000, len(ids) // 50))
    pages = {
        "leaderboard, first page": CACHED_PATH,
        f"leaderboard, page {last}": f"{CACHED_PATH}?page={last}",
        "leaderboard by cost": f"{CACHED_PATH}?sort=cost",
        "leaderboard with a text": f"{CACHED_PATH}?q=wide+deep",
        "leaderboard with a text that nothing has": f"{CACHED_PATH}?q=nothing",
        "leaderboard at most so dear": f"{CACHED_PATH}?max_cost_usd=0.012",
        "submission": f"/submissions/{ids[0]}",
        "comparison of six": "/compare?" + "&".join(f"id={one}" for one in ids[:6]),
        "curves of the longest run": f"/api/v1/submissions/{ids[0]}/curves",
        "curves of another run": f"/api/v1/submissions/{ids[1]}/curves",
        "author": "/authors/author7",
        "setting": "/tracks/debug/settings/optimizer.muon.learning_rate",
        "queue": "/queue",
    }
    return asyncio.run(_render(board, pages, times))


def measure_load(board: Board, connections: int, seconds: float, workers: int) -> float:
    """Requests a second for one page, while workers tell of their progress."""
    board.queue(workers)
    leases = [board.lease(worker) for worker in board.workers(workers)]
    has_ended = threading.Event()
    with board.served() as port:
        threads = [
            threading.Thread(target=_report, args=(port, *lease, has_ended)) for lease in leases
        ]
        for thread in threads:
            thread.start()
        try:
            count = asyncio.run(_load(port, connections, seconds))
        finally:
            has_ended.set()
            for thread in threads:
                thread.join()
    return count / seconds


async def _render(board: Board, pages: dict[str, str], times: int) -> list[ServerTime]:
    app = create_app(board.settings.model_copy(update={"page_cache_seconds": 0.0}))
    spare_startup()
    found = []
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url=f"http://{HOST}") as client:
        for name, path in pages.items():
            # The first request reads what a board's pages have in common.
            size = len((await client.get(path)).raise_for_status().content)
            taken: list[float] = []
            end = time.perf_counter() + MAX_SECONDS
            while len(taken) < times and (not taken or time.perf_counter() < end):
                began = time.perf_counter()
                await client.get(path)
                taken.append(1000 * (time.perf_counter() - began))
            p99 = sorted(taken)[int(0.99 * len(taken))]
            found.append(ServerTime(name, statistics.median(taken), p99, size))
    return found


async def _load(port: int, connections: int, seconds: float) -> int:
    """Requests that as many connections got answers to."""
    end = time.monotonic() + seconds
    counts = await asyncio.gather(*(_ask(port, end) for _ in range(connections)))
    return sum(counts)


async def _ask(port: int, end: float) -> int:
    """Ask again and again on one connection, as a browser does that has nothing yet."""
    reader, writer = await asyncio.open_connection(HOST, port, limit=2**20)
    request = f"GET {CACHED_PATH} HTTP/1.1\r\nHost: {HOST}\r\nAccept-Encoding: gzip\r\n\r\n"
    count = 0
    while time.monotonic() < end:
        writer.write(request.encode())
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        assert head.startswith(b"http/1.1 200"), head
        length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0])
        await reader.readexactly(length)
        count += 1
    writer.close()
    return count


def _report(port: int, job_id: str, token: str, has_ended: threading.Event) -> None:
    """Tell of a run's progress until there is an end."""
    connection = HTTPConnection(HOST, port, timeout=30)
    body = f'{{"lease_token": "{token}", "phase": "training", "completed": 1, "total": 250}}'
    headers = {"Content-Type": "application/json"}
    while not has_ended.wait(1 / REPORTS_A_SECOND):
        connection.request("POST", f"{API}/jobs/{job_id}/heartbeat", body, headers)
        answer = connection.getresponse()
        answer.read()
        assert answer.status == 200, answer.status
    connection.close()


if __name__ == "__main__":
    typer.run(main)
