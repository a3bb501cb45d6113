#!/bin/sh
# Makes the pictures of the daily mails, from what the tests compose. Debian: apt-get install chromium optipng
set -eu
cd "$(dirname "$0")/../.."
cargo test -p longshore-actors --lib -- digest::compose
for mail in transfer health; do
  for width in 390 1200; do
    for theme in light dark; do
      [ "$theme" = dark ] && dark="--blink-settings=preferredColorScheme=0" || dark="--blink-settings=preferredColorScheme=1"
      chromium --headless --no-sandbox --disable-gpu --hide-scrollbars --window-size="$width,1400" "$dark" \
        --screenshot="docs/digest/$mail-$width-$theme.png" "file://$PWD/target/digest/$mail.html"
      optipng -quiet "docs/digest/$mail-$width-$theme.png"
    done
  done
done
