# make run     sets everything up, starts the line on port 30005, sends the samples through, and keeps serving
# make test    installs what the tests need, and runs them all
# make lint    runs the linters; `make hooks` has git run them before each commit
# make docs    builds the documentation as a site, and checks its links
# Also: make demo (run, ending after the samples), models, samples, generate, bench, accuracy, train, lock, count, clean;
# images, push, deploy, test-kubernetes: containers, and a cluster.

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
TOOLS  := .setup/bin
DATA   ?= ../shared/data
MODEL  ?= resnet18-cifar10
ROUNDS ?= 3
WORKERS ?= detect=2
export PATH := $(CURDIR)/$(TOOLS):$(PATH)
export PIP_DISABLE_PIP_VERSION_CHECK = 1

.PHONY: run demo test lint bench accuracy train models samples lock clean setup setup-test setup-docs setup-train servers \
  images push deploy

run: models samples
	$(BIN)/stageline up --log stageline-data/line.log --samples samples

demo: models samples
	$(BIN)/stageline up --log stageline-data/line.log --samples samples --then-stop

# In CI, and with TRAIN=1, also what the comparisons with torch need (several gigabytes).
# Most tests wait for servers, so there are two workers to a core. The unit tier runs in processes of its own, whose guard
# allows no server; the chaos suite times faults, and runs alone.
JOBS     ?= $(shell echo $$((2 * $$(nproc 2>/dev/null || echo 2))))
PARALLEL := -n $(JOBS) --no-loadscope-reorder --durations=20
TIERS    := tests/page tests/integration tests/kubernetes
test: setup-test servers models $(if $(filter true,$(CI))$(TRAIN),setup-train)
	$(BIN)/python -m pytest -n auto tests/unit $(PYTEST) || test $$? = 5 # 5: PYTEST selects none of them
	$(BIN)/python -m pytest $(PARALLEL) $(TIERS) $(PYTEST) || test $$? = 5
	$(BIN)/python -m pytest --durations=20 tests/chaos $(PYTEST) || test $$? = 5

# What needs no server, no model and no network.
.PHONY: test-unit
test-unit: setup-test
	$(BIN)/python -m pytest -n auto tests/unit $(PYTEST)

# Branches of the line's own code that the tests take, in whatever process; fails below the share in pyproject.toml.
.PHONY: coverage
coverage: setup-test servers models $(if $(filter true,$(CI))$(TRAIN),setup-train)
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest -n auto tests/unit $(PYTEST)
	$(BIN)/coverage run -m pytest $(PARALLEL) $(TIERS) $(PYTEST)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

# On the cluster that KUBECONFIG names: see docs/testing-kubernetes.md. Its namespace `stageline` is made and deleted.
.PHONY: test-kubernetes
test-kubernetes: setup-test samples
	scripts/debian-packages.sh chromium=chromium chromedriver=chromium-driver curl=curl
	STAGELINE_TEST_KUBERNETES=1 $(BIN)/python -m pytest tests/kubernetes $(PYTEST)

# Everything in tests/chaos, the long tests too. CHAOS_PYTHON=…: of the package that is installed there.
.PHONY: test-chaos
test-chaos: setup-test servers models
	CHAOS=long $(BIN)/python -m pytest tests/chaos $(PYTEST)

# One campaign: pictures flow while faults fall. CAMPAIGN="--pictures 2000 --kills 200 --seed 7".
.PHONY: campaign
campaign: setup-test servers models
	$(BIN)/python -m tests.chaos.campaign $(CAMPAIGN)

# Changes the core a little here and a little there, and shows what no test notices. MUTANTS="stageline.pipeline.message*": some.
.PHONY: mutants
mutants: setup-test servers models
	$(BIN)/mutmut run $(MUTANTS)
	$(BIN)/mutmut results

# Dockerfiles, manifests and parts of other files, from the table of the line: docs/adding-a-stage.md.
.PHONY: generate
generate: setup-test
	$(BIN)/python -m scripts.generate

# Each of these is a hook of .pre-commit-config.yaml too.
.PHONY: lint-python lint-types lint-imports lint-generated lint-shell
lint: lint-python lint-types lint-imports lint-generated lint-shell

lint-python: setup-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

lint-types: setup-test
	$(BIN)/mypy

lint-imports: setup-test
	$(BIN)/lint-imports

lint-generated: setup-test
	$(BIN)/python -m scripts.generate --check

lint-shell: setup-test
	$(BIN)/shellcheck -x -P SCRIPTDIR .ci/run scripts/*.sh tests/kubernetes/standins/*.sh tests/kubernetes/standins/*/*.sh

# Git then runs, before each commit, the linters of what is committed.
.PHONY: hooks
hooks: setup-test
	$(BIN)/pre-commit install

# Warnings are errors: a link to a page, a heading or a file that is not there, too. DOCS_REPOSITORY_URL: docs/conf.py.
.PHONY: docs
docs: setup-docs
	$(BIN)/sphinx-build --builder html --conf-dir docs --fresh-env --fail-on-warning --quiet . build/docs
	@echo "the site: build/docs/index.html"

# Lines of code now and at an earlier revision: make count SINCE=v0.1.0.
.PHONY: count
count: setup-test
	$(BIN)/python scripts/count_lines.py $(SINCE)

bench: setup-train servers models
	$(BIN)/python -m benchmarks.line $(DATA)/coco128/images --rounds $(ROUNDS) --workers $(WORKERS)

accuracy: models
	$(BIN)/python -m benchmarks.accuracy $(DATA)/coco128
	$(BIN)/python -m benchmarks.classifiers $(DATA)/cifar10
	$(BIN)/python -m benchmarks.categories $(DATA)/coco128 --cifar10 $(DATA)/cifar10
	$(BIN)/python -m benchmarks.heads $(DATA)/coco128

# Goes on where it was stopped; see docs/training.md.
train: setup-train
	$(BIN)/python -m models.training $(MODEL) --data $(DATA)/cifar10 --outliers $(DATA)/coco128

models: setup
	$(BIN)/stageline models fetch || echo "the line runs without; see above" >&2

samples: setup
	$(BIN)/python scripts/samples.py requirements/samples.txt samples

# UPGRADE=all: everything moves to its newest release; UPGRADE=NAME: that package does.
lock: setup-test
	PATH="$(CURDIR)/$(BIN):$$PATH" scripts/lock.sh \
	  $(if $(UPGRADE),$(if $(filter all,$(UPGRADE)),--upgrade,--upgrade-package $(UPGRADE)))

servers: setup
	scripts/debian-packages.sh redis-server=redis-server pg_ctlcluster=postgresql chromium=chromium \
	  chromedriver=chromium-driver curl=curl git=git kubectl=kubernetes-client faketime=faketime rclone=rclone
	scripts/install-go-program.sh $(TOOLS) $(BIN)/pip minio kustomize docker-compose || \
	  { test "$(CI)" != true && echo "the tests that need these are skipped" >&2; }
	scripts/redis-6.2.sh $(TOOLS) $(BIN)/python || \
	  { test "$(CI)" != true && echo "the tests that need it are skipped" >&2; }

# With docker, podman or buildah, whichever is there. TAG=…, GPU=1 (also for CUDA); see scripts/images.sh.
images:
	scripts/images.sh build

push:
	scripts/images.sh push $(REGISTRY)

deploy:
	scripts/deploy.sh $(DEPLOY)

# What was uploaded, queued and found, in stageline-data, is the user's, and stays.
clean:
	rm -rf $(VENV) samples .setup

setup: $(BIN)/.line
setup-test: $(BIN)/.test
setup-docs: $(BIN)/.docs
setup-train: $(BIN)/.train

# Each file marks that its requirements were installed as they stand.
$(BIN)/.line: requirements/line.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
	  { echo "Python 3.11 or newer is needed, and $(PYTHON) is $$($(PYTHON) -V 2>&1): set PYTHON=…" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || scripts/debian-packages.sh need-venv=python3-venv
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { echo "$(PYTHON) has no venv: install python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --require-hashes -r requirements/line.txt
	$(BIN)/pip install --quiet --no-deps --editable .
	touch $@

$(BIN)/.test $(BIN)/.docs $(BIN)/.train: $(BIN)/.%: requirements/%.txt $(BIN)/.line
	$(BIN)/pip install --quiet --require-hashes -r requirements/$*.txt
	touch $@
