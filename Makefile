# Every target sets up what it needs; a machine needs Python 3.13 and make, nothing else.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
export SAM_CLI_TELEMETRY := 0
export PYTHONPATH := functions:.

PYTHON ?= python3
ARCHITECTURE ?= x86_64
UV := .uv/bin/uv
RUN := .venv/bin/python
SHARE ?= 1
SEED ?= 0
CONFIG_ENV ?= default

-include project.mk # yours: what you would rather have by default, and targets of your own

ENDPOINT ?= $(subst _,-,$(basename $(notdir $(firstword $(wildcard functions/endpoints/[!_]*.py)))))
DATA ?= $(firstword $(wildcard data/$(ENDPOINT).*))

# What is of the template's own repository, and in no copy of it.
ITS_OWN := bench|bench-autopilot|bench-drift|bench-promotion|bench-scale|load|mutate|test-boosting|test-clients|test-copy|test-deploy|test-faults|test-lives|test-sam|release|sbom|schemas|cost
WITHOUT := $(if $(wildcard local/samples),,--no-group samples) $(if $(wildcard benchmarks),,--no-group bench --no-group pattern)

.PHONY: help
help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | grep -vE '^($(or $(if $(wildcard benchmarks),,$(ITS_OWN)),-)):' | sed -E 's/:.*## /\t/' | expand -t 12

.PHONY: demo
demo: RUNTIME ?= process
demo: .venv/ready ## Replay a life at four levels, of your own ENDPOINT=mine DATA=file FIRST=0.3 LABEL_DELAY=1d, or of real flights: MONTHS=2 SHARE=3 SEED=0 RUNTIME=sam
	@$(RUN) -m local.demo --endpoint $(ENDPOINT) --seed $(SEED) --runtime $(RUNTIME) --share $(SHARE) \
		$(if $(DATA),--data "$(DATA)") $(if $(MONTHS),--months $(MONTHS)) \
		$(if $(FIRST),--first "$(FIRST)") $(if $(LABEL_DELAY),--label-delay "$(LABEL_DELAY)")

PYTEST := $(RUN) -m pytest --numprocesses auto --dist worksteal # a core for each worker
APART := $(addprefix --ignore=tests/,boosting clients copy deploy faults lives sam) # each has a command of its own

.PHONY: test
test: .venv/ready ## Run every test that has no command of its own below
	@$(PYTEST) $(APART)

.PHONY: test-fast
test-fast: .venv/ready ## Run the tests that are not marked slow, as one must be that takes some seconds
	@$(PYTEST) $(APART) -m "not slow"

.PHONY: test-faults
test-faults: .venv/ready ## Try faults, attacks and mistakes: what docs/promises.md promises
	@$(PYTEST) tests/faults

.PHONY: test-lives
test-lives: .venv/ready ## Live the lives of endpoints of every kind whole, and look at their pages in a browser
	@$(PYTEST) tests/lives

.PHONY: test-copy
test-copy: .venv/ready ## Make a copy for each kind of problem, run its commands, and update it to a next release
	@$(RUN) -m pytest tests/copy

.PHONY: test-boosting
test-boosting: .boosting/ready ## Test LightGBM, XGBoost and CatBoost, in an installation of their own
	@.boosting/bin/python -m pytest tests/boosting

.boosting/ready: pyproject.toml uv.lock .python-version | $(UV)
	@UV_PROJECT_ENVIRONMENT=.boosting $(UV) sync --locked --quiet --no-progress --group boosting
	@touch $@

.PHONY: test-clients
test-clients: .venv/ready .clients/ready ## Ask what make serve serves with the clients of docs/clients.md, in an installation of their own
	@$(RUN) -m pytest tests/clients

.clients/ready: tests/clients/clients.txt .python-version | $(UV)
	@$(UV) venv --quiet --clear --python .uv/bin/python .clients
	@$(UV) pip install --quiet --no-progress --require-hashes --python .clients --requirement tests/clients/clients.txt
	@touch $@

.PHONY: mutate
mutate: .venv/ready ## Remove each defence in turn and check that a test notices: ONLY=signature
	@$(RUN) -m tests.mutation.mutate $(if $(ONLY),--only "$(ONLY)")

.PHONY: test-sam
test-sam: .venv/ready ## Build the functions and test them in containers (needs Docker)
	@$(RUN) -m pytest tests/sam

.PHONY: test-deploy
test-deploy: .venv/ready .ministack/ready ## Build, and deploy with sam to MiniStack, an emulator of others, with IAM enforced (needs Docker)
	@$(RUN) -m pytest tests/deploy

.ministack/ready: tests/deploy/ministack.txt .python-version | $(UV) # apart: it cannot live with our boto3
	@$(UV) venv --quiet --clear --python .uv/bin/python .ministack
	@$(UV) pip install --quiet --no-progress --require-hashes --python .ministack --requirement tests/deploy/ministack.txt
	@touch $@

.PHONY: bench
bench: .venv/ready ## Measure predict beside the common joblib pattern: QUICK=1
	@$(RUN) -m benchmarks.serving $(if $(QUICK),--quick)

.PHONY: bench-drift
bench-drift: .venv/ready ## Measure how often alarms are wrong, and what they find: QUICK=1
	@$(RUN) -m benchmarks.drift $(if $(QUICK),--quick)

.PHONY: bench-scale
bench-scale: .venv/ready ## Measure what one function carries: QUICK=1
	@$(RUN) -m benchmarks.scale $(if $(QUICK),--quick)

.PHONY: bench-autopilot
bench-autopilot: .venv/ready ## Replay years of five data sets at every level, by the functions that decide: QUICK=1
	@$(RUN) -m benchmarks.autopilot $(if $(QUICK),--quick)

.PHONY: bench-promotion
bench-promotion: .venv/ready ## Measure how often promotion is wrong, and how soon it comes: QUICK=1
	@$(RUN) -m benchmarks.promotion $(if $(QUICK),--quick)

.PHONY: load
load: .venv/ready ## Put make serve and sam local under load (needs Docker and a build): QUICK=1 SOAK=240 TARGET="make serve"
	@$(RUN) -m benchmarks.load $(if $(QUICK),--quick) $(if $(SOAK),--soak $(SOAK)) \
		$(if $(TARGET),--target "$(TARGET)")

.PHONY: format
format: .venv/ready ## Format the code, and mend what ruff can mend
	@.venv/bin/ruff format .
	@.venv/bin/ruff check --fix .

.PHONY: check
check: .venv/ready .checkov/ready ## Check style, types, the lock file, and the security of code and template
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@.venv/bin/mypy
	@$(if $(wildcard benchmarks),.venv/bin/lint-imports --no-logo)
	@$(UV) lock --check --quiet
	@$(RUN) -m local.gates

.checkov/ready: local/checkov.txt .python-version | $(UV) # apart: it cannot live with our boto3
	@$(UV) venv --quiet --clear --python .uv/bin/python .checkov
	@$(UV) pip install --quiet --no-progress --require-hashes --python .checkov --requirement local/checkov.txt
	@touch $@

.PHONY: serve
serve: PORT ?= 8000
serve: RUNTIME ?= onnx
serve: .venv/ready ## Serve the API on http://127.0.0.1:8000: PORT=8000 ENDPOINT=flight-delay DATA=file LEVEL=3 RUNTIME=onnx (or sklearn)
	@$(RUN) -m local.serve --port $(PORT) --endpoint $(ENDPOINT) --runtime $(RUNTIME) $(if $(DATA),--data "$(DATA)") $(if $(LEVEL),--level $(LEVEL)) \
		$(if $(FIRST),--first "$(FIRST)") $(if $(LABEL_DELAY),--label-delay "$(LABEL_DELAY)")

.PHONY: console
console: .venv/ready ## Open the console of the stack in samconfig.toml, or of the API at URL=
	@$(RUN) -m local.console $(if $(URL),--url "$(URL)") $(if $(CONFIG_ENV),--config-env $(CONFIG_ENV))

.PHONY: train
train: RUNTIME ?= onnx
train: .venv/ready ## Train a model on this machine and show its figures: ENDPOINT=flight-delay DATA=file SEED=0 RUNTIME=onnx (or sklearn)
	@$(RUN) -m local.train --endpoint $(ENDPOINT) --seed $(SEED) --runtime $(RUNTIME) $(if $(DATA),--data "$(DATA)")

.PHONY: batch
batch: .venv/ready ## Score a file on this machine, with a model that is trained first: FILE=rows.csv ENDPOINT=flight-delay DATA=file
	@$(RUN) -m local.train --endpoint $(ENDPOINT) --seed $(SEED) --batch "$(FILE)" $(if $(DATA),--data "$(DATA)")

.PHONY: import
import: .venv/ready ## Take a fitted pipeline of somebody else through the gates, here: FILE=model.joblib ENDPOINT=mine DATA=file
	@$(RUN) -m local.train --endpoint $(ENDPOINT) --seed $(SEED) $(if $(RUNTIME),--runtime $(RUNTIME)) $(if $(DATA),--data "$(DATA)") --model "$(FILE)"

.PHONY: setup
setup: .venv/ready ## Install everything into .venv

.venv/ready: pyproject.toml uv.lock .python-version | $(UV)
	@$(UV) sync --locked --quiet --no-progress --compile-bytecode $(WITHOUT)
	@touch $@

$(UV):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 13))' || \
		{ echo "Python 3.13 is needed, and $(PYTHON) is $$($(PYTHON) --version 2>&1): set PYTHON=/path/to/python3.13"; exit 1; }
	@echo "Setting up (once, about a minute) …"
	@$(PYTHON) -m venv .uv
	@.uv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement local/uv.txt

.PHONY: build
build: .venv/ready ## Build the layers and the image for AWS (needs Docker): ARCHITECTURE=arm64
	@PYTHON=$(abspath .uv/bin/python) ARCHITECTURE=$(ARCHITECTURE) AWS_DEFAULT_REGION=eu-west-1 \
		.venv/bin/sam build --cache-dir .aws-sam/cache/$(ARCHITECTURE) \
		--parameter-overrides Architecture=$(ARCHITECTURE)
	@$(RUN) -m local.published

.PHONY: doctor
doctor: .venv/ready ## Ask an account whether a stack can be deployed there, and what is missing: CONFIG_ENV=default STACK=name
	@$(RUN) -m local.gates.doctor --config-env "$(CONFIG_ENV)" $(if $(STACK),--stack "$(STACK)")

.PHONY: deploy
deploy: doctor build ## Ask the account, build, and deploy an environment of samconfig.toml: CONFIG_ENV=default
	$(if $(filter file,$(origin ARCHITECTURE)),,$(error samconfig.toml says what is deployed: set Architecture there, and ARCHITECTURE in the Makefile))
	@! grep -q make-build-writes-it .aws-sam/build/template.yaml || \
		{ echo "The built template has no digest, so layers might not be published: run make build"; exit 1; }
	@.venv/bin/sam deploy --config-env $(CONFIG_ENV)

.PHONY: smoke
smoke: .venv/ready ## Test a deployed API with signed requests: URL=https://… ENDPOINT=flight-delay BODY=file
	@$(RUN) -m local.smoke --url "$(URL)" --endpoint "$(ENDPOINT)" $(if $(BODY),--body "$(BODY)") \
		$(if $(ALLOW_NO_CHAMPION),--allow-no-champion)

.PHONY: destroy
destroy: .venv/ready ## Delete a stack, except the buckets that it retains: CONFIG_ENV=default STACK=name
	@$(RUN) -m local.destroy --config-env "$(CONFIG_ENV)" $(if $(STACK),--stack "$(STACK)") \
		$(if $(YES),--yes)

.PHONY: redrive
redrive: .venv/ready ## Send a stack's dead letters again: CONFIG_ENV=default STACK=name YES=1
	@$(RUN) -m local.redrive --config-env "$(CONFIG_ENV)" $(if $(STACK),--stack "$(STACK)") \
		$(if $(YES),--yes)

.PHONY: local
local: PORT ?= 5555
local: .venv/ready ## Start moto with a champion, for sam local (needs Docker and a build): PORT=5555 ENDPOINT=flight-delay DATA=file
	@$(RUN) -m local.sam_local --port $(PORT) --endpoint $(ENDPOINT) $(if $(DATA),--data "$(DATA)")

.PHONY: size
size: ## Compare the built packages with Lambda's limits and our budgets
	@cd .aws-sam/build 2>/dev/null || { echo "nothing is built yet: run make build"; exit 1; }; \
	for each in OnnxLayer=110 SklearnLayer=215; do layer=$${each%=*} budget=$${each#*=}; \
		[[ -d $$layer && -d PredictFunction ]] || { echo "predict or $$layer is not built: run make build"; exit 1; }; \
		bytes=$$(find PredictFunction $$layer -type f -exec cat {} + | wc -c); \
		echo "predict + $$layer: $$((bytes >> 20)) MiB unzipped; our budget is $$budget, Lambda's limit 250"; \
		(( bytes <= budget << 20 )) || { echo "above the budget: predict + $$layer"; exit 1; }; \
	done
	@docker image inspect $$(sed -n 's/^ *ImageUri: //p' .aws-sam/build/template.yaml | sort -u) \
		--format '{{index .RepoTags 0}}: {{.Size}} bytes; Lambda takes an image of 10737418240' || \
		{ echo "an image is missing: run make build, with Docker"; exit 1; }

.PHONY: cost
cost: .venv/ready ## Reckon the cost of a stack at each level, and write docs/cost.md
	@$(RUN) -m local.cost

.PHONY: update
update: .venv/ready ## Take the next release of Evergreen into a copy, by a three-way merge: REF=tag
	@.venv/bin/copier update --defaults $(if $(REF),--vcs-ref "$(REF)")
	@if grep -q '^<<<<<<<' uv.lock; then git checkout --quiet HEAD -- uv.lock; \
		echo "uv.lock: yours is kept, and brought up to date by what pyproject.toml asks for now"; fi
	@conflicts=$$(git diff --name-only --diff-filter=U); if [[ -n "$$conflicts" ]]; then \
		echo "Both you and the release changed the same lines: mend these, then make lock:"; echo "$$conflicts"; exit 1; fi
	@$(MAKE) --no-print-directory lock

.PHONY: release
release: VERSION = $(shell git describe --tags --always)
release: .venv/ready ## Write build/evergreen-VERSION.zip, a copy for `sam init --location`
	@rm -rf build/release && mkdir -p build/release
	@.venv/bin/copier copy --quiet --defaults --vcs-ref $(VERSION) . build/release/evergreen
	@sed -i.bak "s|^_src_path:.*|_src_path: $$(git remote get-url origin 2>/dev/null || pwd)|" \
		build/release/evergreen/.copier-answers.yml && rm build/release/evergreen/.copier-answers.yml.bak
	@cd build/release && $(abspath $(RUN)) -m zipfile -c ../evergreen-$(VERSION).zip evergreen/
	@echo "Written to build/evergreen-$(VERSION).zip"

.PHONY: sbom
sbom: .venv/ready ## Write build/evergreen-PACKAGE.cdx.json, a bill of materials (CycloneDX) of each package that is deployed
	@mkdir -p build
	@for package in onnx sklearn training; do \
		$(UV) export --frozen --quiet --preview-features sbom-export --format cyclonedx1.5 --only-group $$package \
			--output-file build/evergreen-$$package.cdx.json > /dev/null; \
		echo "Written to build/evergreen-$$package.cdx.json"; done

.PHONY: clean
clean: ## Remove everything built and installed
	rm -rf .uv .venv .boosting .checkov .clients .ministack .aws-sam build .mypy_cache .ruff_cache .pytest_cache .hypothesis

.PHONY: schemas
schemas: .venv/ready ## Write events/schemas.json and docs/report.schema.json from the code
	@$(RUN) -c 'import json; from evergreen.registry.events import schemas; print(json.dumps(schemas(), indent=2))' > events/schemas.json
	@$(RUN) -c 'import json; from evergreen.monitoring.report import schema; print(json.dumps(schema(), indent=2))' > docs/report.schema.json

# What ONNX Runtime asks for and never imports.
NOT_IN_LAYER := flatbuffers packaging protobuf

.PHONY: lock
lock: $(UV) ## Write uv.lock and all requirements files
	@$(UV) lock --quiet
	@for layer in onnx sklearn; do \
		$(UV) export --locked --quiet --no-header --only-group $$layer \
			$(NOT_IN_LAYER:%=--no-emit-package %) --output-file layers/serving/$$layer.txt; done
	@$(UV) export --locked --quiet --no-header --only-group training \
		--output-file layers/training/requirements.txt
	@for list in $(wildcard local/*.in tests/deploy/*.in tests/clients/*.in); do \
		$(UV) pip compile --quiet --universal --python-version 3.13 --generate-hashes --no-header --no-annotate \
			$$list --output-file $${list%.in}.txt; done
