# Every target sets itself up first: a virtual environment in .venv with the locked dependencies, no root.
BIN := .venv/bin
READY := .venv/.ready
COMPILED := .venv/.compiled
UV_VERSION := $(shell sed -n '/^name = "uv"$$/{n;s/^version = "\(.*\)"/\1/p;}' uv.lock)
CODE := nono tests benchmarks packaging docs/hooks hatch_build.py
# How many workers is tests/conftest.py's to say; PYTEST_XDIST_AUTO_NUM_WORKERS overrides it.
SIDE_BY_SIDE := --numprocesses=auto --dist=worksteal -rs
unexport PYTHONDONTWRITEBYTECODE # each worker would compile all tests anew
CHECKS := check-types check-style check-imports check-rules

.PHONY: help setup demo test test-agents test-unit test-kernel test-kernels test-confined test-long test-image soak hunt check fmt bench docs check-workflows packages image pin-image picture prices release notes freeze-filters freeze-policy golden clean

help: ## say what there is
	@sed -n 's/^\([a-z-]*\):.*## /  make \1  /p' Makefile

setup: $(READY) ## make the virtual environment

$(READY): pyproject.toml uv.lock
	@python=$$(sh tests/support/find-python) || exit 1; \
	echo "setting up .venv with $$($$python --version)"; \
	$$python -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check "uv==$(UV_VERSION)"
	@UV_PROJECT_ENVIRONMENT=.venv UV_SYSTEM_CERTS=1 $(BIN)/uv sync --frozen --quiet
	@touch $(READY)

# Most of what tests start is another user's, who cannot write bytecode: it would be compiled anew at each start. And
# every worker would compile all tests for itself.
$(COMPILED): $(READY)
	@$(BIN)/python -m compileall -q -j 0 .venv/lib nono tests/support >/dev/null & compiled=$$!; \
	$(BIN)/python -m pytest --collect-only -qq >/dev/null; collected=$$?; \
	wait $$compiled || true; exit $$collected # some packages ship what is no Python 3
	@$(BIN)/python -I -m nono.bytecode.writer
	@touch $(COMPILED)

demo: $(READY) ## show the main job without keys or Internet
	@$(BIN)/python -m tests.demo

test: $(COMPILED) ## run the suite side by side, as root or as an ordinary user; what is marked slow is for test-long (WITHOUT)
	@$(BIN)/python -m pytest $(SIDE_BY_SIDE) $(WITHOUT:%=--ignore=%)

test-agents: $(COMPILED) ## run what drives programs of npm and PyPI: real coding agents, the terminal of xterm.js
	@$(BIN)/python -m pytest $(SIDE_BY_SIDE) -m "fetched and not slow" $$(grep -rl 'mark\.fetched' --include='test_*.py' tests)

test-unit: $(COMPILED) ## run what needs no stage: one module at a time
	@$(BIN)/python -m pytest $(SIDE_BY_SIDE) tests/unit

test-kernel: $(READY) ## run what depends on who you are: kernel and attacks (MARKED)
	@[ -e $(COMPILED) ] || $(BIN)/python -I -m nono.bytecode.writer
	@[ -e $(COMPILED) ] || $(BIN)/python -m pytest --collect-only -qq tests/kernel tests/attacks >/dev/null
	@$(BIN)/python -m pytest $(SIDE_BY_SIDE) $(if $(MARKED),-m "$(MARKED)") tests/kernel tests/attacks

test-kernels: $(READY) ## run kernel, attack and ladder tests on real kernels under qemu, old and new (MACHINE, KERNELS, SELECTION, TESTS)
	@PYTHONPATH=tests $(BIN)/python -m guest --selection $${SELECTION:-full} $${TESTS:+--tests "$$TESTS"} \
		$(MACHINE:%=--machine=%) $(PROCESSORS:%=--processors=%) $(KERNELS)

test-confined: $(COMPILED) ## run the tests of the boundary on hosts that refuse namespaces, listeners or both (HOST, TESTS)
	@PYTHONPATH=tests $(BIN)/python -m confined $(HOST:%=--host=%) $(TESTS)

test-long: $(COMPILED) ## races and fuzzing with the full counts: minutes
	@NONO_TEST_LONG=1 $(BIN)/python -m pytest -m "slow or not slow" tests/attacks tests/unit tests/scenarios tests/e2e/test_agents.py tests/e2e/test_interactive_agents.py tests/e2e/test_login_capture.py tests/e2e/test_google_login.py tests/e2e/test_copilot_login.py tests/e2e/test_many_agents.py tests/e2e/test_launch.py tests/e2e/test_intercepted_tools.py tests/e2e/test_intercepted_languages.py tests/workday

soak: $(COMPILED) ## ten minutes of every kind of client (NONO_SOAK_S), and bodies of 4 GiB
	@NONO_SOAK_S=$${NONO_SOAK_S:-600} NONO_TEST_LONG=1 $(BIN)/python -m pytest -s tests/soak

hunt: $(COMPILED) ## look for what nobody thought of: random programs inside, random traffic (HUNT_S, ten minutes in all)
	@failed=0; for hunt in hunt hunt.traffic; do \
		HUNT_S=$$(($${HUNT_S:-600} / 2)) PYTHONPATH=tests $(BIN)/python -m $$hunt || failed=$$?; \
	done; exit $$failed

check: $(READY) ## what must be clean at every commit
	@$(MAKE) --no-print-directory --jobs --keep-going --output-sync $(CHECKS)

.PHONY: $(CHECKS)
check-types:
	@$(BIN)/mypy --no-error-summary
check-style:
	@$(BIN)/ruff check --quiet $(CODE)
	@$(BIN)/ruff format --quiet --check $(CODE)
check-imports:
	@$(BIN)/lint-imports --no-logo >/dev/null || $(BIN)/lint-imports
check-rules:
	@$(BIN)/python -m pytest -q tests/architecture

fmt: $(READY) ## format
	@$(BIN)/ruff check --quiet --fix $(CODE)
	@$(BIN)/ruff format --quiet $(CODE)

bench: $(READY) ## measure the budgets beside the peers; writes docs/benchmarks.md
	@$(BIN)/python -m benchmarks

# In environments of their own: help imports no dependency of nono, so the pages that are generated need none.
ALONE := UV_SYSTEM_CERTS=1 $(BIN)/uv run --frozen --quiet --isolated --only-group

docs: $(READY) ## build the site into site/; a broken link fails
	@NO_MKDOCS_2_WARNING=1 $(ALONE) docs python -m mkdocs build --strict --quiet

check-workflows: $(READY) ## compare workflows, the action and dependabot.yml with their schemas
	@$(ALONE) workflows check-jsonschema --quiet --builtin-schema vendor.github-workflows .github/workflows/*.yml
	@$(ALONE) workflows check-jsonschema --quiet --builtin-schema vendor.github-actions action.yml
	@$(ALONE) workflows check-jsonschema --quiet --builtin-schema vendor.dependabot .github/dependabot.yml

packages: $(READY) ## build wheel, sdist and, on Debian, a Debian package into dist/
	@rm -rf dist && mkdir dist
	@$(BIN)/python -m hatchling build -d dist >/dev/null
	@if command -v dpkg-deb >/dev/null && [ -x /usr/bin/python3 ]; then \
		$(BIN)/python packaging/debian.py dist/*.whl dist; \
	else echo "no Debian package: dpkg-deb and /usr/bin/python3 are needed"; fi
	@ls -lh dist

# What builds the image; TARGET names a stage of docker/Dockerfile, and IMAGE_FLAGS are the engine's own.
ENGINE ?= $(firstword $(foreach engine,podman docker,$(shell command -v $(engine))))
IMAGE ?= nono

image: $(READY) ## build the container image with podman or docker (TARGET=agent, IMAGE, BASE, IMAGE_FLAGS)
	@[ -n "$(ENGINE)" ] || { echo "make image needs podman or docker (Debian: apt install podman)" >&2; exit 1; }
	@rm -rf dist/image && mkdir -p dist/image
	@$(BIN)/python -m hatchling build -t wheel -d dist/image >/dev/null
	@$(BIN)/uv export --frozen --quiet --no-dev --no-emit-project --output-file dist/image/requirements.txt
	@$(ENGINE) build --file docker/Dockerfile --tag $(IMAGE) $(if $(TARGET),--target $(TARGET)) \
		$(if $(BASE),--build-arg BASE=$(BASE)) $(IMAGE_FLAGS) dist/image

test-image: $(COMPILED) ## build both images, and run nono and an agent in them
	@$(MAKE) --no-print-directory image
	@$(MAKE) --no-print-directory image TARGET=agent IMAGE=$(IMAGE)-agent
	@base=$(BASE); base=$${base:-$$(sed -n 's/^ARG BASE=//p' docker/Dockerfile)}; \
	NONO_TEST_IMAGE=$(IMAGE) NONO_TEST_BASE=$$base ENGINE=$(ENGINE) $(BIN)/python -m pytest -m slow tests/e2e/test_container.py

pin-image: ## pin the base of the image by the digest that its registry has today (skopeo)
	@sh docker/pin

picture: $(READY) ## draw docs/demo.svg anew, from what `make demo` shows
	@PYTHONPATH=. $(BIN)/python packaging/picture.py

prices: $(READY) ## write the list prices of models anew, from the table in a WHEEL of litellm
	@$(BIN)/python packaging/prices.py $(WHEEL)

release: $(READY) ## write the version that VERSION names, and the day, into code, pages and changelog (RELEASING.md)
	@$(BIN)/python packaging/release.py $(VERSION)

notes: $(READY) ## print what the changelog says of VERSION
	@$(BIN)/python packaging/release.py --notes $(VERSION)

freeze-filters: $(READY) ## build the seccomp programs anew with libseccomp
	@$(BIN)/python -m nono.kernel.filters.freeze

freeze-policy: $(READY) ## write the shipped groups and the shapes of profiles as modules anew
	@$(BIN)/python -m nono.policy.builtin.freeze
	@$(BIN)/python -m nono.policy.schema.freeze

golden: $(READY) ## write down anew what the shipped profiles and the help come to; look at the difference
	@PYTHONPATH=tests $(BIN)/python -m support.profiles.golden
	@PYTHONPATH=tests $(BIN)/python -m support.help.pages
	@PYTHONPATH=tests $(BIN)/python -m support.help.mistakes

clean: ## remove what the targets above have made
	rm -rf .venv dist site .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .guest
