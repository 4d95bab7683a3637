# Doorline. `make run` starts it on this machine; `make test` checks everything.

SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help run build deb test lint faults soak bench bench-quality prompts clean

# How long each fuzz target runs in `make test`.
FUZZ_SECONDS ?= 60
# The same inputs each time, so that a red run is one that anybody can repeat; by hand with others: FUZZ_SEED=2.
FUZZ_SEED ?= 1

# Where rustup puts cargo on a machine that had none.
export PATH := $(HOME)/.cargo/bin:$(PATH)

# What a build needs beside Rust: a C compiler for SQLite, CMake for libopus.
BUILD_NEEDS := cc=build-essential c++=build-essential cmake=cmake
# What the tests need too: real SIPp, baresip and Kamailio, Python for the prompts' scripts, a mail server and a calendar
# reader, and Prometheus' own judge of alert rules.
TEST_NEEDS := $(BUILD_NEEDS) sipp=sip-tester baresip=baresip-core kamailio=kamailio python3=python3 flite=flite pg_ctlcluster=postgresql \
  promtool=prometheus

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 10

run: build ## build and start the demo on loopback; ARGS="--sip-port 5070" goes to doorline demo
	./target/release/doorline demo $(ARGS)

build: ## build the release binary, target/release/doorline
	@tools/need $(BUILD_NEEDS)
	@tools/need-rust
	cargo build --release --locked

deb: build ## a Debian package in target/debian, with man page and completions
	@cargo deb --version >/dev/null 2>&1 || { \
	  echo "installing cargo-deb with cargo" >&2; cargo install --locked cargo-deb; }
	mkdir -p target/deb
	./target/release/doorline man > target/deb/doorline.1
	for shell in bash zsh fish; do ./target/release/doorline completions $$shell > target/deb/doorline.$$shell; done
	cargo deb --locked --no-build --strip

lint: ## formatting and clippy, warnings are errors
	@tools/need $(BUILD_NEEDS)
	@tools/need-rust rustfmt clippy
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings

test: lint ## everything: lints, documentation examples, all tests, real SIPp, a minute of fuzzing each; the summary comes last
	@tools/need $(TEST_NEEDS)
	@python3 -c "import ensurepip" 2>/dev/null || tools/need pyvenv=python3-venv
	@ls /usr/lib/*/kamailio/modules/tls.so >/dev/null 2>&1 || tools/need kamailio-tls=kamailio-tls-modules
	@cargo nextest --version >/dev/null 2>&1 || { \
	  echo "installing cargo-nextest with cargo" >&2; cargo install --locked cargo-nextest; }
	cargo test --locked --doc --quiet
	DOORLINE_FUZZ_SECONDS=$(FUZZ_SECONDS) DOORLINE_FUZZ_SEED=$(FUZZ_SEED) cargo nextest run --locked --profile ci

faults: ## what must hold when something fails, the long forms; ends with a table of figures. MINUTES=30 of soak
	@tools/need $(TEST_NEEDS)
	MINUTES=$(or $(MINUTES),30) tools/faults

soak: ## half an hour of callers who come and go; prints what is left behind. MINUTES=30
	DOORLINE_SOAK_MINUTES=$(or $(MINUTES),30) DOORLINE_LONG=1 cargo test --locked --test faults \
	  callers_who_come_and_go -- --nocapture

bench-quality: ## how speech sounds after bad lines (PESQ); prints a table
	@tools/need flite=flite python3=python3
	@python3 -c "import ensurepip" 2>/dev/null || tools/need pyvenv=python3-venv
	cargo bench --locked --bench quality

bench: ## benchmarks; prints tables and ratios
	@tools/need $(BUILD_NEEDS)
	@tools/need-rust
	cargo bench --locked

prompts: ## render the prompts anew after a change of words (needs flite and espeak-ng)
	@tools/need flite=flite espeak-ng=espeak-ng python3=python3
	python3 prompts/sounds.py prompts/en-GB
	cargo run --release --locked -- prompts render en-GB
	cargo run --release --locked -- prompts render pl-PL

clean: ## remove what was built
	cargo clean
