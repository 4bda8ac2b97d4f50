# Everything starts here: `make up` to use syncd, `make test` to work on it. Needs Python 3.11 or newer and make
# (GNU make from 3.81 on, or bmake). All packages come from the lock files, checked by hash, into .venv.

ROOT ?= $(HOME)/Sync
PYTHON ?=
VENV = .venv
BIN = $(VENV)/bin
PIP = $(BIN)/python -m pip --disable-pip-version-check -q
COMPILE = CUSTOM_COMPILE_COMMAND="make lock" $(BIN)/pip-compile -q --strip-extras --allow-unsafe --generate-hashes \
	--no-header --no-emit-index-url --no-emit-trusted-host --no-emit-find-links

.PHONY: help up install dev test lint types contracts unit kill200 kill1000 chaos soak properties sweep exhaustive \
	planted coverage acceptance bench format lock clean

help:
	@echo "make up [ROOT=folder]   install, then run a hub and the daemon on ~/Sync (or ROOT), and print an invite"
	@echo "make install            install into .venv; then $(BIN)/syncd --help"
	@echo "make test               lint, types, import contracts and all tests"
	@echo "make lint               lint, format check, types and import contracts only"
	@echo "make kill200            kill -9 daemons and hub 200 times under load, twice; SYNCD_SEED, SYNCD_KILLS choose others"
	@echo "make kill1000           the same with 1,000 kills; make chaos: everything at once, for MINUTES (10)"
	@echo "make soak               simulated plays of whole devices; SEED, CASES (300), MINUTES, DEVICES"
	@echo "make properties         planner cases, the same way (20,000)"
	@echo "make sweep              crash at each call of all small workloads of WORKLOADS (1) operations; TURNS=1: fewer ways"
	@echo "make exhaustive         every interleaving of a small model; make planted: each planted bug must be caught"
	@echo "make coverage           every branch of what could cost a person their files"
	@echo "make acceptance         measure the marks of the first release (Linux; 3 GB of scratch, ten minutes)"
	@echo "make bench              measure every row beside its floor and installed peers (hours); ROWS, SCALE=small, RESULT=FILE"
	@echo "make format             put the code into its format"
	@echo "make lock               resolve the lock files again (needs Python 3.11)"
	@echo "make clean              remove .venv and caches"

up: install
	@exec $(BIN)/syncd up "$(ROOT)"

# --- installing ---------------------------------------------------------------------------------------------------

install: $(VENV)/.installed
dev: $(VENV)/.installed-dev

$(VENV)/.made:
	@python=""; \
	for candidate in $(PYTHON) python3.13 python3.12 python3.11 python3 python; do \
	  if "$$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then \
	    python="$$candidate"; break; \
	  fi; \
	done; \
	if [ -z "$$python" ]; then \
	  echo "make: no Python 3.11 or newer found: install one (Debian: apt install python3 python3-venv;" \
	    "macOS: brew install python@3.13), or name it: make PYTHON=/path/to/python3.13 up" >&2; \
	  exit 1; \
	fi; \
	if ! "$$python" -c 'import ensurepip, venv' >/dev/null 2>&1; then \
	  echo "make: $$python cannot make virtual environments: install its venv module" \
	    "(Debian and Ubuntu: apt install python3-venv)" >&2; \
	  exit 1; \
	fi; \
	echo "making $(VENV) with $$("$$python" --version)"; \
	rm -rf $(VENV); \
	"$$python" -m venv $(VENV)
	@touch $@

$(VENV)/.installed: $(VENV)/.made requirements.lock pyproject.toml
	@echo "installing syncd"
	@$(PIP) install --require-hashes --no-deps -r requirements.lock
	@$(PIP) install --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed requirements-dev.lock
	@echo "installing what the tests need"
	@$(PIP) install --require-hashes --no-deps -r requirements-dev.lock
	@touch $@

lock: dev
	$(COMPILE) -o requirements.lock pyproject.toml requirements.in
	$(COMPILE) --extra dev -c requirements.lock -o requirements-dev.lock pyproject.toml requirements.in

# --- checking -----------------------------------------------------------------------------------------------------

test: lint unit

lint: dev
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check -q .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache

# Two for each core: tests with real processes wait for them more than they compute.
WORKERS ?= $$((2 * $$(getconf _NPROCESSORS_ONLN)))

unit: dev
	@$(BIN)/pytest -n $(WORKERS) --dist worksteal -m "not soak"

# One run where one device edits, one where both do, each with SYNCD_KILLS kills. The same SYNCD_SEED repeats what
# people do and who is killed.
kill200: dev
	@$(BIN)/pytest -s -x -m soak tests/soak/test_kills.py

kill1000: dev
	@SYNCD_KILLS=500 $(BIN)/pytest -s -x -m soak tests/soak/test_kills.py

# What a hunt is told: SEED, CASES and MINUTES; plays also DEVICES. What ran on which commit is kept in ledgers, and
# gone on with.
SEED ?= 0
CASES ?=
MINUTES ?=
DEVICES ?=
HUNT = --seed $(SEED) $(if $(CASES),--cases $(CASES)) $(if $(MINUTES),--minutes $(MINUTES)) --jobs 2

soak: dev
	@$(BIN)/python -m tests.sim.run $(HUNT) $(if $(DEVICES),--devices $(DEVICES)) --ledger plays.jsonl

properties: dev
	@$(BIN)/python -m tests.property.run $(HUNT) --ledger properties.jsonl

sweep: dev
	@$(BIN)/python -m tests.sim.sweep --workloads $(or $(WORKLOADS),1) $(if $(TURNS),--turns) --jobs 2 --ledger sweep.jsonl

chaos: dev
	@$(BIN)/python -m tests.soak.chaos --seed $(SEED) --devices 3 --minutes $(or $(MINUTES),10)

exhaustive: dev
	@$(BIN)/python -m tests.exhaustive.run --files 0 --edits 2 --crashes 0 --lost 0
	@$(BIN)/python -m tests.exhaustive.run --files 1 --edits 2 --crashes 0 --lost 0
	@$(BIN)/python -m tests.exhaustive.run --files 0 --edits 2 --crashes 1 --lost 1 --states 1000000

planted: dev
	@$(BIN)/python -B -m tests.planted.run

coverage: dev
	@$(BIN)/python -m tests.coverage_check

acceptance: dev
	@$(BIN)/python -m bench.acceptance

# Which rows (all), how large (full, small), how often, where the figures go, and where the work is done.
ROWS ?=
SCALE ?= full
REPEAT ?= 3
RESULT ?= bench.json
SCRATCH ?=

bench: dev
	@$(BIN)/python -m bench.run $(foreach row,$(ROWS),--only $(row)) --scale $(SCALE) --repeat $(REPEAT) \
	  --json $(RESULT) $(if $(SCRATCH),--scratch $(SCRATCH)) $(if $(PROFILE),--profile)

types: dev
	@$(BIN)/mypy

contracts: dev
	@$(BIN)/lint-imports --no-cache

format: dev
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .hypothesis .coverage* build dist syncd.egg-info
