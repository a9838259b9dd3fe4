# make run        the whole pipeline, on the source that params.yaml names (the embedded corpus at first)
#                 DATA=a key of sources, MIRROR=folder or URL, VERIFY=false are written into params.yaml
# make tutorial   the tutorial's own protocol, on AG News unless DATA= says otherwise; MIRROR, VERIFY likewise
# make test       the tests
# make lint       ruff and mypy
# make bench      time and accuracy beside fastText, scikit-learn, Keras, lime and the tutorial, about 15 minutes;
#                 SOURCE=folder with train.csv and test.csv; writes bench/RESULTS.md
# make lock       pin the dependencies of pyproject.toml anew
# make clean      remove .venv, DVC's cache and what the stages wrote

PYTHON ?= python3
export PATH := $(CURDIR)/.venv/bin:$(PATH)
export PIP_CONSTRAINT := $(CURDIR)/requirements.lock
export PIP_BUILD_CONSTRAINT := $(CURDIR)/requirements.lock
export PIP_DISABLE_PIP_VERSION_CHECK := 1

SETTINGS = $(if $(DATA),data.source=$(DATA)) $(if $(MIRROR),data.mirror=$(MIRROR)) $(if $(VERIFY),data.verify=$(VERIFY))
TUTORIAL = data.source=ag_news build_vocab.fit_on=[train,test] train.shuffle=false train.validation_from=test train.seed=0 \
  variants.stems_32.patience=null  # which would choose by the test split

.PHONY: run tutorial test lint bench lock clean

run: .venv/run
	@python -m flaxtext.params $(SETTINGS)
	@dvc repro
	@python -m flaxtext.results

tutorial: .venv/run
	@python -m flaxtext.params $(TUTORIAL) $(SETTINGS)
	@dvc repro
	@python -m flaxtext.results

test: .venv/dev
	pytest

lint: .venv/dev
	ruff check .
	ruff format --check .
	mypy

bench: .venv/bench
	python -m bench $(if $(SOURCE),--source $(SOURCE))

lock: .venv/dev
	uv pip compile --quiet --universal --fork-strategy fewest --python-version 3.11 --upgrade \
	  --custom-compile-command 'make lock' --all-extras --output-file requirements.lock pyproject.toml

clean:
	rm -rf .venv .dvc/cache .dvc/tmp dvc_plots
	git clean -fdxq data -e inputs

.venv/run: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("flaxtext needs Python 3.11 or later; PYTHON=python3.12 make ... picks another")'
	$(PYTHON) -m venv .venv
	pip install --quiet --editable .
	@touch $@

.venv/dev: .venv/run
	pip install --quiet --editable '.[dev]'
	@touch $@

.venv/bench: .venv/run
	pip install --quiet --editable '.[bench]'
	@touch $@
