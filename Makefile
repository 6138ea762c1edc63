# Every target prepares what it needs: only make, a POSIX shell and Python 3.11 or newer with venv have to be there.
# Nothing is written outside this folder and the user's caches.

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
DOCS_VENV := .venv-docs
DOCS_READY := $(DOCS_VENV)/.ready
OPERATIONS_READY := $(VENV)/.operations
# Tests mostly wait for processes: three times the cores of a small machine; each worker has a PostgreSQL of its own.
WORKERS ?= 6
COMPILE := $(BIN)/uv pip compile --universal --generate-hashes --python-version 3.11 \
	--no-header --no-emit-index-url --no-annotate --quiet

# The tests start the programs hundreds of times; without bytecode each start would compile them anew.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test test-unit test-operations test-bench test-faults fuzz mutants docs reference tutorial dashboard lint types imports format bench soak sandbox lock clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(READY) ## the whole story on a sandbox of its own, in about a minute
	@$(BIN)/projector demo

test: $(READY) ## every test, on a real PostgreSQL and Kafka
	@$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal

test-unit: $(READY) ## the tests that need no service
	@$(BIN)/python -m pytest -n auto --dist worksteal tests/unit

fuzz: $(READY) ## two million hostile messages, through the decoder and through SQL
	@HYPOTHESIS_PROFILE=long $(BIN)/python -m pytest -n 2 tests/property/test_any_messages.py \
		tests/unit/events/test_decode_anything.py::test_whatever_an_evil_producer_writes_is_answered

mutants: $(READY) ## change the code in a thousand small ways, and see that the tests notice
	@$(BIN)/python -m tests.mutants

test-operations: $(READY) $(OPERATIONS_READY) ## the tests beside real PgBouncer, Prometheus, systemd and Helm, which are installed where apt-get may
	@export PATH="$$PATH:/usr/sbin"; command -v pgbouncer > /dev/null && command -v promtool > /dev/null && command -v amtool > /dev/null && command -v systemd-analyze > /dev/null || \
		{ apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends pgbouncer prometheus prometheus-alertmanager systemd > /dev/null; } || \
		{ echo "make: PgBouncer, Prometheus and systemd-analyze are needed (Debian: apt install pgbouncer prometheus prometheus-alertmanager systemd)" >&2; exit 1; }; \
	$(BIN)/python -m pytest -n 2 --dist worksteal tests/operations

test-bench: $(READY) ## every part of the benchmark in a small run: whether it works, not how fast anything is
	@$(BIN)/python -m pytest tests/bench

test-faults: $(READY) ## forty seeded runs of faults; FAULT_RUNS=500 for more, FAULT_SEED=17 for that one
	@FAULT_RUNS=$${FAULT_RUNS:-40} $(BIN)/python -m pytest -n 2 --dist worksteal tests/faults

docs: $(DOCS_READY) ## build the documentation into site/; a broken link is an error
	@NO_MKDOCS_2_WARNING=1 PYTHONDONTWRITEBYTECODE=1 $(DOCS_VENV)/bin/mkdocs build --strict --quiet
	@$(DOCS_VENV)/bin/python -m tests.docs.check_site site
	@echo "site/index.html"

reference: $(READY) ## write docs/reference/ anew from the code
	@$(BIN)/python -m tests.docs.generate

tutorial: $(READY) ## run docs/tutorial.md, and write what its commands print into it
	@$(BIN)/python -m tests.docs.tutorial

dashboard: $(READY) ## run the dashboard's queries beside a real Prometheus, and draw docs/images/dashboard.svg
	@DASHBOARD_PICTURE=docs/images/dashboard.svg $(BIN)/python -m pytest tests/operations/test_dashboard.py

lint: $(READY) ## style and format, nothing changed
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: $(READY) ## mypy --strict over code and tests
	@$(BIN)/mypy

imports: $(READY) ## import contracts and declared dependencies
	@$(BIN)/lint-imports
	@$(BIN)/deptry .

format: $(READY) ## rewrite the code to the one format
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

bench: $(READY) ## a million events, measured side by side
	@$(BIN)/python -m tests.bench

soak: $(READY) ## ten million events, and whether memory and transactions stay as they were
	@$(BIN)/python -m tests.bench --only projector --events 10000000

sandbox: $(READY) ## start a local PostgreSQL and Kafka, and say how to use them
	@$(BIN)/projector sandbox up

lock: $(READY) ## resolve the dependencies anew, with hashes
	@$(BIN)/python -m pip install --quiet uv
	@$(COMPILE) --upgrade --all-extras --group dev -o requirements.lock pyproject.toml
	@$(COMPILE) --constraint requirements.lock --extra tracing -o requirements-runtime.lock pyproject.toml
	@$(COMPILE) --constraint requirements.lock --group build -o requirements-build.lock
	@$(COMPILE) --constraint requirements.lock --group docs -o requirements-docs.lock
	@$(COMPILE) --constraint requirements.lock --group operations -o requirements-operations.lock

clean: ## remove what was built here; caches of the user and a running sandbox stay
	@rm -rf $(VENV) $(DOCS_VENV) site build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache mutants
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The first of these names that is new enough; a build that was killed is repeated.
define MAKE_VENV
for python in $(PYTHON) python3 python3.14 python3.13 python3.12 python3.11 none; do \
	$$python -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && break; \
done; \
if [ "$$python" = none ]; then \
	echo "make: Python 3.11 or newer with venv is needed (Debian: apt install python3-venv); or give make PYTHON=/path" >&2; \
	exit 1; \
fi; \
echo "make: creating $(1)"; \
$$python -m venv $(1)
endef

# pip's lines, shortened to one for each twenty packages; what goes wrong stands on standard error.
define INSTALL
total=$$(grep -c == $(2)); echo "make: installing $$total packages into $(1), some minutes the first time"; \
{ $(1)/bin/python -m pip install --progress-bar off --disable-pip-version-check --require-hashes -r $(2) || echo failed; } | awk -v total=$$total ' \
	/^Collecting / { if (++count % 20 == 0) print "make: " count " of " total " packages are fetched" }; \
	/^Installing collected / { print "make: unpacking them" }; \
	/^failed$$/ { failed = 1 }; \
	{ fflush() }; \
	END { exit failed }'
endef

$(READY): requirements.lock pyproject.toml
	@$(call MAKE_VENV,$(VENV))
	@$(call INSTALL,$(VENV),requirements.lock)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

$(OPERATIONS_READY): requirements-operations.lock $(READY)
	@$(call INSTALL,$(VENV),requirements-operations.lock)
	@touch $@

$(DOCS_READY): requirements-docs.lock
	@$(call MAKE_VENV,$(DOCS_VENV))
	@$(call INSTALL,$(DOCS_VENV),requirements-docs.lock)
	@touch $@
