import subprocess
from importlib import metadata

from core import version


def test_a_git_that_hangs_gives_the_release(monkeypatch):
    def hang(arguments, **options):
        raise subprocess.TimeoutExpired(arguments, 10)

    monkeypatch.delenv("FIVE_DOLLAR_COMMIT", raising=False)
    monkeypatch.setattr(version.subprocess, "run", hang)
    release = f"release {metadata.version('five-dollar-llm')}"
    assert version.code_commit.__wrapped__() == release
