# Shorthands; `cargo xtask` does the work.

test:
    cargo xtask test

deny:
    cargo xtask deny

serve *ARGS:
    cargo run --release -- serve {{ARGS}}
