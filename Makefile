# Everything runs in an environment of its own, .venv; nothing is installed elsewhere.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
BUDGET_MS ?= 50
# Each module in one process, in the order of their names: the studies first, so that none of them
# is what all wait for at the end.
BY_MODULE := --dist loadfile --no-loadscope-reorder
CONSTRAINTS ?= --constraint constraints.txt
PIP := $(BIN)/python -m pip install --quiet $(CONSTRAINTS)

.PHONY: optimize serve test test-fast test-newest coverage lock check docs install develop clean

optimize: $(VENV)/installed
	$(BIN)/tuner optimize --budget-ms $(BUDGET_MS)

serve: $(VENV)/serving
	$(BIN)/tuner serve $(SERVE)

# What needs only a processor, in two processes; then what starts servers and waits for them, in
# three; then what needs the machine or its Docker engine for itself.
test: $(VENV)/developed
	$(BIN)/python -m pytest -m pure -n 2
	$(BIN)/python -m pytest -m 'not pure and not alone' -n 3 $(BY_MODULE) --durations=10
	$(BIN)/python -m pytest -m alone --durations=10

test-fast: $(VENV)/developed
	$(BIN)/python -m pytest -m pure -n 2

# Tracing slows what the tests of the load engine measure, so it is a run of its own.
coverage: $(VENV)/developed
	$(BIN)/python -m coverage erase
	$(BIN)/python -m coverage run -m pytest
	$(BIN)/python -m coverage combine --quiet
	$(BIN)/python -m coverage report --skip-covered
	$(BIN)/python -m coverage report --fail-under=95 --include='tuner/capacity/*,tuner/analysis/*,tuner/search/*,tuner/study/loop.py,tuner/study/trial.py,tuner/space/*,tuner/load/*'

# The whole suite with the newest releases that the bounds of pyproject.toml allow.
test-newest:
	$(MAKE) test VENV=.venv-newest CONSTRAINTS=

# What `make test-newest` has just passed with. The CPU build of PyTorch is not told in it: other
# machines have other builds of that version.
lock:
	$(MAKE) develop docs VENV=.venv-newest CONSTRAINTS=
	.venv-newest/bin/python -m pip freeze --exclude-editable | sed 's/+cpu$$//' > constraints.txt

check: $(VENV)/developed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(VENV)/docs-installed
	$(BIN)/mkdocs build --quiet --strict

install: $(VENV)/installed
develop: $(VENV)/developed

$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(PIP) --editable '.[triton]'
	touch $@

$(VENV)/serving: $(VENV)/installed
	$(PIP) --editable '.[triton,service]'
	touch $@

$(VENV)/developed: $(VENV)/installed $(VENV)/mlserver/installed $(VENV)/servers/installed
	$(PIP) --group dev --editable '.[triton,parquet,torchserve,onnx,pytorch,postgres,service,fleet]'
	touch $@

# A server that is tuned by a file alone has an environment of its own, as other servers do.
$(VENV)/mlserver/installed: $(VENV)/installed
	$(PYTHON) -m venv $(VENV)/mlserver
	$(VENV)/mlserver/bin/python -m pip install --quiet 'mlserver==1.7.1' 'uvloop<0.22'
	touch $@

# LitServe and BentoML, which do not go together with MLServer.
$(VENV)/servers/installed: $(VENV)/installed
	$(PYTHON) -m venv $(VENV)/servers
	$(VENV)/servers/bin/python -m pip install --quiet 'litserve==0.2.19' 'bentoml==1.4.40'
	touch $@

$(VENV)/docs-installed: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(PIP) --group docs
	touch $@

clean:
	rm -rf $(VENV) .venv-newest build dist site .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .coverage*
