"""A submission that is still being written: what is wrong, and what is known all the same."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from core.errors import InvalidInput
from core.proposal import budget_problems, override_lines, submission_of
from core.schema.experiment import ExperimentConfig
from core.schema.overrides import resolve
from core.schema.problem import Problem
from core.schema.submission import MAX_SUBMISSION_BYTES, Submission
from core.schema.track import Track
from core.schema.validation_problems import by_line
from core.yaml_document import YamlDocument, read_yaml

ParentOf = Callable[[str, Track, int | None], ExperimentConfig]
"""The config of the submission that `built_on` names, by its id, the track and the line.

It raises InvalidInput if there is no such submission to build on.
"""


@dataclass(frozen=True)
class Draft:
    """What a text says, as far as it can be understood."""

    problems: tuple[Problem, ...]
    """Everything for which it would be refused, in the order of the text."""
    document: YamlDocument | None = None
    """The text itself; None if it is not YAML."""
    submission: Submission | None = None
    """The whole submission; None if one of its own keys is wrong."""
    track: Track | None = None
    """Its track; None while it names none that there is."""
    experiment: ExperimentConfig | None = None
    """What it resolves to, within the budget or not; None while a setting is wrong."""


def read_draft(text: str | bytes, tracks: Mapping[str, Track], parent_of: ParentOf) -> Draft:
    """Understand as much of a submission as is right, and say what is wrong with the rest."""
    try:
        document = read_yaml(text, MAX_SUBMISSION_BYTES)
    except InvalidInput as error:
        return Draft(problems=error.problems)
    problems: list[Problem] = []
    submission: Submission | None = None
    try:
        submission = submission_of(document, tracks).submission
    except InvalidInput as error:
        problems.extend(error.problems)
    track = tracks.get(str(document.value.get("track")))
    experiment: ExperimentConfig | None = None
    if track is not None:
        try:
            experiment = _experiment(document, track, parent_of)
        except InvalidInput as error:
            problems.extend(problem for problem in error.problems if problem not in problems)
    if track is not None and experiment is not None:
        problems.extend(budget_problems(track, experiment, document.lines))
    return Draft(tuple(by_line(problems)), document, submission, track, experiment)


def _experiment(
    document: YamlDocument, track: Track, parent_of: ParentOf
) -> ExperimentConfig | None:
    """What the overrides make of what they start from; None if these are no settings at all."""
    overrides = document.value.get("overrides") or {}
    built_on = document.value.get("built_on") or ""
    if not isinstance(overrides, dict) or not isinstance(built_on, str):
        return None
    start = track.base
    if built_on:
        start = parent_of(built_on, track, document.lines.get(("built_on",)))
    return resolve(start, overrides, override_lines(document.lines), track.rules)
