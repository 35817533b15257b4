"""Reading from the Hugging Face hub.

The hub's libraries are imported inside the functions: they take a second to load, and runs on
local files, a mirror or the cache need none of them.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from core.data.record_files import Row, reading


def hub_rows(dataset: str, subset: str, split: str, revision: str) -> Iterator[Row]:
    """Stream the rows of a data set.

    Raises:
        DataUnavailable: the hub cannot be reached or has no such data set.
    """
    import datasets

    name = f"the data set {dataset} (subset {subset}, split {split}, revision {revision})"
    with _hub_reading(name, f"`{dataset}/{subset}` under datasets"):
        rows = datasets.load_dataset(
            dataset, subset, split=split, streaming=True, revision=revision
        )
        for number, row in enumerate(rows, start=1):
            yield Row(f"{dataset}/{subset}, row {number}", row)


def download_tokenizer(name: str) -> Path:
    """Fetch a repository's `tokenizer.json`, or find it in the hub's own cache.

    Raises:
        DataUnavailable: the hub cannot be reached or has no such file.
    """
    from huggingface_hub import hf_hub_download

    with _hub_reading(f"tokenizer.json of {name}", f"`{name}` under tokenizers"):
        return Path(hf_hub_download(name, "tokenizer.json"))


@contextmanager
def _hub_reading(name: str, mirror_key: str) -> Iterator[None]:
    from datasets.exceptions import DatasetsError
    from huggingface_hub.errors import HfHubHTTPError

    remedy = f"Check the name and the connection to the hub, or give a mirror with {mirror_key}."
    # The bases are the errors of whichever HTTP library this version of the hub's client uses.
    hub_errors = (*HfHubHTTPError.__bases__, DatasetsError, RuntimeError)
    with reading(name, remedy):
        try:
            yield
        except hub_errors as error:
            raise OSError(f"{type(error).__name__}: {error}") from error
