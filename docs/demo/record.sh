#!/usr/bin/env bash
# Draws docs/demo.svg: runs `longshore demo` in a terminal and keeps two moments of it. Needs python3 with venv; takes
# pyte (a terminal) and rich (the drawing) from PyPI.
set -euo pipefail
cd "$(dirname "$0")/../.."

cargo build --release --bin longshore
python3 -m venv target/picture
target/picture/bin/pip install --quiet pyte==0.8.2 rich==15.0.0
target/picture/bin/python docs/demo/record.py target/release/longshore docs/demo.svg
