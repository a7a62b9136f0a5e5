# Fresh machine: Python >= 3.11, make and git are enough. `make lab` opens the notebooks, `make test` tests.
PYTHON ?= python3
ARGS ?=
VENV := .venv
BIN := $(VENV)/bin
# Jupyter refuses to run as root, as one does in a container, unless told to.
ROOT := $(if $(filter 0,$(shell id -u)),--allow-root)
UV := $(shell command -v uv 2>/dev/null || echo .uv/bin/uv)
# uv does not byte-compile unless told to, some machines forbid Python to, and every kernel start would pay for it.
export UV_COMPILE_BYTECODE = 1
export PYTHONDONTWRITEBYTECODE =
# JupyterLab asks for news and updates at every start unless told not to; nothing leaves this machine.
SETTINGS := $(VENV)/share/jupyter/lab/settings
NEWS := {"@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": false}}
QUIET = mkdir -p $(SETTINGS) && echo '$(NEWS)' > $(SETTINGS)/overrides.json
# LiteLLM, used by the gateway tests, must not look for anything outside this machine.
export LITELLM_LOCAL_MODEL_COST_MAP = True
export LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS = True
export HF_HUB_OFFLINE = 1

.PHONY: help lab test check data pins format clean

help:  ## Show this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-8s %s\n", $$1, $$2}'

lab: $(VENV)/.lab  ## Set up and open JupyterLab on the notebooks (ARGS="--no-browser --port 8899" for a server)
	$(BIN)/jupyter lab notebooks/00_start.ipynb $(ROOT) $(ARGS)

test: $(VENV)/.test  ## Set up and run every test (ARGS="-k name" to choose)
	$(BIN)/python -m pytest -n auto --dist loadfile $(ARGS)

check: $(VENV)/.test  ## Lint, types, import direction, doctests, environment.yml and ARCHITECTURE.md
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest --doctest-modules planner -q
	$(BIN)/python tools/check_environment.py
	$(BIN)/python tools/check_architecture.py

data: $(VENV)/.lab  ## Make the sample log and labels again (the same bytes)
	$(BIN)/python -m planner.synthetic data

format: $(VENV)/.test  ## Format and fix what ruff can fix
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

pins: $(UV)  ## Choose the newest versions that fit together and pin them
	$(UV) pip compile -q --no-header --no-annotate --upgrade --universal --python-version 3.11 --all-extras pyproject.toml -o constraints.txt

clean:  ## Remove the environment
	rm -rf $(VENV) .uv

.uv/bin/uv:
	@$(PYTHON) -m venv .uv || { rm -rf .uv; echo "Install Python's venv module, for example: apt-get install python3-venv"; exit 1; }
	.uv/bin/python -m pip install -q --disable-pip-version-check uv

$(VENV)/bin/python: | $(filter .uv/bin/uv,$(UV))
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "planner needs Python 3.11 or newer: make PYTHON=python3.12"; exit 1; }
	$(UV) venv -q --allow-existing --python $(PYTHON) $(VENV)

$(VENV)/.lab: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(UV) pip install -q --python $(BIN)/python -c constraints.txt -e '.[lab]'
	@$(QUIET)
	@touch $@

$(VENV)/.test: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(UV) pip install -q --python $(BIN)/python -c constraints.txt -e '.[test]'
	@$(QUIET)
	@touch $@ $(VENV)/.lab
