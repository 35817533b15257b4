"""What an author does: check a submission, send it, follow its run."""

import secrets
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from core.errors import InvalidInput
from core.proposal import Proposal, propose, read_submission
from core.schema.base import Message
from core.schema.experiment import ExperimentConfig
from core.schema.job import JobState, RunStatus, SubmissionReceipt
from core.schema.validation_problems import problems_of
from core.tracks import load_tracks
from runner.api.answers import SubmissionView
from runner.api.client import AuthorClient, SiteClient
from runner.api.transport import Transport
from runner.input_file import read_submission_file
from runner.settings import RunnerSettings
from runner.terminal.console import message_console
from runner.terminal.display import Display, RunView

Request = TypeVar("Request", bound=Message)

RETRY_SECONDS = 20.0
PATIENT_RETRY_SECONDS = 600.0
SITE_RETRY_SECONDS = 120.0
POLL_SECONDS = 1.0
FOLLOWED_LINES = 2000


def open_client(settings: RunnerSettings) -> AuthorClient:
    """A client of the configured server, which waits 20 s for it."""
    return AuthorClient(
        Transport(settings.server_url, RETRY_SECONDS, on_wait=_say, token=settings.token)
    )


def open_patient_client(settings: RunnerSettings) -> AuthorClient:
    """A client that waits ten minutes, for watching what the server was seen to have."""
    return AuthorClient(
        Transport(settings.server_url, PATIENT_RETRY_SECONDS, on_wait=_say, token=settings.token)
    )


def open_site_client(settings: RunnerSettings) -> SiteClient:
    """A client for all pages, which waits two minutes and says each reason for it once."""
    said: set[str] = set()

    def say_once(message: str) -> None:
        if message not in said:
            said.add(message)
            _say(message)

    return SiteClient(
        Transport(settings.server_url, SITE_RETRY_SECONDS, on_wait=say_once, token=settings.token)
    )


def _transport(settings: RunnerSettings, retry_seconds: float) -> Transport:
    return Transport(settings.server_url, retry_seconds, on_wait=_say, token=settings.token)


def _say(message: str) -> None:
    """Why nothing happens for a while; on stderr, so that output stays readable by programs."""
    message_console().print(message, markup=False)


def parent_config(settings: RunnerSettings) -> Callable[[str], ExperimentConfig]:
    """Looks up on the server what a submission is built on."""

    def look_up(submission_id: str) -> ExperimentConfig:
        with open_client(settings) as client:
            return client.submission(submission_id).read(SubmissionView).config

    return look_up


def check_file(path: Path, parent_of: Callable[[str], ExperimentConfig]) -> Proposal:
    """Validate a submission as the server will.

    Raises:
        InvalidInput: with every problem.
        NotFound: no such file, or no such submission to build on.
    """
    tracks = load_tracks()
    document = read_submission(read_submission_file(path), tracks)
    built_on = document.submission.built_on
    return propose(document, tracks, parent_of(built_on) if built_on else None)


def submit_file(
    path: Path, client: AuthorClient, parent_of: Callable[[str], ExperimentConfig]
) -> tuple[SubmissionReceipt, Proposal]:
    """Check a submission here and queue it.

    However often the network makes this call repeat itself, it queues once.

    Raises:
        InvalidInput: refused here; nothing was sent.
        Refused: refused by the server.
    """
    proposal = check_file(path, parent_of)
    return client.submit(read_submission_file(path), secrets.token_urlsafe(24)), proposal


def read_request(model: type[Request], **values: object) -> Request:
    """What somebody asks for, validated as the server will.

    Raises:
        InvalidInput: with every problem.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise InvalidInput(problems_of(error, model)) from error


def watch_run(client: AuthorClient, run_id: str, display: Display) -> RunStatus:
    """Show a run until it has ended."""
    with display:
        while True:
            status = client.run(run_id).read(RunStatus)
            if status.state.is_final:
                display.finish(run_id, f"{status.name}: {status.state}")
                return status
            display.update(
                RunView(
                    key=run_id,
                    label=status.name,
                    phase=status.phase if status.state is JobState.RUNNING else None,
                    completed=status.completed,
                    total=status.total,
                    latest=status.latest,
                )
            )
            time.sleep(POLL_SECONDS)


def follow_log(client: AuthorClient, run_id: str) -> Iterator[str]:
    """Lines of a run's log as they come, until it has ended."""
    shown: list[str] = []
    while True:
        ended = client.run(run_id).read(RunStatus).state.is_final
        lines = client.log(run_id, FOLLOWED_LINES)
        # The last line may still grow.
        complete = lines if ended else lines[:-1]
        yield from new_lines(shown, complete)
        if ended:
            return
        shown = complete
        time.sleep(POLL_SECONDS)


def new_lines(before: list[str], after: list[str]) -> list[str]:
    """What a later tail of a log adds to an earlier one; all of it if they share nothing."""
    for start in range(len(before)):
        overlap = len(before) - start
        if before[start:] == after[:overlap]:
            return after[overlap:]
    return after
