"""The command line. Importing this module must stay cheap: `runner --help` answers at once.

Exit statuses are those of `runner.exit_codes`; errors become messages in
`runner.command_group`.
"""

import typer

from runner.command_group import CommandGroup
from runner.commands import author, export, ledger, local, machine, reader, reproduce, token, trust

app = typer.Typer(
    cls=CommandGroup,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Submit config diffs to the Five-Dollar LLM leaderboard, or train them yourself.",
    epilog="Exit status: 0 done, 1 fault of machine or server, 2 wrong usage, 3 input refused, "
    "4 server unreachable, 5 not found, 6 run failed, 7 too late, in use, or versions or "
    "data differ, 8 no token or not one for this, 9 disk full or broken, 130 interrupted.",
)

app.command()(author.check)
app.command()(author.submit)
app.command()(author.status)
app.command()(author.logs)
app.command()(author.cancel)
app.command()(author.withdraw)
app.command()(author.rerun)
app.command()(author.quota)
app.command()(reader.board)
app.command()(reader.compare)
app.command()(export.export)
app.command()(ledger.ledger)
app.command()(local.train)
app.command()(local.evaluate)
app.command()(reproduce.reproduce)
app.command()(machine.worker)
app.command()(machine.serve)
app.command()(machine.demo)
app.add_typer(token.token, name="token")
app.command()(trust.trust)
app.command()(trust.distrust)


@app.command()
def version() -> None:
    """Print the version, the commit and the worker protocol."""
    from importlib import metadata

    from core.schema.job import PROTOCOL_VERSION
    from core.version import code_commit

    release = metadata.version("five-dollar-llm")
    typer.echo(f"five-dollar-llm {release}, {code_commit()}, protocol {PROTOCOL_VERSION}")
