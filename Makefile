# Every target sets up what it needs; a machine needs Python 3.13 and make, nothing else.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
export SAM_CLI_TELEMETRY := 0
export PYTHONPATH := functions:.

PYTHON ?= python3
UV_VERSION := 0.13.9
UV := .uv/bin/uv
RUN := .venv/bin/python
MONTHS ?= 11
ENDPOINT ?= flight-delay
SEED ?= 0
PORT ?= 8000

.PHONY: help
help: ## Show what there is
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

.PHONY: demo
demo: .venv/ready ## Replay 2013: MONTHS=11 ENDPOINT=flight-delay SEED=0
	@$(RUN) -m local.demo --months $(MONTHS) --endpoint $(ENDPOINT) --seed $(SEED)

.PHONY: test
test: .venv/ready ## Run every test that needs no Docker
	@$(RUN) -m pytest

.PHONY: check
check: .venv/ready ## Lint, types, and the template
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@.venv/bin/mypy
	@.uv/bin/uv lock --check --quiet
	@AWS_DEFAULT_REGION=eu-west-1 .venv/bin/sam validate --lint

.PHONY: serve
serve: .venv/ready ## Serve the API on http://127.0.0.1:8000: PORT=8000 ENDPOINT=flight-delay DATA=file
	@$(RUN) -m local.serve --port $(PORT) --endpoint $(ENDPOINT) $(if $(DATA),--data "$(DATA)")

.PHONY: train
train: .venv/ready ## Train one model here and show how it did: ENDPOINT=flight-delay DATA=file SEED=0
	@$(RUN) -m local.train --endpoint $(ENDPOINT) --seed $(SEED) $(if $(DATA),--data "$(DATA)")

.PHONY: setup
setup: .venv/ready ## Install everything into .venv

.venv/ready: pyproject.toml uv.lock .python-version | $(UV)
	@$(UV) sync --locked --quiet --no-progress
	@touch $@

$(UV):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 13))' || \
		{ echo "Python 3.13 is needed, and $(PYTHON) is $$($(PYTHON) --version 2>&1): set PYTHON=/path/to/python3.13"; exit 1; }
	@echo "Setting up (once, about half a minute) …"
	@$(PYTHON) -m venv .uv
	@.uv/bin/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)

.PHONY: build
build: .venv/ready ## Build the layer and the image for AWS (needs Docker)
	@PYTHON=$(abspath .uv/bin/python) AWS_DEFAULT_REGION=eu-west-1 .venv/bin/sam build $(SAM_BUILD)

.PHONY: clean
clean: ## Remove what was built and installed
	rm -rf .uv .venv .aws-sam build .mypy_cache .ruff_cache .pytest_cache .hypothesis

.PHONY: schemas
schemas: .venv/ready ## Write events/schemas.json from the code
	@$(RUN) -c 'import json; from evergreen.events import schemas; print(json.dumps(schemas(), indent=2))' > events/schemas.json

# What Lambda's runtime has already, and what ONNX Runtime asks for and never imports.
NOT_IN_LAYER := boto3 botocore jmespath python-dateutil s3transfer six urllib3 sympy mpmath

.PHONY: lock
lock: .venv/ready ## Write uv.lock and the requirements of the layer and the image from pyproject.toml
	@$(UV) lock --quiet
	@$(UV) export --locked --quiet --no-header --only-group serving \
		$(NOT_IN_LAYER:%=--no-emit-package %) --output-file layers/serving/requirements.txt
	@$(UV) export --locked --quiet --no-header --only-group training \
		--output-file layers/training/requirements.txt
