"""Records as an Atom feed (RFC 4287)."""

from collections.abc import Sequence
from datetime import UTC, datetime
from xml.etree.ElementTree import Element

from server.formatting import delta, interval, loss, moment
from server.syndication.records import FoundRecord
from server.syndication.xml_document import add, document_bytes, new_document

ATOM = "http://www.w3.org/2005/Atom"
MEDIA_TYPE = "application/atom+xml"
NEVER = datetime.fromtimestamp(0, UTC)
"""When a feed without entries was updated: Atom wants a moment, and a constant one is cached."""


def atom_feed(
    records: Sequence[FoundRecord], title: str, base_url: str, path: str, page: str
) -> bytes:
    """A feed of records, the newest first.

    Args:
        base_url: where addresses start.
        path: the feed's own address.
        page: address of the page that shows the same to people.
    """
    feed = new_document("feed", ATOM)
    add(feed, "id", f"{base_url}{path}")
    add(feed, "title", title)
    updated = max((_updated(record) for record in records), default=NEVER)
    add(feed, "updated", updated.isoformat())
    add(add(feed, "author"), "name", "Five-Dollar LLM")
    add(feed, "link", rel="self", type=MEDIA_TYPE, href=f"{base_url}{path}")
    add(feed, "link", rel="alternate", type="text/html", href=f"{base_url}{page}")
    for record in records:
        _add_entry(feed, record, base_url)
    return document_bytes(feed)


def _add_entry(feed: Element, record: FoundRecord, base_url: str) -> None:
    rules, label = record.rules, record.label
    entry = add(feed, "entry")
    add(entry, "id", record.id.urn)
    what = "record" if record.lost_at is None else "lost record"
    add(entry, "title", f"{label.name}: {what} of {rules.title}")
    add(entry, "updated", _updated(record).isoformat())
    add(entry, "published", record.set_at.isoformat())
    add(add(entry, "author"), "name", label.author)
    add(entry, "category", term=rules.name, label=rules.title)
    page = f"/submissions/{label.submission_id}" if label.submission_id else f"/tracks/{rules.name}"
    add(entry, "link", rel="alternate", type="text/html", href=f"{base_url}{page}")
    add(entry, "summary", record_summary(record))


def record_summary(record: FoundRecord) -> str:
    """The record in a few sentences."""
    text = f"Validation loss {loss(record.val_loss)} nats when it became the record."
    if (judged := record.judgement) is not None:
        text += (
            f" Against the baseline {delta(judged.delta)}, 99 % interval "
            f"{interval(judged.low, judged.high)}, from {judged.num_runs} "
            f"run{'' if judged.num_runs == 1 else 's'}."
        )
    text += f" Comparability key {record.key}."
    if record.lost_at is not None:
        text += f" No record since {moment(record.lost_at)}. {record.lost_reason}"
    return text


def _updated(record: FoundRecord) -> datetime:
    """When it was set or lost: a new interval is no news to those who follow records."""
    return record.lost_at or record.set_at
