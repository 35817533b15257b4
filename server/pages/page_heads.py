"""The head of each page that programs read.

Addresses of other pages are absolute where those who read them have only the head.
"""

from server.comparison.compare import Comparison
from server.comparison.sides import ComparedSide
from server.formatting import delta, interval, loss
from server.pages.compare import ComparePage
from server.pages.head import PLAIN, Alternate, Head, Picture, Preview
from server.pages.linked_data import board_data, submission_data
from server.pages.submission import SubmissionPage
from server.pages.track import TrackPage
from server.verdict.judge import Verdict

ATOM = "application/atom+xml"
MAX_DESCRIPTION = 300
"""Characters; sites show fewer."""


def home_head() -> Head:
    """That of the front page."""
    feed = Alternate(url="/records.atom", media_type=ATOM, title="Records as Atom feed")
    return Head(alternates=(feed,))


def track_head(page: TrackPage, base_url: str) -> Head:
    """That of a track's page, under the key that was asked for."""
    path, _, query = page.json_url.partition("?")
    query = f"?{query}" if query else ""
    own = f"/tracks/{page.rules.name}"
    url = f"{base_url}{own}{query}"
    files = (
        Alternate(url=f"{path}.csv{query}", media_type="text/csv", title="Board as CSV"),
        Alternate(
            url=f"{path}.parquet{query}",
            media_type="application/vnd.apache.parquet",
            title="Board as Parquet",
        ),
    )
    others = (
        Alternate(url=f"{own}/records.atom", media_type=ATOM, title="Records as Atom feed"),
        Alternate(url=f"{own}/badge.svg", media_type="image/svg+xml", title="Badge"),
    )
    return Head(
        alternates=(*files, *others),
        preview=Preview(title=page.title, description=_board_in_words(page), url=url),
        linked_data=board_data(page, base_url, url, files),
    )


def submission_head(page: SubmissionPage, base_url: str) -> Head:
    """That of a submission's page."""
    own = f"/submissions/{page.submission.id}"
    url, said = f"{base_url}{own}", _submission_in_words(page)
    picture = Picture(url=f"{url}/card.png", text=f"{page.submission.name}: {said}")
    description = _shortened(f"{said} {page.submission.hypothesis}")
    badge = Alternate(url=f"{own}/badge.svg", media_type="image/svg+xml", title="Badge")
    return Head(
        alternates=(badge,),
        preview=Preview(title=page.title, description=description, url=url, picture=picture),
        linked_data=submission_data(page, base_url, url, picture.url),
    )


def compare_head(page: ComparePage, base_url: str) -> Head:
    """That of a comparison; the form that asks for one tells nothing."""
    compared = page.comparison
    if compared is None:
        return PLAIN
    said = [compared.notice, *(_judged_in_words(compared, side) for side in compared.sides)]
    count = len(compared.settings)
    said.append(f"{count} setting{'' if count == 1 else 's'} differ{'s' if count == 1 else ''}.")
    description = _shortened(" ".join(one for one in said if one))
    url = f"{base_url}{page.url}"
    return Head(preview=Preview(title=page.title, description=description, url=url))


def _judged_in_words(compared: Comparison, side: ComparedSide) -> str:
    """The verdict on a side against the first; empty without one."""
    if (judged := side.judgement) is None:
        return ""
    verdict = "unresolved" if judged.verdict is Verdict.UNRESOLVED else f"is {judged.verdict}"
    return (
        f"{side.name} against {compared.sides[0].name}: {verdict}, {delta(judged.delta)} nats, "
        f"99 % interval {interval(judged.low, judged.high)}."
    )


def _board_in_words(page: TrackPage) -> str:
    """The loss to beat, and what the track is for."""
    board = page.board
    record = next((row for row in board.rows if row.verdict and row.verdict.is_record), None)
    said = ""
    if record is not None:
        said = f"Record {loss(record.result.val_loss)} by {record.author}. "
    elif board.baseline is not None:
        said = f"Baseline {loss(board.baseline.result.val_loss)}. "
    return _shortened(said + page.rules.description)


def _submission_in_words(page: SubmissionPage) -> str:
    """Who sent it where, and the verdict, or how far its run is."""
    said = f"By {page.submission.author} on {page.rules.title}: "
    newest = page.results[0] if page.results else None
    if page.withdrawn is not None:
        return f"{said}withdrawn."
    if newest is None:
        return f"{said}{page.state.state.value}."
    result = f"validation loss {loss(newest.result.val_loss)}"
    if newest.verdict is None:
        return f"{said}{result}."
    judged = newest.verdict
    return (
        f"{said}{judged.verdict.value}, {delta(judged.delta)} nats against the baseline, "
        f"99 % interval {interval(judged.low, judged.high)}, {result}."
    )


def _shortened(text: str) -> str:
    """On one line, and not longer than sites show."""
    line = " ".join(text.split())
    return line if len(line) <= MAX_DESCRIPTION else f"{line[: MAX_DESCRIPTION - 1].rstrip()}…"
