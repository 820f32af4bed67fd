# `make` prints the targets in the order in which people need them. Each does its own set-up.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.SILENT:

PYTHON  ?= python3
PROFILE ?= lite
READER  ?= ppocr
ENGINE  ?= embedded
DATA    ?= build/demo/sample
INDEX   ?= build/demo/index
PORT    ?= 50051
N       ?= 500000
ROWS    ?= 2000000
INPUTS  ?= 36000
MINUTES ?= 30
STORE   ?=
METHODS ?=
DATABASE ?=

VENV   := .venv
BIN    := $(VENV)/bin
PIP    := pip install -qq --disable-pip-version-check
TRITON := $(BIN)/python deploy/local_triton/serve.py --model-repository model_repository

.PHONY: $(shell sed -nE 's/^([a-z-]+):.*##.*/\1/p' $(MAKEFILE_LIST))

help: ## Print this list
	awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-20s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# To try it

demo: sample export ## From nothing to a photo's seven products; ENGINE=triton, or STORE=the address of a store
	$(BIN)/python deploy/demo.py search --profile $(PROFILE) --engine $(ENGINE) $(if $(STORE),--store $(STORE))

test: setup ## Run the tests
	$(BIN)/pytest

test-milvus: setup ## Compare the answers of a Milvus server with those of files; MILVUS=HOST:PORT
	TEST_MILVUS=$(or $(MILVUS),127.0.0.1:19530) $(BIN)/python -m pytest -q -k "store or approximate" \
	  tests/retrieval_server/stores/test_milvus.py tests/retrieval_server/stores/test_store_calls.py \
	  tests/retrieval_server/retrieval/test_groups.py tests/retrieval_server/serving/test_change_calls.py \
	  tests/retrieval_server/changes/test_changed_index.py \
	  tests/retrieval_server/stores/test_approximate_index.py

test-milvus-restart: setup ## Kill a Milvus under searches and changes; MILVUS_SERVER=COMMAND that answers at MILVUS
	TEST_MILVUS=$(or $(MILVUS),127.0.0.1:19530) TEST_MILVUS_SERVER="$(MILVUS_SERVER)" \
	  $(BIN)/python -m pytest -q -s tests/retrieval_server/stores/test_milvus_restart.py

web: sample export ## Open the search in a browser, on the sample catalogue; the server on PORT
	$(BIN)/python deploy/demo.py web --profile $(PROFILE) --engine $(ENGINE) --port $(PORT)

# To use it on a catalogue

setup: $(VENV)/.installed ## Install everything into .venv, at the versions of constraints.txt

$(VENV)/.installed: pyproject.toml constraints.txt
	echo "Installing into $(VENV), which takes some minutes the first time" >&2
	$(PYTHON) -m venv $(VENV)
	$(BIN)/$(PIP) -c constraints.txt -e '.[dev]'
	$(BIN)/python -m retrieval_server.exact_search.warm_up # fills numba's cache
	$(BIN)/python -c "from export.text_index.build import warm_up; warm_up()"
	$(BIN)/python -c "from retrieval_server.reading.reader import compile_reader; compile_reader()"
	touch $@

sample: setup ## Render the sample catalogue
	$(BIN)/beauty-export sample build/demo/sample

export: setup ## Export the models of PROFILE (lite) and READER to model_repository/; READER= for none
	$(BIN)/beauty-export onnx --profile $(PROFILE) $(if $(READER),--reader $(READER))

index: export ## Build INDEX from the catalogue in DATA
	$(BIN)/beauty-export index $(DATA) --output $(INDEX) --profile $(PROFILE)

evaluate: export ## Measure mAP@7 on the dataset in DATA
	$(BIN)/beauty-export evaluate $(DATA) --profile $(PROFILE)

serve: setup ## Serve INDEX on PORT
	$(BIN)/beauty-server --index $(INDEX) --port $(PORT)

triton: setup ## Serve model_repository/ by a real Triton on loopback, without Docker
	$(TRITON)

# To change it

lint: setup build/deploy_checks/audit/.installed ## Check style, types, imports, and known vulnerabilities
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	build/deploy_checks/audit/bin/python deploy/checks/audit.py constraints.txt

format: setup ## Format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

browser: ## Install the Chromium that the page's tests drive, if there is none (Debian, as root)
	command -v chromium > /dev/null || { apt-get update -qq && \
	  apt-get install -qq -y --no-install-recommends chromium > /dev/null; }

proto: setup ## Generate the gRPC stubs
	$(BIN)/python -m grpc_tools.protoc -I . --python_out=. --pyi_out=. --grpc_python_out=. \
	  retrieval_server/v1/retrieval.proto

golden: export ## Write the golden descriptors of profile lite anew; review the difference
	$(BIN)/python -m tests.golden.descriptors
	git --no-pager diff --stat tests/golden

pictures: setup ## Draw the pictures of docs/ anew, after a change of the levels
	$(BIN)/python -m benchmarks.level_picture

fuzz: setup ## Read 300,000 inputs that nobody wrote, guided by coverage; INPUTS=36000 for each reader
	$(BIN)/python -m tests.fuzz --inputs $(INPUTS) --findings build/fuzz

soak: setup ## Search and change for MINUTES=30, a fault every 20 s: nothing wrong, lost or leaked
	$(BIN)/python -m tests.soak --minutes $(MINUTES)

try-feeds: sample export ## Index the sample catalogue as shops, spreadsheets and data frames export it
	$(BIN)/python -m tests.support.export.feeds $(DATA) --profile $(PROFILE) \
	  --model-repository model_repository

manifests: setup ## Render the Kubernetes manifests into build/manifests/ and check them
	$(BIN)/python -m deploy.policies --output build/manifests

images: export ## Build the three images with Docker, with the models of PROFILE
	PROFILE=$(PROFILE) docker compose --file deploy/compose.yaml --profile index build

images-test: export ## Build the images of PROFILE without Docker and run them (Debian, as root)
	{ command -v buildah && command -v mmdebstrap; } > /dev/null || { apt-get update -qq && \
	  apt-get install -qq -y --no-install-recommends buildah mmdebstrap iproute2 > /dev/null; }
	PROFILE=$(PROFILE) $(BIN)/pytest -m images tests/images

control-plane-test: setup ## Run the guide's commands for Kubernetes on a real API server (Debian 12)
	$(BIN)/pytest -m control_plane tests/control_plane

build/deploy_checks/%/.installed: deploy/checks/%.txt # what deploy/policies and the tests check with
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/$(PIP) -r $<
	touch $@

build/reading_peer/.installed: benchmarks/reading_peer.txt # what the reader is compared with
	$(PYTHON) -m $(PIP) --no-deps --upgrade --target $(@D) -r $<
	touch $@

build/word_peers/.installed: benchmarks/word_peers.txt # hybrid searches, for bench-words
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/$(PIP) -r $<
	touch $@

# promtool tests the rules: this machine's, or Debian's, of which nothing is installed.
build/deploy_checks/promtool/.installed:
	mkdir -p $(@D)/bin
	if command -v promtool > /dev/null; then ln -sf "$$(command -v promtool)" $(@D)/bin/; else \
	  cd $(@D) && { apt-get -qq download prometheus 2> /dev/null || \
	    { apt-get update -qq && apt-get -qq download prometheus; }; } && \
	  dpkg-deb --fsys-tarfile prometheus_*.deb | tar -x -C bin --strip-components=3 ./usr/bin/promtool && \
	  rm prometheus_*.deb; fi
	touch $@

# To measure it

bench-search: setup ## Measure the exact search beside its peers; N=500000 rows, DATABASE=first or second, or both
	$(BIN)/$(PIP) -c constraints.txt -e '.[bench]'
	$(BIN)/python -m benchmarks.search --rows $(N) --methods '$(METHODS)' \
	  $(if $(DATABASE),--database $(DATABASE))

bench-growth: setup ## Measure the exact search from 50,000 products on, and the server with ROWS=2000000
	$(BIN)/python -m benchmarks.search_growth --rows $(ROWS)

bench-filters: setup ## Measure filtered searches beside unfiltered ones and peers; N=500000 rows
	$(BIN)/$(PIP) -c constraints.txt -e '.[bench]'
	$(BIN)/python -m benchmarks.filters --rows $(N)
	$(BIN)/python -m benchmarks.groups --rows $(N)

bench-scale-out: setup ## Measure the search in files beside a Milvus at STORE; N=500000 rows
	$(BIN)/python -m benchmarks.stores --rows $(N) --store $(or $(STORE),milvus://localhost:19530/bench)

bench-changes: setup ## Measure upserts, searches and a compaction of a catalogue that changes; N=500000 rows
	$(BIN)/python -m benchmarks.changes --rows $(N)

bench-words: setup build/word_peers/.installed ## Measure searches with words beside searches without; N=500000 rows
	$(BIN)/python -m benchmarks.words --rows $(N)

bench-typed-words: index ## Compare rules for typed words by mAP@7, on the dataset in DATA
	$(BIN)/python -m benchmarks.typed_words $(DATA) --index $(INDEX)

bench-read-words: index ## Compare ways to weigh the lines on photos by mAP@7, on the dataset in DATA
	$(BIN)/python -m benchmarks.read_words $(DATA) --index $(INDEX)

bench-text-index: setup ## Measure the text join beside its peers, and the whole build of the TI
	$(BIN)/python -m benchmarks.text_index

bench-text-shards: setup ## Measure the join of texts by pairs of shards beside the join on one machine
	$(BIN)/python -m benchmarks.text_shards

bench-evaluation: setup ## Measure the evaluation of N=500000 products by 100 described photos
	$(BIN)/python -m benchmarks.evaluation --rows $(N)

bench-serving: index ## Measure Triton and OpenVINO beside onnxruntime, and what the server itself costs
	$(BIN)/python -m benchmarks.serving
	$(BIN)/python -m benchmarks.describing
	$(BIN)/python -m benchmarks.own_cost --index $(INDEX) --catalogue $(DATA)

bench-overload: index ## Measure a server that is offered up to eight times its capacity
	$(BIN)/python -m benchmarks.overload --index $(INDEX) --catalogue $(DATA)

rolling-restart: index ## Count the calls that fail while three servers are restarted and one is killed
	$(BIN)/python -m benchmarks.rolling_restart --index $(INDEX) --catalogue $(DATA)

bench-decoding: setup ## Measure the decoding of photos: time, and memory of the largest images
	$(BIN)/python -m benchmarks.decoding

bench-reading: export ## Measure the reader beside the library that brings its models
	$(BIN)/beauty-export onnx --profile $(PROFILE) --reader ppocr
	$(BIN)/python -m benchmarks.reading

bench-perf-analyzer: export ## Measure Triton by NVIDIA's perf_analyzer
	$(TRITON) --setup-only
	$(BIN)/python -m benchmarks.perf_analyzer

clean: ## Remove what was built, models and environment included
	rm -rf build $(VENV) *.egg-info model_repository/*/1/model.onnx model_repository/*/1/alphabet.txt
