"""The browser of this machine."""

import shutil

import typer

NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]


def find_browser() -> str:
    """Its path.

    Raises:
        BadParameter: there is none.
    """
    for name in NAMES:
        if path := shutil.which(name):
            return path
    raise typer.BadParameter(f"no browser: none of {', '.join(NAMES)} is on the PATH")
