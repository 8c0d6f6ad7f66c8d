# Two promises on a bare machine: `make test` sets up and runs every check, `make demo` shows the main job.
SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

VENV ?= .venv
BIN := $(VENV)/bin
PY := $(BIN)/python
# Console scripts and hooks start from compiled files; an inherited "don't write" would slow every start.
unexport PYTHONDONTWRITEBYTECODE
export PIP_DISABLE_PIP_VERSION_CHECK := 1

# $(call need,test): one line on what to install, exit 2, before anything else is done.
need = $(eval MISSING := $(shell sh .ci/prepare $(1)))$(if $(MISSING),$(error $(MISSING)))

# Plugins are named, so that none is loaded because it happens to be installed.
PLUGINS := -p asyncio -p timeout -p xdist -p hypothesispytest -p schemathesis
PYTEST := PYTEST_DISABLE_PLUGIN_AUTOLOAD=1 $(BIN)/pytest $(PLUGINS)
ARGS ?=

.PHONY: help test demo fmt check fmt-check lint types layers test-fast agents github bench build api picture lock run clean

help: ## print the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' Makefile

test: check agents github ## set up and run every check: format, lint, types, layers, tests
	AO_TEST_AGENTS=required $(PYTEST) -n 2 --dist loadgroup -q $(ARGS)

demo: $(VENV)/.run ## three agents side by side on a scratch repository; ARGS=--stay keeps it until Enter
	@$(PY) -m demo.run_demo $(ARGS)

check: fmt-check lint types layers ## the fast checks, without tests

fmt-check: $(VENV)/.dev
	$(BIN)/ruff format --check --quiet .

lint: $(VENV)/.dev
	$(BIN)/ruff check --quiet .

types: $(VENV)/.dev
	$(BIN)/mypy

layers: $(VENV)/.dev
	$(BIN)/lint-imports --no-logo

fmt: $(VENV)/.dev ## format and fix what can be fixed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

test-fast: $(VENV)/.dev github ## tests without the genuine agents, ARGS="-k name" to choose
	$(PYTEST) -q -x --ignore tests/e2e $(ARGS)

agents: $(VENV)/.dev .cache/agents/.stamp ## install the genuine agents that the tests run

github: $(VENV)/.dev .cache/github/.stamp ## install what GitHub publishes of its interface, and its emulator

bench: $(VENV)/.dev github ## print the speed ratios from a wheel in a clean environment, ARGS="g1 g5" to choose
	$(PY) -m bench --markdown docs/speed.md $(ARGS)

build: $(VENV)/.dev ## build the wheel
	$(BIN)/uv build --wheel --no-build-isolation --offline --quiet --out-dir dist
	@ls dist/*.whl

api: $(VENV)/.dev ## write docs/openapi.json from the types that decode and encode
	$(PY) -m ao.api.openapi > docs/openapi.json.new
	mv docs/openapi.json.new docs/openapi.json

picture: $(VENV)/.dev ## draw the live table of the README
	$(PY) -m demo.picture docs/live-table.svg

COMPILE := $(BIN)/uv pip compile pyproject.toml --quiet --universal --python-version 3.11 --generate-hashes \
	--no-header --no-annotate --no-emit-index-url

lock: $(VENV)/.dev ## resolve the dependencies anew
	$(COMPILE) --upgrade --group build -o requirements/run.txt
	$(COMPILE) --upgrade --group dev --constraints requirements/run.txt -o requirements/dev.txt

run: $(VENV)/.run ## the daemon in the foreground
	@exec $(BIN)/ao daemon

clean: ## remove what was built and installed
	rm -rf $(VENV) .cache build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis

$(VENV)/.base:
	$(call need,$(if $(filter demo run,$(MAKECMDGOALS)),demo,test))
	@$(PY) -m pip --version >/dev/null 2>&1 || python3 -m venv $(VENV)
	@touch $@

$(VENV)/.run: $(VENV)/.base requirements/run.txt pyproject.toml
	$(call need,demo)
	@[ -e $(VENV)/.dev ] || $(PY) -m pip install --quiet --require-hashes -r requirements/run.txt
	@$(PY) -m pip install --quiet --no-deps --no-build-isolation -e .
	@touch $@

# The larger set holds the smaller one at the same versions, so the order of the two doesn't matter.
$(VENV)/.dev: $(VENV)/.base requirements/dev.txt pyproject.toml
	$(call need,test)
	@$(PY) -m pip install --quiet --require-hashes -r requirements/dev.txt
	@$(PY) -m pip install --quiet --no-deps --no-build-isolation -e .
	@touch $@ $(VENV)/.run

.cache/agents/.stamp: tests/agents_npm/package.json tests/agents_npm/package-lock.json
	@mkdir -p $(@D) && cp $^ $(@D)
	@npm ci --prefix $(@D) --no-audit --no-fund --loglevel=error
	@touch $@

# Of the 385 MB of descriptions one file is read; npm checks the package's hash before the rest of it goes.
.cache/github/.stamp: tests/github_npm/package.json tests/github_npm/package-lock.json
	@mkdir -p $(@D) && cp $^ $(@D)
	@npm ci --prefix $(@D) --no-audit --no-fund --loglevel=error --ignore-scripts
	@find $(@D)/node_modules/@octokit/openapi/generated -type f ! -name api.github.com.json -delete
	@touch $@
