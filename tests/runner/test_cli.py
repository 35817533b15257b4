"""The command line: quick help, clear messages, exit statuses, never a traceback."""

import json
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from core.schema.job import PROTOCOL_VERSION
from runner.cli import app
from runner.exit_codes import ExitCode
from runner.runs.run_folder import RunFolder
from tests.runner import examples

VALID = "track: debug\nname: Mine\nauthor: me\nhypothesis: Yes.\n"
NOBODY = "http://127.0.0.1:9"


@pytest.fixture(autouse=True)
def environment(tmp_path, monkeypatch):
    from runner import authoring

    monkeypatch.setenv("FIVE_DOLLAR_SERVER_URL", NOBODY)
    monkeypatch.setenv("FIVE_DOLLAR_CACHE_DIRECTORY", str(tmp_path / "cache"))
    monkeypatch.setattr(authoring, "RETRY_SECONDS", 0.0)
    monkeypatch.chdir(tmp_path)


def call(*arguments: object):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_help_imports_nothing_heavy():
    code = (
        "import sys\nfrom runner.cli import app\n"
        "try: app(['--help'])\nexcept SystemExit: pass\n"
        "heavy = {'torch', 'httpx', 'pydantic', 'rich', 'numpy', 'matplotlib', 'yaml'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ended.stdout.splitlines()[-1] == "[]"
    assert "submit" in ended.stdout


def test_no_command_has_more_than_six_options():
    from typer.main import get_command

    commands = dict(get_command(app).commands)
    assert len(commands) == 22
    commands |= commands.pop("token").commands
    for name, command in commands.items():
        options = [p for p in command.params if p.param_type_name == "option" and p.name != "help"]
        assert len(options) <= 6, name


def test_the_command_lines_scopes_and_days_are_the_schemas():
    from typer.main import get_command

    from core.schema.access import DEFAULT_TOKEN_DAYS, Scope
    from runner.commands.token import ScopeChoice

    create = get_command(app).commands["token"].commands["create"]
    options = {option.name: option for option in create.params}
    assert [choice.value for choice in ScopeChoice] == [scope.value for scope in Scope]
    assert options["days"].default == DEFAULT_TOKEN_DAYS


def test_help_names_every_exit_status():
    from typer.main import get_command

    (_, statuses) = get_command(app).epilog.split("Exit status: ")
    named = {int(part.split()[0]) for part in statuses.split(", ") if part[0].isdigit()}
    assert named == set(ExitCode)


def test_a_valid_file_is_priced(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text(VALID + "overrides:\n  model.dropout: 0.25\n")
    ended = call("check", file)
    assert ended.exit_code == ExitCode.OK
    assert "0.0 → 0.25" in ended.stdout
    assert "1,312,384" in ended.stdout
    # Nobody is there to ask, which is no error.
    assert f"the server at {NOBODY} was not asked" in ended.stdout
    answer = json.loads(call("check", file, "--json").stdout)
    assert answer["valid"] is True
    assert answer["changes"][0]["path"] == "model.dropout"
    assert answer["nearest"] is None


def test_all_problems_are_named_with_their_lines(tmp_path):
    file = tmp_path / "wrong.yaml"
    file.write_text(VALID + "overrides:\n  model.dropot: 0\n  model.init_std: -1\n")
    ended = call("check", file)
    assert ended.exit_code == ExitCode.INVALID
    assert ended.stdout == ""
    assert "line 6: model.dropot" in ended.stderr
    assert "line 7: model.init_std" in ended.stderr
    as_json = call("check", file, "--json")
    assert as_json.exit_code == ExitCode.INVALID
    assert [problem["line"] for problem in json.loads(as_json.stdout)["problems"]] == [6, 7]


@pytest.mark.parametrize("command", ["check", "submit", "train"])
@pytest.mark.parametrize(
    ("name", "content", "code", "message"),
    [
        ("missing.yaml", None, ExitCode.NOT_FOUND, "There is no file"),
        ("folder.yaml", "folder", ExitCode.INVALID, "is a directory"),
        ("large.yaml", b"#" * 10_000_000, ExitCode.INVALID, "at most 65,536 bytes"),
        ("latin.yaml", "name: ä".encode("latin-1"), ExitCode.INVALID, "not UTF-8"),
        ("zeros.yaml", b"\x00\x01", ExitCode.INVALID, "not valid YAML"),
        ("empty.yaml", b"", ExitCode.INVALID, "must be a mapping"),
        ("list.yaml", b"- a", ExitCode.INVALID, "must be a mapping"),
        ("track.yaml", VALID.replace("debug", "debugg").encode(), ExitCode.INVALID, "`debug`"),
    ],
)
def test_bad_files_get_a_message_and_a_status(tmp_path, command, name, content, code, message):
    file = tmp_path / name
    if content == "folder":
        file.mkdir()
    elif content is not None:
        file.write_bytes(content)
    ended = call(command, file)
    assert ended.exit_code == code
    assert message in ended.stderr
    assert "Traceback" not in ended.output


@pytest.mark.parametrize(
    "arguments",
    [
        ("status",),
        ("status", "s_1"),
        ("status", "r_1", "--json"),
        ("logs", "s_1"),
        ("logs", "r_1", "--follow"),
        ("cancel", "s_1"),
        ("withdraw", "s_1", "--author", "me", "--reason", "A mistake."),
        ("rerun", "s_1", "--author", "me"),
        ("ledger",),
        ("ledger", "--verify", "--json"),
        ("board", "debug"),
        ("compare", "s_1", "s_2"),
        ("reproduce", "r_1"),
    ],
)
def test_an_absent_server_is_named_with_what_to_do(arguments):
    ended = call(*arguments)
    assert ended.exit_code == ExitCode.UNREACHABLE
    assert f"The server at {NOBODY} cannot be reached" in ended.stderr
    assert "FIVE_DOLLAR_SERVER_URL" in ended.stderr
    assert ended.stdout == ""


def test_submitting_to_an_absent_server_is_unreachable(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text(VALID)
    assert call("submit", file).exit_code == ExitCode.UNREACHABLE


def test_a_wrong_address_is_refused(monkeypatch):
    monkeypatch.setenv("FIVE_DOLLAR_SERVER_URL", "localhost:8000")
    ended = call("status")
    assert ended.exit_code == ExitCode.INVALID
    assert "'localhost:8000'" in ended.stderr


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("train", "debug", "--set", "model.dropout"), ExitCode.INVALID),
        (("train", "no_such_track"), ExitCode.INVALID),
        (("train", "debug", "--seed", "-1"), ExitCode.USAGE),
        (("train", "debug", "--device", "tpu"), ExitCode.USAGE),
        (("train", "debug", "--mirror", "missing.yaml"), ExitCode.INVALID),
        (("evaluate", "nowhere"), ExitCode.NOT_FOUND),
        (("worker", "--server", "nonsense"), ExitCode.INVALID),
        (("worker", "--mirror", "missing.yaml"), ExitCode.INVALID),
        (("serve", "--port", "70000"), ExitCode.USAGE),
        (("withdraw", "s_1", "--author", "me"), ExitCode.USAGE),
        (("withdraw", "s_1", "--author", "me", "--reason", ""), ExitCode.INVALID),
        (("rerun", "s_1"), ExitCode.USAGE),
        (("rerun", "s_1", "--author", "two words"), ExitCode.INVALID),
        (("ledger", "--limit", "1001"), ExitCode.USAGE),
        (("ledger", "--since", "abc"), ExitCode.USAGE),
        (("ledger", "--verify", "--after", "5"), ExitCode.USAGE),
        (("no_such_command",), ExitCode.USAGE),
        (("submit",), ExitCode.USAGE),
    ],
)
def test_wrong_arguments_get_a_status_and_no_traceback(arguments, code):
    ended = call(*arguments)
    assert ended.exit_code == code
    assert ended.stderr
    assert "Traceback" not in ended.output


def test_two_run_folders_are_compared_here(tmp_path):
    for name, loss in (("a", 2.0), ("b", 1.5)):
        folder = RunFolder(tmp_path / name)
        folder.prepare(examples.spec(), examples.environment(tmp_path))
        folder.write_result(examples.result(loss))
    ended = call("compare", tmp_path / "a", tmp_path / "b")
    assert ended.exit_code == ExitCode.OK
    assert "-0.5000" in ended.stdout
    figures = json.loads(call("compare", tmp_path / "a", tmp_path / "b", "--json").stdout)
    assert figures["figures"][0]["deltas"] == [None, -0.5]
    assert call("compare", tmp_path / "a", tmp_path / "c").exit_code == ExitCode.NOT_FOUND


@pytest.mark.parametrize("count", [1, 7])
def test_one_run_or_seven_are_not_compared(count):
    ended = call("compare", *["s_1"] * count)
    assert ended.exit_code == 2
    assert f"{count} given; from 2 to 6 are compared" in ended.stderr


def test_a_folder_of_another_run_is_not_trained_in(tmp_path):
    folder = RunFolder(tmp_path / "run")
    folder.prepare(examples.spec(seed=1), examples.environment(tmp_path))
    ended = call("train", "debug", "--output", tmp_path / "run", "--seed", "2")
    assert ended.exit_code == ExitCode.CONFLICT
    assert "holds another run" in ended.stderr


def test_version_names_release_commit_and_protocol():
    ended = call("version")
    assert ended.exit_code == ExitCode.OK
    assert ended.stdout.startswith("five-dollar-llm ")
    assert f"protocol {PROTOCOL_VERSION}" in ended.stdout


def test_a_reader_that_goes_away_gets_no_traceback(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text(VALID)
    for form in ([], ["--json"]):
        process = subprocess.Popen(
            [sys.executable, "-m", "runner", "check", str(file), *form],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        with process.stderr as stream:
            assert stream.read() == b""
        assert process.wait() == 1


def test_an_export_from_no_server_waits_and_says_so_once(tmp_path, monkeypatch):
    from runner import authoring

    monkeypatch.setattr(authoring, "SITE_RETRY_SECONDS", 0.6)
    ended = call("export", tmp_path / "site")
    assert ended.exit_code == ExitCode.UNREACHABLE
    assert ended.stderr.count("trying again") == 1
    assert "FIVE_DOLLAR_SERVER_URL" in ended.stderr
    assert list((tmp_path / "site").iterdir()) == []


def test_an_export_knows_what_an_address_is(tmp_path):
    ended = call("export", tmp_path / "site", "--public-url", "ada.example")
    assert ended.exit_code == ExitCode.USAGE
    assert "'ada.example' must start with http:// or https://" in " ".join(ended.stderr.split())
    assert not (tmp_path / "site").exists()
