# `make demo` and `make test` need Python 3.11, make and git, nothing else: everything is installed into .venv.
PYTHON ?= python3.11
BIN := .venv/bin
INSTALLED := .venv/.installed
AUDIT := .build/audit
AUDIT_INSTALLED := $(AUDIT)/.installed
BROWSER := .build/browser
BROWSER_INSTALLED := $(BROWSER)/.installed
TEMPLATES := zone root foundation data service witness
# What `sam` deploys: its --lint is cfn-lint, which reads the others by itself.
DEPLOYED := zone root
# Tools find each other on the PATH of the virtual environment; sam sends no telemetry from here.
export PATH := $(abspath $(BIN)):$(PATH)
export SAM_CLI_TELEMETRY := 0
# What runs at once (make -j) says what it says in one piece; make 3.81, which macOS has, cannot.
MAKEFLAGS += $(if $(filter output-sync,$(.FEATURES)),--output-sync=target)

.PHONY: setup demo test check format lint types templates fast bench audit clean

setup: $(INSTALLED) $(BROWSER_INSTALLED)

$(INSTALLED): requirements.txt constraints.txt
	@command -v $(PYTHON) >/dev/null || { echo "make: $(PYTHON) is not on the PATH: install Python 3.11, or say 'make PYTHON=...'" >&2; exit 2; }
	@echo "Installing the tools into .venv (once) ..."
	@$(PYTHON) -m venv --clear .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement requirements.txt --constraint constraints.txt
	@$(BIN)/python -m pip check
	@touch $@

demo: $(INSTALLED)
	@$(BIN)/python -m lab.demo

test: check $(BROWSER_INSTALLED)
	$(BIN)/python -m pytest tests/model --states 30000 --faults 2
	$(BIN)/python -m pytest tests/integration

# Under a minute on two cores, once set up: two of its parts run at a time, and the tests use every core.
check: $(INSTALLED)
	@$(MAKE) --no-print-directory --jobs=2 format lint types templates fast

# Every target that uses .venv asks for it itself: several may run at once.
format: $(INSTALLED)
	$(BIN)/ruff format --check .

lint: $(INSTALLED)
	$(BIN)/ruff check .

types: $(INSTALLED)
	$(BIN)/mypy

templates: $(INSTALLED)
	$(BIN)/python build.py --out .build/check --no-package
	$(BIN)/cfn-lint $(patsubst %,.build/check/%.json,$(filter-out $(DEPLOYED),$(TEMPLATES)))
	@for template in $(DEPLOYED); do \
	  AWS_DEFAULT_REGION=us-east-1 $(BIN)/sam validate --lint --template .build/check/$$template.json >.build/sam-validate.log 2>&1 \
	  && echo "sam validate --lint: $$template.json is valid" || { cat .build/sam-validate.log; exit 1; }; \
	done

fast: $(INSTALLED)
	$(BIN)/python -m pytest --ignore tests/integration --numprocesses auto --dist worksteal

bench: $(INSTALLED)
	@$(BIN)/python -m generator.bench
	@$(BIN)/python -m lab.bench

# The public rule packs bring what the tools cannot share an environment with, and need Node.js 20 or later.
audit: $(INSTALLED) $(AUDIT_INSTALLED)
	$(BIN)/python -m tools.audit

$(AUDIT_INSTALLED): tools/audit/requirements.txt tools/audit/package.json tools/audit/package-lock.json | $(INSTALLED)
	@command -v npm >/dev/null || { echo "make: npm is not on the PATH: install Node.js 20 or later" >&2; exit 2; }
	@echo "Installing the rule packs into $(AUDIT) (once) ..."
	@rm -rf $(AUDIT)
	@$(PYTHON) -m venv $(AUDIT)/venv
	@$(AUDIT)/venv/bin/python -m pip install --quiet --disable-pip-version-check --requirement tools/audit/requirements.txt
	@cp tools/audit/package.json tools/audit/package-lock.json $(AUDIT)
	@npm ci --prefix $(AUDIT) --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

# What looks at the report of a drill. It brings its own npm: nobody has to have Node.js.
$(BROWSER_INSTALLED): tools/browser/requirements.txt tools/browser/package.json tools/browser/package-lock.json | $(INSTALLED)
	@echo "Installing a browser for the tests into $(BROWSER) (once) ..."
	@rm -rf $(BROWSER)
	@$(PYTHON) -m venv $(BROWSER)/venv
	@$(BROWSER)/venv/bin/python -m pip install --quiet --disable-pip-version-check --requirement tools/browser/requirements.txt
	@$(BROWSER)/venv/bin/python -m tools.browser
	@touch $@

clean:
	rm -rf .venv .build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
