# make setup      install what run needs, and run nothing; GLOVE=1: and GloVe's vectors, for build_vocab.vectors: glove
# make run        the whole pipeline, on the source that params.yaml names (the embedded corpus at first); it ends with
#                 the variant to take and why
#                 DATA=a key of sources, MIRROR=folder or URL, VERIFY=false are written into params.yaml
# make tutorial   the tutorial's own protocol, on AG News unless DATA= says otherwise; MIRROR, VERIFY likewise
# make sweep      try settings of VARIANT for BUDGET minutes, and rank them by validation accuracy; the test split is not
#                 read; GRID="learning_rate=0.002,0.005 embed_dim=20,50" says which
# make test       the tests that prove every part, at most 5 minutes on two cores
# make test-all   those, then the slow ones, at most 12 minutes more: what CI runs
# make stress     what takes an hour: by hand, before a release; the last part is 20,000 damaged files
# make lint       ruff and mypy
# make bench      time and accuracy beside fastText, scikit-learn, Keras, lime and the tutorial, about 15 minutes;
#                 SOURCE=folder with train.csv and test.csv; writes bench/RESULTS.md
# make lock       pin the dependencies of pyproject.toml anew, for each Python the newest versions that run on it
# make clean      remove .venv, DVC's cache and what the stages wrote

PYTHON ?= python3
export PATH := $(CURDIR)/.venv/bin:$(PATH)
# A URL, because pip splits these two at spaces, and the path of this folder may contain some.
EMPTY :=
HASH := \#
LOCK := file://$(subst ?,%3F,$(subst $(HASH),%23,$(subst $(EMPTY) ,%20,$(subst %,%25,$(CURDIR)))))/requirements.lock
export PIP_CONSTRAINT := $(LOCK)
export PIP_BUILD_CONSTRAINT := $(LOCK)
export PIP_DISABLE_PIP_VERSION_CHECK := 1

SETTINGS = $(if $(DATA),data.source=$(DATA)) $(if $(MIRROR),'data.mirror=$(MIRROR)') $(if $(VERIFY),data.verify=$(VERIFY))
TUTORIAL = data.source=ag_news build_vocab.tokenizer=keras build_vocab.fit_on=[train,test] build_vocab.max_words=null build_vocab.min_count=1 \
  build_vocab.vectors=null vectorize.validation=0.0 \
  train.max_len=50 train.epochs=15 train.batch_size=1024 train.optimizer=adam train.learning_rate=0.001 \
  train.schedule=constant train.hidden=100 train.label_smoothing=0.0 train.word_dropout=0.0 train.class_weights=null \
  train.seed=0 train.seeds=1 train.shuffle=false train.validation_from=test train.patience=null train.min_steps=0 \
  train.loss=cross_entropy train.patience_steps=0 train.calibrate=false \
  'variants.average_20={pooling: padded_mean, embed_dim: 20}' 'variants.sum_20={pooling: padded_sum, embed_dim: 20}' \
  variants.*.max_len=50 variants.*.patience=null variants.*.calibrate=false variants.*.pretrained=false

VARIANT = sum_20
BUDGET = 10
GRID = learning_rate=0.002,0.005,0.01 embed_dim=20,50 label_smoothing=0.0,0.1 word_dropout=0.0,0.3

PYTEST = pytest --numprocesses auto --maxprocesses 8 --dist loadfile --no-loadscope-reorder

.PHONY: setup run tutorial sweep test test-all stress lint bench lock clean

setup: .venv/run $(if $(GLOVE),.venv/glove)

# --all-pipelines: there is one, and DVC then reads dvc.yaml and dvc.lock once and not twice
run: .venv/run
	@flaxtext set $(SETTINGS)
	@dvc repro --all-pipelines
	@flaxtext results
	@echo
	@flaxtext advise

tutorial: .venv/run
	@flaxtext set $(TUTORIAL) $(SETTINGS)
	@dvc repro --all-pipelines
	@flaxtext results

sweep: .venv/run
	@flaxtext sweep $(VARIANT) --minutes $(BUDGET) $(GRID)

test: .venv/dev
	$(PYTEST)

test-all: test
	$(PYTEST) -m slow

stress: .venv/dev
	$(PYTEST) -m stress
	python -m tests.fuzz

lint: .venv/dev
	ruff check .
	ruff format --check .
	mypy

bench: .venv/bench
	python -m bench $(if $(SOURCE),--source $(SOURCE))

lock: .venv/dev
	uv pip compile --quiet --universal --fork-strategy requires-python --python-version 3.11 --upgrade \
	  --custom-compile-command 'make lock' --all-extras --output-file requirements.lock pyproject.toml

clean:
	rm -rf .venv .dvc/cache .dvc/tmp dvc_plots
	git clean -fdxq data -e inputs

.venv/run: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("flaxtext needs Python 3.11 or later; PYTHON=python3.12 make ... picks another")'
	$(PYTHON) -m venv .venv
	pip install --quiet --editable '.[pipeline]'
	@touch $@

.venv/glove: .venv/run
	pip install --quiet --editable '.[glove]'
	@touch $@

.venv/dev: .venv/run
	pip install --quiet --editable '.[dev]'
	@touch $@

.venv/bench: .venv/run
	pip install --quiet --editable '.[bench]'
	@touch $@
