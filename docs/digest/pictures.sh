#!/bin/sh
# Makes the pictures of the daily mails, from what the tests compose. Debian: apt-get install chromium
set -eu
cd "$(dirname "$0")/../.."
cargo test --workspace --lib -- digest::compose
for mail in transfer health; do
  for width in 390 1200; do
    for theme in light dark; do
      # Chromium's numbers: 0 prefers dark, 1 light.
      scheme=1 && [ "$theme" = light ] || scheme=0
      chromium --headless --no-sandbox --disable-gpu --hide-scrollbars --window-size="$width,1400" \
        --blink-settings="preferredColorScheme=$scheme" --screenshot="docs/digest/$mail-$width-$theme.png" \
        "file://$PWD/target/digest/$mail.html"
    done
  done
done
