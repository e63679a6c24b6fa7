# Everything a developer or a CI machine does. Needs python3 (3.11), make and, for the tests of
# single sign-on, node (20) with npm; the rest is installed into the checkout.

PYTHON ?= python3
STAGE ?=
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
ENGINES_INSTALLED := $(VENV)/engines/.installed
NODE_INSTALLED := node_modules/.installed
# The agent of the machine that builds it: PyInstaller builds for no other.
ifeq ($(OS),Windows_NT)
AGENT_OS := windows
AGENT_SCRIPTS := Scripts
AGENT_SUFFIX := .exe
AGENT_MACHINE := $(PROCESSOR_ARCHITECTURE)
else
AGENT_OS := $(shell uname -s | tr '[:upper:]' '[:lower:]')
AGENT_SCRIPTS := bin
AGENT_MACHINE := $(shell uname -m)
endif
AGENT_ARCH := $(if $(filter arm64 aarch64 ARM64,$(AGENT_MACHINE)),arm64,x86_64)
AGENT := rollcall-agent-$(AGENT_OS)-$(AGENT_ARCH)
AGENT_FILE := dist/$(AGENT)$(AGENT_SUFFIX)
AGENT_BIN := $(VENV)/agent-build/$(AGENT_SCRIPTS)
AGENT_BUILDER := $(VENV)/agent-build/.installed
CLIENT_SOURCES := clients/python/src
AGENT_SOURCES := $(wildcard agent/frozen/*.py $(CLIENT_SOURCES)/rollcall_client/*.py \
	$(addprefix agent/src/rollcall_agent/,*.py */*.py */*/*.py))
TESTS ?=
CHECK ?=
# What stands behind the stage: `moto`, or `real` for MiniStack and SeaweedFS.
ENGINES ?=
ifneq ($(filter-out moto real,$(ENGINES)),)
$(error ENGINES=$(ENGINES): say moto or real)
endif
export ROLLCALL_ENGINES := $(ENGINES)

export PYTHONDONTWRITEBYTECODE := 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Temporary files of the tests stay in the checkout, each suite's apart: they run side by side.
export PYTEST_DEBUG_TEMPROOT = $(CURDIR)/.local/$@
.DEFAULT_GOAL := help
.PHONY: help setup engines bench demo up local test test-unit test-functional test-contract test-engines test-model test-e2e test-bench \
	node check format lint types imports infra-lint agent deploy destroy bootstrap requirements schemas clean

help: ## This list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-16s %s\n", $$1, $$2}'

setup: $(INSTALLED) ## Install everything into the checkout

$(INSTALLED): requirements-dev.txt requirements-lambda.txt agent/pyproject.toml cli/pyproject.toml
	@echo "Installing into $(VENV) (a minute, once) ..."
	@mkdir -p .local
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --require-hashes -r requirements-dev.txt
	@rm -rf $(VENV)/lambda-runtime
	@$(BIN)/pip install --quiet --require-hashes --no-deps --target $(VENV)/lambda-runtime \
		-r requirements-lambda.txt
	@$(BIN)/pip install --quiet --no-deps --no-build-isolation --editable agent --editable cli
	@touch $@

engines: $(ENGINES_INSTALLED) ## Install MiniStack and SeaweedFS into the checkout

# MiniStack pins its own botocore, so it gets an environment of its own. Nothing of the other one
# is used: the two are installed side by side.
$(ENGINES_INSTALLED): requirements-ministack.txt requirements-seaweedfs.txt
	@echo "Installing the engines into $(VENV)/engines ..."
	@rm -rf $(VENV)/engines
	@$(PYTHON) -m venv $(VENV)/engines/ministack
	@$(VENV)/engines/ministack/bin/pip install --quiet --require-hashes -r requirements-ministack.txt
	@$(VENV)/engines/ministack/bin/pip install --quiet --require-hashes --no-deps \
		--target $(VENV)/engines/seaweedfs -r requirements-seaweedfs.txt
	@touch $@

node: $(NODE_INSTALLED)

# The OpenID provider of the tests. Nothing of it is deployed, and none of its scripts is run.
$(NODE_INSTALLED): package.json package-lock.json .npmrc
	@echo "Installing the OpenID provider of the tests into node_modules ..."
	@npm ci --ignore-scripts --no-audit --no-fund --silent
	@touch $@

# A run on the real engines needs them; others are spared the download.
WANTED := $(INSTALLED) $(if $(filter real,$(ENGINES)),$(ENGINES_INSTALLED))

demo: $(WANTED) ## The whole story: deploy, enroll, beat, upload, revoke, on an emulated cloud (ENGINES=real)
	@$(BIN)/python -m infra demo

up: $(WANTED) ## An emulated cloud with this checkout deployed into it (ENGINES=real), until Ctrl-C
	@exec $(BIN)/python -m infra up

local: $(INSTALLED) ## `chalice local` on moto, reloading as you edit
	@exec $(BIN)/python -m infra local

# The longest first, so that those that run side by side end at about the same time.
SUITES := test-e2e test-functional test-engines test-contract test-unit test-model test-bench

test: ## All tests (ENGINES=real: on MiniStack and SeaweedFS)
	+@$(MAKE) --no-print-directory --jobs=2 --output-sync=line setup engines node $(SUITES)

test-unit: $(INSTALLED) ## Without sockets
	@mkdir -p $(PYTEST_DEBUG_TEMPROOT)
	$(BIN)/python -m pytest tests/unit $(TESTS)

test-contract: $(INSTALLED) ## Template, policies, package, emulator
	@mkdir -p $(PYTEST_DEBUG_TEMPROOT)
	$(BIN)/python -m pytest tests/contract $(TESTS)

test-functional: $(WANTED) $(NODE_INSTALLED) ## The app in process, on moto or on the real engines
	@mkdir -p $(PYTEST_DEBUG_TEMPROOT)
	$(BIN)/python -m pytest tests/functional $(TESTS)

test-engines: $(INSTALLED) $(ENGINES_INSTALLED) ## What only the real engines can prove
	@mkdir -p $(PYTEST_DEBUG_TEMPROOT)
	$(BIN)/python -m pytest tests/engines $(TESTS)

test-model: $(INSTALLED) $(ENGINES_INSTALLED) ## The model of the laws, once more on engines that refuse what moto lets pass
	@mkdir -p $(PYTEST_DEBUG_TEMPROOT)
	ROLLCALL_ENGINES=real $(BIN)/python -m pytest tests/functional/model $(TESTS)

test-e2e: $(WANTED) ## The deployed package and a real agent, on the emulated cloud
	@mkdir -p $(PYTEST_DEBUG_TEMPROOT)
	$(BIN)/python -m pytest tests/e2e $(TESTS)

test-bench: $(INSTALLED) $(ENGINES_INSTALLED) ## Every step of the benchmark, a few times each
	@$(BIN)/python -m bench --small

# Two at a time from the first to the last, and nobody waits for a whole group of others.
check: ## The gate: what CI runs
	+@$(MAKE) --no-print-directory --jobs=2 --output-sync=line \
		setup engines node lint format imports infra-lint types $(SUITES)

format: $(INSTALLED)
	$(BIN)/ruff format --check .

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/shellcheck chalicelib/install/install.sh

# What runs on Windows alone has no tests that run there: its types are checked at least.
types: $(INSTALLED)
	$(BIN)/mypy
	$(BIN)/mypy --platform win32 agent/src $(CLIENT_SOURCES)

imports: $(INSTALLED)
	$(BIN)/lint-imports --no-cache

infra-lint: $(INSTALLED)
	$(BIN)/cfn-lint infra/stack.yaml

agent: $(AGENT_FILE) ## Build the agent of this platform into one file, below dist/

# An environment of its own, which holds what the agent needs and the builder.
$(AGENT_BUILDER): requirements-agent.txt
	@echo "Installing what builds the agent into $(VENV)/agent-build ..."
	@rm -rf $(VENV)/agent-build
	@$(PYTHON) -m venv $(VENV)/agent-build
	@$(AGENT_BIN)/pip install --quiet --require-hashes -r requirements-agent.txt
	@touch $@

# The fixed hash seed and date make the same sources give the same bytes. What is imported only
# when it is needed is named, so that nothing depends on how the builder finds it.
$(AGENT_FILE): $(AGENT_BUILDER) $(AGENT_SOURCES) agent/pyproject.toml
	@echo "Building $@ (half a minute) ..."
	@PYTHONHASHSEED=1 SOURCE_DATE_EPOCH=315532800 $(AGENT_BIN)/pyinstaller --onefile --console \
		--noconfirm --clean --log-level ERROR --name $(AGENT) \
		--distpath build/agent/dist --workpath build/agent/work --specpath build/agent \
		--runtime-hook agent/frozen/end_with_starter.py \
		--paths agent/src --paths $(CLIENT_SOURCES) --collect-submodules rollcall_agent --hidden-import psutil \
		--hidden-import cryptography.hazmat.primitives.asymmetric.ec \
		--hidden-import cryptography.hazmat.primitives.serialization \
		$(addprefix --exclude-module ,tkinter pip setuptools pkg_resources ensurepip idlelib lib2to3 \
			distutils unittest doctest pdb pydoc sqlite3 curses pytest) \
		agent/src/rollcall_agent/__main__.py
	@mkdir -p dist
	@mv build/agent/dist/$(AGENT)$(AGENT_SUFFIX) $@

deploy: $(INSTALLED) ## Create or update a stage on AWS: make deploy STAGE=prod
	@test -n "$(STAGE)" || { echo "say which stage: make deploy STAGE=prod"; exit 2; }
	@$(BIN)/python -m infra deploy --stage $(STAGE) $(ARGS)

bootstrap: $(INSTALLED) ## First organization and operator key: make bootstrap STAGE=prod
	@test -n "$(STAGE)" || { echo "say which stage: make bootstrap STAGE=prod"; exit 2; }
	@$(BIN)/python -m infra bootstrap --stage $(STAGE) --output .local/$(STAGE).json $(ARGS)

destroy: $(INSTALLED) ## Take a stage down; asks first: make destroy STAGE=prod
	@test -n "$(STAGE)" || { echo "say which stage: make destroy STAGE=prod"; exit 2; }
	@$(BIN)/python -m infra destroy --stage $(STAGE) $(ARGS)

requirements: $(INSTALLED) ## Compile requirements*.txt from requirements*.in
	@for name in requirements requirements-lambda requirements-dev requirements-agent \
		requirements-ministack requirements-seaweedfs; do \
		$(BIN)/pip-compile --quiet --no-header --generate-hashes --allow-unsafe --strip-extras \
			--no-emit-index-url --no-emit-find-links --output-file=$$name.txt $$name.in || exit 1; \
	done

bench: $(INSTALLED) $(ENGINES_INSTALLED) ## Measure, print a table, write build/bench.json (CHECK=1: fail on a regression)
	@$(BIN)/python -m bench --check='$(CHECK)'

schemas: $(INSTALLED) ## Write docs/events/*.schema.json and docs/access.md anew
	@$(BIN)/python -m tests.contract.write_event_schemas
	@$(BIN)/python -m tests.contract.access_document

clean: ## Remove everything that was installed or generated
	rm -rf $(VENV) node_modules build dist .local agent/build cli/build .mypy_cache .ruff_cache .pytest_cache .hypothesis \
		.import_linter_cache agent/src/*.egg-info cli/src/*.egg-info .chalice/deployed .chalice/deployments
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
