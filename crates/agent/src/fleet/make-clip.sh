#!/usr/bin/env bash
# Makes clip.mp4, which every simulated camera records: 20 s of H.264 and AAC, its head before its pictures, so that what
# is put behind them changes nothing. Needs ffmpeg and the font DejaVu Sans Mono.
set -euo pipefail
cd "$(dirname "$0")"

text="drawtext=font='DejaVu Sans Mono':fontcolor=white:box=1:boxcolor=black@0.5:boxborderw=8"
ffmpeg -v error -y \
  -f lavfi -i "gradients=size=640x360:rate=15:duration=20:speed=0.02:seed=5:nb_colors=4:c0=0x0b3954:c1=0x087e8b:c2=0xff5a5f:c3=0x0b3954" \
  -f lavfi -i "sine=frequency=220:sample_rate=22050:duration=20,volume=0.1,tremolo=f=0.5:d=0.8" \
  -vf "$text:fontsize=28:x=24:y=24:text='Longshore demo',$text:fontsize=40:x=24:y=h-72:text='%{pts\\:hms}'" \
  -c:v libx264 -preset veryslow -crf 30 -pix_fmt yuv420p -g 75 -c:a aac -b:a 24k -ac 1 \
  -movflags +faststart -fflags +bitexact -flags:v +bitexact -flags:a +bitexact -map_metadata -1 clip.mp4
