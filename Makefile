# The one entrance for people and for continuous integration. Each target first makes sure of a virtual environment in
# .venv; pip runs again only when setup.cfg or constraints.txt changed. pip's own settings (index, local wheels) apply.
PYTHON ?= python3
ARGS ?=
# What some commands need and the tests try: Optuna for --hpo, evaluate for --metric, Ray for clusters, MeCab for Japanese
# and Korean vocabularies, Gradio for the demo, ONNX, the documentation's site, codecarbon.
EXTRAS ?= search,metrics,cluster,japanese,korean,demo,export,docs,energy

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/installed

.DEFAULT_GOAL := help
.PHONY: help demo test test-docs docs docs-serve lint clean

help:  ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' Makefile

demo: $(STAMP)  ## Pre-train a tiny ELECTRA on this machine, then watch it find swapped words
	rm -rf outputs/demo
	$(BIN)/python run_pretraining.py --config configs/pretraining/demo.yaml
	$(BIN)/electra-hf detect outputs/demo

test: $(STAMP)  ## Run the tests; pass options to pytest with ARGS="-k curves"
	$(BIN)/python -m pytest $(ARGS)

test-docs: $(STAMP)  ## Run the long commands of README and docs too, at reduced sizes (an hour)
	$(BIN)/python -m pytest tests/docs -m slow $(ARGS)

docs: $(STAMP)  ## Build the documentation's site into site/; a broken link is an error
	$(BIN)/python -m mkdocs build --strict

docs-serve: $(STAMP)  ## Show the site at http://127.0.0.1:8000/ while you write it
	$(BIN)/python -m mkdocs serve

lint: $(STAMP)  ## Check style, formatting and types; changes nothing
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

clean:  ## Remove the virtual environment, caches and build products; outputs/ stays
	rm -rf $(VENV) build dist site *.egg-info .pytest_cache .ruff_cache .hypothesis
	find . -type d -name __pycache__ -prune -exec rm -rf {} +

# The version is asked of the interpreter itself, before venv: an old one would fail much later, in the middle of pip.
$(STAMP): setup.cfg constraints.txt
	@command -v "$(PYTHON)" >/dev/null || { \
		echo "error: no '$(PYTHON)' here: install Python 3.11 or newer, or run 'make PYTHON=/path/to/python3'" >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "error: $$("$(PYTHON)" --version 2>&1) is too old: electra_hf needs Python 3.11 or newer." \
		"Run 'make PYTHON=python3.11', or install one" >&2; exit 1; }
	test -x $(BIN)/pip || "$(PYTHON)" -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt -e ".[dev,trackers,$(EXTRAS)]"
	touch $(STAMP)
