# The commands of a checkout. `make test` and `./r1flow apply workflows/r1.toml` set everything up themselves.

PREFIX ?= $(HOME)/.local
CARGO = cargo
R1FLOW = target/release/r1flow

.PHONY: build test learn toy faults trials lint fmt generate check-generated install setup

setup:
	sh scripts/setup

build: setup
	$(CARGO) build --release --locked

test: build
	$(CARGO) test --release --locked --workspace
	$(MAKE) learn

# The default workflow, whole, against what the README says that it learns: minutes.
learn: build
	$(CARGO) test --release --locked --workspace --test main -- --ignored

# A sample of failing calls and kills: about a minute. `scripts/faults` tries every call.
faults: build toy
	scripts/faults --every 25

# The same of damaged files, of many programs on one store, and of power cuts (these as root): some minutes.
trials: faults
	scripts/flips --number 24
	scripts/soak --seconds 20
	scripts/power-cuts --cuts 5

toy: setup
	$(CARGO) build --release --locked --workspace --example toy_worker

fmt: setup
	$(CARGO) fmt --all

lint: build check-generated
	$(CARGO) fmt --all --check
	$(CARGO) clippy --release --locked --workspace --all-targets -- -D warnings

# The schema for editors and the reference of kinds come from the worker's own types.
generate: build
	$(R1FLOW) schema --write workflows/schema.json --reference docs/kinds.md

check-generated: build
	$(R1FLOW) schema --write workflows/schema.json --reference docs/kinds.md --check

# Both programs side by side; the worker finds libtorch where it was built against.
install: build
	install -d $(PREFIX)/bin
	install -m 755 target/release/r1flow target/release/r1flow-worker $(PREFIX)/bin
	@echo "installed in $(PREFIX)/bin; is that on your PATH?"
