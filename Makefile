# The whole of the set-up: `make run` and `make test` do everything on a machine with Python 3.11+ and a C++ compiler.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.lathe-installed
WORKSPACE ?= $(HOME)/.local/share/lathe/demo

.PHONY: run test setup bench lint types unit clean

run: $(STAMP)
	@$(BIN)/lathe demo "$(WORKSPACE)" --quiet
	@exec $(BIN)/lathe "$(WORKSPACE)"

test: lint types unit

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { echo "Lathe needs Python 3.11 or newer. Install it, or name it: make setup PYTHON=/path/to/python3.11" >&2; exit 1; }
	@command -v c++ >/dev/null 2>&1 || command -v g++ >/dev/null 2>&1 || command -v clang++ >/dev/null 2>&1 || { echo "Lathe needs a C++ compiler: llama.cpp is built from source. Install one (Debian and Ubuntu: apt install g++; Fedora: dnf install gcc-c++; macOS: xcode-select --install) and run make again." >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "This Python cannot make virtual environments. Debian and Ubuntu: apt install python3-venv; then run make again." >&2; exit 1; }
	@echo "Setting up .venv (once; llama.cpp is built from source, a few minutes) …"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt "torch==$$(sed -n 's/^torch==//p' constraints.txt)"
	@$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e ".[dev]"
	@$(BIN)/python -m compileall -q app store widgets
	@touch $(STAMP)

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: $(STAMP)
	$(BIN)/mypy

unit: $(STAMP)
	$(BIN)/python -P -m pytest -q -n 2

bench: $(STAMP)
	PYTHONPATH=. $(BIN)/python -m tests.bench

clean:
	rm -rf $(VENV) build *.egg-info .mypy_cache .ruff_cache
