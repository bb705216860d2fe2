# Two commands from a bare machine (Python 3.11+, make, git): `make demo` and `make test`.
PYTHON ?= python3
VENV ?= .venv
DEMO ?= demo
SIZE ?= 2000
BIN := $(VENV)/bin

.PHONY: help install dev browser demo test test-fast lint fix check docs wheel clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 14

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Python 3.11 or newer is needed; set PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet -e .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet -e '.[dev,onnx]'
	@touch $@

install: $(VENV)/.installed ## the virtual environment with curate in it

dev: $(VENV)/.installed-dev ## the same with everything that the tests use

browser: ## a real browser for the page tests (they say so and skip without one)
	@command -v chromium >/dev/null || command -v chromium-browser >/dev/null \
	  || { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null \
	       && apt-get update -qq && apt-get install -qq -y --no-install-recommends chromium >/dev/null; } \
	  || echo "no chromium here: the page tests will be skipped"

demo: $(VENV)/.installed ## write the sample corpus, mine it, show where the results are
	$(BIN)/curate sample $(DEMO)/corpus --size $(SIZE)
	$(BIN)/curate run $(DEMO)/corpus/curate.yaml -o $(DEMO)/out
	@echo
	@echo "Three things to try next:"
	@echo "  open $(DEMO)/out/report.html in a browser"
	@echo "  $(BIN)/curate explain $(DEMO)/out images/000/scene-00000007"
	@echo "  $(BIN)/curate train $(DEMO)/out --steps 100 --batch-size 64"

test: $(VENV)/.installed-dev browser ## the whole test suite
	$(BIN)/python -m pytest -n 2 --dist loadfile

test-fast: $(VENV)/.installed-dev ## without Ray, without anything over 10 s
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "not ray and not slow"

lint: $(VENV)/.installed-dev ## formatting, lint and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright --pythonpath $(BIN)/python

fix: $(VENV)/.installed-dev ## let ruff mend what it can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

check: lint test ## what CI runs

docs: $(VENV)/.installed ## write docs/config.md and docs/format.md anew from the code
	$(BIN)/python docs/generate.py

wheel: $(VENV)/.installed-dev ## build the wheel into dist/
	$(BIN)/python -m pip wheel --quiet --no-deps -w dist .

clean: ## remove the environment, the demo and what builds leave
	rm -rf $(VENV) $(DEMO) build dist *.egg-info .pytest_cache .ruff_cache
