# Python 3.11 to 3.13, pip and make are all that these targets need.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ONCE ?=

.PHONY: demo test check format pictures clean

# The whole path on this machine: server, worker, submissions, board. ONCE=1 ends by itself.
demo: $(VENV)/train.installed
	$(BIN)/runner demo $(if $(ONCE),--once)

test: $(VENV)/dev.installed
	$(BIN)/pytest -n 2 --dist loadfile

check: $(VENV)/dev.installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/dev.installed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# docs/pages.md and its pictures, in Chromium.
pictures: $(VENV)/dev.installed
	$(BIN)/python -m benchmarks.gallery

clean:
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache

$(VENV)/train.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[train]'
	touch $@

$(VENV)/dev.installed: $(VENV)/train.installed
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[train,dev]'
	touch $@
