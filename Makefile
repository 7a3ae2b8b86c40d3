# Each target makes .venv first if it is not there. PYTHON=python3.13 make test takes another interpreter.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
TESTABLE := .venv/.testable
ARCHIVE := results/compare.h5

.PHONY: compare test test-all lint figures bench clean

compare: $(READY)
	@mkdir -p $(dir $(ARCHIVE))
	@if test -f $(ARCHIVE); then \
	  $(BIN)/isingflow figure $(ARCHIVE) && \
	  echo "redrawn from $(ARCHIVE), which was there; remove it to compute again"; \
	else \
	  $(BIN)/isingflow compare -o $(ARCHIVE); \
	fi

test: $(TESTABLE) lint
	$(BIN)/python -m pytest --numprocesses auto

test-all: $(TESTABLE) lint
	$(BIN)/python -m pytest --numprocesses auto -m "slow or not slow"

lint: $(TESTABLE)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

figures: $(TESTABLE)
	for script in paper_scripts/[a-z]*.py; do $(BIN)/python $$script || exit 1; done

bench: $(TESTABLE)
	for script in benchmarks/*.py; do $(BIN)/python $$script || exit 1; done

clean:
	rm -rf .venv results build dist *.egg-info .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(READY): setup.cfg pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable .
	@touch $@

# PyTorch, for the tests of trained networks, is hundreds of megabytes
$(TESTABLE): $(READY)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[test]"
	@touch $@
