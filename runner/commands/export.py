"""The command that turns a board into a static site."""

from pathlib import Path
from typing import Annotated

import typer


def _public_url(text: str) -> str:
    """An address that a site may stand at.

    Raises:
        BadParameter: it is none.
    """
    if text and not text.startswith(("http://", "https://")):
        raise typer.BadParameter(
            f"{text!r} must start with http:// or https://, such as https://ada.example/board."
        )
    return text


def export(
    folder: Annotated[Path, typer.Argument(help="Where the site is written; empty, or new.")],
    max_pages: Annotated[
        int, typer.Option(min=1, help="Pages to read at most; files beside them are not counted.")
    ] = 20_000,
    public_url: Annotated[
        str,
        typer.Option(
            callback=_public_url,
            help="Address where the site will stand; other sites need it to show a page's picture.",
        ),
    ] = "",
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Write over files of a folder that is not empty.")
    ] = False,
) -> None:
    """Write all pages of the server as a site that any web server, or none, can show."""
    from runner.authoring import open_site_client
    from runner.export.folder import ExportFolder
    from runner.export.site import SiteExport
    from runner.settings import read_settings
    from runner.terminal.console import message_console
    from runner.terminal.export import print_export

    target = ExportFolder(folder, overwrite)
    with (
        open_site_client(read_settings()) as client,
        message_console().status("Reading the first page.") as status,
    ):

        def show(count: int) -> None:
            status.update(f"{count} pages read.")

        summary = SiteExport(client, target, max_pages, public_url, show).run()
    print_export(message_console(), summary, max_pages)
    typer.echo(folder / "index.html")
