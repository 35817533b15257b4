"""What a run has written and the server has not yet acknowledged."""

import codecs
import logging
from pathlib import Path

from pydantic import Field, ValidationError

from core.schema.base import Message
from core.schema.job import MAX_LOG_CHARACTERS, MAX_METRIC_POINTS
from core.schema.metric_point import MetricPoint
from runner.api.client import WorkerClient
from runner.runs.run_folder import RunFolder, replace_file

MAX_READ_BYTES = 1024 * 1024

logger = logging.getLogger(__name__)


class Acknowledged(Message):
    """Bytes of a run's files that the server has."""

    metrics_bytes: int = Field(default=0, ge=0)
    """Of `metrics.jsonl`."""
    log_bytes: int = Field(default=0, ge=0)
    """Of `log.txt`."""


class Spool:
    """Sends the new parts of `metrics.jsonl` and `log.txt`, in order.

    What was acknowledged is remembered on disk, so nothing is lost with the worker. A piece
    may be sent twice; the server keeps one. The log of an attempt starts with what is left
    of the attempt before.
    """

    def __init__(self, folder: RunFolder, client: WorkerClient, job_id: str, token: str) -> None:
        self._folder = folder
        self._client = client
        self._job_id = job_id
        self._token = token
        self._log_characters = 0
        self._acknowledged = read_acknowledged(folder)
        self._is_remembered = True

    def send(self, final: bool = False) -> bool:
        """Send at most one batch of metrics and one piece of the log.

        Args:
            final: nothing will be written any more, so half a character at the end is sent.

        Returns:
            Whether something was sent.

        Raises:
            RunnerError: as the client; what was not acknowledged stays in the spool.
        """
        sent_metrics = self._send_metrics()
        return self._send_log(final) or sent_metrics

    def _send_metrics(self) -> bool:
        start = self._acknowledged.metrics_bytes
        complete = read_from(self._folder.metrics_path, start).rpartition(b"\n")[0]
        lines = complete.split(b"\n")[:MAX_METRIC_POINTS] if complete else []
        if not lines:
            return False
        points = [point for line in lines if (point := read_point(line))]
        if points:
            self._client.send_metrics(self._job_id, self._token, points)
        self._remember(metrics_bytes=start + sum(len(line) + 1 for line in lines))
        return True

    def _send_log(self, final: bool) -> bool:
        start = self._acknowledged.log_bytes
        data = read_from(self._folder.log_path, start, MAX_LOG_CHARACTERS)
        is_end = final and len(data) < MAX_LOG_CHARACTERS
        text, num_bytes = decode_start(data, is_end)
        if not text:
            return False
        self._client.send_log(self._job_id, self._token, self._log_characters, text)
        self._log_characters += len(text)
        self._remember(log_bytes=start + num_bytes)
        return True

    def _remember(self, **changes: int) -> None:
        self._acknowledged = self._acknowledged.model_copy(update=changes)
        try:
            replace_file(self._folder.spool_path, self._acknowledged.model_dump_json())
        except OSError as error:
            # Then another attempt sends more than it must, which changes nothing.
            if self._is_remembered:
                logger.warning("what the server has is not noted on the disk: %s", error)
            self._is_remembered = False
        else:
            self._is_remembered = True


def read_acknowledged(folder: RunFolder) -> Acknowledged:
    """What earlier attempts noted; nothing, if that is damaged or of longer files."""
    try:
        noted = Acknowledged.model_validate_json(folder.spool_path.read_bytes())
    except FileNotFoundError:
        return Acknowledged()
    except ValidationError:
        logger.warning("%s is damaged: all is sent again", folder.spool_path)
        return Acknowledged()
    if noted.metrics_bytes > size_of(folder.metrics_path):
        logger.warning("%s has lost its end: all is sent again", folder.metrics_path)
        noted = noted.model_copy(update={"metrics_bytes": 0})
    if noted.log_bytes > size_of(folder.log_path):
        noted = noted.model_copy(update={"log_bytes": 0})
    return noted


def read_point(line: bytes) -> MetricPoint | None:
    """The point of a line; None, and a warning, if the line is damaged."""
    try:
        return MetricPoint.model_validate_json(line)
    except ValidationError:
        logger.warning("a damaged line of the metrics is left out: %r", line[:80])
        return None


def size_of(path: Path) -> int:
    """Bytes of a file; 0 if there is none."""
    return path.stat().st_size if path.exists() else 0


def decode_start(data: bytes, final: bool) -> tuple[str, int]:
    """Text of the whole UTF-8 characters at the start of some bytes, and how many bytes it took.

    Bytes that are not UTF-8 become U+FFFD. An unfinished character at the end is left out,
    unless `final`.
    """
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    text = decoder.decode(data, final)
    return text, len(data) - len(decoder.getstate()[0])


def read_from(path: Path, start: int, max_bytes: int = MAX_READ_BYTES) -> bytes:
    """Bytes of a growing file from an offset on; none if there is no file yet."""
    try:
        with path.open("rb") as file:
            file.seek(start)
            return file.read(max_bytes)
    except FileNotFoundError:
        return b""
