"""What was measured near a proposal: a question that waits no longer than a second."""

from dataclasses import dataclass
from queue import Empty, SimpleQueue
from threading import Thread

import httpx
from pydantic import JsonValue

from core.proposal import Proposal
from runner.api.answers import NearestExperiments
from runner.api.client import AuthorClient
from runner.api.transport import Transport
from runner.errors import RunnerError, ServerUnreachable
from runner.settings import RunnerSettings

ASK_SECONDS = 1.0
"""How long somebody who only checks a file waits for a server that may not be there."""


@dataclass(frozen=True)
class NearestAnswer:
    """What a server said, or why it said nothing."""

    found: NearestExperiments | None
    """None without an answer."""
    json: JsonValue = None
    """The whole answer as it was sent."""
    notice: str = ""
    """Why there is no answer, for a person."""


def open_quick_client(settings: RunnerSettings) -> AuthorClient:
    """A client that asks once."""
    timeout = httpx.Timeout(ASK_SECONDS)
    return AuthorClient(Transport(settings.server_url, 0.0, timeout=timeout, token=settings.token))


def ask_for_nearest(
    client: AuthorClient, proposal: Proposal, seconds: float = ASK_SECONDS
) -> NearestAnswer:
    """Ask what was measured near a proposal; a server that is not there is no error.

    The call runs beside this one, because looking up a server's name has no time limit.

    Args:
        client: closed when the answer has come.
        seconds: how long to wait, all in all.
    """
    answers = SimpleQueue[NearestAnswer]()
    Thread(target=_ask, args=(client, proposal, answers), daemon=True).start()
    try:
        return answers.get(timeout=seconds)
    except Empty:
        return _no_answer(client, f"was not asked: no answer within {seconds:g} s")


def _ask(client: AuthorClient, proposal: Proposal, answers: "SimpleQueue[NearestAnswer]") -> None:
    try:
        with client:
            answer = client.nearest(proposal.track.rules.name, proposal.experiment)
        found = answer.read(NearestExperiments)
    except ServerUnreachable:
        answers.put(_no_answer(client, "was not asked: it cannot be reached"))
    except RunnerError as error:
        answers.put(_no_answer(client, f"could not say: {error}"))
    else:
        answers.put(NearestAnswer(found, answer.response.json()))


def _no_answer(client: AuthorClient, reason: str) -> NearestAnswer:
    return NearestAnswer(None, notice=f"the server at {client.server_url} {reason}")
