# Everything runs in an environment of its own, .venv; nothing is installed elsewhere.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
BUDGET_MS ?= 50

.PHONY: optimize test check docs install develop clean

optimize: $(VENV)/installed
	$(BIN)/tuner optimize --budget-ms $(BUDGET_MS)

test: $(VENV)/developed
	$(BIN)/python -m coverage erase
	$(BIN)/python -m coverage run -m pytest --durations=25
	$(BIN)/python -m coverage combine --quiet
	$(BIN)/python -m coverage report --skip-covered
	$(BIN)/python -m coverage report --fail-under=95 --include='tuner/capacity/*,tuner/analysis/*,tuner/search/*,tuner/study/loop.py,tuner/study/trial.py,tuner/space/*,tuner/load/*'

check: $(VENV)/developed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(VENV)/docs-installed
	$(BIN)/mkdocs build --quiet --strict

install: $(VENV)/installed
develop: $(VENV)/developed

$(VENV)/installed: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[triton]'
	touch $@

$(VENV)/developed: $(VENV)/installed $(VENV)/mlserver/installed
	$(BIN)/python -m pip install --quiet --group dev --editable '.[triton,parquet,torchserve,onnx,pytorch]'
	touch $@

# A server that is tuned by a file alone has an environment of its own, as other servers do.
$(VENV)/mlserver/installed: $(VENV)/installed
	$(PYTHON) -m venv $(VENV)/mlserver
	$(VENV)/mlserver/bin/python -m pip install --quiet 'mlserver==1.7.1' 'uvloop<0.22'
	touch $@

$(VENV)/docs-installed: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --group docs
	touch $@

clean:
	rm -rf $(VENV) build dist site .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .coverage*
