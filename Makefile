# Every command of the project. `make` alone prints them.
#
# What is built once is remembered by three files: .venv/made (the environment and the builder), the extension itself, and
# .venv/dev (test and lint tools). The package is installed in place, so a change to a Python file needs no new install.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
.SUFFIXES:

BIN := .venv/bin
CARGO_MUTANTS := 27.1.0
# A Python 2.7 with autobahntestsuite; see docs/conformance.md.
AUTOBAHN ?= python2.7
CORE := pytrader/_core.abi3.so
CLIENTS := target/clients
# Tests of whole programs, which mostly wait for them: they run beside the others, and are shown behind them.
PROGRAMS := $(foreach name,app cli crash damage failing_io halt outer_controls recorder sandbox_dialect_faults sandbox_process \
	sandbox_server scripts time_zones watch,tests/test_$(name).py)
# Folders are listed too: their time changes when a file is added or removed.
RUST := Cargo.toml Cargo.lock $(shell find rust_core \( -name tests -o -name benches \) -prune -o \( -type d -o -name '*.rs' -o -name Cargo.toml \) -print)
# Scripts in .venv name it by its full path: in a clone that was moved, or without its Python, it is made anew.
MADE_FOR := $(shell $(BIN)/python -c '' 2>/dev/null && cat .venv/made 2>/dev/null)
CLIENTS_FOR := $(shell $(CLIENTS)/bin/python -c '' 2>/dev/null && cat $(CLIENTS)/made 2>/dev/null)

export PIP_CONSTRAINT := constraints.txt
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export VIRTUAL_ENV := $(CURDIR)/.venv
export PYO3_PYTHON := $(CURDIR)/$(BIN)/python
unexport CONDA_PREFIX PYTHONHOME PYTHONPATH

FAILED := echo "Not built; the reason stands above. If a host could not be reached: the first build downloads packages, so connect and repeat." >&2; exit 1
NOT_FETCHED := echo "The client libraries could not be installed; the reason stands above. If a host could not be reached: connect and repeat \`make clients\`." >&2; exit 1
# On a terminal cargo shows what it compiles; elsewhere only what went wrong.
INSTALL = [ -t 1 ] || { quiet=--quiet; export CARGO_TERM_QUIET=true; }; PIP_QUIET=1 $(BIN)/maturin develop --release --locked $$quiet --extras
# 3 says that risk refused an order, which is no error of a session at the terminal.
SESSION_ENDS = || { code=$$?; [ -t 1 ] && [ $$code -eq 3 ] || exit $$code; }

.PHONY: demo
demo: $(CORE) ## build everything and open the terminal on the offline market (no terminal: a scripted session)
	@[ -t 1 ] || auto=--auto; $(BIN)/pytrader demo $$auto $(ARGS) $(SESSION_ENDS)

.PHONY: run
run: $(CORE) ## live Binance market data, simulated fills
	@$(BIN)/pytrader run $(ARGS) $(SESSION_ENDS)

.PHONY: test
test: .venv/dev ## cargo test, then pytest
	cargo test --locked --quiet
ifneq ($(ARGS),)
	$(BIN)/python -m pytest $(ARGS)
else
	@echo "pytest, in two halves; that of whole programs is shown when both are through ..."
	@mkdir -p target; $(BIN)/python -m pytest $(PROGRAMS) >target/programs.log 2>&1 & programs=$$!; \
	$(BIN)/python -m pytest $(PROGRAMS:%=--ignore=%); others=$$?; \
	wait $$programs; programs=$$?; cat target/programs.log; [ $$others -eq 0 ] && [ $$programs -eq 0 ]
endif

.PHONY: check
check: lint test ## formats, lints, types, stub, then test: what must hold before a change lands

.PHONY: lint
lint: lint-tools .venv/dev ## the first half of check
	cargo fmt --all --check
	cargo clippy --locked --quiet --workspace --all-targets -- -D warnings
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --strict
	$(BIN)/python -m mypy.stubtest pytrader._core

.PHONY: lint-tools
lint-tools:
	@setup/tools.sh --lint >/dev/null

.PHONY: bench
bench: $(CORE) ## one line per figure; BENCH=latency runs those whose name contains it
	@$(BIN)/python benches/bench.py '$(BENCH)'

.PHONY: soak
soak: soak-threads soak-random soak-fuzz soak-oracle soak-crash soak-load soak-feed-load soak-reconnects soak-faults soak-autobahn ## the long proofs, each also alone: loom and threads, random and damaged input, the oracle (parts of 30 minutes that add up), kills, a long journal, the feed under load, reconnects, its faults, the public WebSocket suite; see also mutants

.PHONY: soak-threads soak-random soak-fuzz soak-oracle soak-crash soak-load soak-feed-load soak-reconnects soak-faults soak-autobahn
soak-threads: .venv/dev
	$(BIN)/python tests/soak_threads.py
soak-random: .venv/dev
	PROPTEST_CASES=20000 cargo test --locked --quiet --release
soak-fuzz: .venv/dev
	$(BIN)/python tests/soak_fuzz.py
soak-oracle: .venv/dev
	PYTHONPATH=tests $(BIN)/python -m oracle.soak --resume --sessions 1000000 $(ARGS)
soak-crash: .venv/dev
	$(BIN)/python tests/soak_crash.py 200
soak-load: .venv/dev
	$(BIN)/python tests/soak_load.py
soak-feed-load: .venv/dev
	$(BIN)/python tests/soak_feed_load.py
soak-reconnects: .venv/dev
	$(BIN)/python tests/soak_reconnects.py
soak-autobahn: .venv/dev
	$(BIN)/python tests/soak_autobahn.py '$(AUTOBAHN)'
soak-faults: .venv/dev
	PYTHONPATH=. $(BIN)/python tests/soak_faults.py 100 $(ARGS)

.PHONY: mutants
mutants: .venv/made ## mutation tests of risk, ledger, desk and book; SHARD=0/8 runs the first part of eight
	@cargo mutants --version 2>/dev/null | grep -q ' $(CARGO_MUTANTS)$$' || cargo install --locked cargo-mutants@$(CARGO_MUTANTS)
	$(BIN)/python tests/soak_mutants.py $(SHARD)

.PHONY: clients
clients: target/clients/made ## public client libraries, in an environment of their own, see the offline market's books as we do
	PYTHONPATH=. $(CLIENTS)/bin/python -m pytest --no-skips tests/test_public_clients.py tests/test_sandbox_library.py $(ARGS)

.PHONY: clean
clean: ## remove what was built (the journals in the state folder stay)
	rm -rf .venv target $(CORE) .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -prune -exec rm -rf {} +

.PHONY: help
help: ## this list; ARGS="..." is handed on to the program
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-7s %s\n", $$1, $$2 }' Makefile

.venv/made: pyproject.toml constraints.txt $(if $(filter-out $(CURDIR),$(MADE_FOR))$(if $(MADE_FOR),,missing),MOVED)
	@python=$$(setup/tools.sh) || exit 1; \
	if [ '$(MADE_FOR)' != '$(CURDIR)' ]; then \
		echo "Making .venv with $$("$$python" --version) ..."; \
		rm -rf .venv && "$$python" -m venv .venv || exit 1; \
	fi
	@echo "Installing the builder ..."
	@$(BIN)/pip install --quiet maturin || { $(FAILED); }
	@printf %s '$(CURDIR)' > $@

.PHONY: MOVED
MOVED:

$(CORE): .venv/made $(RUST)
	@[ -d target/release ] || first=" (the first time takes about two minutes)"; echo "Building the Rust core$$first ..."
	@$(INSTALL) sandbox || { $(FAILED); }
	@touch $@

# ccxt pins versions against ours, so that no constraints but those of its own list hold there.
target/clients/made: setup/clients.txt $(if $(filter $(CURDIR),$(CLIENTS_FOR)),,MOVED) | $(CORE)
	@echo "Making $(CLIENTS) with the public client libraries ..."
	@rm -rf $(CLIENTS) && $(BIN)/python -m venv $(CLIENTS)
	@env -u PIP_CONSTRAINT $(CLIENTS)/bin/pip install --quiet --only-binary :all: --requirement $< || { rm -rf $(CLIENTS); $(NOT_FETCHED); }
	@printf %s '$(CURDIR)' > $@

.venv/dev: .venv/made | $(CORE)
	@echo "Installing the test and lint tools ..."
	@$(INSTALL) sandbox,dev || { $(FAILED); }
	@touch $@
