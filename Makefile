# Two commands do all set-up on a fresh Debian machine: `make demo` and `make test`.
SHELL := /bin/bash
export PATH := $(CURDIR)/.venv/bin:$(PATH)
CPP_BUILD := build/cpp
# Several sources in one compilation: half the time, for the same checks.
CPP_OPTIONS := -G Ninja -DCMAKE_UNITY_BUILD=ON -DCMAKE_UNITY_BUILD_BATCH_SIZE=10
# For each target.
FUZZ_SECONDS := 120
CPP_FILES = $(shell git ls-files 'runtime_cpp/*.cpp' 'runtime_cpp/*.hpp' 'benchmarks/*.cpp' 'benchmarks/*.hpp')

.PHONY: demo test check-slow fuzz lint tidy test-python test-cpp test-cpp-sanitized bench docs format venv-test \
  models test-python-here test-python-devices

demo:
	@tools/venv.sh
	@edgesmith fetch -q -p examples/digits & fetching=$$!; \
	  trap 'kill $$fetching 2> /dev/null' INT TERM; \
	  tools/venv.sh torch; installed=$$?; \
	  wait $$fetching || exit $$?; exit $$installed
	@edgesmith run -p examples/digits

test: venv-test lint test-cpp tidy test-cpp-sanitized test-python

venv-test:
	@tools/system_packages.sh
	@tools/venv.sh torch,examples,efficientnet,test

lint: venv-test
	ruff check builder tests benchmarks examples
	ruff format --check builder tests benchmarks examples
	mypy
	clang-format --dry-run --Werror $(CPP_FILES)

test-cpp: venv-test
	cmake -S . -B $(CPP_BUILD) $(CPP_OPTIONS) -DCMAKE_BUILD_TYPE=Release -DEDGESMITH_WERROR=ON \
	  -DCMAKE_EXPORT_COMPILE_COMMANDS=ON > /dev/null
	cmake --build $(CPP_BUILD)
	ctest --test-dir $(CPP_BUILD) --output-on-failure

tidy: test-cpp
	tools/clang_tidy.sh $(CPP_BUILD)

test-cpp-sanitized: venv-test
	@if command -v g++ > /dev/null; then \
	  cmake -S . -B $(CPP_BUILD)-sanitized $(CPP_OPTIONS) -DCMAKE_BUILD_TYPE=Debug \
	    -DCMAKE_CXX_COMPILER=g++ -DCMAKE_C_COMPILER=gcc -DEDGESMITH_SANITIZE=ON > /dev/null && \
	  cmake --build $(CPP_BUILD)-sanitized && \
	  ctest --test-dir $(CPP_BUILD)-sanitized --output-on-failure; \
	else echo "skipped: C++ tests under sanitizers need g++"; fi

# Side by side: each waits for compilers and devices of its own.
test-python: venv-test
	@$(MAKE) --no-print-directory -j 2 test-python-here test-python-devices

test-python-here: venv-test
	pytest tests/unit tests/integration

test-python-devices: venv-test
	pytest tests/device

check-slow: test fuzz
	pytest -m slow

fuzz: venv-test
	tools/fuzz.sh build/fuzz $(FUZZ_SECONDS)

bench: venv-test
	pip install --quiet --disable-pip-version-check -r benchmarks/requirements.txt
	pip install --quiet --disable-pip-version-check --no-deps -r benchmarks/requirements-alone.txt
	@for program in benchmarks/bench_*.py; do echo "== $$program"; (cd benchmarks && python $$(basename $$program)) || exit 1; done

# More options: make models MODELS='--only "ResNet-50"'
models: venv-test
	pip install --quiet --disable-pip-version-check --no-deps -r tests/model_table/requirements.txt
	PYTHONPATH=builder:tests python -m model_table $(MODELS)

docs: venv-test
	python -m edgesmith.project.reference .

format: venv-test
	ruff check --fix builder tests benchmarks examples
	ruff format builder tests benchmarks examples
	clang-format -i $(CPP_FILES)
