# The commands of this repository. `make` alone lists them.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help machine dev test test-offline simulate fuzz lint advisories crds record image image-twice node bench-image bench-converge bench-failover bench-seats seat-safety clean

control_plane := tests/control-plane
# Every test binary except the one that needs the real control plane; tests/embedded is the same suite without it.
programs := $(filter-out tests/e2e/main.rs,$(wildcard tests/*/main.rs crates/*/tests/*/main.rs))
offline := $(patsubst tests/%.rs,--test %,$(wildcard tests/*.rs)) \
  $(foreach program,$(programs),--test $(notdir $(patsubst %/main.rs,%,$(program))))

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | while IFS= read -r line; do \
	  printf '  make %-16s %s\n' "$${line%%:*}" "$${line#*## }"; done

machine: # what building and testing need
	@$(control_plane)/machine.sh

dev: machine ## a control plane with the operator, the CRDs and an example; prints the KUBECONFIG to use
	@$(control_plane)/dev.sh

test: machine ## every test, the real control plane included (built the first time: about 10 minutes)
	@$(control_plane)/build.sh > /dev/null & build=$$!; \
	cargo test --locked --workspace --no-run || { wait $$build; exit 1; }; wait $$build
	cargo test --locked --workspace --doc
	cargo test --locked --workspace --lib --bins --tests --no-fail-fast

test-offline: ## every test that needs no control plane; kubectl and helm are built the first time
	@$(control_plane)/build.sh clients > /dev/null & build=$$!; \
	cargo test --locked --workspace --no-run --lib --bins $(offline) || { wait $$build; exit 1; }; wait $$build
	@cargo test --locked --workspace --no-run --lib --bins $(offline) 2>&1 | sed -n 's/.*(\(.*\))$$/\1/p' | xargs tests/offline.sh

SEEDS ?= 1000
simulate: ## random worlds with random faults, every fault at every moment, known-wrong variants; SEEDS=10000, or SEED=4711 alone
	@cargo test --locked --release --features known-wrong --test simulation --no-run
ifdef SEED
	@SEED=$(SEED) cargo test --locked --release --features known-wrong --test simulation -- --nocapture worlds_with_faults \
	  nothing_that_an_administrator
else
	@SEEDS=$(SEEDS) cargo test --locked --release --features known-wrong --test simulation -- --nocapture worlds_with_faults
	@SEEDS=$(SEEDS) SIEVE=all cargo test --locked --release --features known-wrong --test simulation -- --nocapture \
	  --skip worlds_with_faults --test-threads 1
endif

HOURS ?= 1
fuzz: machine ## whatever reads foreign bytes, fed with made-up ones, on stable Rust; HOURS=8, ONLY='jwks yaml'
	@ONLY='$(ONLY)' fuzz/run.sh $(HOURS)

lint: ## formatting, clippy and, where cargo-deny is installed, licences, bans and sources
	cargo fmt --all --check
	cargo fmt --manifest-path fuzz/Cargo.toml --check
	cargo clippy --locked --workspace --all-targets -- -D warnings
	cargo clippy --locked --manifest-path fuzz/Cargo.toml --target-dir target -- -D warnings
	@if command -v cargo-deny > /dev/null; then cargo deny --locked --workspace check licenses bans sources; \
	else echo 'cargo-deny is not installed, so licences, bans and sources were not checked: cargo install --locked cargo-deny'; fi

advisories: ## known vulnerabilities and yanked versions; fetches the advisory database from GitHub
	cargo deny --locked --workspace check advisories

crds: ## writes crds/, the chart's copies and docs/openapi.json from the types in src/api and src/server/seats
	cargo run --locked -- crds --out crds --chart charts/seatkeeper/templates/crds
	cargo run --locked -- openapi --out docs/openapi.json

record: machine ## makes the recordings of crates/embedded again from a real API server; then run the tests
	@crates/embedded/record/record.sh

image: machine ## the operator's image without Docker: a static build, packed and checked; in target/image
	@crates/image/build.sh

image-twice: machine ## proof that the image is the same when it is built again from the commit, in another folder
	@crates/image/twice.sh

bench-image: image ## seat rates of the program in the image against those of the ordinary build; ROUNDS=5 SECONDS=5
	@$(control_plane)/build.sh > /dev/null
	@ulimit -n 8192 && PEERS=KEOU MORE=false cargo bench --locked --profile shipped --bench seats

node: machine image ## the chart and the image on a real node (kubelet, containerd): install, seats, drain, upgrade; needs root
	@tests/node/up.sh tests/node/story.sh

bench-converge: machine ## how fast 10,000 Licenses become Ready, against the raw rate of the API server
	@$(control_plane)/build.sh > /dev/null
	cargo bench --locked --bench converge

bench-failover: machine ## the time from SIGTERM or kill -9 of the owner to the next new seat; TRIALS=100
	@$(control_plane)/build.sh > /dev/null
	cargo bench --locked --bench failover

OPS ?= 10000000
seat-safety: machine ## no seat is granted twice: faults without end, three replicas, each with its own network; OPS=10000000, SEED=
	@$(control_plane)/build.sh > /dev/null
	@cargo bench --locked --bench safety --no-run
	@OPS=$(OPS) SEED=$(SEED) unshare --net -- cargo bench --locked --bench safety

bench-seats: machine ## seats against Leases, Redis and PostgreSQL; ROUNDS=5 SECONDS=5; more in benches/seats/main.rs
	@benches/seats/machine.sh
	@$(control_plane)/build.sh > /dev/null
	@ulimit -n 8192 && cargo bench --locked --profile shipped --bench seats

clean: ## removes what was built here and the state of `make dev`; the built control plane stays in the cache
	cargo clean
	rm -rf .cache
