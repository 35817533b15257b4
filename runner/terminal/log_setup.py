"""Where a command's log goes: stderr, above the progress bars if there are any."""

import logging

from rich.console import Console
from rich.logging import RichHandler

FORMAT = "%(asctime)s %(levelname)s %(message)s"


def set_up_logging(console: Console) -> None:
    """Send the log of this process to a console."""
    if console.is_terminal:
        handler: logging.Handler = RichHandler(console=console, show_path=False)
        logging.basicConfig(level=logging.INFO, handlers=[handler], format="%(message)s")
    else:
        logging.basicConfig(level=logging.INFO, stream=console.file, format=FORMAT)
    logging.getLogger("httpx").setLevel(logging.WARNING)
