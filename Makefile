# Needs Python 3.11, 3.12 or 3.13 and make; everything else is installed into .venv.
# PYTHON=/path/to/python3 chooses another Python than the first that fits, and TORCH_INDEX_URL=...
# the package index that PyTorch is taken from.

.PHONY: help install install-dev run test test-processors test-reliability lint clean FORCE
.DEFAULT_GOAL := help

PIP = .venv/bin/python -m pip --disable-pip-version-check --no-input install
# Prints a digest of all that an environment is made for; fails where this Python does not fit.
MADE_FOR = import ensurepip, hashlib, os, sys, venv; \
	fits = (3, 11) <= sys.version_info[:2] <= (3, 13); \
	made_for = sys.version, sys.base_prefix, os.getcwd(), os.getenv("TORCH_INDEX_URL", ""); \
	sys.exit(not fits or print(hashlib.sha256(ascii(made_for).encode()).hexdigest()))

help:
	@echo "make install   install into .venv"
	@echo "make run       install, then run the site (HOST, PORT: where it listens)"
	@echo "make test      install the development tools, then run every check"
	@echo "make test-processors   the engine's tests as on other processors (half an hour)"
	@echo "make test-reliability   one round of each fault injected into a running site, 12 minutes"
	@echo "make lint      ruff, mypy and import-linter only"
	@echo "make clean     remove what was installed and cached; instance/ stays"

# Two commands started together install one after the other, where there is flock.
install install-dev:
	@exec 9< pyproject.toml; ! command -v flock > /dev/null || flock 9; \
	exec $(MAKE) --no-print-directory .venv/.$@

# Candidates are asked by running them: version managers leave commands that exist and do not run.
.venv/.made: FORCE
	@set -- "$$PYTHON"; [ -n "$$1" ] || set -- python3 python3.12 python3.11 python3.13; \
	for python; do made_for=$$("$$python" -c '$(MADE_FOR)' 2> /dev/null) && break; done; \
	if [ -z "$$made_for" ]; then \
	    echo "No Python 3.11, 3.12 or 3.13 with its venv module (tried $$*); install one (Debian:" \
	        "apt install python3-venv) or name it: make PYTHON=/path/to/python3 install" >&2; \
	    exit 1; \
	fi; \
	[ "$$made_for" = "$$(cat $@ 2> /dev/null)" ] || \
	    { "$$python" -m venv --clear .venv && echo "$$made_for" > $@; }

# Packages that an interrupted pip left in halves look installed to the next one. So .made is away
# while pip works, and without it the environment is made anew.
.venv/.install-dev: EXTRAS = [dev]
.venv/.install .venv/.install-dev: .venv/.made pyproject.toml constraints.txt
	@echo "Installing into $(CURDIR)/.venv; the first time this takes some minutes." >&2
	@mv .venv/.made .venv/.unfinished
	@trap 'exit 1' INT; exec >&2; \
	{ [ -z "$$TORCH_INDEX_URL" ] || \
	    $(PIP) --index-url "$$TORCH_INDEX_URL" $$(grep '^torch' constraints.txt); } && \
	    $(PIP) -c constraints.txt -e '.$(EXTRAS)'; \
	status=$$?; [ $$status -gt 128 ] || mv .venv/.unfinished .venv/.made; \
	[ $$status = 0 ] || \
	    { echo "Installing failed: pip says why, above. 'make install' tries again."; exit 1; }
	@touch .venv/.install $@

run: install
	@exec .venv/bin/python -m deploy

test: install-dev
	@exec .venv/bin/python -m tests

test-processors: install-dev
	@exec .venv/bin/python -m tests.processors

test-reliability: install-dev
	@exec .venv/bin/python -m tests.reliability

lint: install-dev
	@exec .venv/bin/python -m tests lint

clean:
	rm -rf .venv build *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .coverage
	find . -name __pycache__ -type d -not -path './instance/*' -prune -exec rm -rf {} +
