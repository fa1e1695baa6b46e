# `make` alone lists the targets. Everything runs in .venv, which is built once.
PYTHON ?= python3
VENV ?= .venv
OUT ?= runs/demo
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export TF_CPP_MIN_LOG_LEVEL ?= 2

.DEFAULT_GOAL := help
.PHONY: help demo test test-full lint bench bench-quick clean install

help: ## List the targets.
	@echo "convsmith: make TARGET"
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  \1|\2/' | column -t -s '|' 2>/dev/null \
		|| grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST)

demo: $(STAMP) ## Train on the shipped digits; writes model, history and pictures to runs/demo.
	@$(BIN)/convsmith train --data mini --epochs 12 --batch-size 64 --out $(OUT) --overwrite

test: $(STAMP) ## Lint, types, dependency rule, and the suite on all three backends.
	@$(BIN)/python tools/run_tests.py $(ARGS)

test-full: $(STAMP) ## The same with the slow tests and many more generated cases.
	@$(BIN)/python tools/run_tests.py --full $(ARGS)

lint: $(STAMP) ## Lint, types and the dependency rule only.
	@$(BIN)/python tools/run_tests.py --only checks

bench: $(STAMP) ## Run all benchmarks; tables and pictures go to benchmarks/results.
	@$(BIN)/python -m benchmarks $(ARGS)

bench-quick: $(STAMP) ## Run the benchmarks on fewer workloads, in under 10 minutes.
	@$(BIN)/python -m benchmarks --quick $(ARGS)

install: $(STAMP) ## Build .venv only.

clean: ## Remove what the other targets made (not .venv).
	@rm -rf build dist runs .pytest_cache .ruff_cache .hypothesis .import_linter_cache .cache
	@find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +

$(STAMP): pyproject.toml constraints.txt tools/install.sh
	@sh tools/install.sh "$(PYTHON)" "$(VENV)"
	@touch $@
