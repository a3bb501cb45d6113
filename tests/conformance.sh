#!/usr/bin/env bash
# An independent device, made of curl and openssl: it enrols, uploads through a cut connection, checks the receipt and
# reports the deletion, as docs/PROTOCOL.md tells. It shares no code with server and agent, so the two cannot be wrong
# alike.
#
#   tests/conformance.sh 'ENROLMENT-TEXT' ['APPROVE-COMMAND']
#
# APPROVE-COMMAND is a shell command line that approves the device; without it, the script waits for a person.
# Exit status: 0 all passed, 1 the server deviates, 2 wrong usage.
set -euo pipefail

# The cut lies beyond what the kernels on both sides buffer, so some bytes have reached the server by then.
readonly size=$((9 * 1024 * 1024 + 4321)) cut=$((6 * 1024 * 1024))
# What precedes x and y in the DER public key (SubjectPublicKeyInfo) of every P-256 key (RFC 5480).
readonly spki_prefix=3059301306072a8648ce3d020106082a8648ce3d03010703420004
passed=0 status='' dir=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; rm -rf "$dir"' EXIT

ok() { passed=$((passed + 1)) && printf 'ok - %s\n' "$1"; }

fail() {
  printf 'not ok - %s\n%d passed, 1 failed\n' "$1" "$passed"
  exit 1
}

# same WHAT EXPECTED GOT: goes on only if the two are equal.
same() { [[ "$2" == "$3" ]] || fail "$1: expected '$2', got '$3'"; }

# answered WHAT STATUS: checks the last answer. Problem documents hold no secrets and may be shown.
answered() {
  [[ "$status" == "$2" ]] || fail "$1: expected status $2, got $status $(grep '"type"' "$dir/body" || true)"
}

# problem WHAT STATUS SLUG: the last answer must be this problem document (RFC 9457).
problem() {
  answered "$1" "$2"
  same "$1, content type" application/problem+json "$(header content-type)"
  same "$1, type" "urn:longshore:problem:$3" "$(member type <"$dir/body")"
}

# Base64url without padding (RFC 4648 §5) to base64 with padding, as curl and base64 take it.
padded() {
  local text
  text=$(tr '_-' '/+')
  while ((${#text} % 4)); do text+='='; done
  printf '%s' "$text"
}

unbase64url() { padded | base64 -d; }
base64url() { base64 -w 0 | tr '/+' '_-' | tr -d '='; }
hex() { od -An -v -tx1 | tr -d ' \n'; }
unhex() { printf '%b' "$(sed 's/../\\x&/g')"; }
now() { date +%Y-%m-%dT%H:%M:%S%:z; }
clock() { printf '{"wall":"%s","uptime_ms":93041,"boot":"6f1d","synced":true}' "$(now)"; }

# member NAME <JSON: the first member of that name. Enough for these documents; a device has a parser.
member() {
  tr -d '\n' | { grep -oE "\"$1\"[[:space:]]*:[[:space:]]*(\"[^\"]*\"|[0-9]+)" || true; } |
    sed -E -n '1{s/^"[^"]*"[[:space:]]*:[[:space:]]*//;s/^"//;s/"$//;p}'
}

# header NAME: its value in the last answer; names are case-insensitive (RFC 9110 §5.1).
header() { tr -d '\r' <"$dir/head" | sed -n "s/^$1:[[:space:]]*//Ip" | tail -n 1; }

# request METHOD PATH [CURL-ARGUMENTS…]: curl as a device uses it. The pin is the check of the server, so names and
# dates in its certificate are not looked at (-k). No settings file, no proxy, no redirects.
request() {
  local method=(-X "$1")
  [[ "$1" == HEAD ]] && method=(--head)
  curl -q -sS -k --noproxy '*' --max-time 120 --pinnedpubkey "sha256//$pin" \
    --cert "$certificate" --key "$dir/key.pem" "${method[@]}" "${@:3}" "$url$2"
}

# call …: a request whose status, head and body are kept.
call() {
  : >"$dir/body"
  status=$(request "$@" -D "$dir/head" -o "$dir/body" -w '%{http_code}') || fail "$1 $2: curl failed with status $?"
}

# post PATH FILE …: a JSON body.
post() { call POST "$1" -H 'Content-Type: application/json' --data-binary "@$2" "${@:3}"; }

tus() {
  call "$@" -H 'Tus-Resumable: 1.0.0'
  same "Tus-Resumable in the answer to $1" 1.0.0 "$(header tus-resumable)"
}

# patch OFFSET FILE: appends the file to the upload.
patch() {
  tus PATCH "$upload" -H "Upload-Offset: $1" -H 'Content-Type: application/offset+octet-stream' -T "$2"
}

# https://HOST:PORT/e#1.TOKEN-ID.SECRET.PIN
parse_text() {
  [[ "$1" == https://*/e#1.* ]] || fail 'the enrolment text does not begin with https://HOST:PORT/e#1.'
  url=${1%%/e#*}
  IFS=. read -r _ token secret fingerprint _ <<<"${1#*#}"
  pin=$(padded <<<"$fingerprint")
  same 'the length of the pin' 32 "$(base64 -d <<<"$pin" | wc -c)"
  ok 'the enrolment text has an address, a token and a pin'
}

make_key() {
  openssl ecparam -genkey -name prime256v1 -noout -out "$dir/key.pem"
  certificate=$dir/self-signed.pem
  openssl req -new -x509 -key "$dir/key.pem" -subj /CN=conformance -days 1 -out "$certificate"
  ok 'a P-256 key and a certificate that it signed itself'
}

hello() {
  local right=$pin exit_status=0
  call GET /device/v1/hello
  answered 'GET /hello' 200
  same 'the fingerprint in /hello' "$fingerprint" "$(member fingerprint <"$dir/body")"
  ok 'GET /hello over the pinned connection'
  pin=$(printf 'another key' | openssl dgst -sha256 -binary | base64)
  request GET /device/v1/hello -o "$dir/body" 2>/dev/null || exit_status=$?
  same 'exit status of curl with a wrong pin' 90 "$exit_status"
  pin=$right
  ok 'a server with another key is left before anything is sent'
}

# The secret goes to curl in a file, not on a command line that others on this machine could read.
ask_to_enrol() {
  printf 'Authorization: Longshore-Enrol %s.%s\n' "$token" "$1" >"$dir/authorization"
  printf '{"device":{"firmware":"conformance"},"clock":%s}' "$(clock)" >"$dir/request.json"
  post /device/v1/enrolments "$dir/request.json" -H "@$dir/authorization"
}

enrol() {
  local answer=$dir/enrolment.json code enrolment polls=0 poll
  ask_to_enrol AAAAAAAAAAAAAAAAAAAAAA
  problem 'a wrong secret' 403 token-refused
  ok 'a wrong secret is refused, and does not use the token up'
  ask_to_enrol "$secret"
  answered 'POST /enrolments' 202
  same 'the state of the enrolment' pending "$(member state <"$dir/body")"
  enrolment=/device/v1/enrolments/$(member id <"$dir/body") code=$(member code <"$dir/body")
  [[ -n "$code" ]] || fail 'POST /enrolments: expected a code, got none'
  ok "POST /enrolments: pending, with the code $code"
  printf '{"items":[]}' >"$dir/offers.json"
  post /device/v1/offers "$dir/offers.json"
  problem 'an offer before the approval' 403 unknown-device
  ok 'a key that is not approved yet is told so'
  # The long-poll is under way while the approval comes.
  request GET "$enrolment" -H 'Prefer: wait=50' -o "$answer" & poll=$!
  if [[ -n "$approve_command" ]]; then
    bash -c "$approve_command" >/dev/null || fail "the approve command failed with status $?"
  else
    printf 'Approve the device with the code %s now.\n' "$code"
  fi
  wait "$poll" || fail "GET /enrolments: curl failed with status $?"
  while [[ "$(member state <"$answer")" == pending ]] && ((polls++ < 15)); do
    request GET "$enrolment" -H 'Prefer: wait=50' -o "$answer"
  done
  same 'the state of the enrolment' approved "$(member state <"$answer")"
  ok 'the long-poll answers approved'
  keep_identity "$answer"
}

# keep_identity FILE: what a device stores when it is approved.
keep_identity() {
  certificate=$dir/device.pem
  # The PEM's line ends are \n in JSON.
  printf '%b' "$(member certificate <"$1")" >"$certificate"
  same 'the key in the certificate' "$(openssl pkey -in "$dir/key.pem" -pubout)" \
    "$(openssl x509 -in "$certificate" -noout -pubkey)"
  device=$(member device <"$1")
  [[ "$device" =~ ^[0-9a-f]{32}$ ]] || fail "the device id: expected 32 hexadecimal digits, got '$device'"
  ok 'a certificate for this key, and a device id'
  server=$(tr -d '\n' <"$1" | sed 's/.*"server"[[:space:]]*:[[:space:]]*{//' | member id)
  { unhex <<<"$spki_prefix" && member x <"$1" | unbase64url && member y <"$1" | unbase64url; } >"$dir/receipt-key.der"
  openssl pkey -pubin -inform DER -in "$dir/receipt-key.der" -out "$dir/receipt-key.pem"
  same 'the server id' "$(openssl dgst -sha256 -binary "$dir/receipt-key.der" | base64url)" "$server"
  ok 'the server id is the SHA-256 of the receipt key'
}

# Bytes without a pattern, the same in every run: AES-CTR over zeros. The rid is new in every run.
make_recording() {
  rid=$(openssl rand -hex 16) recording=$dir/recording.mp4
  head -c "$size" /dev/zero |
    openssl enc -aes-128-ctr -K 000102030405060708090a0b0c0d0e0f -iv "$(printf %032d 0)" >"$recording"
  sha256=$(sha256sum "$recording" | cut -d ' ' -f 1)
  ok "a recording of $size bytes"
}

# offer EXPECTED: offers the recording; the answer to it must be this one.
offer() {
  printf '{"items":[{"rid":"%s","camera":"front","kind":"event","event_type":"button","start":"%s",' "$rid" "$(now)" \
    >"$dir/offers.json"
  printf '"boot":"6f1d","size":%d,"sha256":"%s","filename":"EVENT/0001.MP4"}],"clock":%s}' \
    "$size" "$sha256" "$(clock)" >>"$dir/offers.json"
  post /device/v1/offers "$dir/offers.json"
  answered 'POST /offers' 200
  same 'the rid in the answer to the offer' "$rid" "$(member rid <"$dir/body")"
  same 'the answer to the offer' "$1" "$(member answer <"$dir/body")"
}

create() {
  local location metadata
  offer upload
  ok 'POST /offers: upload'
  metadata="rid $(printf '%s' "$rid" | base64 -w 0)"
  tus POST /device/v1/uploads -H "Upload-Length: $size" -H "Upload-Metadata: $metadata"
  answered 'POST /uploads' 201
  same 'the offset of a new upload' 0 "$(header upload-offset)"
  location=$(header location)
  # A Location may be relative (RFC 9110 §10.2.2).
  upload=${location#"$url"}
  tus POST /device/v1/uploads -H "Upload-Length: $size" -H "Upload-Metadata: $metadata"
  same 'the Location when it is created again' "$location" "$(header location)"
  ok 'POST /uploads: created, and only once'
}

# Announces the whole body, sends a part and dies, like a camera that is pulled out of its dock. The pipe paces it: when
# `head` has written all, curl has taken all but what a pipe holds. From a pipe curl would send chunks; an empty
# Transfer-Encoding keeps it from that. `exec`, because a process can be killed and a function cannot.
cut_patch() {
  local victim exit_status=0
  mkfifo "$dir/pipe"
  (
    curl() { exec curl "$@"; }
    request PATCH "$upload" -H 'Tus-Resumable: 1.0.0' -H 'Upload-Offset: 0' -H 'Expect:' -H 'Transfer-Encoding:' \
      -H "Content-Length: $size" -H 'Content-Type: application/offset+octet-stream' -T - -o "$dir/cut" <"$dir/pipe"
  ) & victim=$!
  head -c "$cut" "$recording" >"$dir/pipe" || true
  kill -KILL "$victim" 2>/dev/null || true
  { wait "$victim"; } 2>/dev/null || exit_status=$?
  same 'exit status of the killed curl' 137 "$exit_status"
}

transfer() {
  local offset
  cut_patch
  tus HEAD "$upload"
  answered 'HEAD after the cut' 200
  offset=$(header upload-offset)
  ((offset > 0 && offset <= cut)) || fail "the offset after the cut: expected 1 to $cut, got '$offset'"
  same 'Cache-Control of HEAD' no-store "$(header cache-control)"
  ok "a cut PATCH keeps what arrived: $offset of $cut bytes"
  offer resume
  same 'the URL to resume' "$upload" "$(member url <"$dir/body")"
  same 'the offset to resume at' "$offset" "$(member offset <"$dir/body")"
  ok 'POST /offers after the cut: resume, at the same offset'
  printf x >"$dir/byte"
  patch "$((offset + 1))" "$dir/byte"
  problem 'a PATCH at a wrong offset' 409 wrong-offset
  same 'the right offset in the header' "$offset" "$(header upload-offset)"
  same 'the right offset in the problem' "$offset" "$(member offset <"$dir/body")"
  ok 'a wrong offset is answered with the right one'
  tail -c +"$((offset + 1))" "$recording" >"$dir/rest"
  patch "$offset" "$dir/rest"
  answered 'the PATCH of the rest' 204
  same 'the offset after the rest' "$size" "$(header upload-offset)"
  ok 'PATCH of the rest completes the upload'
}

# The last answer carries the receipt if it is ready within 2 s. On a slow disk, HEAD tells it later.
receive_receipt() {
  local claim tries=0
  while receipt=$(header longshore-receipt) && [[ -z "$receipt" ]]; do
    ((tries++ < 30)) || fail 'no Longshore-Receipt came'
    tus HEAD "$upload"
  done
  check_receipt "$receipt" || fail 'the signature of the receipt is wrong'
  for claim in rid size sha256 device server; do
    same "the $claim in the receipt" "${!claim}" "$(member "$claim" <"$dir/claims")"
  done
  delete_after=$(member delete_after <"$dir/claims")
  ok 'the receipt is signed by the server and tells of this recording'
}

# check_receipt JWS: checks the signature (RFC 7515; ES256: RFC 7518 §3.4) and leaves the claims in a file.
check_receipt() {
  local head payload signature raw
  IFS=. read -r head payload signature <<<"$1"
  unbase64url <<<"$head" >"$dir/jws-header"
  unbase64url <<<"$payload" >"$dir/claims"
  same 'the algorithm of the receipt' ES256 "$(member alg <"$dir/jws-header")"
  same 'the key of the receipt' "$server" "$(member kid <"$dir/jws-header")"
  # JWS holds r and s as 32 bytes each; openssl wants them as a DER sequence.
  raw=$(unbase64url <<<"$signature" | hex)
  same 'the length of the signature' 64 "$((${#raw} / 2))"
  printf 'asn1=SEQUENCE:signature\n[signature]\nr=INTEGER:0x%s\ns=INTEGER:0x%s\n' "${raw:0:64}" "${raw:64}" \
    >"$dir/signature.conf"
  openssl asn1parse -genconf "$dir/signature.conf" -noout -out "$dir/signature.der"
  printf '%s.%s' "$head" "$payload" |
    openssl dgst -sha256 -verify "$dir/receipt-key.pem" -signature "$dir/signature.der" >/dev/null 2>&1
}

tamper() {
  local head payload signature
  IFS=. read -r head payload signature <<<"$receipt"
  payload=$(unbase64url <<<"$payload" | sed -E 's/("size"[[:space:]]*:[[:space:]]*)/\11/' | base64url)
  forged=$head.$payload.$signature
  if check_receipt "$forged"; then fail 'a receipt with another size passes the check'; fi
  same 'the size in the tampered receipt' "1$size" "$(member size <"$dir/claims")"
  ok 'a tampered receipt fails the check'
}

# The device deletes only after `delete_after`. Its own clock may be wrong; /desired tells the server's.
read_desired() {
  local tag left
  call GET /device/v1/desired
  answered 'GET /desired' 200
  left=$(($(date -d "$delete_after" +%s) - $(date -d "$(member time <"$dir/body")" +%s)))
  ((left <= 0)) || fail "delete_after: expected a time that is past, got one $left s ahead"
  tag=$(header etag)
  same 'Longshore-Desired' "$tag" "$(header longshore-desired)"
  call GET /device/v1/desired -H "If-None-Match: $tag"
  answered 'GET /desired with its ETag' 304
  ok 'GET /desired: 200, then 304; delete_after is past'
}

report_deletion() {
  rm "$recording"
  printf '{"items":[{"receipt":"%s","deleted_at":"%s"},{"receipt":"%s","deleted_at":"%s"}],"clock":%s}' \
    "$receipt" "$(now)" "$forged" "$(now)" "$(clock)" >"$dir/deletions.json"
  post /device/v1/deletions "$dir/deletions.json"
  answered 'POST /deletions' 200
  grep -Eq "\"recorded\"[[:space:]]*:[[:space:]]*\[[[:space:]]*\"$rid\"[[:space:]]*\]" "$dir/body" ||
    fail "POST /deletions: expected that $rid alone is recorded, got $(<"$dir/body")"
  same 'the refused deletion' 1 "$(member index <"$dir/body")"
  ok 'POST /deletions: recorded by receipt, refused by the tampered one'
  tus HEAD "$upload"
  same 'status and offset of the finished upload' "200 $size" "$status $(header upload-offset)"
  same 'its length' "$size" "$(header upload-length)"
  ok 'HEAD of the finished upload: offset and length are equal'
}

if (($# < 1 || $# > 2)); then
  echo "usage: tests/conformance.sh 'ENROLMENT-TEXT' ['APPROVE-COMMAND']" >&2
  exit 2
fi
approve_command=${2:-}
parse_text "$1"
make_key
hello
enrol
make_recording
create
transfer
receive_receipt
tamper
offer have
same 'the receipt in the answer' "$receipt" "$(member receipt <"$dir/body")"
ok 'POST /offers after the upload: have, with the same receipt'
read_desired
report_deletion
printf '%d passed, 0 failed\n' "$passed"
