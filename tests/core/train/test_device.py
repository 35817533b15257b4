import pytest
import torch

from core.errors import OutOfMemory
from core.train.device import out_of_memory_named


def test_want_of_memory_is_named_with_the_cap():
    with pytest.raises(OutOfMemory, match=r"under the cap of 24\.0 GiB: too much"):  # noqa: SIM117
        with out_of_memory_named(24 * 1024**3):
            raise torch.OutOfMemoryError("too much")


def fail_to_end_a_record():
    """As a recorded step does that runs out of memory: ending the record fails then too."""
    try:
        raise torch.OutOfMemoryError("too much")
    finally:
        raise RuntimeError("the record is not whole")


def test_want_of_memory_is_found_behind_the_error_that_follows_it():
    with pytest.raises(OutOfMemory), out_of_memory_named(None):
        fail_to_end_a_record()


def test_other_errors_keep_their_name():
    with pytest.raises(RuntimeError, match="shapes"), out_of_memory_named(None):
        raise RuntimeError("shapes differ")
