# Needs Python 3.11, 3.12 or 3.13 and make; everything else is installed into .venv.
# Another Python than the first fitting one: make PYTHON=/path/to/python3 install

.PHONY: help install run test test-processors test-reliability lint clean
.DEFAULT_GOAL := help

export PYTHON

help:
	@echo "make install   install into .venv"
	@echo "make run       install, then run the site (HOST, PORT: where it listens)"
	@echo "make test      install the development tools, then run every check"
	@echo "make test-processors   the engine's tests as on other processors (half an hour)"
	@echo "make test-reliability   one round of each fault injected into a running site, 12 minutes"
	@echo "make lint      ruff, mypy and import-linter only"
	@echo "make clean     remove what was installed and cached; instance/ stays"

install:
	@sh deploy/install.sh

run: install
	@exec .venv/bin/python -m deploy

test:
	@sh deploy/install.sh dev
	@exec .venv/bin/python -m tests

test-processors:
	@sh deploy/install.sh dev
	@exec .venv/bin/python -m tests.processors

test-reliability:
	@sh deploy/install.sh dev
	@exec .venv/bin/python -m tests.reliability

lint:
	@sh deploy/install.sh dev
	@exec .venv/bin/python -m tests lint

clean:
	rm -rf .venv build *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -not -path './instance/*' -prune -exec rm -rf {} +
