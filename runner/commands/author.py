"""Commands for authors: check, submit, status, logs, cancel, withdraw, rerun."""

from pathlib import Path
from typing import Annotated

import typer

from runner.commands.local import JsonOption
from runner.exit_codes import ExitCode

FileArgument = Annotated[Path, typer.Argument(metavar="FILE", help="Submission file, YAML.")]
SubmissionArgument = Annotated[str, typer.Argument(metavar="ID", help="Submission id, s_...")]
AuthorOption = Annotated[str, typer.Option(metavar="NAME", help="Who asks: an author's name.")]


def check(file: FileArgument, as_json: JsonOption = False) -> None:
    """Say what is wrong with a submission, or what it costs and what is known; queues nothing."""
    from core.errors import InvalidInput
    from runner.authoring import check_file, parent_config
    from runner.nearest import ask_for_nearest, open_quick_client
    from runner.settings import read_settings
    from runner.terminal.console import output_console
    from runner.terminal.nearest import print_nearest
    from runner.terminal.report import (
        change_rows,
        estimate_rows,
        print_pairs,
        refusal_json,
        valid_json,
    )

    settings = read_settings()
    try:
        proposal = check_file(file, parent_config(settings))
    except InvalidInput as error:
        if not as_json:
            raise
        typer.echo(refusal_json(error))
        raise typer.Exit(ExitCode.INVALID) from error
    if as_json:
        nearest = ask_for_nearest(open_quick_client(settings), proposal)
        typer.echo(valid_json(proposal, nearest.json))
        return
    console = output_console()
    console.print(f"{file} is valid on track {proposal.submission.track}.", markup=False)
    print_pairs(console, [*change_rows(proposal.changes), *estimate_rows(proposal.estimate)])
    client = open_quick_client(settings)
    print_nearest(console, ask_for_nearest(client, proposal), client.server_url)


def submit(
    file: FileArgument,
    watch: Annotated[bool, typer.Option("--watch", help="Stay until the run has ended.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Check a submission and queue it on the server."""
    from runner.api.answers import SubmissionView
    from runner.authoring import (
        open_client,
        open_patient_client,
        parent_config,
        submit_file,
        watch_run,
    )
    from runner.settings import read_settings
    from runner.terminal.console import message_console, output_console
    from runner.terminal.display import open_display
    from runner.terminal.report import (
        print_last_lines,
        print_pairs,
        receipt_rows,
        require_success,
        status_rows,
    )
    from runner.terminal.verdict import verdict_rows

    settings, console = read_settings(), output_console()
    with open_client(settings) as client:
        receipt, proposal = submit_file(file, client, parent_config(settings))
    if not as_json:
        print_pairs(console, receipt_rows(receipt, proposal.estimate))
    elif not watch:
        typer.echo(receipt.model_dump_json(indent=2))
    if not watch:
        return
    with open_patient_client(settings) as client:
        status = watch_run(client, receipt.run_id, open_display(message_console()))
        view = client.submission(receipt.submission_id).read(SubmissionView)
    if as_json:
        typer.echo(status.model_dump_json(indent=2))
    else:
        print_pairs(console, [*status_rows(status), *verdict_rows(view)])
        print_last_lines(console, status)
    require_success(status)


def status(
    identity: Annotated[
        str, typer.Argument(metavar="[ID]", help="Submission s_... or run r_...; else the queue.")
    ] = "",
    as_json: JsonOption = False,
) -> None:
    """Show where a submission or a run stands, or the queue."""
    from core.schema.job import RunStatus
    from runner.api.answers import Queue, SubmissionView
    from runner.authoring import open_client
    from runner.settings import read_settings
    from runner.terminal.console import output_console
    from runner.terminal.queue import print_queue
    from runner.terminal.report import print_last_lines, print_pairs, status_rows
    from runner.terminal.verdict import verdict_rows

    with open_client(read_settings()) as client:
        is_run = identity.startswith("r_")
        if not identity:
            answer = client.queue()
        else:
            answer = client.run(identity) if is_run else client.submission(identity)
    if as_json:
        typer.echo(answer.text)
        return
    console = output_console()
    if not identity:
        print_queue(console, answer.read(Queue))
        return
    view = None if is_run else answer.read(SubmissionView)
    run = view.run if view else answer.read(RunStatus)
    print_pairs(console, [*status_rows(run), *(verdict_rows(view) if view else ())])
    print_last_lines(console, run)


def logs(
    identity: Annotated[
        str, typer.Argument(metavar="ID", help="Submission id s_... or run id r_...")
    ],
    follow: Annotated[bool, typer.Option("--follow", help="Stay until the run has ended.")] = False,
    lines: Annotated[int, typer.Option(min=1, max=10_000, help="Last lines to print.")] = 100,
) -> None:
    """Print the log of a run."""
    from core.schema.job import RunStatus
    from runner.api.answers import SubmissionView
    from runner.authoring import follow_log, open_client, open_patient_client
    from runner.settings import read_settings

    settings = read_settings()
    with open_client(settings) as client:
        if identity.startswith("r_"):
            run = client.run(identity).read(RunStatus)
        else:
            run = client.submission(identity).read(SubmissionView).run
        if not follow:
            last = client.log(run.run_id, lines)
            for line in last:
                typer.echo(line)
            if not last:
                typer.echo(f"Run {run.run_id} is {run.state} and has no log.", err=True)
            return
    with open_patient_client(settings) as client:
        for line in follow_log(client, run.run_id):
            typer.echo(line)


def cancel(submission_id: SubmissionArgument) -> None:
    """Cancel a submission's run."""
    from core.schema.job import JobState
    from runner.authoring import open_client
    from runner.settings import read_settings

    with open_client(read_settings()) as client:
        run = client.cancel(submission_id)
    if run.state is JobState.CANCELLED:
        typer.echo(f"{submission_id} is cancelled.")
    else:
        typer.echo(
            f"The worker of {submission_id} was asked to stop; it does within seconds, "
            "or, if the worker is lost, when its lease ends."
        )


def withdraw(
    submission_id: SubmissionArgument,
    author: AuthorOption,
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why; everybody will read it.")],
) -> None:
    """Take a submission back: it stays visible with the reason, and no longer counts."""
    from core.schema.submission import WithdrawalRequest
    from runner.authoring import open_client, read_request
    from runner.settings import read_settings

    request = read_request(WithdrawalRequest, author=author, reason=reason)
    with open_client(read_settings()) as client:
        run = client.withdraw(submission_id, request)
    typer.echo(f"{submission_id} is withdrawn.")
    if not run.state.is_final:
        typer.echo(f"Its run is {run.state} all the same; `runner cancel {submission_id}` ends it.")


def rerun(
    submission_id: SubmissionArgument, author: AuthorOption, as_json: JsonOption = False
) -> None:
    """Queue as many further runs of a submission as its next verdict needs."""
    from core.schema.submission import RerunRequest
    from runner.authoring import open_client, read_request
    from runner.settings import read_settings

    request = read_request(RerunRequest, author=author)
    with open_client(read_settings()) as client:
        receipt = client.rerun(submission_id, request)
    if as_json:
        typer.echo(receipt.model_dump_json(indent=2))
        return
    typer.echo(f"Queued: {', '.join(receipt.run_ids)}")
    typer.echo(f"The next verdict is taken at {receipt.num_runs_then} runs.")


def quota(
    author: Annotated[str, typer.Argument(metavar="AUTHOR", help="Author's name.")],
    as_json: JsonOption = False,
) -> None:
    """Show the GPU-minutes that an author has used in the last seven days, and has left."""
    from runner.authoring import open_client
    from runner.settings import read_settings
    from runner.terminal.console import output_console
    from runner.terminal.quota import quota_rows
    from runner.terminal.report import print_pairs

    with open_client(read_settings()) as client:
        status = client.quota(author)
    if as_json:
        typer.echo(status.model_dump_json(indent=2))
    else:
        print_pairs(output_console(), quota_rows(status))
