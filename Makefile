# `make` prints the targets. Every one of them does its own set-up.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.SILENT:

PYTHON  ?= python3
PROFILE ?= lite
ENGINE  ?= embedded
DATA    ?= build/demo/sample
INDEX   ?= build/demo/index
PORT    ?= 50051
N       ?= 500000

VENV := .venv
BIN  := $(VENV)/bin
DEMO := build/demo
TRITON := $(BIN)/python deploy/local_triton/serve.py --model-repository model_repository

.PHONY: help setup demo test lint format proto export sample index evaluate serve triton bench-search bench-evaluation bench-text-index bench-serving bench-perf-analyzer manifests web browser clean

help: ## Print this list
	awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-20s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(VENV)/.installed ## Install everything into .venv, at the versions of constraints.txt

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	$(BIN)/python -m retrieval_server.exact_search.warm_up # fills numba's cache
	$(BIN)/python -c "from export.build_text_index import warm_up; warm_up()"
	touch $@

demo: sample export ## From nothing to a photo's seven products; ENGINE=triton through a real Triton
	set -e; trap 'kill $$(jobs -p) 2> /dev/null; wait' EXIT; \
	await() { until [ -s $(DEMO)/$$1.address ]; do kill -0 $$2 2> /dev/null || \
	  { cat $(DEMO)/$$1.log >&2; exit 1; }; sleep 0.2; done; }; \
	rm -f $(DEMO)/*.address; engine="--engine $(ENGINE)"; \
	if [ $(ENGINE) = triton ]; then \
	  $(TRITON) --models $(PROFILE) --grpc-port 0 --http-port 0 --metrics-port 0 \
	    --address-file $(DEMO)/triton.address 2> $(DEMO)/triton.log & await triton $$!; \
	  engine="$$engine --triton-url $$(sed 's/.*"grpc": *"\([^"]*\)".*/\1/' $(DEMO)/triton.address)"; \
	fi; \
	$(BIN)/beauty-export index $(DEMO)/sample --output $(DEMO)/index --profile $(PROFILE) $$engine; \
	$(BIN)/beauty-server --index $(DEMO)/index --port 0 --address-file $(DEMO)/server.address \
	  $$engine 2> $(DEMO)/server.log & await server $$!; \
	export BEAUTY_SEARCH_SERVER=$$(cat $(DEMO)/server.address); \
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

web: sample export ## A page to try it in a browser, on the sample catalogue; the server on PORT
	set -e; trap 'kill $$(jobs -p) 2> /dev/null; wait' EXIT; \
	$(BIN)/beauty-export index $(DEMO)/sample --output $(DEMO)/index --profile $(PROFILE); \
	$(BIN)/beauty-server --index $(DEMO)/index --port $(PORT) 2> $(DEMO)/server.log & \
	export BEAUTY_SEARCH_SERVER=localhost:$(PORT); \
	$(BIN)/beauty-search status --wait 60 > /dev/null; \
	$(BIN)/beauty-search web --catalogue $(DEMO)/sample

browser: ## Install the Chromium that the page's tests drive, if there is none (Debian, as root)
	command -v chromium > /dev/null || { apt-get update -qq && \
	  apt-get install -qq -y --no-install-recommends chromium > /dev/null; }

bench-search: setup ## Measure the exact search beside its peers; N=500000 rows
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[bench]'
	$(BIN)/python -m benchmarks.search --rows $(N)

triton: setup ## Serve model_repository/ by a real Triton on loopback, without Docker
	$(TRITON)

bench-evaluation: setup ## Measure the evaluation of N=500000 products by 100 described photos
	$(BIN)/python -m benchmarks.evaluation --rows $(N)

manifests: setup ## Render the Kubernetes manifests into build/manifests/ and check them
	$(BIN)/python -m deploy.policies --output build/manifests

build/deploy_checks/%/.installed: deploy/checks/%.txt # what deploy/policies and the tests check with
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/pip install --quiet --disable-pip-version-check -r $<
	touch $@

bench-text-index: setup ## Measure the text join beside its peers, and the whole build of the TI
	$(BIN)/python -m benchmarks.text_index

bench-serving: sample export ## Measure Triton beside onnxruntime in process
	$(BIN)/python -m benchmarks.serving

bench-perf-analyzer: export ## Measure Triton by NVIDIA's perf_analyzer
	$(TRITON) --setup-only
	$(BIN)/python -m benchmarks.perf_analyzer

clean: ## Remove what was built, models and environment included
	rm -rf build $(VENV) *.egg-info model_repository/*/1/model.onnx
