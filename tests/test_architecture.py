import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.parametrize(
    "module", ["server.app", "core.proposal", "core.tracks", "runner.cli", "runner.api.client"]
)
def test_torch_free_modules_import_no_torch(module):
    code = f"import {module}, sys; print([m for m in ('torch', 'numpy') if m in sys.modules])"
    completed = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=60
    )
    assert completed.stdout.strip() == "[]", completed.stderr


@pytest.mark.parametrize("package", ["core", "runner", "server"])
def test_package_init_files_are_empty(package):
    for path in (ROOT / package).rglob("__init__.py"):
        assert path.read_text() == "", path


def test_no_file_names_a_package_registry():
    tracked = subprocess.run(
        ["git", "ls-files"], capture_output=True, text=True, cwd=ROOT, check=True
    ).stdout.split()
    for name in tracked:
        if name.endswith((".txt", ".toml", ".lock", ".json", ".cfg")):
            text = (ROOT / name).read_text()
            assert "-index" + "-url" not in text, name
            assert "/sim" + "ple/" not in text, name
