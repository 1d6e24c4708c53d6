# Two commands do everything: `make demo` and `make test`. `make help` lists the rest.
# Paths are relative to this directory, which may hold spaces; nothing outside it is changed.

# The Python of the virtual environment if it stands, else the first on the PATH that is new enough.
PYTHON ?= $(shell for p in .venv/bin/python python3 python3.14 python3.13 python3.12 python3.11; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$p" && exit; done; echo python3)
BIN := .venv/bin
# What Python compiles is kept, whatever the environment says: each of the programs that tests start would do it again.
export PYTHONDONTWRITEBYTECODE :=
export PYTHONPYCACHEPREFIX := $(CURDIR)/.runtime/cache/python
# What is checked as CPython code, and what must run on a node.
PACKAGES := zaehlwerk_protocol zaehlwerk_bridge zaehlwerk_tools setup hil_tests
NODE := firmware protocol/zaehlwerk_protocol tools/zaehlwerk_tools/simulator/board_files tools/zaehlwerk_tools/serial_board/board_files hil_tests/pulse_generator
# More words for the program or for pytest: make demo ARGS=--json, make tests ARGS="-k ledger"
ARGS ?=
# Tests wait for programs and for real time half of their time, so two cores have work for more than two at once.
JOBS ?= 4

# The tests in which power goes at every flash operation; `make test` tries every third one.
CUT_TESTS := $(shell grep -l "import STEP" firmware/tests/on_micropython/test_*.py)

.PHONY: help setup demo test tests lint coverage power-cuts long chaos scale-out hil hil-mutants format lock upgrade clean
.NOTPARALLEL:
.DEFAULT_GOAL := help

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 18

setup: ## prepare .venv and .runtime; does nothing if they are up to date
	@"$(PYTHON)" -m setup

demo: ## a real day of a real city, counted and published
	@"$(PYTHON)" -m setup --demo
	@$(BIN)/zaehlwerk demo $(ARGS)

test: lint tests ## everything that must hold: lint and the tests of all rooms

tests: setup ## the tests alone
	@echo "tests: pytest"
	@$(BIN)/python -m pytest -q -n $(JOBS) --dist worksteal $(ARGS)

lint: setup ## style, format, types; every file of the node compiles
	@echo "lint: ruff"
	@$(BIN)/ruff check --quiet --output-format concise .
	@$(BIN)/ruff format --check --quiet . || { echo "lint: not formatted as agreed, run \`make format\`"; exit 1; }
	@echo "lint: mypy (CPython)"
	@$(BIN)/mypy --no-error-summary $(PACKAGES:%=-p %)
	@echo "lint: mypy (MicroPython)"
	@cd firmware && ../$(BIN)/mypy --no-error-summary --config-file mypy.ini .
	@printf 'lint: mpy-cross: ' && $(BIN)/python -m setup.mpy $(NODE)

coverage: setup ## how much of the firmware its tests reach on MicroPython; fails below 95 %
	@$(BIN)/python firmware/tests/line_coverage.py $(ARGS)

power-cuts: setup ## power goes at every flash operation and 1,000 random moments; fails if a count is lost untold
	@ZAEHLWERK_CUT_STEP=1 $(BIN)/python -m pytest -q -n 2 --dist worksteal $(CUT_TESTS)
	@$(BIN)/python -m firmware.tests.power_cuts $(ARGS)

long: setup ## the tests that `make test` leaves out because they take long
	@$(BIN)/python -m pytest -q -n 2 --dist worksteal -m long --hil $(ARGS)

chaos: setup ## everything round the bridge fails for ten minutes; fails if a count is lost or doubled
	@$(BIN)/zaehlwerk bench chaos --minutes 10 $(ARGS)

scale-out: setup ## three bridges on one Redis and one PostgreSQL, one of them always gone; fails if anything is lost
	@$(BIN)/python -m bridge.tests.service.scale_out $(ARGS)

# RIG=rig.toml: on the boards that it describes, none of them virtual. Kept: logs, report.html, junit.xml.
hil: setup ## the whole suite of the test rig and its mutants; RIG=rig.toml: on real boards
	@$(BIN)/python -m pytest -q --hil $(if $(RIG),--rig "$(RIG)" --require-rig,-n 2 --dist worksteal) hil_tests/suite \
		--rig-logs out/hil/logs --rig-report out/hil/report.html --junitxml out/hil/junit.xml $(ARGS)
	@$(if $(RIG),true,$(BIN)/python -m hil_tests.mutants --sound)

hil-mutants: setup ## broken firmwares, by name: which test of the rig's suite catches each
	@$(BIN)/python -m hil_tests.mutants $(ARGS)

format: setup ## format all code and mend what ruff can mend
	@$(BIN)/ruff check --quiet --fix-only .
	@$(BIN)/ruff format .

lock: ## resolve the dependencies into requirements.lock, keeping versions
	@"$(PYTHON)" -m setup --lock

upgrade: ## the same with the newest versions
	@"$(PYTHON)" -m setup --lock --upgrade

clean: ## remove all that was made here
	rm -rf .venv .runtime .hypothesis uv.lock
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
