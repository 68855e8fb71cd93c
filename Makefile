# Two commands, each with its own set-up on a fresh machine: `make titanic` and `make test`.
PYTHON ?= python3
ENV    ?= .venv
KIT    := $(ENV)/bin/kit

.PHONY: titanic test test-all lint wheel clean

# the base install: no torch
$(ENV)/base: pyproject.toml
	$(PYTHON) -m venv $(ENV)
	$(ENV)/bin/pip install --quiet --editable .
	@touch $@

# what the tests need besides; constraints.txt holds the torch that they were last run with
$(ENV)/test: pyproject.toml constraints.txt | $(ENV)/base
	$(ENV)/bin/pip install --quiet --constraint constraints.txt --editable ".[all,test]"
	@touch $@

titanic: $(ENV)/base
	$(KIT) train competitions/titanic

test: $(ENV)/test
	$(ENV)/bin/ruff check .
	$(ENV)/bin/python -m pytest --slow=rotate --numprocesses=2 --dist=loadgroup --durations=15

test-all: $(ENV)/test
	$(ENV)/bin/ruff check .
	$(ENV)/bin/python -m pytest --slow=all --numprocesses=2 --dist=loadgroup

lint: $(ENV)/test
	$(ENV)/bin/ruff check .

wheel: $(ENV)/base
	$(ENV)/bin/pip wheel --quiet --no-deps --wheel-dir dist .

clean:
	rm -rf $(ENV) build dist
