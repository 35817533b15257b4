"""From an author's YAML to a resolved experiment, with every problem at once."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import ValidationError

from core.errors import InvalidInput
from core.estimate import Estimate, budget_violations, estimate
from core.schema.experiment import ExperimentConfig
from core.schema.overrides import (
    Change,
    Lines,
    differences,
    experiment_hash,
    problems_of,
    resolve,
)
from core.schema.problem import Problem
from core.schema.submission import MAX_SUBMISSION_BYTES, Submission
from core.schema.track import Track
from core.tracks import find_track
from core.yaml_document import read_yaml


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


def read_submission(text: str | bytes) -> SubmissionDocument:
    """Parse a submission, without looking at its overrides.

    Raises:
        InvalidInput: as `read_yaml`, or a key of the submission is wrong.
    """
    document = read_yaml(text, MAX_SUBMISSION_BYTES)
    try:
        submission = Submission.model_validate_json(json.dumps(document.value))
    except ValidationError as error:
        raise InvalidInput(problems_of(error, Submission, document.lines)) from error
    return SubmissionDocument(submission, document.lines)


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
    track = find_track(submission.track, dict(tracks))
    lines = {path[1:]: line for path, line in document.lines.items() if path[0] == "overrides"}
    experiment = resolve(parent or track.base, submission.overrides, lines, track.rules)
    violations = [
        Problem(path="overrides", message=violation, line=document.lines.get(("overrides",)))
        for violation in budget_violations(track, experiment)
    ]
    if violations:
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
