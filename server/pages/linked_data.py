"""Pages in the words of schema.org, for search engines."""

from pydantic import JsonValue

from server.pages.head import Alternate
from server.pages.submission import SubmissionPage
from server.pages.track import TrackPage

CONTEXT = "https://schema.org"
UNITS = {
    "validation loss": "nats per token",
    "validation accuracy": "share of tokens",
    "bits per byte": "bits per byte",
    "cost of a run": "US dollars",
}
"""What a board measures, and in what."""


def board_data(
    page: TrackPage, base_url: str, url: str, files: tuple[Alternate, ...]
) -> dict[str, JsonValue]:
    """A track's board as a data set.

    Args:
        url: the page's absolute address.
        files: forms in which the board can be downloaded.
    """
    rules = page.rules
    data: dict[str, JsonValue] = {
        "@context": CONTEXT,
        "@type": "Dataset",
        "@id": url,
        "url": url,
        "name": f"Five-Dollar LLM: {rules.title}",
        "description": f"{rules.description} Experiments in language-model pretraining, ranked by "
        "their mean validation loss, with a verdict on whether they differ from the baseline.",
        "version": str(rules.version),
        "isAccessibleForFree": True,
        "creator": {"@type": "Organization", "name": "Five-Dollar LLM", "url": f"{base_url}/"},
        "variableMeasured": [
            {"@type": "PropertyValue", "name": name, "unitText": unit}
            for name, unit in UNITS.items()
        ],
        "distribution": [
            {
                "@type": "DataDownload",
                "encodingFormat": file.media_type,
                "contentUrl": f"{base_url}{file.url}",
            }
            for file in files
        ],
    }
    shown = next((key for key in page.board.keys if key.key == page.board.key), None)
    if shown is not None:
        data["identifier"] = shown.key
        if shown.latest_at is not None:
            data["dateModified"] = shown.latest_at.isoformat()
    return data


def submission_data(
    page: SubmissionPage, base_url: str, url: str, picture: str
) -> dict[str, JsonValue]:
    """A submission as a report on one experiment of a track's data set."""
    submission = page.submission
    data: dict[str, JsonValue] = {
        "@context": CONTEXT,
        "@type": "Report",
        "@id": url,
        "url": url,
        "name": submission.name,
        "identifier": submission.id,
        "author": {"@type": "Person", "name": submission.author},
        "dateCreated": submission.created_at.isoformat(),
        "abstract": submission.hypothesis,
        "image": picture,
        "isPartOf": {"@type": "Dataset", "@id": f"{base_url}/tracks/{page.rules.name}"},
    }
    if page.built_on is not None:
        data["isBasedOn"] = f"{base_url}/submissions/{page.built_on.id}"
    if page.results:
        data["about"] = {
            "@type": "PropertyValue",
            "name": "validation loss",
            "unitText": UNITS["validation loss"],
            "value": page.results[0].result.val_loss,
        }
    return data
