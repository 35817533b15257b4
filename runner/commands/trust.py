"""Which workers are trusted, with an administrator's token in FIVE_DOLLAR_TOKEN."""

from typing import Annotated

import typer

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="Worker's name.")]


def trust(name: NameArgument) -> None:
    """Trust a worker: what it measures and has measured counts for records."""
    _mark(name, trusted=True)


def distrust(name: NameArgument) -> None:
    """Trust a worker no longer: its results count once a trusted one has measured the same."""
    _mark(name, trusted=False)


def _mark(name: str, *, trusted: bool) -> None:
    from core.schema.access import TrustRequest
    from runner.administration import open_admin_client
    from runner.authoring import read_request
    from runner.settings import read_settings

    request = read_request(TrustRequest, worker=name, trusted=trusted)
    with open_admin_client(read_settings()) as client:
        marked = client.mark_worker(request)
    state = "trusted" if marked.trusted else "not trusted"
    typer.echo(f"{marked.worker} is {state}; {marked.num_results} of its results count otherwise.")
