# The commands of a checkout. `make test` and `./r1flow apply workflows/r1.toml` set everything up themselves.

PREFIX ?= $(HOME)/.local
CARGO = cargo
R1FLOW = target/release/r1flow

.PHONY: build test learn fuzz test-processors toy faults trials lint fmt generate check-generated
.PHONY: habits docs install wheel check-wheel setup exports smollm2

setup:
	sh scripts/setup

build: setup
	$(CARGO) build --release --locked

test: build
	$(CARGO) test --release --locked --workspace
	$(MAKE) learn

# Runs the whole default workflow, and checks that it learns what `docs/results.md` says: minutes.
learn: build
	$(CARGO) test --release --locked --workspace --test main -- --ignored

# Mutated answers to the checker of mathematics, for an hour.
fuzz: build
	R1FLOW_FUZZ_SECONDS=3600 $(CARGO) test --release --locked --workspace --lib -- mutated_pairs

# A sample of failing calls and kills: about a minute. `scripts/faults` tries every call.
faults: build toy
	scripts/faults --every 25

# The same with damaged files, with many programs on one store, and with power cuts (as root): some minutes.
trials: faults
	scripts/flips --number 24
	scripts/soak --seconds 20
	scripts/power-cuts --cuts 5

toy: setup
	$(CARGO) build --release --locked --workspace --example toy_worker

# Compares exports of every architecture, and adapters, with transformers and PEFT, which PYTHON has: minutes.
PYTHON ?= python3
exports: build
	$(CARGO) build --release --locked --workspace --example logprobs
	$(PYTHON) scripts/check_exports.py $(R1FLOW) target/release/examples/logprobs

# A real model for the tests below `stages/src/smollm2`, which look for it in this folder: 270 MB, made by MAKE_SMOLLM2,
# a program of yours that takes the folder.
smollm2:
	@test -f "$(MAKE_SMOLLM2)" || { echo "MAKE_SMOLLM2 names no program: $(MAKE_SMOLLM2)" >&2; exit 1; }
	$(PYTHON) $(MAKE_SMOLLM2) target/smollm2

# The numeric tests as on other processors, by switches of libtorch, oneDNN and MKL. Of eight settings that were tried,
# these two bound the rest. Most desktops have AVX2, as do AMD's servers before Zen 4; a bound that held with AVX-512
# failed there. SSE alone is the least that a processor has, and its rounding differs most from the others (no fused
# multiply-add).
AVX2 = ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2 MKL_CBWR=AVX2
OLDEST = ATEN_CPU_CAPABILITY=default ONEDNN_MAX_CPU_ISA=SSE41 MKL_CBWR=COMPATIBLE
NUMERIC = sft grpo distill pretrain reward_model teacher_logits eval generate training loss rope linear optim attention
test-processors: build
	$(AVX2) $(CARGO) test --release --locked --workspace --test numerics
	$(AVX2) $(CARGO) test --release --locked --workspace --lib -- $(NUMERIC)
	$(OLDEST) $(CARGO) test --release --locked --workspace --test numerics
	$(OLDEST) $(CARGO) test --release --locked --workspace --lib -- $(NUMERIC)

fmt: setup
	$(CARGO) fmt --all

lint: build check-generated
	$(CARGO) fmt --all --check
	$(CARGO) clippy --release --locked --workspace --all-targets -- -D warnings

# Spelling, licences and duplicates of crates, the workflows below `.github/`: seconds, without a compiler.
habits:
	scripts/habits

# The documentation site, `target/book/index.html`. The first time, cargo compiles mdbook: one to two minutes.
docs:
	sh scripts/docs

# The schema and the reference of kinds are generated from the worker's types, the reference of commands from clap's.
GENERATED = --write workflows/schema.json --reference docs/kinds.md --cli docs/cli.md
generate: build
	$(R1FLOW) schema $(GENERATED)

check-generated: build
	$(R1FLOW) schema $(GENERATED) --check

# Installs both programs in one folder; the worker finds the libtorch that it was built with. Man pages and completions
# go where systems look for those of packages.
COMPLETIONS = $(addprefix $(PREFIX)/share/,bash-completion/completions zsh/site-functions fish/vendor_completions.d)
install: build
	install -d $(PREFIX)/bin
	install -m 755 target/release/r1flow target/release/r1flow-worker $(PREFIX)/bin
	$(R1FLOW) man $(PREFIX)/share/man/man1
	install -d $(COMPLETIONS)
	$(R1FLOW) completions bash >$(PREFIX)/share/bash-completion/completions/r1flow
	$(R1FLOW) completions zsh >$(PREFIX)/share/zsh/site-functions/_r1flow
	$(R1FLOW) completions fish >$(PREFIX)/share/fish/vendor_completions.d/r1flow.fish
	@echo "installed in $(PREFIX)/bin; is that on your PATH?"

# For `pip install dist/r1flow-*.whl` (docs/install.md). The build leaves a worker in `target/` that only works in a
# Python environment, so the checkout's own worker is built again, even after a failure.
wheel: build
	tools=$$(sh scripts/tools) || exit 1; \
	"$$tools/maturin" build --release --locked --out dist; status=$$?; \
	$(CARGO) build --release --locked && exit $$status

# Tests the wheel in a fresh environment, with libtorch where pip would put it.
check-wheel: wheel
	python3 scripts/check_wheel.py dist/r1flow-*.whl
