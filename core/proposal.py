"""From an author's YAML to a resolved experiment, with every problem at once."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import ValidationError

from core.errors import InvalidInput
from core.estimate.budget import budget_violations
from core.estimate.cost import Estimate, estimate
from core.schema.canonical import experiment_hash
from core.schema.experiment import ExperimentConfig
from core.schema.overrides import Change, differences, flatten, resolve
from core.schema.problem import Problem
from core.schema.submission import MAX_SUBMISSION_BYTES, Submission
from core.schema.track import Track
from core.schema.validation_problems import Lines, by_line, problems_of
from core.tracks import find_track
from core.yaml_document import YamlDocument, read_yaml


@dataclass(frozen=True)
class SubmissionDocument:
    """A submission and the lines of its keys."""

    submission: Submission
    lines: Lines


@dataclass(frozen=True)
class Proposal:
    """A submission that may be queued."""

    submission: Submission
    track: Track
    experiment: ExperimentConfig
    experiment_hash: str
    changes: tuple[Change, ...]
    """What differs from the track's baseline."""
    estimate: Estimate


def read_submission(text: str | bytes, tracks: Mapping[str, Track]) -> SubmissionDocument:
    """Parse a submission for one of the tracks; its overrides are resolved by `propose`.

    Raises:
        InvalidInput: as `read_yaml`, or a key of the submission is wrong, or there is no such
            track; then the overrides that are wrong on any base are named too.
    """
    return submission_of(read_yaml(text, MAX_SUBMISSION_BYTES), tracks)


def submission_of(document: YamlDocument, tracks: Mapping[str, Track]) -> SubmissionDocument:
    """The submission that a document is.

    Raises:
        InvalidInput: as `read_submission`, but for what is wrong with the YAML itself.
    """
    # A key with nothing behind it is how people write "none".
    written = {key: value for key, value in document.value.items() if value is not None}
    try:
        submission = Submission.model_validate_json(json.dumps(written))
        find_track(submission.track, tracks)
    except ValidationError as error:
        problems = problems_of(error, Submission, document.lines)
    except InvalidInput as error:
        line = document.lines.get(("track",))
        problems = [problem.model_copy(update={"line": line}) for problem in error.problems]
    else:
        return SubmissionDocument(submission, document.lines)
    raise InvalidInput(by_line((*problems, *_wrong_overrides(document, tracks))))


def propose(
    document: SubmissionDocument,
    tracks: Mapping[str, Track],
    parent: ExperimentConfig | None = None,
) -> Proposal:
    """Resolve a submission against its track and check the track's rules.

    Args:
        parent: config of the submission that `built_on` names, if it names one.

    Raises:
        InvalidInput: unknown track, unknown or closed settings, wrong values, a budget
            that is exceeded; all at once.
    """
    submission = document.submission
    track = find_track(submission.track, tracks)
    lines = override_lines(document.lines)
    experiment = resolve(parent or track.base, submission.overrides, lines, track.rules)
    if violations := budget_problems(track, experiment, document.lines):
        raise InvalidInput(violations)
    rules = track.rules
    return Proposal(
        submission=submission,
        track=track,
        experiment=experiment,
        experiment_hash=experiment_hash(rules.name, rules.version, experiment),
        changes=differences(track.base, experiment),
        estimate=estimate(experiment, rules.prices_usd_per_hour),
    )


def budget_problems(track: Track, experiment: ExperimentConfig, lines: Lines) -> list[Problem]:
    """Why an experiment does not fit a track's budget, at the overrides that made it so."""
    line = lines.get(("overrides",))
    return [
        Problem(path="overrides", message=violation, line=line)
        for violation in budget_violations(track, experiment)
    ]


def override_lines(lines: Lines) -> Lines:
    """Line of each override by its path below `overrides`."""
    return {path[1:]: line for path, line in lines.items() if path[0] == "overrides"}


def _wrong_overrides(document: YamlDocument, tracks: Mapping[str, Track]) -> list[Problem]:
    """Overrides that are wrong whatever else the submission says.

    Without a known track, names and values are checked against all settings, open or not.
    """
    overrides = document.value.get("overrides")
    if not isinstance(overrides, dict) or not tracks:
        return []
    named = tracks.get(str(document.value.get("track")))
    lines = override_lines(document.lines)
    base = named or next(iter(tracks.values()))
    try:
        resolve(base.base, overrides, lines, named.rules if named else None)
    except InvalidInput as error:
        written = {".".join(path) for path, _ in flatten(overrides)}
        return [problem for problem in error.problems if problem.path in written]
    return []
