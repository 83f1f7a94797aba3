# Commands for this repository; `make` lists them.
#
# `make` creates the environments from the lock files on demand. PYTHON selects the interpreter.

PYTHON ?= python3
IMAGES ?=
PORT ?= 0
SANDBOX_PORT ?= 0
ARGS ?=
N ?= 2000
FAULTS ?= 10%
FUZZ_SECONDS ?= 300

DEV := .venv
CLOUD := .local/cloud
CHECKOV := .local/checkov
LOCK := .local/lock
CORPUS := .local/corpus/pillow.tar.gz

export IMAGES
export SAM_CLI_TELEMETRY := 0

.DEFAULT_GOAL := help
.PHONY: help demo up down test fuzz faults soak lint bench build package audit release-check \
	corpus lock environments linters

help: ## List these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-13s %s\n", $$1, $$2}' Makefile

demo: environments ## Demonstrate the stack on this machine (IMAGES=folder: with your own images)
	@$(DEV)/bin/python -m local demo --port $(PORT) --sandbox-port $(SANDBOX_PORT) \
		$(if $(IMAGES),--images "$$IMAGES")

up: environments ## Start the demo's stack and leave it running (PORT=, SANDBOX_PORT=)
	@$(DEV)/bin/python -m local up --port $(PORT) --sandbox-port $(SANDBOX_PORT)

down: ## Stop the stack of `make up`
	@if test -e $(DEV)/ready; then $(DEV)/bin/python -m local down; \
		else echo >&2 "No stack is up."; fi

test: environments ## Run the tests (ARGS='-k words': some of them)
	@$(MAKE) --silent corpus
	@$(DEV)/bin/python -m pytest $(SIDE_BY_SIDE) $(ARGS)

# One process per core; the slowest folders run first, so that the last process does not run alone.
SIDE_BY_SIDE := --numprocesses=auto --dist=loadfile --no-loadscope-reorder \
	tests/stack tests/template tests/contract tests/unit

# Each round has other examples; the first failure ends it.
fuzz: environments ## Fuzz the parsers (FUZZ_SECONDS=300 at least, ARGS='-k words': some of them)
	@end=$$(($$(date +%s) + $(FUZZ_SECONDS))); \
	while $(DEV)/bin/python -m pytest --quiet --numprocesses=auto -m fuzz \
			--hypothesis-profile=fuzz tests/contract tests/unit $(ARGS) || exit 1; \
		test $$(date +%s) -lt $$end; do :; done

faults: environments ## Test every fault at every step (ARGS='--only words': some of them)
	@$(DEV)/bin/python -m local faults $(ARGS)

soak: environments ## Test many uploads under faults (N=2000 FAULTS=10%)
	@$(DEV)/bin/python -m local soak --uploads $(N) --faults $(FAULTS) $(ARGS)

lint: linters ## Check style, types and the template
	@$(DEV)/bin/ruff check
	@$(DEV)/bin/ruff format --check
	@$(DEV)/bin/mypy
	@$(DEV)/bin/sam validate --lint --config-env local
	@$(DEV)/bin/cfn-lint --non-zero-exit-code informational
	@$(DEV)/bin/python -m tests.template.protected > $(CHECKOV)/template.json
	@$(CHECKOV)/bin/checkov --framework cloudformation --file $(CHECKOV)/template.json \
		--skip-download --compact --quiet

bench: environments ## Measure the function beside a plain one, AWS usage, sandbox, backfills, exports, searches
	@$(DEV)/bin/python -m benchmarks.function
	@$(DEV)/bin/python -m benchmarks.warm_upload
	@$(DEV)/bin/python -m benchmarks.sandbox
	@$(DEV)/bin/python -m benchmarks.cost
	@$(DEV)/bin/python -m benchmarks.backfill
	@$(DEV)/bin/python -m benchmarks.export
	@$(DEV)/bin/python -m benchmarks.find

build: $(DEV)/ready ## Build the stack for this machine's Python
	@$(DEV)/bin/python -m local build

package: $(DEV)/ready ## Write the artefacts of a release to dist (ARGS='--architecture x86_64')
	@$(DEV)/bin/python -m release.package $(ARGS)

audit: $(DEV)/ready ## Ask the package index for known vulnerabilities of the locked packages
	@$(DEV)/bin/python -m release.audit $(ARGS)

release-check: environments $(LOCK)/ready ## Name everything that a release of this commit would miss
	@$(DEV)/bin/python -m release.check

corpus: $(CORPUS) ## Fetch the test images of Pillow's sources, 47 MB, for the tests

lock: $(LOCK)/ready ## Update the lock files (ARGS=--upgrade: to the newest versions)
	@$(COMPILE) --extra parquet --extra sandbox pyproject.toml layers/dependencies/requirements.in \
		requirements/dev.in --output-file requirements/dev.txt $(ARGS)
	@$(COMPILE) --universal --constraints requirements/dev.txt \
		layers/dependencies/requirements.in \
		--output-file layers/dependencies/requirements.txt $(ARGS)
	@$(COMPILE) requirements/cloud.in --output-file requirements/cloud.txt $(ARGS)
	@$(COMPILE) requirements/checkov.in --output-file requirements/checkov.txt $(ARGS)
	@$(COMPILE) requirements/lock.in --output-file requirements/lock.txt $(ARGS)

COMPILE = $(LOCK)/bin/uv pip compile --quiet --generate-hashes --python-version 3.11 \
	--no-header --no-emit-index-url --no-emit-find-links

# The local cloud has a separate environment, because its functions can import its packages.
# Both are installed in parallel, because downloads take most of the time.
environments:
	@$(MAKE) --silent --jobs=2 $(DEV)/ready $(CLOUD)/ready

# Only `make lint` needs checkov, which fixes the versions of many packages.
linters:
	@$(MAKE) --silent --jobs=2 $(DEV)/ready $(CHECKOV)/ready

$(DEV)/ready: requirements/dev.txt pyproject.toml
	$(call make-environment,the tools)
	@$(@D)/bin/pip install $(QUIETLY) --require-hashes --no-deps --requirement $<
	@$(@D)/bin/pip install $(QUIETLY) --no-build-isolation --no-deps --editable .
	@touch $@

$(CLOUD)/ready: requirements/cloud.txt
	$(call make-environment,the local cloud)
	@$(@D)/bin/pip install $(QUIETLY) --require-hashes --no-deps --requirement $<
	@touch $@

$(CHECKOV)/ready: requirements/checkov.txt
	$(call make-environment,checkov)
	@$(@D)/bin/pip install $(QUIETLY) --require-hashes --no-deps --requirement $<
	@touch $@

# pip asks the sources for their metadata, which runs their build script, but builds nothing.
$(CORPUS): requirements/corpus.txt | $(DEV)/ready
	@echo >&2 "Fetching the test images into $(@D) ..."
	@mkdir -p $(@D)
	@$(DEV)/bin/pip download $(QUIETLY) --require-hashes --no-deps --no-build-isolation \
		--no-binary :all: --dest $(@D) --requirement $<
	@mv $(@D)/pillow-*.tar.gz $@
	@touch $@

$(LOCK)/ready: requirements/lock.txt
	$(call make-environment,uv)
	@$(@D)/bin/pip install $(QUIETLY) --require-hashes --no-deps --requirement $<
	@touch $@

QUIETLY = --quiet --disable-pip-version-check

define make-environment
@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo >&2 \
	"Hangtag needs Python 3.11 or newer: install it, or set PYTHON, as in: make PYTHON=python3.12"; \
	exit 1; }
@echo >&2 "Installing $(1) into $(@D); the first time, that takes a minute or two ..."
@$(PYTHON) -m venv $(@D) || { echo >&2 \
	"$(PYTHON) cannot create virtual environments: on Debian, apt-get install python3-venv"; \
	exit 1; }
endef
