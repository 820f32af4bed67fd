# `make` prints the targets. Every one of them does its own set-up.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.SILENT:

PYTHON  ?= python3
PROFILE ?= lite
DATA    ?= build/demo/sample
INDEX   ?= build/demo/index
PORT    ?= 50051

VENV := .venv
BIN  := $(VENV)/bin
DEMO := build/demo

.PHONY: help setup demo test lint format proto export sample index evaluate serve clean

help: ## Print this list
	awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(VENV)/.installed ## Install everything into .venv, at the versions of constraints.txt

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

demo: sample export ## From nothing to a query photo's seven products, in a table and as pictures
	$(BIN)/beauty-export index $(DEMO)/sample --output $(DEMO)/index --profile $(PROFILE)
	set -e; rm -f $(DEMO)/address; \
	$(BIN)/beauty-server --index $(DEMO)/index --port 0 --address-file $(DEMO)/address \
	  2> $(DEMO)/server.log & server=$$!; \
	trap 'kill $$server 2> /dev/null; wait $$server 2> /dev/null' EXIT; \
	until [ -s $(DEMO)/address ]; do \
	  kill -0 $$server 2> /dev/null || { cat $(DEMO)/server.log >&2; exit 1; }; sleep 0.2; done; \
	export BEAUTY_SEARCH_SERVER=$$(cat $(DEMO)/address); \
	$(BIN)/beauty-search batch $(DEMO)/sample/queries --json > $(DEMO)/results.jsonl; \
	$(BIN)/beauty-export contact-sheet $(DEMO)/results.jsonl --catalogue $(DEMO)/sample \
	  --output $(DEMO)/contact-sheet.html; \
	$(BIN)/beauty-search search $(DEMO)/sample/queries/q0001.jpg --compare; \
	echo; echo "Pictures of every query and its products: $(CURDIR)/$(DEMO)/contact-sheet.html"

test: setup ## Run the tests
	$(BIN)/pytest

lint: setup ## Check style, types, docstrings and the direction of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: setup ## Format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

proto: setup ## Generate the gRPC stubs
	$(BIN)/python -m grpc_tools.protoc -I . --python_out=. --pyi_out=. --grpc_python_out=. \
	  retrieval_server/v1/retrieval.proto

export: setup ## Export the models of PROFILE (lite) to model_repository/
	$(BIN)/beauty-export onnx --profile $(PROFILE)

sample: setup ## Render the sample catalogue
	$(BIN)/beauty-export sample $(DEMO)/sample

index: export ## Build INDEX from the catalogue in DATA
	$(BIN)/beauty-export index $(DATA) --output $(INDEX) --profile $(PROFILE)

evaluate: export ## Measure mAP@7 on the dataset in DATA
	$(BIN)/beauty-export evaluate $(DATA) --profile $(PROFILE)

serve: setup ## Serve INDEX on PORT
	$(BIN)/beauty-server --index $(INDEX) --port $(PORT)

clean: ## Remove what was built, models and environment included
	rm -rf build $(VENV) *.egg-info model_repository/*/1/model.onnx
