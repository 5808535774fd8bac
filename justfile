# What CI runs before a change lands.
ci:
    .ci/run

test:
    cargo test --workspace

lint:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets -- -D warnings

# N seeded schedules of faults over the whole flow.
faults N="10000":
    DIALPOOL_FAULT_SCHEDULES={{N}} RUST_LOG=off cargo test --workspace --test specification faults:: -- --nocapture

# One schedule again.
fault SEED:
    DIALPOOL_FAULT_SEED={{SEED}} RUST_LOG=off cargo test --workspace --test specification faults:: -- --nocapture

# Arbitrary bytes on the readers of providers' bodies, for so many seconds. Needs a nightly toolchain and cargo-fuzz.
fuzz SECONDS="300":
    mkdir -p fuzz/found
    cargo +nightly fuzz run provider_body fuzz/found fuzz/corpus/provider_body -- -max_total_time={{SECONDS}} -max_len=4096

# The pool and the flow on AWS's DynamoDB Local.
conformance:
    tests/conformance/dynamodb-local cargo test --workspace --test specification -- pool:: flow::

demo:
    cargo run -p dialpool -- demo

serve:
    cargo run -p dialpool

build:
    cargo lambda build --release --arm64

# What the operations cost, also as a pool grows, how busy lines are, what the embedded stack does, what an upload and a
# preflight take, how fast the functions start; or one of them: operations, growth, lines, throughput, report, upload, preflight, startup.
bench *WHAT:
    cargo bench -p dialpool-tests --bench stack -- {{WHAT}}

# The pool beside the same job in PostgreSQL (Debian's package `postgresql`), in one run.
bench-postgres:
    tests/benches/postgresql cargo bench -p dialpool-tests --bench stack -- postgres
