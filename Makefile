# gradspec: `make demo` and `make test` are all a newcomer needs; the rest is for daily work.

# The newest supported Python on the PATH that runs and can make environments; make PYTHON=/path/to/python takes another.
PYTHON ?= $(shell for version in 3.13 3.12 3.11; do python$$version -c "import ensurepip, venv" 2> /dev/null && \
  echo python$$version && break; done)
CORES ?= 2
CONFIG ?= config/config.yaml
# What has torch for CUDA, as in an image of PyTorch; nothing is installed.
GPU_PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SNAKEMAKE := $(BIN)/snakemake --cores $(CORES) --rerun-incomplete --configfile $(CONFIG)
RESULTS = $(shell $(BIN)/python -c "import yaml; print(yaml.safe_load(open('$(CONFIG)')).get('results', 'results'))")

export NO_ET := 1
export NIPYPE_NO_ET := 1

.PHONY: demo check run fetch report figures crate test test-kernels test-gpu test-long test-networks test-fast lint format docs site \
  picture lock image clean help

help:  ## say what can be made
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/ -/' | sort

demo: run report  ## run the whole workflow on the demo cohort, from raw BIDS to the report

check: $(VENV)/.installed  ## look at the cohort of CONFIG before a run: who would be used, who not, and why
	$(SNAKEMAKE) check
	@echo "Open $(RESULTS)/check.html"

run: $(VENV)/.installed  ## run the workflow on CONFIG with CORES cores
	$(SNAKEMAKE)

fetch: $(VENV)/.installed  ## download the public data that CONFIG names; nothing else uses the network
	$(SNAKEMAKE) --snakefile workflow/fetch.smk

report: $(VENV)/.installed  ## write the report of the results of CONFIG
	@if [ ! -e "$(RESULTS)/report.html" ] || [ -n "$$(find "$(RESULTS)/figures" "$(RESULTS)/stats" workflow/report -newer "$(RESULTS)/report.html" -type f | head -n 1)" ]; then \
	  $(SNAKEMAKE) --report "$(RESULTS)/.partial-report.html" --report-stylesheet workflow/report/report.css && \
	  PYTHONPATH=workflow $(BIN)/python -m gradspec.figures.report "$(RESULTS)/.partial-report.html" && \
	  mv "$(RESULTS)/.partial-report.html" "$(RESULTS)/report.html"; fi
	@echo "The report is at $(RESULTS)/report.html"

figures: $(VENV)/.installed  ## draw all figures again from RESULTS, a folder that may have been copied here, and nothing else
	$(BIN)/snakemake --cores $(CORES) --snakefile workflow/redraw.smk --configfile "$(RESULTS)/config.json" \
	  --config results="$(RESULTS)" --forceall

crate: $(VENV)/.installed  ## write the provenance of the results of CONFIG beside them, as an RO-Crate
	$(BIN)/snakemake --configfile $(CONFIG) --detailed-summary > "$(RESULTS)/.partial-summary"
	PYTHONPATH=workflow $(BIN)/python -m gradspec.crate "$(RESULTS)/.partial-summary" "$(RESULTS)"; \
	  status=$$?; rm -f "$(RESULTS)/.partial-summary"; exit $$status

test: $(VENV)/.installed $(VENV)/clusters/.installed $(VENV)/storage/.installed  ## run all tests, the whole workflow on a small cohort included
	$(BIN)/python -m pytest -n 2 tests/unit tests/security tests/browser
	$(BIN)/python -m pytest tests/workflow tests/faults tests/conda tests/cluster

test-kernels: $(VENV)/.installed  ## run the tests of the numbers again, under the kernels of another processor
	$(BIN)/python tests/kernels.py $(BIN)/python -m pytest -n 2 tests/unit/stats tests/unit/ica tests/unit/spectra

test-gpu:  ## check everything that needs a CUDA device, with the packages of GPU_PYTHON (python3): one table, at most 8 minutes
	$(GPU_PYTHON) tests/gpu

test-long: $(VENV)/.installed $(VENV)/clusters/.installed  ## run the tests that take minutes: whole cohorts twice, twenty kills
	$(BIN)/python -m pytest -m long tests

test-networks: $(VENV)/.installed  ## record public networks, of tests/networks/requirements.txt, which has to be installed
	$(BIN)/python -m pytest -m networks tests/networks

test-fast: $(VENV)/.installed  ## run the unit tests only
	$(BIN)/python -m pytest -n 2 tests/unit -m "not slow and not long"

lint: $(VENV)/.installed  ## check the code without running it
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check Snakefile workflow
	$(BIN)/mypy
	$(BIN)/snakemake --lint

format: $(VENV)/.installed  ## bring the code into the house's format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/snakefmt Snakefile workflow

docs: $(VENV)/.installed  ## write what is made from the code: config/README.md, the features in results/README.md
	PYTHONPATH=workflow $(BIN)/python -m gradspec.config_docs
	PYTHONPATH=workflow $(BIN)/python -m gradspec.spectra.definitions

site: $(VENV)/.installed  ## build the documentation below build/site, without network
	$(BIN)/python -m sphinx --builder html --fail-on-warning --keep-going --quiet docs build/site
	@echo "The documentation is at build/site/index.html"

picture: demo  ## show the main figure of the demo in the README and the documentation
	cp $(RESULTS)/figures/main.png docs/_static/main-figure.png

lock: pyproject.toml  ## solve pyproject.toml anew into requirements.lock (needs uv)
	{ sed -n '/^#/p' requirements.lock; uv pip compile --quiet --python-version 3.11 --no-annotate --no-header \
	  --extra workflow --extra fetch --extra docs --extra dev pyproject.toml | sed 's/+cpu//'; } > .partial.lock
	mv .partial.lock requirements.lock
	@echo "Now make an environment of each supported Python and run its python with: tests/wheels.py record"

$(VENV)/.installed: requirements.lock
	@test -n "$(PYTHON)" || { echo "No Python from 3.11 to 3.13 on the PATH: install one, or name it: make PYTHON=/path/to/python3.12"; exit 1; }
	$(PYTHON) tests/wheels.py
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	touch $@

# Beside the environment, not in it: see the files. Only the tests of the profiles and of object storage look there.
$(VENV)/%/.installed: requirements-%.lock $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade --no-deps --target $(VENV)/$* -r $<
	touch $@

image:  ## build the image of Containerfile, and gradspec.sif from it for --sdm apptainer (needs podman and apptainer)
	podman build --tag gradspec .
	podman save --format docker-archive --output .partial-image.tar gradspec
	apptainer build --force gradspec.sif docker-archive:.partial-image.tar
	rm .partial-image.tar

clean:  ## remove the environment and what tools left; results stay
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis
