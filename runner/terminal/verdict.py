"""Verdicts as a person reads them."""

from collections.abc import Iterator

from runner.api.answers import (
    ExperimentVerdict,
    Judgement,
    RerunNote,
    SubmissionView,
    WithdrawnNote,
)
from runner.terminal.figures import write_quantity


def write_interval(judgement: Judgement) -> str:
    """The ends of the 99 % interval."""
    low, high = (
        write_quantity("nats", end, signed=True) for end in (judgement.low, judgement.high)
    )
    return f"[{low}, {high}]"


def write_label(verdict: ExperimentVerdict) -> str:
    """The verdict in a word or two, such as `better, record`."""
    return f"{verdict.verdict}, record" if verdict.is_record else verdict.verdict


def write_settling(further_runs: int | None) -> str:
    """What it would take to settle a verdict; empty if it is settled."""
    if further_runs is None:
        return "80 runs would not settle it"
    if further_runs == 0:
        return ""
    runs = "1 further run" if further_runs == 1 else f"{further_runs} further runs"
    return f"{runs} would settle it, were the difference to stay"


def verdict_rows(view: SubmissionView) -> Iterator[tuple[str, str]]:
    """What is said of a submission's experiment; nothing while there is no verdict."""
    if view.withdrawn is not None:
        yield "withdrawn", write_withdrawal(view.withdrawn)
    verdict = view.verdict
    if verdict is None:
        return
    yield "verdict", f"{write_label(verdict)}: {_write_difference(verdict)} of the baseline"
    if verdict.refuted:
        yield "refuted", verdict.refuted
    if settling := write_settling(verdict.further_runs):
        yield "to settle it", settling
    if verdict.next_look is not None:
        yield "next verdict", f"at {verdict.next_look} runs"


def write_withdrawal(note: WithdrawnNote) -> str:
    """Who took a submission back, and why, on one line."""
    return f"by {note.requested_by}: {' '.join(note.reason.split())}"


def write_rerun(note: RerunNote) -> str:
    """Who asked for more runs, and what they changed."""
    return f"by {note.requested_by}: {note.before or 'none'} → {note.after or 'not yet known'}"


def compared_sentence(a: str, b: str, judgement: Judgement) -> str:
    """Whether B is better or worse than A."""
    said = f"{b} is {judgement.verdict} than {a}"
    if judgement.verdict == "unresolved":
        said = f"Whether {b} is better or worse than {a} is unresolved"
    settling = write_settling(judgement.further_runs)
    return f"{said}: {_write_difference(judgement)}.{f' {settling}.' if settling else ''}"


def _write_difference(judgement: Judgement) -> str:
    delta = write_quantity("nats", judgement.delta, signed=True)
    runs = "1 run" if judgement.num_runs == 1 else f"{judgement.num_runs} runs"
    return f"{delta} nats {write_interval(judgement)}, {runs} against {judgement.num_baseline_runs}"
