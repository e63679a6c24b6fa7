#!/usr/bin/env bash
# Installs the Rollcall host agent: downloads it, checks its signature, enrolls this host, starts the
# service, and waits until the control plane sees the host online. Running it again is safe.
#
#   curl -fsSL CONTROL_PLANE/install/install.sh | sudo bash                       asks for the token
#   curl -fsSL CONTROL_PLANE/install/install.sh | sudo bash -s -- --token-file /root/rollcall.token
#
# Options: see usage() below. Environment, every name optional:
#   ROLLCALL_TOKEN_FILE           a file with the enrollment token (as --token-file)
#   ROLLCALL_TOKEN                the token itself; RM_TOKEN and INSTALL_TOKEN are the same. Works, with a
#                                 warning: on a command line everybody on this host can read it
#   ROLLCALL_URL                  the control plane, stage included; else RM_SERVER, else BACKEND_URL,
#                                 else the one that served this script
#   ROLLCALL_RELEASE_KEY_SHA256   the fingerprint that the release key must have (shown when a token is
#                                 minted); without it the one that came with this script is used
#   ROLLCALL_AGENT_VERSION        this version of the agent instead of the newest
#   ROLLCALL_FORCE_REENROLL=1     give an enrolled host a new identity; RM_FORCE_REENROLL is the same
#   ROLLCALL_SHOW_SCHEDULES       an extended regular expression: show the cron entries and timers that
#                                 match it. With RM_SERVER: restic. Nothing is ever changed in them
#   ROLLCALL_CA_BUNDLE            a PEM file with the certificates to trust, for this script and the agent
#   ROLLCALL_ALLOW_HTTP=1         allow plain HTTP to another host than this one
#   ROLLCALL_NO_SERVICE=1         install no service; say how to start the agent
#   ROLLCALL_WAIT_SECONDS         how long to wait for the first accepted heartbeat (90)
#   ROLLCALL_PREFIX               install below this folder (as --prefix); then root is not needed
#   ROLLCALL_UNINSTALL=1          as --uninstall
#   https_proxy, HTTPS_PROXY, no_proxy, NO_PROXY   as curl understands them

set -euo pipefail

readonly FILLED_URL='@ROLLCALL_URL@'
readonly FILLED_KEY_SHA256='@ROLLCALL_RELEASE_KEY_SHA256@'
readonly SYSTEMD_RUNS='/run/systemd/system'
readonly DROP_IN='/etc/systemd/system/rollcall-agent.service.d/proxy.conf'
readonly MACOS_LOG='/var/log/rollcall-agent.log'
readonly LARGEST_MANIFEST=65536
readonly LARGEST_BINARY=536870912
readonly VERSION_FORM='^[0-9A-Za-z][0-9A-Za-z.+-]{0,63}$'

usage() {
  cat <<'END'
install.sh [--token-file FILE] [--url URL] [--prefix FOLDER]
install.sh --uninstall [--decommission] [--purge] [--prefix FOLDER]

  --token-file FILE  read the enrollment token from FILE
  --url URL          the control plane, stage included
  --prefix FOLDER    install below FOLDER, without root
  --uninstall        stop and remove the service and the agent
  --decommission     tell the control plane before that this host is gone
  --purge            remove configuration, identity and state as well
END
}

say() { printf 'rollcall: %s\n' "$*"; }
warn() { printf 'rollcall: warning: %s\n' "$*" >&2; }
fail() { # LINE [EXIT-CODE]
  printf 'rollcall: error: %s\n' "$1" >&2
  exit "${2:-1}"
}

read_options() {
  option_token_file='' option_url='' uninstall=${ROLLCALL_UNINSTALL:-0} decommission=0 purge=0
  prefix=${ROLLCALL_PREFIX:-}
  while [ "$#" -gt 0 ]; do
    case "$1" in
      --token-file | --url | --prefix)
        [ "$#" -ge 2 ] || fail "$1 needs a value." 2
        case "$1" in
          --token-file) option_token_file=$2 ;;
          --url) option_url=$2 ;;
          --prefix) prefix=$2 ;;
        esac
        shift
        ;;
      --uninstall) uninstall=1 ;;
      --decommission) decommission=1 ;;
      --purge) purge=1 ;;
      --help | -h)
        usage
        exit 0
        ;;
      # The argument is not repeated: it may be a token that somebody gave this way.
      *) fail 'unknown argument. A token is never given as one: everybody on this host can read it. See --help.' 2 ;;
    esac
    shift
  done
  [ "$uninstall" = 1 ] || [ "$decommission$purge" = 00 ] || fail '--decommission and --purge go with --uninstall.' 2
}

take_places() {
  while [ "${prefix%/}" != "$prefix" ]; do prefix=${prefix%/}; done
  case "$prefix" in
    '') [ "$EUID" -eq 0 ] || fail 'this writes to system places, so it needs root. Next: run it with sudo, or give --prefix FOLDER.' 2 ;;
    *..* | [!/]*) fail '--prefix takes an absolute path without "..".' 2 ;;
  esac
  bin_dir=$prefix/usr/local/bin
  bin=$bin_dir/rollcall-agent
  config_dir=$prefix/etc/rollcall
  config=$config_dir/agent.env
  ca_file=$config_dir/ca.pem
  proxy_file=$config_dir/proxy.env
  state_dir=$prefix/var/lib/rollcall
  unpacking=$state_dir/tmp
  # There while an installation is under way. It holds the agent id that the host had before, and the
  # fingerprint of the token that is to replace it.
  unfinished=$state_dir/install.unfinished
}

# The one-file build runs from where it unpacks itself, and /tmp is often mounted noexec.
agent() {
  [ -d "$unpacking" ] || mkdir -p "$unpacking"
  TMPDIR=$unpacking "$bin" "$@"
}

take_settings() {
  url=${option_url:-${ROLLCALL_URL:-${RM_SERVER:-${BACKEND_URL:-$FILLED_URL}}}}
  schedules=${ROLLCALL_SHOW_SCHEDULES:-}
  [ -z "${RM_SERVER:-}" ] || [ "$url" != "$RM_SERVER" ] || schedules=${ROLLCALL_SHOW_SCHEDULES-restic}
  check_url
  force=${ROLLCALL_FORCE_REENROLL:-${RM_FORCE_REENROLL:-0}}
  wait_seconds=${ROLLCALL_WAIT_SECONDS:-90}
  [[ $wait_seconds =~ ^[0-9]{1,5}$ ]] || fail 'ROLLCALL_WAIT_SECONDS is a number of seconds.' 2
  wait_seconds=$((10#$wait_seconds)) # 08 is no octal number
  wanted_version=${ROLLCALL_AGENT_VERSION:-}
  [[ -z $wanted_version || $wanted_version =~ $VERSION_FORM ]] || fail 'ROLLCALL_AGENT_VERSION is no version.' 2
  if [ -n "$schedules" ]; then
    local status=0
    grep -Eq -e "$schedules" </dev/null 2>/dev/null || status=$?
    [ "$status" -le 1 ] || fail 'ROLLCALL_SHOW_SCHEDULES is no extended regular expression.' 2
  fi
  ca_bundle=${ROLLCALL_CA_BUNDLE:-}
  [ -n "$ca_bundle" ] || return 0
  [[ $ca_bundle = /* ]] || ca_bundle=$PWD/$ca_bundle
  [ -r "$ca_bundle" ] || fail "cannot read ROLLCALL_CA_BUNDLE ($ca_bundle)." 2
  export ROLLCALL_CA_BUNDLE=$ca_bundle
}

check_url() {
  local form='^(https?)://([A-Za-z0-9.-]+|\[[0-9A-Fa-f:]+\])(:[0-9]+)?(/[A-Za-z0-9._~/-]*)?$'
  local loopback='^(localhost|127\.[0-9]+\.[0-9]+\.[0-9]+|\[::1\])$'
  while [ "${url%/}" != "$url" ]; do url=${url%/}; done
  [[ $url != @* ]] || fail 'no control plane is known. Next: give --url, or set ROLLCALL_URL.' 2
  [[ $url =~ $form ]] || fail 'the URL of the control plane must be https://HOST[:PORT][/STAGE].' 2
  protocols='=https'
  [ "${BASH_REMATCH[1]}" = http ] || return 0
  protocols='=http,https'
  [[ ${BASH_REMATCH[2]} =~ $loopback ]] || [ "${ROLLCALL_ALLOW_HTTP:-0}" = 1 ] ||
    fail 'plain HTTP shows the token to the network. Next: use https, or set ROLLCALL_ALLOW_HTTP=1.' 2
}

# Keeps what the environment holds, and takes it out of what every process below would inherit.
hide_tokens() {
  unset token token_source
  token='' token_source=''
  local name
  for name in INSTALL_TOKEN RM_TOKEN ROLLCALL_TOKEN; do
    if [ -n "${!name:-}" ]; then token=${!name} token_source=$name; fi
    unset "$name"
  done
}

take_token() {
  local file=${option_token_file:-${ROLLCALL_TOKEN_FILE:-}}
  if [ -n "$file" ]; then
    token=''
    { IFS= read -r token <"$file" || [ -n "$token" ]; } 2>/dev/null || fail "cannot read a token from $file." 2
    [ -z "$(find -L "$file" -prune -type f -perm -004 2>/dev/null)" ] ||
      warn "$file can be read by everybody. Next: delete it after use."
  elif [ -n "$token" ]; then
    warn "the token came in $token_source: on a command line everybody on this host can read it."
    warn "Better: curl -fsSL $url/install/install.sh | sudo bash (it asks), or with --token-file."
  elif [ -n "$(first_value ROLLCALL_TOKEN RM_TOKEN INSTALL_TOKEN)" ]; then
    return 0 # the agent reads its own file
  elif { : >/dev/tty; } 2>/dev/null; then
    # Asked by read itself: it turns the echo off before, so that nothing typed early is shown.
    IFS= read -rsp 'Enrollment token (not shown): ' token </dev/tty 2>/dev/tty || true
    printf '\n' >/dev/tty
  fi
  token=${token//[[:space:]]/}
  [ -n "$token" ] || fail 'there is no enrollment token. Next: have one minted, and give it with --token-file.' 2
}

# Prints what the env file sets NAME to. The last line wins, as it does for the agent.
env_value() { # NAME
  local line value='' form="^[[:space:]]*(export[[:space:]]+)?$1[[:space:]]*=[[:space:]]*['\"]?([^'\"]*)"
  [ -r "$config" ] || return 0
  while IFS= read -r line || [ -n "$line" ]; do
    if [[ $line =~ $form ]]; then value=${BASH_REMATCH[2]}; fi
  done <"$config"
  printf '%s' "${value%"${value##*[![:space:]]}"}"
}

# Appends, and never rewrites: an agent that rotates its key at this moment must not lose it.
remember() { # NAME VALUE
  [ "$(env_value "$1")" != "$2" ] || return 0
  [[ $2 != *[[:cntrl:]\'\"]* ]] || fail "the value of $1 does not fit on a line of $config." 2
  local separator=''
  if [ -s "$config" ] && [ -n "$(tail -c 1 "$config")" ]; then separator=$'\n'; fi
  printf '%s%s=%s\n' "$separator" "$1" "$2" >>"$config"
}

# Prints what the first of the names that the env file sets is set to.
first_value() { # NAME...
  local name value=''
  for name in "$@"; do
    value=$(env_value "$name")
    [ -z "$value" ] || break
  done
  printf '%s' "$value"
}

# Prints the agent's id where this host is enrolled: an id and a key are there, as the agent sees it too.
agent_id() {
  local id
  id=$(first_value ROLLCALL_AGENT_ID BYTEOR_AGENT_ID)
  [ -z "$(first_value ROLLCALL_AGENT_API_KEY BYTEOR_AGENT_API_KEY RM_AGENT_TOKEN SENSOR_TOKEN)" ] || printf '%s' "$id"
}

detect_platform() {
  local machine
  machine=$(uname -sm)
  case "${machine%% *}" in
    Linux) os=linux ;;
    Darwin) os=darwin ;;
    *) fail "there is no agent for the operating system ${machine%% *}: it runs on Linux, macOS (Darwin) and Windows (install.ps1)." ;;
  esac
  case "${machine##* }" in
    x86_64 | amd64) arch=x86_64 ;;
    arm64 | aarch64) arch=arm64 ;;
    *) fail "there is no agent for the architecture ${machine##* }: it runs on x86_64 and arm64." ;;
  esac
}

require_programs() {
  command -v curl >/dev/null || fail 'curl is not installed, and the agent is downloaded with it. Next: install curl.'
  command -v openssl >/dev/null ||
    fail 'openssl is not installed, and the signature is checked with it; that check is never left out. Next: install openssl.'
}

make_temporary_folder() {
  temporary=$(mktemp -d "${TMPDIR:-/tmp}/rollcall-install.XXXXXX")
  trap 'rm -rf "$temporary"' EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM HUP
  trusted=''
  [ -n "$ca_bundle" ] || return 0
  # curl believes the named file alone, and the binary may come from a public object store.
  trusted=$temporary/trusted.pem
  local bundle
  for bundle in "$ca_bundle" /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt /etc/ssl/cert.pem; do
    # A file may end without a newline, and two certificates on one line are none.
    if [ -r "$bundle" ]; then cat "$bundle" && printf '\n'; fi
  done >"$trusted"
}

# Downloads, over checked TLS only. No .curlrc is read: it could hold --insecure.
fetch() { # PATH FILE LARGEST SECONDS
  local failed=0 status body code=''
  status=$(curl -q --silent --show-error --location --max-redirs 5 \
    --proto "$protocols" --proto-redir "$protocols" ${trusted:+--cacert "$trusted"} \
    --connect-timeout 20 --max-time "$4" --retry 3 --max-filesize "$3" \
    --output "$2" --write-out '%{http_code}' "$url$1" </dev/null) || failed=$?
  [ "$failed" = 0 ] ||
    fail "cannot download from $url (curl $failed). Next: check the URL, name resolution, proxy (https_proxy) and certificates (ROLLCALL_CA_BUNDLE)."
  [ "$status" != 200 ] || return 0
  body=$(head -c 2000 "$2" 2>/dev/null | tr -cd '[:print:]') || true # an empty answer leaves no file
  [[ ! $body =~ \"code\":\ *\"([a-z_]{1,64})\" ]] || code=" ${BASH_REMATCH[1]}"
  [ "$code" != ' agent_not_published' ] ||
    fail "this control plane has published no agent ${wanted_version:+of version $wanted_version }for $os $arch (404 agent_not_published). Next: ask an operator to publish it."
  fail "$url answered HTTP $status$code. Next: check that this is the control plane, its stage included, and any proxy in between."
}

sha256_of() { # FILE
  local line
  line=$(openssl dgst -sha256 -r <"$1")
  printf '%s' "${line%% *}"
}

# Takes the manifest apart and checks it: nothing of it is used before its signature was verified.
read_manifest() {
  local line keys=0 entries=0 signature='' key='' first='' unsigned=''
  entry='' version=''
  fetch "/agent/manifest${wanted_version:+?version=${wanted_version//+/%2B}}" "$temporary/manifest" "$LARGEST_MANIFEST" 60
  while IFS= read -r line; do
    first=${first:-$line}
    if [ -n "$signature" ]; then unsigned=1; fi
    case "$line" in
      'signature '*)
        signature=${line#signature }
        continue
        ;;
      'key '*) key=${line#key } keys=$((keys + 1)) ;;
      'version '*) version=${line#version } ;;
      "file $os $arch "*) entry=${line#"file $os $arch "} entries=$((entries + 1)) ;;
    esac
    printf '%s\n' "$line" >&3
  done <"$temporary/manifest" 3>"$temporary/signed"
  [ "$first" = 'rollcall-agent-manifest 1' ] && [ "$keys" = 1 ] && [ -n "$signature" ] && [ -z "$unsigned$line" ] && [ "$entries" -le 1 ] ||
    fail 'the manifest is not one that this script understands. Nothing was installed.'
  verify_signature "$key" "$signature"
  [[ $version =~ $VERSION_FORM ]] || fail 'the manifest is malformed. Nothing was installed.'
  [ "$version" = "${wanted_version:-$version}" ] ||
    fail 'the manifest is of another version than the one that was asked for. Nothing was installed.'
  [ -n "$entry" ] ||
    fail "version $version has not been published for $os $arch. Next: ask an operator to publish it."
  [[ $entry =~ ^([0-9]{1,9})\ ([0-9a-f]{64})$ ]] || fail 'the manifest is malformed. Nothing was installed.'
  size=${BASH_REMATCH[1]} sha256=${BASH_REMATCH[2]}
}

verify_signature() { # KEY SIGNATURE, both base64
  local wanted found form='^[0-9a-f]{64}$'
  wanted=$(printf '%s' "${ROLLCALL_RELEASE_KEY_SHA256:-$FILLED_KEY_SHA256}" | tr 'A-F' 'a-f')
  [[ $wanted =~ $form ]] ||
    fail 'no fingerprint of the release key is known. Next: set ROLLCALL_RELEASE_KEY_SHA256 to the one that was shown when the token was minted.' 2
  printf '%s\n' "$1" | openssl base64 -d -A >"$temporary/key.der"
  printf '%s\n' "$2" | openssl base64 -d -A >"$temporary/signature.der"
  found=$(sha256_of "$temporary/key.der")
  [ "$found" = "$wanted" ] ||
    fail "the manifest is signed with the key $found, not with $wanted. Nothing was installed. Next: compare both with the fingerprint that was shown when the token was minted."
  openssl pkey -pubin -inform DER -in "$temporary/key.der" -out "$temporary/key.pem" 2>/dev/null ||
    fail 'the key of the manifest is malformed. Nothing was installed.'
  openssl dgst -sha256 -verify "$temporary/key.pem" -signature "$temporary/signature.der" \
    <"$temporary/signed" >/dev/null 2>&1 ||
    fail 'the signature of the manifest is wrong: it was altered. Nothing was installed.'
  release_key=$found
  if [ -n "${ROLLCALL_RELEASE_KEY_SHA256:-}" ]; then
    say "the release is signed with the pinned key $found."
  else
    say "the release is signed with the key $found."
    say 'that fingerprint came with this script: compare it with the one that was shown when the token was minted, or pin it with ROLLCALL_RELEASE_KEY_SHA256.'
  fi
}

download_binary() {
  if [ -x "$bin" ] && [ "$(sha256_of "$bin")" = "$sha256" ]; then
    say "$bin is version $version already."
    return
  fi
  [ "$size" -le "$LARGEST_BINARY" ] || fail 'the binary is too large. Nothing was installed.'
  fetch "/agent/binary?os=$os&arch=$arch&version=${version//+/%2B}" "$temporary/agent" "$LARGEST_BINARY" 1800
  [ "$(($(wc -c <"$temporary/agent")))" = "$size" ] && [ "$(sha256_of "$temporary/agent")" = "$sha256" ] ||
    fail 'the binary is not the one that the manifest names: it was cut or altered. Nothing was installed. Next: run this again.'
}

# The old binary or the new one is in place at any moment.
install_binary() {
  [ -e "$temporary/agent" ] || return 0
  (umask 022 && mkdir -p "$bin_dir")
  rm -f "$bin_dir"/.rollcall-agent.?????? # of runs that were killed
  local staged
  staged=$(mktemp "$bin_dir/.rollcall-agent.XXXXXX")
  cp "$temporary/agent" "$staged"
  chmod 0755 "$staged"
  if ! TMPDIR=$unpacking "$staged" version >/dev/null </dev/null; then
    rm -f "$staged"
    local folder
    for folder in "$bin_dir" "$unpacking"; do
      runs_programs "$folder" ||
        fail "no program can be run in $folder: it is probably mounted noexec. Nothing was installed. Next: mount it without noexec."
    done
    fail 'the agent does not run on this host; the lines above say why. Nothing was installed.'
  fi
  mv -f "$staged" "$bin"
  say "installed $bin, version $version."
}

runs_programs() { # FOLDER
  local probe ran=0
  probe=$(mktemp "$1/.rollcall-agent.XXXXXX") || return 0
  printf '#!/bin/sh\n' >"$probe"
  chmod 0700 "$probe"
  "$probe" 2>/dev/null || ran=$?
  rm -f "$probe"
  [ "$ran" = 0 ]
}

make_folders() {
  mkdir -p "$config_dir" "$unpacking"
  local place open
  open=$(find -L "$config_dir" "$state_dir" "$config" -prune \
    \( -perm -040 -o -perm -020 -o -perm -010 -o -perm -004 -o -perm -002 -o -perm -001 \) 2>/dev/null) || true
  # What is stricter, or another user's, stays as it is.
  while IFS= read -r place; do
    [ -n "$place" ] || continue
    if chmod go= "$place" 2>/dev/null; then
      warn "$place was open to others; it is not any more."
    else
      warn "$place is open to others. Next: chmod go= $place"
    fi
  done < <(printf '%s\n' "$open")
}

write_settings() {
  remember ROLLCALL_RELEASE_KEY_SHA256 "$release_key"
  if [ -n "$ca_bundle" ]; then
    # A copy: the service sees neither homes nor /tmp, and the original may be gone tomorrow.
    if ! [ "$ca_bundle" -ef "$ca_file" ]; then
      cp "$ca_bundle" "$ca_file.new"
      chmod 0644 "$ca_file.new"
      mv -f "$ca_file.new" "$ca_file"
    fi
    export ROLLCALL_CA_BUNDLE=$ca_file
    remember ROLLCALL_CA_BUNDLE "$ca_file"
  fi
  [ "${ROLLCALL_ALLOW_HTTP:-0}" != 1 ] || remember ROLLCALL_ALLOW_HTTP 1
}

# Whether the agent has to enroll: a replacement that a killed run had finished is not done twice, but a
# token of its own asks for an identity of its own.
must_enroll() {
  [ -n "$identity" ] || return 0
  [ "$force" = 1 ] || return 1
  local former='' replaced_with=''
  if [ -e "$unfinished" ]; then { IFS= read -r former && IFS= read -r replaced_with; } <"$unfinished" || true; fi
  [ "$identity" = "$former" ] || [ "$token_fingerprint" != "$replaced_with" ]
}

# Half of a SHA-256: it tells tokens apart and is of no other use.
fingerprint_of_token() {
  local given=${token:-$(first_value ROLLCALL_TOKEN RM_TOKEN INSTALL_TOKEN)}
  given=$(printf '%s' "$given" | sha256_of /dev/stdin)
  printf '%s' "${given:0:32}"
}

# Written before the enrollment: what differs from it afterwards was finished.
note_beginning() {
  printf '%s\n%s\n' "$identity" "$token_fingerprint" >"$unfinished.new"
  mv -f "$unfinished.new" "$unfinished"
}

enroll() {
  local failed=0 arguments
  arguments=(enroll --config "$config" --url "$url")
  [ -z "$identity" ] || arguments+=(--replace)
  if [ -n "$token" ]; then
    printf '%s\n' "$token" | agent "${arguments[@]}" --token-stdin || failed=${PIPESTATUS[1]}
    token=''
  else
    agent "${arguments[@]}" </dev/null || failed=$?
  fi
  case "$failed" in
    0) return ;;
    3) fail 'enrollment was refused; the line above says why. Next: a token that expired, was spent or revoked (HTTP 410) stays so: have a fresh one minted, and run this again with it.' 3 ;;
    4) fail 'the control plane did not answer. Next: run this again with the same token; it is not lost.' 4 ;;
    5) fail "the identity could not be written to $config. Next: make that place writable, and run this again with the same token within 24 hours." 5 ;;
    8) fail 'another enrollment works on this host right now. Next: wait for it, and run this again.' 8 ;;
    *) fail "the agent could not enroll (exit code $failed); the line above says why." "$failed" ;;
  esac
}

uses_service() {
  [ -z "$prefix" ] || return 1
  [ "${ROLLCALL_NO_SERVICE:-0}" != 1 ] || return 1
  [ "$(uname -s)" = Darwin ] || [ -d "$SYSTEMD_RUNS" ]
}

# A service inherits nothing of this environment, so the proxy is written down for it: in a file of its
# own, because everybody may ask systemd what Environment= holds, and a proxy's URL may hold a password.
write_proxy() {
  [ -d "$SYSTEMD_RUNS" ] || return 0
  local name lines=''
  for name in HTTPS_PROXY HTTP_PROXY ALL_PROXY NO_PROXY https_proxy http_proxy all_proxy no_proxy; do
    [ -n "${!name:-}" ] || continue
    [[ ${!name} != *[[:cntrl:]\'\"\\]* ]] || fail "the value of $name cannot be given to the service." 2
    lines="$lines"$'\n'"$name=\"${!name}\""
  done
  if [ -z "$lines" ]; then
    remove_proxy
    return
  fi
  printf '# Written by install.sh, from its own environment.%s\n' "$lines" >"$proxy_file.new"
  mv -f "$proxy_file.new" "$proxy_file"
  mkdir -p "${DROP_IN%/*}"
  printf '# Written by install.sh.\n[Service]\nEnvironmentFile=-%s\n' "$proxy_file" >"$DROP_IN.new"
  mv -f "$DROP_IN.new" "$DROP_IN"
}

remove_proxy() {
  rm -f "$proxy_file" "$proxy_file.new" "$DROP_IN" "$DROP_IN.new"
  rmdir "${DROP_IN%/*}" 2>/dev/null || true # an operator's own drop-ins stay
}

# What an earlier life of the agent left behind must not be taken for the one that is awaited.
forget_state() {
  local file
  file=$(env_value ROLLCALL_STATE_FILE)
  rm -f "${file:-${config%.env}.state.json}"
}

start_service() {
  local since
  # What a running agent of the former identity writes until it is started anew is older than this.
  since=$(date -u '+%Y-%m-%dT%H:%M:%S+00:00')
  [ "$force" = 1 ] || since=''
  write_proxy
  forget_state
  # Starts a running agent anew, which may still hold a former identity.
  agent service install --config "$config" </dev/null || fail 'the service could not be installed; the line above says why. Next: run this again.'
  say 'waiting for the first accepted heartbeat ...'
  local ends=$((SECONDS + wait_seconds))
  until is_online "$since"; do
    [ "$SECONDS" -lt "$ends" ] ||
      fail "after $wait_seconds seconds the control plane has accepted no heartbeat of this host. Next: look at \`rollcall-agent doctor\`, \`rollcall-agent status\`, and the service's log (\`journalctl -u rollcall-agent\`, on macOS \`launchctl list\`)."
    sleep 1
  done
}

is_online() { # SINCE
  local found
  found=$(agent status --json --config "$config" </dev/null 2>/dev/null) || true
  [[ $found =~ \"last_state\":\ *\{[^}]*\"state\":\ *\"online\" ]] || return 1
  [[ $found =~ \"last_state\":\ *\{[^}]*\"since\":\ *\"([^\"]*)\" ]] || return 1
  [[ ! ${BASH_REMATCH[1]} < $1 ]]
}

prove_one_beat() {
  local failed=0 ends=$((SECONDS + wait_seconds))
  forget_state
  until agent run --once --config "$config" </dev/null; do
    failed=$?
    [ "$failed" = 4 ] && [ "$SECONDS" -lt "$ends" ] ||
      fail "the control plane did not accept a heartbeat (exit code $failed); the line above says why. Next: rollcall-agent doctor --config $config" "$failed"
    sleep 1
  done
}

mask() {
  local names='[Pp][Aa][Ss][Ss]|[Ss][Ee][Cc][Rr][Ee][Tt]|[Tt][Oo][Kk][Ee][Nn]|[Kk][Ee][Yy]'
  # A value of the shell: up to the closing quote, and what is glued to it.
  local value="(\"([^\"\\]|\\\\.)*(\"|\$)|'[^']*('|\$)|\\\\.|[^[:space:]\"'\\])+"
  tr -d '\000-\010\013-\037\177' | sed -E \
    -e "s/([A-Za-z0-9_]*($names)[A-Za-z0-9_]*=)$value/\\1.../g" \
    -e "s/(--?[A-Za-z0-9-]*($names)[A-Za-z0-9_-]*([[:space:]]+|=))$value/\\1.../g" \
    -e 's#(://[^/@[:space:]:]*:)[^/@[:space:]]+@#\1...@#g'
}

# Shows what already runs by the clock and matches, so that the operator can decide. Changes nothing.
show_schedules() {
  [ -n "$schedules" ] || return 0
  local found file
  found=$({
    for file in "$prefix"/etc/crontab "$prefix"/etc/anacrontab "$prefix"/etc/cron.*/* \
      "$prefix"/var/spool/cron/* "$prefix"/var/spool/cron/crontabs/* "$prefix"/usr/lib/cron/tabs/*; do
      if [ -f "$file" ]; then grep -EH -e "$schedules" "$file" 2>/dev/null | grep -Ev '^[^:]*:[[:space:]]*#' || true; fi
    done
    for file in "$prefix"/etc/systemd/system/*.timer "$prefix"/run/systemd/system/*.timer \
      "$prefix"/usr/local/lib/systemd/system/*.timer "$prefix"/usr/lib/systemd/system/*.timer; do
      if [ -f "$file" ] && { grep -Eq -e "$schedules" "$file" "${file%.timer}.service" 2>/dev/null ||
        [[ ${file##*/} =~ $schedules ]]; }; then printf '%s\n' "$file"; fi
    done
    if [ -z "$prefix" ] && command -v systemctl >/dev/null; then
      systemctl list-timers --all --no-pager --no-legend 2>/dev/null | grep -E -e "$schedules" || true
    fi
  } | mask)
  [ -n "$found" ] || return 0
  say "these schedules match '$schedules'. They were left as they are; decide whether they are still wanted:"
  printf '%s\n' "$found" | while IFS= read -r file; do printf '  %s\n' "$file"; done
}

remove_service() {
  if [ -x "$bin" ]; then
    agent service uninstall </dev/null || fail 'the service could not be removed; the line above says why.'
  elif [ -d "$SYSTEMD_RUNS" ]; then # the agent, which knows how, is gone
    systemctl disable --now rollcall-agent.service 2>/dev/null || true
    rm -f "${DROP_IN%.d/*}"
  else
    launchctl bootout system/rollcall-agent 2>/dev/null || true
    rm -f /Library/LaunchDaemons/rollcall-agent.plist
  fi
  if [ -d "${DROP_IN%/*}" ]; then
    remove_proxy
    systemctl daemon-reload || true
  fi
}

uninstall() {
  local failed=0 known
  known=$(agent_id)
  if [ "$decommission" = 1 ] && [ -n "$known" ]; then
    [ -x "$bin" ] || fail "$bin is gone, so it cannot tell the control plane. Next: ask an operator to decommission $known, and run this without --decommission."
    agent decommission --yes --config "$config" </dev/null || failed=$?
    case "$failed" in
      0 | 6 | 7) ;; # its identity has ended already, or it has none
      *) fail 'the control plane was not told; the line above says why. Nothing was removed.' "$failed" ;;
    esac
  fi
  if uses_service; then remove_service; fi
  # With what the agent's own upgrades keep beside it.
  rm -f "$bin" "$bin.previous" "$bin_dir"/.rollcall-agent.* "$unfinished" "$unfinished.new"
  rm -rf "$unpacking"
  say "removed $bin."
  if [ "$purge" = 1 ]; then
    rm -rf "$config_dir" "$state_dir"
    [ -n "$prefix" ] || [ "$(uname -s)" != Darwin ] || rm -f "$MACOS_LOG"
    say "removed $config_dir and $state_dir."
  else
    say "left: $config_dir (with the identity) and $state_dir. --purge removes them."
  fi
  if [ -n "$known" ] && [ "$decommission" = 0 ]; then
    say "the control plane still knows $known and will show it offline. An operator can decommission it."
  fi
}

install() {
  identity=$(agent_id)
  if [ -n "$identity" ] && [ "$force" != 1 ] && [ -x "$bin" ] && [ ! -e "$unfinished" ]; then
    say "this host is enrolled already as $identity; nothing was changed. For a new identity: ROLLCALL_FORCE_REENROLL=1 and a new token."
    show_schedules
    return
  fi
  detect_platform
  require_programs
  local enrolling=0 token_fingerprint=''
  if [ -z "$identity" ] || [ "$force" = 1 ]; then
    take_token
    token_fingerprint=$(fingerprint_of_token)
  fi
  if must_enroll; then enrolling=1; fi
  make_temporary_folder
  read_manifest
  download_binary
  make_folders
  if [ "$enrolling" = 1 ] || [ ! -e "$unfinished" ]; then note_beginning; fi
  install_binary
  write_settings
  if [ "$enrolling" = 1 ]; then enroll; fi
  identity=$(agent_id)
  if uses_service; then
    start_service
  else
    prove_one_beat
    say "no service was installed. Start the agent with: $bin run --config $config"
  fi
  say "the control plane has accepted a heartbeat of this host: $identity is online."
  show_schedules
  rm -rf "$temporary"
  trap - EXIT
  # Last of all: whatever is killed before is finished by the next run, with the same token.
  rm -f "$unfinished"
}

main() {
  set +x # a trace would show the token
  umask 077
  export LC_ALL=C
  hide_tokens
  read_options "$@"
  take_places
  if [ "$uninstall" = 1 ]; then
    uninstall
  else
    take_settings
    install
  fi
}

# The braces: without its last one the line is no command, so a download that was cut does nothing.
{ main "$@"; }
