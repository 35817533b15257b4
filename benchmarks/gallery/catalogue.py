"""The document that shows the pictures."""

from collections.abc import Sequence

from benchmarks.gallery.camera import LOOKS
from benchmarks.gallery.gallery_pages import GalleryPage, State

HEAD = """# What the pages look like

`make pictures` fills servers and takes these pictures anew; it needs Chromium. Submissions, losses
and times are made up. Pages are cut off at the height of a window.
"""
SAYINGS = {
    State.EMPTY: "Before anybody has sent anything.",
    State.BUSY: "A board on which every state of a submission occurs.",
    State.HUGE: "5,000 submissions of 200 authors, and 300 jobs in the queue.",
}


def catalogue(pages: Sequence[GalleryPage], pictures: str) -> str:
    """The document in Markdown.

    Args:
        pictures: path of their folder from the document's.
    """
    parts = [HEAD]
    for state, saying in SAYINGS.items():
        parts.append(f"## {state.capitalize()}\n\n{saying}\n")
        parts.append("| page | " + " | ".join(look.name for look in LOOKS) + " |")
        parts.append("|---" * (1 + len(LOOKS)) + "|")
        parts += [_line(page, pictures) for page in pages if page.state is state]
        parts.append("")
    return "\n".join(parts)


def _line(page: GalleryPage, pictures: str) -> str:
    cells = [
        f"![{page.title}, {page.state}, {look.name}]({pictures}/{page.name}_{look.name}.webp)"
        for look in LOOKS
    ]
    return f"| {page.title} | " + " | ".join(cells) + " |"
