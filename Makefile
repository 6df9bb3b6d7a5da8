# make demo   records a real program, shows report and advice, and confirms the advice
# make test   builds and runs every test                make bench   prints the tables of measurements
# Both install from Debian what is missing, and say so. make help lists the rest.
BUILD ?= build/release
JOBS ?= $(shell nproc)

# cmake --install build/release --prefix /usr/local installs without a package.
.PHONY: help build demo test test-asan test-clang bench soak fuzz deb install-build install-test clean

help:
	@echo "make demo        build, record a real program, report, advise, confirm"
	@echo "make test        build and run every test"
	@echo "make test-asan   the tests under ASan and UBSan       make test-clang  build everything with clang"
	@echo "make bench       print the tables of measurements (minutes)"
	@echo "make soak        long random campaigns against the kernel and libc: SECONDS=600, or PROGRAMS=1000000"
	@echo "make fuzz        fuzz the readers of recordings, of ELF files and of lab scripts: SECONDS=60 each"
	@echo "make deb         a Debian package, in $(BUILD)"
	@echo "make build       only build, into $(BUILD)"

install-build:
	@scripts/install-dependencies build

install-test:
	@scripts/install-dependencies build test

build: install-build
	@mkdir -p $(BUILD)
	@cmake --preset release -B $(BUILD) >$(BUILD)/configure.log 2>&1 || { cat $(BUILD)/configure.log; exit 1; }
	@cmake --build $(BUILD) -j $(JOBS)

demo: build
	@demo/run $(BUILD)

test: install-test
	@scripts/test release $(JOBS)

test-asan: install-test
	@scripts/test sanitizers $(JOBS)

test-clang: install-test
	@scripts/install-dependencies sanitize
	@scripts/test clang $(JOBS)

bench:
	@scripts/install-dependencies build test bench
	@$(MAKE) --no-print-directory build
	@bench/run $(BUILD)
	@$(BUILD)/bench/policies/policies_bench --output docs/measurements/policies.md
	@bench/limits/run $(BUILD) --output docs/measurements/limits.md
	@bench/ledger/run $(BUILD) --output docs/measurements/ledger.md
	@bench/whatif/run $(BUILD) --output docs/measurements/whatif.md && cat docs/measurements/whatif.md
	@bench/whatif/threads $(BUILD) --output docs/measurements/whatif-threads.md && cat docs/measurements/whatif-threads.md

soak: build
	@scripts/soak $(BUILD) $(if $(PROGRAMS),$(PROGRAMS)p,$(or $(SECONDS),600)) $(SEED)

fuzz:
	@scripts/install-dependencies build sanitize
	@scripts/fuzz $(or $(SECONDS),60)

deb: build
	@scripts/install-dependencies package
	@cd $(BUILD) && cpack -G DEB >cpack.log 2>&1 || { cat cpack.log; exit 1; }
	@ls $(abspath $(BUILD))/faultline_*.deb

clean:
	rm -rf build
