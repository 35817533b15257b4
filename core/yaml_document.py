"""Reading YAML that strangers wrote: safe, bounded, with the line of every key."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml
from pydantic import JsonValue

from core.errors import InvalidInput
from core.schema.problem import Problem

MAX_DEPTH = 20
MAX_NODES = 5000
HALF_CHARACTER = "an escape \\uD800 to \\uDFFF is half a character; write the character itself."


@dataclass(frozen=True)
class YamlDocument:
    """A mapping of plain values, and the line of each key by its path."""

    value: Mapping[str, JsonValue]
    lines: Mapping[tuple[str, ...], int]


def read_yaml(text: str | bytes, max_bytes: int) -> YamlDocument:
    """Parse one YAML mapping of strings, numbers, booleans, nulls, lists and mappings.

    Numbers such as `1e-3` are numbers, dates stay text, dotted keys stay one key whose line
    is also known under the split path.

    Raises:
        InvalidInput: too large, not UTF-8, not YAML, nested deeper than 20, an alias, a tag,
            a duplicate key, a NaN or an infinity; with the line.
    """
    data = text.encode() if isinstance(text, str) else text
    if len(data) > max_bytes:
        raise _refusal(f"the document has {len(data):,} bytes; at most {max_bytes:,} are allowed.")
    try:
        decoded = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _refusal(f"the document is not UTF-8 text (byte {error.start}).") from error
    try:
        _check_events(decoded)
        node = yaml.compose(decoded, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        remedy = (
            " YAML is indented by spaces; put some in place of the tab."
            if (r"'\t'" in (error.problem or ""))
            else ""
        )
        raise _refusal(
            f"not valid YAML: {error.problem}.{remedy}", mark.line + 1 if mark else None
        ) from error
    except yaml.YAMLError as error:
        raise _refusal(f"not valid YAML: {str(error).splitlines()[0]}.") from error
    if node is None:
        raise _refusal("the document is empty; it must be a mapping of keys to values.")
    if not isinstance(node, yaml.MappingNode):
        raise _refusal("the document must be a mapping of keys to values.")
    lines: dict[tuple[str, ...], int] = {}
    problems: list[Problem] = []
    value = _mapping(node, (), lines, problems)
    if problems:
        raise InvalidInput(problems)
    return YamlDocument(value, lines)


def read_yaml_file(path: Path, max_bytes: int) -> YamlDocument:
    """Read a YAML file.

    Raises:
        InvalidInput: the file cannot be read, or as `read_yaml`.
    """
    try:
        with path.open("rb") as file:
            data = file.read(max_bytes + 1)
            size = path.stat().st_size
    except OSError as error:
        raise _refusal(f"cannot read {path}: {error.strerror}.") from error
    if size > max_bytes:
        raise _refusal(f"{path} has {size:,} bytes; at most {max_bytes:,} are allowed.")
    return read_yaml(data, max_bytes)


def _check_events(text: str) -> None:
    """Refuse aliases, tags, several documents and deep nesting before anything is built."""
    depth = nodes = documents = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        mark = event.start_mark
        line = mark.line + 1 if mark else None
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise _refusal("anchors and aliases (& and *) are not allowed.", line)
        if tag := getattr(event, "tag", None):
            raise _refusal(f"the tag {tag} is not allowed.", line)
        documents += isinstance(event, yaml.DocumentStartEvent)
        nodes += isinstance(event, yaml.NodeEvent)
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if documents > 1:
            raise _refusal("only one document is allowed.", line)
        if depth > MAX_DEPTH:
            raise _refusal(f"nested deeper than {MAX_DEPTH} levels.", line)
        if nodes > MAX_NODES:
            raise _refusal(f"more than {MAX_NODES:,} values.", line)


def _mapping(
    node: yaml.MappingNode,
    prefix: tuple[str, ...],
    lines: dict[tuple[str, ...], int],
    problems: list[Problem],
) -> dict[str, JsonValue]:
    result: dict[str, JsonValue] = {}
    for key_node, value_node in node.value:
        line = key_node.start_mark.line + 1
        if not isinstance(key_node, yaml.ScalarNode):
            problems.append(
                Problem(path=".".join(prefix), message="a key must be text.", line=line)
            )
            continue
        key = str(key_node.value)
        if _has_surrogate(key):
            problems.append(Problem(path=".".join(prefix), message=HALF_CHARACTER, line=line))
            continue
        path = (*prefix, *key.split("."))
        if key in result:
            message = f"this key stands twice, first in line {lines[path]}."
            problems.append(Problem(path=".".join(path), message=message, line=line))
        lines.setdefault(path, line)
        result[key] = _value(value_node, path, lines, problems)
    return result


def _value(
    node: yaml.Node,
    path: tuple[str, ...],
    lines: dict[tuple[str, ...], int],
    problems: list[Problem],
) -> JsonValue:
    if isinstance(node, yaml.MappingNode):
        return _mapping(node, path, lines, problems)
    if isinstance(node, yaml.SequenceNode):
        return [
            _value(item, (*path, str(index)), lines, problems)
            for index, item in enumerate(node.value)
        ]
    assert isinstance(node, yaml.ScalarNode)
    line = node.start_mark.line + 1
    try:
        return _scalar(node)
    except ValueError as error:
        problems.append(Problem(path=".".join(path), message=str(error), line=line))
        return None


def _scalar(node: yaml.ScalarNode) -> JsonValue:
    text = str(node.value)
    if _has_surrogate(text):
        raise ValueError(HALF_CHARACTER)
    kind = node.tag.rsplit(":", 1)[-1]
    if kind == "null":
        return None
    if kind == "bool":
        return text.lower() in ("true", "yes", "on")
    if kind == "int":
        return _integer(text)
    if node.style is None and kind in ("str", "float"):
        if text.lower().lstrip("+-") in (".nan", ".inf", "nan", "inf", "infinity"):
            raise ValueError(f"{text} is not a finite number.")
        return _number_or_text(text)
    return text


def _has_surrogate(text: str) -> bool:
    return any("\ud800" <= character <= "\udfff" for character in text)


def _integer(text: str) -> int:
    if len(text) > 30:
        raise ValueError(f"{text[:30]}... has too many digits.")
    digits = text.replace("_", "")
    try:
        return int(digits, 0)
    except ValueError as error:
        raise ValueError(
            f"{text} is not a decimal number; write it without a leading 0, or in "
            "quotes if it is text."
        ) from error


def _number_or_text(text: str) -> float | str:
    try:
        number = float(text.replace("_", "")) if text[:1] in "+-.0123456789" else None
    except ValueError:
        return text
    if number is None or not text:
        return text
    if not math.isfinite(number):
        raise ValueError(f"{text} is not a finite number.")
    return number + 0.0  # -0.0 and 0.0 are one value, so they must not be two experiments.


def _refusal(message: str, line: int | None = None) -> InvalidInput:
    return InvalidInput([Problem(path="", message=message, line=line)])
