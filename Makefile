# Every target works on a fresh Linux machine with Python 3.11 or newer: the first one builds .venv from requirements.lock.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
.DELETE_ON_ERROR:
.PHONY: help setup demo test check bench app demo_corpus browser

BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
WORKERS ?= 2# processes of pytest
TEXT ?= demo_corpus# the folder of text that `make bench` reads
export TEXT

help:
	@echo "make setup   .venv with everything in it; tilth is .venv/bin/tilth"
	@echo "make demo    the whole flow on text of the installed packages, in under five minutes"
	@echo "make test    everything that can be checked here: make check, then the tests"
	@echo "make check   ruff (lint and format) and mypy"
	@echo "make bench   our speed beside datasketch, rensa and datatrove; TEXT=FOLDER gives the text"
	@echo "make app     the app on 127.0.0.1"

setup: .venv/complete
	@echo "tilth is $(BIN)/tilth"

demo: .venv/complete demo_corpus
	@$(BIN)/tilth run recipes/demo.yaml

demo_corpus: .venv/complete
	@$(BIN)/python recipes/demo_corpus.py $@

test: check browser
	@$(BIN)/python -m pytest --numprocesses $(WORKERS) --dist loadfile

check: .venv/complete
	@$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m mypy

bench: .venv/bench-complete demo_corpus
	@$(BIN)/python -m benchmarks.minhash "$$TEXT"
	$(BIN)/python -m benchmarks.signals "$$TEXT"
	$(BIN)/python -m benchmarks.loader

app: .venv/complete
	@$(BIN)/tilth app

# ── set-up ──

# The first Python that is new enough and can make an environment (Debian splits ensurepip off into python3-venv).
define find_python
python=
names=(python3 python3.14 python3.13 python3.12 python3.11)
if [ -n "$${PYTHON:-}" ]; then names=("$$PYTHON"); fi
for name in "$${names[@]}"; do
	if "$$name" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then python=$$name; break; fi
done
if [ -z "$$python" ]; then
	echo "Tilth needs Python 3.11 or newer with its venv module; $${names[0]} is: $$("$${names[0]}" --version 2>&1 || true)." >&2
	echo "Install one (Debian, Ubuntu: apt-get install python3 python3-venv), or name it: make PYTHON=/path/to/python3.11" >&2
	exit 1
fi
endef

# `.venv/complete` holds the folder it was made in: scripts and the editable install name it, so a checkout that was copied or
# moved would run the other one's code.
is_complete = [ "$$(cat .venv/complete 2>/dev/null)" = "$$(pwd -P)" ]
ifneq ($(shell $(is_complete) || echo elsewhere),)
.PHONY: .venv/complete
endif

# `.venv/unfinished` stands while the first packages go in: what an interrupted set-up left behind is thrown away, never
# believed. An update only takes `.venv/complete` away: if it fails, the next one installs into the same environment.
# torch goes in first and by its pin: asked for as plain `torch`, an index gives its newest CUDA build.
# DS_BUILD_OPS=0: deepspeed's archive would otherwise look for a compiler.
.venv/complete: requirements.lock pyproject.toml
	@exec 9>.venv.lock
	if command -v flock >/dev/null; then flock 9; fi
	if $(is_complete) && [ $@ -nt requirements.lock ] && [ $@ -nt pyproject.toml ]; then exit 0; fi
	$(find_python)
	if [ -e .venv/unfinished ]; then rm -rf .venv; fi
	if ! $(PIP) --version >/dev/null 2>&1; then
		echo "Setting up .venv from requirements.lock with $$("$$python" --version): once, about three minutes and 3 GB." >&2
		if [ ! -e .venv ]; then mkdir .venv; touch .venv/unfinished; fi
		"$$python" -m venv .venv
	fi
	rm -f $@
	$(PIP) install --constraint requirements.lock torch==2.13.0 setuptools
	DS_BUILD_OPS=0 $(PIP) install --no-build-isolation --requirement requirements.lock
	$(PIP) install --no-build-isolation --no-deps --editable .
	$(BIN)/python -m quality.compile
	$(BIN)/python -m mixer.compile
	rm -f .venv/unfinished
	pwd -P > $@

.venv/bench-complete: .venv/complete requirements-bench.lock
	@$(PIP) install --constraint requirements.lock --requirement requirements-bench.lock
	touch $@

# Browser tests drive Debian's Chromium. Where it cannot be installed they are skipped, but not in CI (tests/conftest.py).
browser:
	@if command -v chromium >/dev/null || command -v chromium-browser >/dev/null; then exit 0; fi
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
		echo "Installing Chromium for the browser tests." >&2
		(apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium) >/dev/null </dev/null \
			|| echo "Chromium could not be installed." >&2
	else
		echo "No Chromium: the browser tests are skipped. To run them: sudo apt-get install chromium" >&2
	fi
