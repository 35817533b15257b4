import pytest

from core.schema.result import FailureKind

PLATFORM = {"worker_lost", "data_unavailable", "internal_error"}


@pytest.mark.parametrize("kind", FailureKind)
def test_every_failure_says_whose_fault_it_is_and_what_to_do(kind):
    at_fault = "the platform's" if kind in PLATFORM else "the submission's"
    if kind is FailureKind.CANCELLED:
        at_fault = "nobody's"
    assert kind.fault == f"{at_fault} fault"
    assert kind.is_platform_fault == (kind in PLATFORM)
    assert kind.advice.endswith(".")
