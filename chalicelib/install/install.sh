#!/usr/bin/env bash
# Installs the Rollcall host agent: checks this host and its token, downloads the agent, checks its
# signature, enrolls this host, starts the service, and waits until the control plane sees the host
# online. Running it again is safe.
#
#   curl -fsSL CONTROL_PLANE/install/install.sh | sudo bash                       asks for the token
#   curl -fsSL CONTROL_PLANE/install/install.sh | sudo bash -s -- --token-file /root/rollcall.token
#
# Options: see usage() below. Environment, every name optional. A switch is 1, true, yes or on, or 0,
# false, no or off, in upper or lower case; anything else is refused before anything is done.
#   ROLLCALL_TOKEN_FILE           a file with the enrollment token (as --token-file)
#   ROLLCALL_TOKEN                the token itself; RM_TOKEN and INSTALL_TOKEN are the same. Works, with a
#                                 warning: on a command line everybody on this host can read it
#   ROLLCALL_URL                  the control plane, stage included; else RM_SERVER, else BACKEND_URL,
#                                 else the one that served this script
#   ROLLCALL_RELEASE_KEY_SHA256   the fingerprint that the release key must have (shown when a token is
#                                 minted); without it the one that came with this script is used
#   ROLLCALL_AGENT_VERSION        this version of the agent instead of the newest
#   ROLLCALL_FORCE_REENROLL       switch: give an enrolled host a new identity; RM_FORCE_REENROLL is the same
#   ROLLCALL_SHOW_SCHEDULES       an extended regular expression: show the cron entries and timers that
#                                 match it. With RM_SERVER: restic. Nothing is ever changed in them
#   ROLLCALL_CA_BUNDLE            a PEM file with the certificates to trust, for this script and the agent
#   ROLLCALL_ALLOW_HTTP           switch: allow plain HTTP to another host than this one
#   ROLLCALL_SELF_UPGRADE         switch: whether the agent may upgrade itself; written down for it
#   ROLLCALL_NO_SERVICE           switch: install no service; say how to start the agent
#   ROLLCALL_WAIT_SECONDS         how long to wait for the first accepted heartbeat (90)
#   ROLLCALL_PREFIX               install below this folder (as --prefix); then root is not needed
#   ROLLCALL_UNINSTALL            switch: as --uninstall
#   http_proxy, HTTPS_PROXY, ALL_PROXY, NO_PROXY ...   the proxies, in lower case or in upper case
#
# Sections: the shell, options, switches, files that people write, the URL, proxies, requests, the token,
# checks of this host, the release, files of the installation, enrolling, the service, schedules,
# uninstalling, installing.

# ---- The shell ----
# Every shell understands this section, and ends here unless it is bash.

readonly FILLED_URL='@ROLLCALL_URL@'

refuse_other_shells() {
  [ -z "${BASH_VERSION:-}" ] || return 0
  how="curl -fsSL $FILLED_URL/install/install.sh | sudo bash"
  case "$FILLED_URL" in @*) how='bash install.sh' ;; esac
  command -v bash >/dev/null 2>&1 || how="install bash, then: $how"
  printf 'rollcall: error: this script needs bash, and another shell runs it. Next: %s\n' "$how" >&2
  exit 2
}
refuse_other_shells
set +o posix # as `sh`, bash would not understand all of what follows
set -euo pipefail

readonly FILLED_KEY_SHA256='@ROLLCALL_RELEASE_KEY_SHA256@'
readonly SYSTEMD_RUNS='/run/systemd/system'
readonly DROP_IN='/etc/systemd/system/rollcall-agent.service.d/proxy.conf'
readonly OWN_UNIT='rollcall-agent service install'
readonly MACOS_JOB='/Library/LaunchDaemons/rollcall-agent.plist'
readonly MACOS_LOG='/var/log/rollcall-agent.log'
readonly MOUNTS='/proc/self/mounts'
readonly LOADER_X86_64='/lib64/ld-linux-x86-64.so.2'
readonly LOADER_ARM64='/lib/ld-linux-aarch64.so.1'
readonly LARGEST_ENV_FILE=1048576
readonly LARGEST_TOKEN_FILE=65536
readonly LARGEST_MANIFEST=65536
readonly LARGEST_ANSWER=65536
readonly LARGEST_BINARY=536870912
readonly MOST_REDIRECTS=5
readonly VERSION_FORM='^[0-9A-Za-z][0-9A-Za-z.+-]{0,63}$'
readonly TOKEN_FORM='^rce_[A-Za-z0-9_.~+/=-]{1,4092}$'
# Kilobytes that the agent and its unpacked parts need, with some to spare.
readonly ROOM_FOR_BINARY=49152
readonly ROOM_FOR_UNPACKED=98304

say() { printf 'rollcall: %s\n' "$*"; }
warn() { printf 'rollcall: warning: %s\n' "$*" >&2; }
fail() { # LINE [EXIT-CODE]
  printf 'rollcall: error: %s\n' "$1" >&2
  exit "${2:-1}"
}

# Prints a word as a shell takes it: commands that are shown can be copied.
quoted() { # WORD
  if [[ $1 =~ ^[A-Za-z0-9_./:@%+=,-]+$ ]]; then
    printf '%s' "$1"
  else
    printf "'%s'" "${1//\'/\'\\\'\'}"
  fi
}

trim() { # TEXT; sets trimmed
  trimmed=${1#"${1%%[![:space:]]*}"}
  trimmed=${trimmed%"${trimmed##*[![:space:]]}"}
}

# ---- Options ----

usage() {
  cat <<'END'
install.sh [--token-file FILE] [--url URL] [--name NAME] [--label KEY=VALUE]... [--prefix FOLDER]
install.sh --uninstall [--decommission] [--purge] [--prefix FOLDER]

  --token-file FILE  read the enrollment token from FILE
  --url URL          the control plane, stage included
  --name NAME        the agent's name; default: derived from the hostname
  --label KEY=VALUE  a label of the agent; may be repeated
  --prefix FOLDER    install below FOLDER, without root
  --uninstall        stop and remove the service and the agent
  --decommission     tell the control plane before that this host is gone
  --purge            remove configuration, identity and state as well
END
}

read_options() {
  option_token_file='' option_url='' option_name='' option_labels=() uninstall=0 decommission=0 purge=0
  prefix=${ROLLCALL_PREFIX:-}
  while [ "$#" -gt 0 ]; do
    case "$1" in
      --token-file | --url | --name | --label | --prefix)
        [ "$#" -ge 2 ] && [ -n "$2" ] || fail "$1 needs a value." 2
        take_option "$1" "$2"
        shift
        ;;
      --token-file=?* | --url=?* | --name=?* | --label=?* | --prefix=?*) take_option "${1%%=*}" "${1#*=}" ;;
      --token-file= | --url= | --name= | --label= | --prefix=) fail "${1%=} needs a value." 2 ;;
      --uninstall) uninstall=1 ;;
      --decommission) decommission=1 ;;
      --purge) purge=1 ;;
      --help | -h)
        usage
        exit 0
        ;;
      # The argument is not repeated: it may be a token that was given this way.
      *) fail 'unknown argument. A token is never given as one: everybody on this host can read it. See --help.' 2 ;;
    esac
    shift
  done
}

take_option() { # OPTION VALUE
  [[ $2 != *[[:cntrl:]]* ]] || fail "$1: its value holds a control character." 2
  case "$1" in
    --token-file) option_token_file=$2 ;;
    --url) option_url=$2 ;;
    --name)
      [[ $2 =~ ^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$ ]] || fail '--name: a name has letters, digits and ._- alone, 63 at most, a letter or digit first.' 2
      option_name=$2
      ;;
    --label)
      [[ $2 =~ ^[a-z0-9][a-z0-9._/-]{0,62}= ]] || fail '--label takes KEY=VALUE; a key has small letters, digits and ._/- alone, 63 at most.' 2
      is_utf8 "$2" || fail '--label: its value is not UTF-8.' 2
      option_labels+=("$2")
      ;;
    --prefix) prefix=$2 ;;
  esac
}

check_options() {
  [ "$uninstall" = 1 ] || [ "$decommission$purge" = 00 ] || fail '--decommission and --purge go with --uninstall.' 2
  [ "$uninstall" = 0 ] || [ -z "$option_name${option_labels[*]+x}" ] || fail '--name and --label do not go with --uninstall.' 2
}

# ---- Switches ----
# One rule for script, agent and command line.

readonly SWITCHES='ROLLCALL_UNINSTALL ROLLCALL_NO_SERVICE ROLLCALL_FORCE_REENROLL RM_FORCE_REENROLL ROLLCALL_ALLOW_HTTP ROLLCALL_SELF_UPGRADE ROLLCALL_SUPERVISED'

read_switch() { # NAME VALUE PLACE; sets switched to 1, to 0, or to nothing where it is not set
  trim "$2"
  case "$trimmed" in
    '') switched='' ;;
    1 | [Tt][Rr][Uu][Ee] | [Yy][Ee][Ss] | [Oo][Nn]) switched=1 ;;
    0 | [Ff][Aa][Ll][Ss][Ee] | [Nn][Oo] | [Oo][Ff][Ff]) switched=0 ;;
    *) fail "$1 must be 1, true, yes or on, or 0, false, no or off. Next: correct it in $3." 2 ;;
  esac
}

# Checks each one, also one that this run does not use, and hands it on as 1 or 0.
check_switches() {
  local name
  for name in $SWITCHES; do
    read_switch "$name" "${!name:-}" 'the environment'
    [ -z "$switched" ] || export "$name=$switched"
  done
}

# Tells whether the first of the names that the environment sets is on.
is_on() { # NAME...
  local name
  for name in "$@"; do
    trim "${!name:-}"
    [ -z "$trimmed" ] || { [ "$trimmed" = 1 ]; return; }
  done
  return 1
}

# ---- Files that people write ----
# The grammar of the agent's env file and of token files; the agent has the same one.
# Its rules: docs/decisions/0029; its cases: tests/vectors.

readonly BOM=$'\xef\xbb\xbf' BLANK=$' \t'
readonly ASSIGNMENT='^[[:blank:]]*(export[[:blank:]]+)?([A-Za-z_][A-Za-z0-9_]*)[[:blank:]]*='
# `export NAME` after an assignment to it sets nothing.
readonly EXPORT='^[[:blank:]]*export([[:blank:]]+[A-Za-z_][A-Za-z0-9_]*)+[[:blank:]]*([[:blank:]]#.*)?$'

# Names of the agent and the installers, and of other systems that both read as well.
is_ours() { # NAME
  case "$1" in
    ROLLCALL_* | BYTEOR_API_BASE_URL | RM_SERVER | BACKEND_URL | RM_TOKEN | INSTALL_TOKEN | BYTEOR_AGENT_ID) return 0 ;;
    BYTEOR_AGENT_API_KEY | RM_AGENT_TOKEN | SENSOR_TOKEN | RM_FORCE_REENROLL | SENSOR_PORT) return 0 ;;
    *) return 1 ;;
  esac
}

# The characters, in UTF-8, that cannot be seen or look like a plain blank, quote or equals sign and are
# none: no-break spaces, soft hyphens, zero-width and bidirectional marks, typographic quotes, and so on.
list_marks() { # sets marks, patterns of the shell
  marks=(
    $'\xc2[\x80-\xa0\xab\xad\xbb]' $'\xcd\x8f' $'\xd8\x9c' $'\xe1\x9a\x80' $'\xe1\xa0\x8e'
    $'\xe2\x80[\x80-\x8f\x98-\x9f\xa8-\xaf\xb9\xba]' $'\xe2\x81[\x9f-\xaf]' $'\xe3\x80\x80'
    $'\xef\xb8[\x80-\x8f]' $'\xef\xbb\xbf' $'\xef\xbc[\x82\x87\x9d]' $'\xef\xbf[\xb9-\xbb]'
    $'\xf3\xa0[\x80-\xbf][\x80-\xbf]'
  )
}

has_mark() { # TEXT
  local mark
  for mark in "${marks[@]}"; do
    # shellcheck disable=SC2053 # a pattern
    [[ $1 != *$mark* ]] || return 0
  done
  return 1
}

# Takes each character that UTF-8 has out; what is left beyond ASCII is none.
is_utf8() { # TEXT
  local text=$1 form t=$'[\x80-\xbf]'
  [[ $text = *[$'\x80'-$'\xff']* ]] || return 0
  for form in $'[\xc2-\xdf]'"$t" $'\xe0[\xa0-\xbf]'"$t" $'[\xe1-\xec\xee\xef]'"$t$t" $'\xed[\x80-\x9f]'"$t" \
    $'\xf0[\x90-\xbf]'"$t$t" $'[\xf1-\xf3]'"$t$t$t" $'\xf4[\x80-\x8f]'"$t$t"; do
    text=${text//$form/ }
  done
  [[ $text != *[$'\x80'-$'\xff']* ]]
}

check_letters() { # TEXT; sets fault
  local bare=${1//$'\t'/}
  if [[ $bare = *[[:cntrl:]]* ]]; then
    fault=control
  elif ! is_utf8 "$1"; then
    fault=utf8
  elif has_mark "$1"; then
    fault=typography
  fi
}

reason_of() { # FAULT
  case "$1" in
    utf16) printf 'the file is UTF-16; save it as UTF-8' ;;
    nul) printf 'it holds a NUL byte; save the file as UTF-8' ;;
    utf8) printf 'its value is not UTF-8' ;;
    token_utf8) printf 'the token is not UTF-8' ;;
    control) printf 'it holds a control character' ;;
    typography) printf 'it holds an invisible character, a special blank or a typographic quote' ;;
    quote) printf 'a quote is not closed' ;;
    continued) printf 'it ends with a backslash, and a setting does not go on in the next line' ;;
    form) printf 'it is not NAME=VALUE' ;;
    blanks) printf 'there are blanks in the token' ;;
    several) printf 'there is more than one token' ;;
    empty) printf 'there is no token' ;;
  esac
}

# Reads a whole text from stdin, without its byte-order mark.
slurp() { # sets text, or fault and number
  text='' fault='' number=''
  if IFS= read -r -d '' text; then # up to a NUL byte
    local before=${text//[!$'\n']/}
    number=$((${#before} + 1)) fault=nul
    # Without a mark UTF-16 shows in the first line: each plain letter has a NUL byte.
    [ "$number" != 1 ] || fault=utf16
  fi
  case "$text" in $'\xff\xfe'* | $'\xfe\xff'*) fault=utf16 number=1 ;; esac
  text=${text#"$BOM"}
}

# Reads what stands behind an equals sign, up to a comment: plain text, '...' and "..." in any order.
read_value() { # RAW; sets value, or fault
  local rest=$1 blanks='' begun='' last='' piece
  value='' fault=''
  while [ -n "$rest" ] && [ -z "$fault" ]; do
    piece=${rest%%[!"$BLANK"]*}
    blanks=$blanks$piece rest=${rest#"$piece"}
    [ -n "$rest" ] || break
    [ -z "$blanks" ] || [[ $rest != \#* ]] || break
    [ -z "$begun" ] || value=$value$blanks
    blanks='' begun=1 last=''
    case "$rest" in
      \'*)
        rest=${rest#?}
        [[ $rest = *\'* ]] || fault=quote
        value=$value${rest%%\'*} rest=${rest#*\'}
        ;;
      \"*) read_double "${rest#?}" ;;
      *)
        piece=${rest%%[\'\""$BLANK"]*}
        value=$value$piece rest=${rest#"$piece"} last=${piece#"${piece%?}"}
        ;;
    esac
  done
  [ -n "$fault" ] || [ "$last" != \\ ] || fault=continued
  # Curly quotes are the better explanation of a straight one that is alone.
  if [ -n "$fault" ]; then check_letters "$1"; else check_letters "$value"; fi
}

read_double() { # TEXT behind the first quote; adds to value, sets rest behind the second, or fault
  local piece next
  rest=$1
  while :; do
    piece=${rest%%[\\\"]*}
    value=$value$piece rest=${rest#"$piece"}
    case "$rest" in
      \"*)
        rest=${rest#?}
        return
        ;;
      '') fault=quote ;;
      \\) fault=continued ;;
    esac
    [ -z "$fault" ] || return 0
    next=${rest:1:1} rest=${rest:2}
    case "$next" in [\"\\\$\`]) value=$value$next ;; *) value=$value\\$next ;; esac
  done
}

# Takes a line apart. Lines about other names are never refused.
read_line() { # LINE; sets name and value, where it sets one of our names; or fault
  local line=${1%$'\r'} start word
  name='' value='' fault=''
  start=${line#"${line%%[!"$BLANK"]*}"}
  case "$start" in '' | '#'* | ';'*) return ;; esac
  if [[ $line =~ $ASSIGNMENT ]]; then
    name=${BASH_REMATCH[2]}
    if is_ours "$name"; then read_value "${line#*=}"; else name=''; fi
    return
  fi
  [[ ! $line =~ $EXPORT ]] || return 0
  for word in $(words_of "$line"); do
    word=${word#"${word%%[!0-9]*}"}
    is_ours "$word" || continue
    fault=form
    check_letters "$line"
    return
  done
}

# Prints what could be names in a line, also where an invisible character stands in or beside one.
words_of() { # LINE
  local joined=$1 parted=$1 mark
  for mark in "${marks[@]}" '[[:cntrl:]]'; do
    joined=${joined//$mark/} parted=${parted//$mark/ }
  done
  printf '%s' "${joined//[!A-Za-z0-9_]/ } ${parted//[!A-Za-z0-9_]/ }"
}

read_lines() { # sets names and values from text; or fault and number of the first line that is refused
  local line count=0 name value
  names=() values=()
  while IFS= read -r line || [ -n "$line" ]; do
    count=$((count + 1))
    read_line "$line"
    if [ -n "$fault" ]; then
      number=$count
      return
    fi
    [ -z "$name" ] || { names+=("$name"); values+=("$value"); }
  done < <(printf '%s' "$text")
}

# Reads the agent's env file. One that cannot be read is refused: a host that is enrolled must not be
# taken for a new one.
read_env_file() { # [REFUSE, a command that gets the reason]
  local refuse=${1:-refuse_env_file} text fault number size
  names=() values=()
  if [ ! -e "$config" ] && [ ! -L "$config" ]; then
    [ -x "$(existing "$config_dir")" ] || "$refuse" "$(quoted "$config_dir") cannot be looked into. Next: run this as its owner."
    return 0
  fi
  if [ ! -f "$config" ]; then
    "$refuse" "$(quoted "$config") is not a regular file."
    return 0
  fi
  size=$({ wc -c <"$config"; } 2>/dev/null) || size=''
  if [ -z "$size" ] || [ ! -r "$config" ]; then
    "$refuse" "cannot read $(quoted "$config"). Next: run this as the file's owner."
    return 0
  fi
  if [ "$((size))" -gt "$LARGEST_ENV_FILE" ]; then
    "$refuse" "$(quoted "$config") is too large to be an env file."
    return 0
  fi
  slurp <"$config"
  [ -n "$fault" ] || read_lines
  [ -z "$fault" ] ||
    "$refuse" "$config, line $number: $(reason_of "$fault"). Next: correct that line, then run this again."
}

refuse_env_file() { fail "$1 Nothing was changed." 2; }

ignore_env_file() {
  names=() values=()
  [ "$decommission" = 0 ] || refuse_env_file "$1"
  warn "$1 So it is not known as which agent this host is enrolled."
}

# Prints what the env file sets NAME to. The last line wins, as it does for the agent.
env_value() { # NAME
  local place=$((${#names[@]} - 1))
  for ((; place >= 0; place--)); do
    [ "${names[place]}" = "$1" ] || continue
    printf '%s' "${values[place]}"
    return
  done
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

check_env_switches() {
  local name
  for name in $SWITCHES; do
    read_switch "$name" "$(env_value "$name")" "$(quoted "$config")"
  done
}

# Appends, and never rewrites: an agent that rotates its key at this moment must not lose it.
remember() { # NAME VALUE
  [ "$(env_value "$1")" != "$2" ] || return 0
  local separator='' written=$2
  [[ $written =~ ^[A-Za-z0-9_.,:/@%+=~-]*$ ]] || written=\"$(escaped "$written")\"
  if [ -s "$config" ] && [ -n "$(tail -c 1 "$config")" ]; then separator=$'\n'; fi
  printf '%s%s=%s\n' "$separator" "$1" "$written" >>"$config"
  names+=("$1") values+=("$2")
}

# Prints a text as it stands between double quotes, for a shell, for systemd and for the agent.
escaped() { # TEXT
  local text=$1 mark
  for mark in \\ \" \$ \`; do text=${text//"$mark"/\\"$mark"}; done
  printf '%s' "$text"
}

# Finds the only token of a text: the token alone, or a line of an env file that sets it.
read_token() { # sets value from text; or fault and number, of a line or of nothing
  local line start rank count=0 bare='' bare_at=0 found='' found_at=0 named named_at
  named=('' '' '' '') named_at=(0 0 0 0)
  while IFS= read -r line || [ -n "$line" ]; do
    count=$((count + 1)) line=${line%$'\r'} rank=0
    start=${line#"${line%%[!"$BLANK"]*}"}
    case "$start" in '' | '#'* | ';'*) continue ;; esac
    # `rce_...==` is a token that ends with equals signs, and sets no name.
    if [[ ! $start =~ ^rc[a-z]_ && $line =~ $ASSIGNMENT ]]; then
      case "${BASH_REMATCH[2]}" in ROLLCALL_TOKEN) rank=1 ;; RM_TOKEN) rank=2 ;; INSTALL_TOKEN) rank=3 ;; *) continue ;; esac
      line=${line#*=}
    fi
    read_value "$line"
    [ "$fault" != utf8 ] || fault=token_utf8
    [ -n "$fault" ] || [[ $value != *[$BLANK]* ]] || fault=blanks
    [ -n "$fault" ] || [ "$rank$bare_at" = 00 ] || [ "$rank" != 0 ] || fault=several
    number=$count
    [ -z "$fault" ] || return 0
    if [ "$rank" = 0 ]; then bare=$value bare_at=$count; else named[rank]=$value named_at[rank]=$count; fi
  done < <(printf '%s' "$text")
  for rank in 3 2 1; do
    if [ -n "${named[rank]}" ]; then found=${named[rank]} found_at=${named_at[rank]}; fi
  done
  value=$bare$found number=''
  if [ -n "$bare" ] && [ -n "$found" ]; then
    fault=several number=$((bare_at > found_at ? bare_at : found_at))
  elif [ -z "$value" ]; then
    fault=empty
  fi
}

# ---- The URL ----

check_url() {
  local authority='' path='' host port form='^(https?)://([^/?#]*)([^?#]*)(.?)'
  local loopback='^(localhost|127\.[0-9]+\.[0-9]+\.[0-9]+|\[::1\])$' next='https://HOST[:PORT][/STAGE]'
  [[ $url != @* ]] || fail 'no control plane is known. Next: give --url, or set ROLLCALL_URL.' 2
  trim "$url"
  url=$trimmed
  case "$url" in [Hh][Tt][Tt][Pp]*://*) url=$(printf '%s' "${url%%://*}" | tr '[:upper:]' '[:lower:]')://${url#*://} ;; esac
  [[ $url != *[[:space:]]* ]] || fail "the URL of the control plane holds blanks. It must be $next." 2
  [[ $url =~ $form ]] || fail "the URL of the control plane must begin with https://. It must be $next." 2
  scheme=${BASH_REMATCH[1]} authority=${BASH_REMATCH[2]} path=${BASH_REMATCH[3]}
  # Neither is repeated: it may hold a password.
  [ -z "${BASH_REMATCH[4]}" ] || fail "the URL of the control plane must not have a query or a fragment (? or #). It must be $next." 2
  [[ $authority != *@* ]] || fail "the URL of the control plane must not hold a user name or a password. It must be $next." 2
  [[ $authority =~ ^([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:([0-9]{1,5}))?$ ]] ||
    fail "the URL of the control plane names no host that there could be. It must be $next." 2
  host=${BASH_REMATCH[1]} port=${BASH_REMATCH[3]:-1}
  [ "$((10#$port))" -ge 1 ] && [ "$((10#$port))" -le 65535 ] || fail 'the port in the URL of the control plane must be from 1 to 65535.' 2
  [[ $path =~ ^[A-Za-z0-9._~/%+=,:-]*$ ]] || fail "the path in the URL of the control plane holds characters that no stage has. It must be $next." 2
  shorten_path
  url=$scheme://$authority$path
  [[ -n $path || ! $host =~ \.execute-api\.[a-z0-9-]+\.amazonaws\.com(\.cn)?$ ]] ||
    fail "the URL of the control plane names no stage. Next: give it with the stage at its end, such as $url/prod." 2
  protocols='=https'
  [ "$scheme" = http ] || return 0
  protocols='=http,https'
  [[ $host =~ $loopback ]] || allows_http ||
    fail 'plain HTTP shows the token to the network. Next: use https, or set ROLLCALL_ALLOW_HTTP=1.' 2
}

# What is below the stage is taken off: agent and script add it themselves.
shorten_path() {
  local end
  while [ "${path%/}" != "$path" ]; do path=${path%/}; done
  for end in /api/v1 /install/install.sh; do
    [ "${path%"$end"}" != "$path" ] || continue
    path=${path%"$end"}
    say "the URL of the control plane ends with its stage: $end was taken off."
  done
  while [ "${path%/}" != "$path" ]; do path=${path%/}; done
}

# The environment goes before the env file, as it does for the agent.
allows_http() {
  [ -n "${ROLLCALL_ALLOW_HTTP:-}" ] || read_switch ROLLCALL_ALLOW_HTTP "$(env_value ROLLCALL_ALLOW_HTTP)" "$(quoted "$config")"
  is_on ROLLCALL_ALLOW_HTTP || [ "${ROLLCALL_ALLOW_HTTP:-$switched}" = 1 ]
}

# ---- Proxies ----
# What goes through a proxy is decided here, as the agent decides it, and not by curl: versions of it
# differ in what they understand of NO_PROXY. Its cases: tests/vectors/no_proxy.json.

ip_of() { # TEXT in lower case; sets ip to its parts of 16 bits, 2 or 8; fails where it is no address
  local text=$1 head tail part missing
  ip=()
  if [[ $text =~ ^([0-9]{1,3})\.([0-9]{1,3})\.([0-9]{1,3})\.([0-9]{1,3})$ ]]; then
    local bytes=("${BASH_REMATCH[@]:1}")
    for part in "${bytes[@]}"; do
      [[ $part != 0?* && $part -le 255 ]] || return 1
    done
    ip=($((bytes[0] * 256 + bytes[1])) $((bytes[2] * 256 + bytes[3])))
    return
  fi
  [[ $text =~ ^[0-9a-f:.]+$ && $text = *:* ]] || return 1
  if [[ $text = *.* ]]; then # an IPv4 address at the end
    ip_of "${text##*:}" && [ "${#ip[@]}" = 2 ] || return 1
    printf -v text '%s:%x:%x' "${text%:*}" "${ip[0]}" "${ip[1]}"
    ip=()
  fi
  head=$text tail=''
  if [[ $text = *::* ]]; then head=${text%%::*} tail=${text#*::}; fi
  [[ $tail != *::* && "$head" != :* && "$head" != *: && "$tail" != :* && "$tail" != *: ]] || return 1
  local heads tails IFS=:
  # shellcheck disable=SC2206 # hexadecimal digits and colons alone
  heads=($head) tails=($tail)
  missing=$((8 - ${#heads[@]} - ${#tails[@]}))
  if [[ $text = *::* ]]; then [ "$missing" -ge 1 ] || return 1; else [ "$missing" = 0 ] || return 1; fi
  for ((; missing > 0; missing--)); do heads+=(0); done
  for part in ${heads[@]+"${heads[@]}"} ${tails[@]+"${tails[@]}"}; do
    [[ $part =~ ^[0-9a-f]{1,4}$ ]] || return 1
    ip+=($((16#$part)))
  done
}

is_in_network() { # NETWORK; compares with address
  local prefix bits place left mask ip
  [[ $1 =~ ^([0-9a-f.:]+)(/([0-9]{1,3}))?$ ]] || return 1
  prefix=${BASH_REMATCH[3]:-}
  ip_of "${BASH_REMATCH[1]}" && [ "${#ip[@]}" = "${#address[@]}" ] || return 1
  bits=$((${#ip[@]} * 16))
  [ "$((10#${prefix:-$bits}))" -le "$bits" ] || return 1
  bits=$((10#${prefix:-$bits}))
  for ((place = 0; place < ${#ip[@]}; place++)); do
    left=$((bits - place * 16))
    [ "$left" -gt 0 ] || return 0
    mask=$((left >= 16 ? 65535 : (65535 << (16 - left)) & 65535))
    [ "$((ip[place] & mask))" = "$((address[place] & mask))" ] || return 1
  done
}

# Takes a URL apart: sets scheme, host, port, and address where the host is one.
target_of() { # URL in lower case
  local authority ip
  [[ $1 =~ ^([a-z]+)://([^/?#]*) ]] || return 1
  scheme=${BASH_REMATCH[1]} authority=${BASH_REMATCH[2]##*@}
  [[ $authority =~ ^\[([^][]+)\](:([0-9]{0,5}))?$ || $authority =~ ^([^:]+)(:([0-9]{0,5}))?$ ]] || return 1
  host=${BASH_REMATCH[1]} port=${BASH_REMATCH[3]} address=()
  case "$scheme" in http) port=${port:-80} ;; https) port=${port:-443} ;; esac
  # An address may name the interface that it belongs to.
  if ip_of "${host%%%*}"; then address=("${ip[@]}"); fi
  host=${host%.}
  [ -n "$host" ] && [ "${port:-1}" -le 65535 ]
}

# Tells whether an entry of NO_PROXY means the target. One that means nothing is ignored.
excepts() { # ENTRY in lower case
  local entry=$1 name wanted='' below=''
  [ "$entry" != '*' ] || return 0
  if [[ $entry = *://* ]]; then
    [[ $entry =~ ^([a-z]+)://([^/?#]*)/?$ ]] || return 1
    entry=${BASH_REMATCH[2]}
    case "${BASH_REMATCH[1]}" in all | "$scheme") ;; *) return 1 ;; esac
  fi
  if [[ $entry = *:*:* && $entry != \[* ]]; then
    name=$entry # a bare address has two colons or more
  elif [[ $entry =~ ^\[([^][]*)\](/[0-9]+)?(:([0-9]+))?$ ]]; then
    name=${BASH_REMATCH[1]}${BASH_REMATCH[2]} wanted=${BASH_REMATCH[4]}
    [ -z "${BASH_REMATCH[3]}" ] || [[ $wanted =~ ^[0-9]{1,5}$ ]] || return 1
  elif [[ $entry =~ ^([^:]+)(:([0-9]+))?$ ]]; then
    name=${BASH_REMATCH[1]} wanted=${BASH_REMATCH[3]}
    [ -z "$wanted" ] || [[ $wanted =~ ^[0-9]{1,5}$ ]] || return 1
  else
    return 1
  fi
  [ -z "$wanted" ] || [ "$((10#$wanted))" = "$((10#$port))" ] || return 1
  if [ "${#address[@]}" != 0 ]; then
    is_in_network "$name"
    return
  fi
  name=${name%.}
  if [[ $name = '*.'* ]]; then below=1; fi
  name=${name#\*}
  name=${name#.}
  [ -n "$name" ] || return 1
  [[ $host = *".$name" ]] || { [ "$host" = "$name" ] && [ -z "$below" ]; }
}

bypasses() { # URL NO_PROXY
  local scheme host port address entry IFS=$' \t\n\r\f\v'
  set -- "$(printf '%s' "$1" | tr '[:upper:]' '[:lower:]')" "$(printf '%s' "${2//,/ }" | tr '[:upper:]' '[:lower:]')"
  target_of "$1" || return 1
  set -f # an entry may be *
  # shellcheck disable=SC2086 # the entries
  set -- $2
  set +f
  for entry in "$@"; do
    ! excepts "$entry" || return 0
  done
  return 1
}

# Tells whether a URL names this host itself: a proxy would look for it on its own side.
is_loopback() { # URL
  local scheme host port address
  target_of "$(printf '%s' "$1" | tr '[:upper:]' '[:lower:]')" || return 1
  case "${#address[@]}" in
    0) [ "$host" = localhost ] ;;
    2) [ "$((address[0] >> 8))" = 127 ] ;;
    *) [ "${address[*]}" = '0 0 0 0 0 0 0 1' ] ;;
  esac
}

# A name in lower case goes before the same one in upper case, also where it is empty.
proxy_setting() { # http, https, all or no; sets setting
  local upper
  case "$1" in http) upper=HTTP_PROXY ;; https) upper=HTTPS_PROXY ;; all) upper=ALL_PROXY ;; *) upper=NO_PROXY ;; esac
  setting=${1}_proxy
  [ -n "${!setting+set}" ] || setting=$upper
  setting=${!setting:-}
}

choose_proxy() { # URL; sets proxy, to nothing where the request goes directly
  local setting
  proxy=''
  proxy_setting no
  if is_loopback "$1" || bypasses "$1" "$setting"; then return; fi
  case "$1" in [Hh][Tt][Tt][Pp]:*) proxy_setting http ;; *) proxy_setting https ;; esac
  [ -n "$setting" ] || proxy_setting all
  proxy=$setting
}

check_proxies() {
  local name value proxy why='' form='^(https?://)?([^/]*@)?(\[[0-9A-Fa-f:.]+\]|[^]/@:?#[]+)(:[0-9]{1,5})?(/[^?#]*)?$'
  for name in https_proxy http_proxy all_proxy no_proxy HTTPS_PROXY HTTP_PROXY ALL_PROXY NO_PROXY; do
    value=${!name:-}
    case "$name" in no_proxy | NO_PROXY) value=${value//[$'\t\n\v\f\r']/ } ;; esac
    # The value is not repeated: it may hold a password.
    [[ $value != *[[:cntrl:]]* ]] || fail "$name holds a control character. Next: correct it in the environment." 2
    is_utf8 "$value" || fail "$name is not UTF-8. Next: correct it in the environment." 2
  done
  choose_proxy "$url"
  [ -n "$proxy" ] || return 0
  case "$proxy" in
    [Ss][Oo][Cc][Kk][Ss]*://*) why='SOCKS is not supported' ;;
    *) [[ $proxy =~ $form ]] && [[ $proxy != *[[:space:]]* ]] || why='it holds no URL of a proxy' ;;
  esac
  [ -z "$why" ] || fail "the proxy of the environment cannot be used: $why. Next: correct it (http://host:port), take it out of the environment, or name the control plane's host in NO_PROXY." 2
}

# ---- Requests ----

# One request by curl, over checked TLS only. No .curlrc is read: it could hold --insecure. URL, proxy and
# credential come to curl through stdin: everybody can see its arguments.
request() { # URL FILE CREDENTIAL CURL-OPTION...; sets status and redirect
  local target=$1 file=$2 credential=$3 proxy said failed=0
  shift 3
  choose_proxy "$target"
  rm -f "$file"
  said=$(
    unset http_proxy https_proxy HTTPS_PROXY all_proxy ALL_PROXY no_proxy NO_PROXY
    {
      printf 'url = "%s"\n' "$(config_word "$target")"
      if [ -n "$proxy" ]; then printf 'proxy = "%s"\n' "$(config_word "$proxy")"; else printf 'noproxy = "*"\n'; fi
      [ -z "$credential" ] || printf 'header = "Authorization: Bearer %s"\n' "$credential"
    } | curl -q --silent --show-error --globoff --proto "$protocols" ${trusted:+--cacert "$trusted"} \
      --connect-timeout 20 --output "$file" --write-out '%{http_code} %{redirect_url}' "$@" --config -
  ) || failed=$?
  [ "$failed" = 0 ] || fail_unreachable "$failed" "$target"
  status=${said%% *} redirect=${said#* }
  [ -s "$file" ] || [ "$status" != 200 ] ||
    fail "curl reports an answer and has written nothing to $(quoted "$file"). A curl from snap cannot write there. Next: install curl from the system's own packages, and run this again."
}

config_word() { # TEXT
  local text=${1//\\/\\\\}
  printf '%s' "${text//\"/\\\"}"
}

fail_unreachable() { # CURL-CODE URL
  local why place=${2%%\?*} code=4
  case "$1" in
    5 | 97) why='the proxy was not found or refused; check https_proxy' ;;
    6) why='there is no such host name; check the URL, and name resolution' ;;
    7) why='no connection; check the URL, the network, and whether a proxy (https_proxy) is needed' ;;
    23) why="the answer could not be written to $(quoted "$temporary"); perhaps the disk is full" code=1 ;;
    28) why='it took too long; check the network, and whether a proxy (https_proxy) is needed' ;;
    35 | 51 | 53 | 54 | 58 | 59 | 60 | 66 | 77 | 80 | 82 | 83 | 90 | 91)
      why='the certificate cannot be checked; name a private CA with ROLLCALL_CA_BUNDLE, and look at the clock of this host' code=1
      ;;
    1 | 3 | 63) why='that is not what a control plane answers; check the URL, its stage included' code=1 ;;
    *) why='check the URL, name resolution, proxy (https_proxy) and certificates (ROLLCALL_CA_BUNDLE)' ;;
  esac
  fail "cannot reach $place (curl $1): $why. Next: correct that, and run this again; a token that was not spent stays whole." "$code"
}

# Follows redirects by itself: each host has its own way, through a proxy or not.
fetch() { # PATH FILE LARGEST SECONDS
  local target=$url$1 hops=0 status redirect code
  while :; do
    request "$target" "$2" '' --max-time "$4" --max-filesize "$3" --retry 3
    case "$status" in 301 | 302 | 303 | 307 | 308) ;; *) break ;; esac
    [ -n "$redirect" ] && [ "$hops" -lt "$MOST_REDIRECTS" ] || break
    [[ $redirect != *[[:cntrl:][:space:]]* ]] || break
    target=$redirect hops=$((hops + 1))
  done
  [ "$status" != 200 ] || return 0
  code=$(code_of "$2")
  [ "$code" != agent_not_published ] ||
    fail "this control plane has published no agent ${wanted_version:+of version $wanted_version }for $os $arch (404 agent_not_published). Next: ask an operator to publish it."
  fail_foreign "$status" "$code"
}

fail_foreign() { # STATUS CODE
  fail "$url answered HTTP $1${2:+ $2}. Next: check that this is the control plane, its stage included, and any proxy in between."
}

# Prints the stable code of a refusal, or another member of an answer.
code_of() { # FILE [MEMBER]
  local body=''
  { IFS= read -r -d '' body <"$1" || true; } 2>/dev/null # an empty answer leaves no file
  body=${body:0:4000}
  body=${body//[![:print:]]/}
  [[ ! $body =~ \"${2:-code}\":\ *\"([^\"\\]{1,200})\" ]] || printf '%s' "${BASH_REMATCH[1]}"
}

# ---- The token ----

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

# Sets token, and stored where it stands in the env file: then the agent reads it there by itself.
take_token() {
  local file=${option_token_file:-${ROLLCALL_TOKEN_FILE:-}} text fault='' number='' value=''
  stored=''
  if [ -n "$file" ]; then
    token_source=$file
    slurp_token_file "$file"
  elif [ -n "$token" ]; then
    warn "the token came in $token_source: on a command line everybody on this host can read it."
    warn "Better: curl -fsSL $url/install/install.sh | sudo bash (it asks), or with --token-file."
    text=$token token_source="the environment's $token_source"
  elif stored=$(first_value ROLLCALL_TOKEN RM_TOKEN INSTALL_TOKEN) && [ -n "$stored" ]; then
    text=$stored token_source=$(quoted "$config")
  else
    ask_for_token
  fi
  [ -n "$fault" ] || read_token
  token=''
  [ "$fault" != empty ] || [ -n "$file" ] ||
    fail 'there is no enrollment token. Next: have one minted, and give it with --token-file.' 2
  [ -z "$fault" ] ||
    fail "$token_source${number:+, line $number}: $(reason_of "$fault"). Next: let it hold the token alone, as it was minted." 2
  [[ $value =~ $TOKEN_FORM ]] ||
    fail "what $token_source holds is not an enrollment token (they start with rce_). Next: ask an operator to mint one." 2
  token=$value
}

slurp_token_file() { # FILE; sets text, or fault and number
  # It is not repeated: it is a token that stands where the name of its file belongs.
  [[ ${1##*/} != rce_* ]] || fail 'the token file is named by what looks like a token. Next: write the token to a file, and name that file.' 2
  [ ! -d "$1" ] || fail "$(quoted "$1") is a folder. Next: name a file that holds the token." 2
  { : <"$1"; } 2>/dev/null || fail "cannot read a token from $(quoted "$1"). Next: name a file that holds the token, and that you may read." 2
  slurp < <(head -c "$((LARGEST_TOKEN_FILE + 1))" "$1")
  [ "${#text}" -le "$LARGEST_TOKEN_FILE" ] || fail "$(quoted "$1") is too large to hold a token alone." 2
  [ -z "$(find -L "$1" -prune -type f -perm -004 2>/dev/null)" ] ||
    warn "$1 can be read by everybody. Next: delete it after use."
}

ask_for_token() { # sets text
  text='' token_source='what was typed'
  { : >/dev/tty; } 2>/dev/null || return 0
  # Asked by read itself: it turns the echo off before, so that nothing typed early is shown.
  IFS= read -rsp 'Enrollment token (not shown): ' text </dev/tty 2>/dev/tty || true
  printf '\n' >/dev/tty
}

# Half of a SHA-256: it tells tokens apart and is of no other use.
fingerprint_of_token() {
  local found
  found=$(printf '%s' "$token" | sha256_of /dev/stdin)
  printf '%s' "${found:0:32}"
}

json_text() { # TEXT
  local text=${1//\\/\\\\}
  printf '"%s"' "${text//\"/\\\"}"
}

# Prints what the agent will say of this host, as far as a token may depend on it.
description() {
  local host label separator='' labels=''
  host=$(uname -n)
  [[ $host =~ ^[A-Za-z0-9_]([A-Za-z0-9._-]{0,251}[A-Za-z0-9_])?$ ]] || host=unknown
  for label in ${option_labels[@]+"${option_labels[@]}"}; do
    labels=$labels$separator$(json_text "${label%%=*}"):$(json_text "${label#*=}") separator=,
  done
  printf '{"hostname":"%s"%s,"labels":{%s}}' "$host" "${option_name:+,\"name\":\"$option_name\"}" "$labels"
}

# Whether the agent will name this host as it is described here: it also reads a file that a container
# may have, and gives hosts without a name of their own another one.
is_sure_of_hostname() {
  local host
  host=$(uname -n)
  [ -z "${HOST_HOSTNAME_FILE:-}$(env_value HOST_HOSTNAME_FILE)" ] && [ ! -e /host-hostname ] || return 1
  [[ $host =~ ^[A-Za-z0-9_]([A-Za-z0-9._-]{0,251}[A-Za-z0-9_])?$ && ! $host =~ ^[Ll][Oo][Cc][Aa][Ll][Hh][Oo][Ss][Tt](\.|$) ]]
}

# Asks whether the token would be taken, which spends nothing, before anything is downloaded.
check_token() {
  local answer=$temporary/check status redirect code detail
  request "$url/api/v1/agent-enrollment/check" "$answer" "$token" --max-time 60 --retry 2 --retry-max-time 60 \
    --max-filesize "$LARGEST_ANSWER" --header 'Content-Type: application/json' --data "$(description)"
  code=$(code_of "$answer") detail=$(code_of "$answer" detail)
  case "$status:$code" in
    200:) if grep -Eq '"admits": *true' "$answer"; then say 'the token admits this host.'; else fail_foreign "$status" ''; fi ;;
    404:route_not_found) say 'this control plane cannot be asked about a token before it is used.' ;;
    *:token_spent | *:token_expired)
      is_interrupted || fail_refused 'a token that was spent, or has expired, stays so: have a fresh one minted, and run this again with it.'
      ;;
    *:token_revoked) fail_refused 'a token that was revoked stays so: have a fresh one minted, and run this again with it.' ;;
    408:* | 425:* | 429:* | 5??:*)
      fail "the control plane cannot answer right now (HTTP $status${code:+ $code}). Nothing was downloaded. Next: run this again with the same token; it is not lost." 4
      ;;
    400:?*) fail_refused 'correct what is named, and run this again with the same token.' ;;
    401:?*) fail_refused 'check that the token was copied whole and is of this control plane, or have a fresh one minted.' ;;
    *:hostname_mismatch)
      is_sure_of_hostname && fail_refused 'ask an operator; the token is not spent.'
      say 'whether the token admits this host shows when it enrolls: its name is the agent'"'"'s to find out.'
      ;;
    4??:?*) fail_refused 'ask an operator; the token is not spent.' ;;
    *) fail_foreign "$status" "$code" ;;
  esac
}

fail_refused() { # ADVICE
  fail "enrollment would be refused: $status $code${detail:+ ($detail)}. Nothing was downloaded. Next: $1" 3
}

# Tells whether an enrollment with this token was begun here: its use may be gone, and still give this
# host its agent.
is_interrupted() {
  [ -n "$(env_value ROLLCALL_ENROLLMENT_IDEMPOTENCY_KEY)" ] &&
    [ "$(env_value ROLLCALL_ENROLLMENT_TOKEN_SHA256)" = "$token_fingerprint" ]
}

# ---- Checks of this host ----
# All that can be known here comes before anything is sent.

check_settings() {
  wait_seconds=${ROLLCALL_WAIT_SECONDS:-90}
  [[ $wait_seconds =~ ^[0-9]{1,5}$ ]] || fail 'ROLLCALL_WAIT_SECONDS is a number of seconds.' 2
  wait_seconds=$((10#$wait_seconds)) # 08 is no octal number
  wanted_version=${ROLLCALL_AGENT_VERSION:-}
  [[ -z $wanted_version || $wanted_version =~ $VERSION_FORM ]] || fail 'ROLLCALL_AGENT_VERSION is no version.' 2
  wanted_key=$(printf '%s' "${ROLLCALL_RELEASE_KEY_SHA256:-$FILLED_KEY_SHA256}" | tr 'A-F' 'a-f')
  [[ $wanted_key =~ ^[0-9a-f]{64}$ ]] ||
    fail 'no fingerprint of the release key is known. Next: set ROLLCALL_RELEASE_KEY_SHA256 to the one that was shown when the token was minted (64 hexadecimal digits).' 2
  [ -n "$schedules" ] || return 0
  local status=0
  grep -Eq -e "$schedules" </dev/null 2>/dev/null || status=$?
  [ "$status" -le 1 ] || fail 'ROLLCALL_SHOW_SCHEDULES is no extended regular expression.' 2
}

check_host() {
  require_programs
  detect_platform
  check_loader
  check_ca_bundle
  check_proxies
  check_places
  check_state_file
  if uses_service; then check_service; fi
}

require_programs() {
  local name
  command -v curl >/dev/null || fail 'curl is not installed, and the agent is downloaded with it. Next: install curl.'
  command -v openssl >/dev/null ||
    fail 'openssl is not installed, and the signature is checked with it; that check is never left out. Next: install openssl.'
  for name in cat chmod cp date df find grep head mkdir mktemp mv rm sed sleep tail tr uname wc; do
    command -v "$name" >/dev/null || fail "the program $name is not installed. Next: install it, and run this again."
  done
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
    x86_64 | amd64) arch=x86_64 loader=$LOADER_X86_64 ;;
    arm64 | aarch64) arch=arm64 loader=$LOADER_ARM64 ;;
    *) fail "there is no agent for the architecture ${machine##* }: it runs on x86_64 and arm64." ;;
  esac
}

# The agent is started by glibc's loader. A host of another C library has none, nor one whose processor
# has 64 bits and whose programs have 32.
check_loader() {
  [ "$os" = linux ] && [ ! -e "$loader" ] || return 0
  local musl
  for musl in "${loader%/*}"/ld-musl-* /lib/ld-musl-*; do
    [ ! -e "$musl" ] || fail 'there is no agent for this host: its C library is musl (Alpine), and the agent needs glibc. Next: use a system with glibc, or install the agent from its sources.'
  done
  fail "there is no agent for this host: its programs are not started by $loader, which is what glibc for $arch has. Next: use a system of $arch with glibc, or install the agent from its sources."
}

check_ca_bundle() {
  [ -n "$ca_bundle" ] || return 0
  [ -f "$ca_bundle" ] && [ -r "$ca_bundle" ] || fail "cannot read ROLLCALL_CA_BUNDLE ($ca_bundle)." 2
  local text fault number
  slurp <"$ca_bundle"
  [ -z "$fault" ] || fail "ROLLCALL_CA_BUNDLE ($ca_bundle), line $number: $(reason_of "$fault")." 2
  is_bundle "$ca_bundle" ||
    fail "ROLLCALL_CA_BUNDLE ($ca_bundle) holds no certificates in PEM, or a damaged one. Next: name a file with -----BEGIN CERTIFICATE----- in it." 2
}

is_bundle() { # FILE; its content is text
  [[ $text = *'-----BEGIN '*CERTIFICATE-----* ]] || return 1
  write_bundle "$1" | openssl crl2pkcs7 -nocrl -certfile /dev/stdin -outform DER >/dev/null 2>&1
}

# Prints certificates without a byte-order mark, which would hide the first one.
write_bundle() { # FILE
  if [ "$(head -c 3 "$1")" = "$BOM" ]; then tail -c +4 "$1"; else cat "$1"; fi
}

# Prints the folder, of those above a place that is not there yet, that is there; or the place itself.
existing() { # PLACE
  local place=$1
  while [ -n "$place" ] && [ ! -e "$place" ] && [ ! -L "$place" ]; do place=${place%/*}; done
  printf '%s' "${place:-/}"
}

check_places() {
  local place found
  for place in "$bin_dir" "$config_dir" "$unpacking"; do
    found=$(existing "$place")
    [ -d "$found" ] || fail "$(quoted "$found") is not a folder, and $(quoted "$place") is to be made there. Next: look into it, and remove it." 2
    [ -w "$found" ] && [ -x "$found" ] || fail_unwritable "$found" "$place"
    [ "$place" = "$config_dir" ] || ! is_noexec "$found" || fail_noexec "$found"
  done
  for place in "$bin" "$program"; do
    [ ! -d "$place" ] || fail "$(quoted "$place") is a folder, and a program belongs there. Next: look into it, and remove it." 2
  done
  check_room
}

fail_unwritable() { # FOLDER PLACE
  local instead='choose another --prefix'
  [ -n "$prefix" ] ||
    instead='install below another folder: --prefix FOLDER, and then FOLDER/usr/local/bin/rollcall-agent service install --config FOLDER/etc/rollcall/agent.env'
  fail "cannot write to $(quoted "$1"), which $(quoted "$2") needs: it is mounted read-only, or not yours. Nothing was changed. Next: make it writable, or $instead." 2
}

fail_noexec() { # FOLDER
  fail "no program can be run in $(quoted "$1"): it is probably mounted noexec. Nothing was installed. Next: mount it without noexec, or install elsewhere with --prefix FOLDER." "${2:-2}"
}

# Looks into the list of mounts, where the system has one: the last that covers the folder counts.
is_noexec() { # FOLDER that is there
  [ -r "$MOUNTS" ] || return 1
  local folder point options rest longest='' found=''
  folder=$(cd "$1" && pwd -P)/ || return 1
  while read -r rest point rest options rest; do
    printf -v point '%b' "${point//\\/\\0}" # a blank is \040 there
    point=${point%/}/
    [[ $folder = "$point"* && ${#point} -ge ${#longest} ]] || continue
    longest=$point found=$options
  done <"$MOUNTS"
  [[ ,$found, = *,noexec,* ]]
}

# Sums up what lies on one file system.
check_room() {
  local places=("$bin_dir" "$unpacking" "${TMPDIR:-/tmp}") needs=("$ROOM_FOR_BINARY" "$ROOM_FOR_UNPACKED" "$ROOM_FOR_BINARY")
  local disks=() free=() at other needed
  for at in 0 1 2; do
    room_of "${places[at]}" || return 0
    disks+=("$found_disk") free+=("$found_free")
  done
  for at in 0 1 2; do
    needed=0
    for other in 0 1 2; do
      [ "${disks[other]}" != "${disks[at]}" ] || needed=$((needed + needs[other]))
    done
    [ "${free[at]}" -ge "$needed" ] ||
      fail "there is too little room for $(quoted "${places[at]}"): $((free[at] / 1024)) MB are free, and $((needed / 1024)) MB are needed. Nothing was changed. Next: make room, and run this again." 2
  done
}

room_of() { # PLACE; sets found_disk and found_free, in kilobytes; fails where that is not known
  local line form='^(.*[^[:space:]])[[:space:]]+[0-9]+[[:space:]]+[0-9]+[[:space:]]+([0-9]+)[[:space:]]+[0-9]+%[[:space:]]'
  line=$(df -Pk "$(existing "$1")" 2>/dev/null) || return 1
  [[ ${line##*$'\n'} =~ $form ]] || return 1
  found_disk=${BASH_REMATCH[1]} found_free=${BASH_REMATCH[2]}
}

uses_service() {
  [ -z "$prefix" ] || return 1
  ! is_on ROLLCALL_NO_SERVICE || return 1
  [ "$(uname -s)" = Darwin ] || [ -d "$SYSTEMD_RUNS" ]
}

# A definition that is not the agent's own is not written over.
# The agent leaves a file alone that holds something else, and nobody would see the host online.
check_state_file() {
  local file
  file=$(state_file)
  [[ $file = /* ]] || fail "ROLLCALL_STATE_FILE in $config is no absolute path." 2
  if uses_service; then
    case "$file" in
      "$config_dir"/* | "$state_dir"/*) ;;
      *) fail "ROLLCALL_STATE_FILE in $config names $file, where the service may not write. Next: take the line out, or name a file in $state_dir." 2 ;;
    esac
  fi
  is_state "$file" ||
    fail "ROLLCALL_STATE_FILE in $config names $file, which holds something else. Next: name a file of its own there, or take the line out." 2
}

state_file() {
  local file
  file=$(env_value ROLLCALL_STATE_FILE)
  printf '%s' "${file:-${config%.env}.state.json}"
}

# Nothing, or what the agent left there.
is_state() { # FILE
  [ -e "$1" ] || return 0
  [ -f "$1" ] || return 1
  [ -z "$(head -c 65536 "$1" | tr -d '\000')" ] || [[ $(head -c 10 "$1") = '{"state": ' ]]
}

check_service() {
  local file=${DROP_IN%.d/*} manager=systemctl next='Next: move it away, or set ROLLCALL_NO_SERVICE=1.'
  if [ "$os" = darwin ]; then file=$MACOS_JOB manager=launchctl; fi
  command -v "$manager" >/dev/null || fail "$manager is not installed, and the service is installed with it. Next: install it, or set ROLLCALL_NO_SERVICE=1." 2
  [ -e "$file" ] || [ -L "$file" ] || return 0
  [ -f "$file" ] || fail "$file is masked, or no regular file. $next" 2
  [ -O "$file" ] || fail "$file belongs to another user. $next" 2
  [ "$os" = darwin ] || [ ! -s "$file" ] || grep -qF "$OWN_UNIT" "$file" || fail "$file was not written by the agent. $next" 2
}

# ---- The release ----

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
    if [ -r "$bundle" ]; then write_bundle "$bundle" && printf '\n'; fi
  done >"$trusted"
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
  local found
  printf '%s\n' "$1" | openssl base64 -d -A >"$temporary/key.der"
  printf '%s\n' "$2" | openssl base64 -d -A >"$temporary/signature.der"
  found=$(sha256_of "$temporary/key.der")
  [ "$found" = "$wanted_key" ] ||
    fail "the manifest is signed with the key $found, not with $wanted_key. Nothing was installed. Next: compare both with the fingerprint that was shown when the token was minted."
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
  if [ -x "$program" ] && [ "$(sha256_of "$program")" = "$sha256" ]; then
    say "$(quoted "$program") is version $version already."
    return
  fi
  [ "$size" -le "$LARGEST_BINARY" ] || fail 'the binary is too large. Nothing was installed.'
  fetch "/agent/binary?os=$os&arch=$arch&version=${version//+/%2B}" "$temporary/agent" "$LARGEST_BINARY" 1800
  [ "$(($(wc -c <"$temporary/agent")))" = "$size" ] && [ "$(sha256_of "$temporary/agent")" = "$sha256" ] ||
    fail 'the binary is not the one that the manifest names: it was cut or altered. Nothing was installed. Next: run this again.'
}

# ---- Files of the installation ----

take_places() {
  while [ "${prefix%/}" != "$prefix" ]; do prefix=${prefix%/}; done
  case "$prefix" in
    '') [ "$EUID" -eq 0 ] || fail 'this writes to system places, so it needs root. Next: run it with sudo, or give --prefix FOLDER.' 2 ;;
    *..* | [!/]* | *[[:cntrl:]]*) fail '--prefix takes an absolute path without "..".' 2 ;;
  esac
  bin_dir=$prefix/usr/local/bin
  bin=$bin_dir/rollcall-agent
  # The one-file build. It is started by the few lines of $bin, and takes its own place when it upgrades
  # itself; beside it, because a folder of programs is what security modules let a service start from.
  program=$bin_dir/rollcall-agent.bin
  config_dir=$prefix/etc/rollcall
  config=$config_dir/agent.env
  ca_file=$config_dir/ca.pem
  proxy_file=$config_dir/proxy.env
  state_dir=$prefix/var/lib/rollcall
  # Where the one-file build unpacks itself: the service here, commands below. What the service finds here
  # when it starts it takes for left over.
  unpacking=$state_dir/tmp
  unpacking_commands=$unpacking/commands
  # There while an installation is under way. It holds the agent id that the host had before, and the
  # fingerprint of the token that is to replace it.
  unfinished=$state_dir/install.unfinished
}

agent() {
  [ -d "$unpacking_commands" ] || mkdir -p "$unpacking_commands"
  TMPDIR=$unpacking_commands "$bin" "$@"
}

# Prints how a command of the agent is given, so that it works as it is shown.
command_of() { # WORD...
  local line
  line=$(quoted "$bin")
  while [ "$#" -gt 0 ]; do line="$line $1" && shift; done
  printf '%s' "$line${prefix:+ --config $(quoted "$config")}"
}

# What a host has where an older script installed it: the one-file build stands in the place of $bin.
is_installed() {
  [ -x "$bin" ] && { [ -x "$program" ] || ! is_starter; }
}

is_starter() {
  [ "$(head -c 60 "$bin" | tr -d '\000' | tail -n +2 | head -n 1)" = '# Written by install.sh.' ]
}

# The old binary or the new one is in place at any moment.
install_binary() {
  rm -f "$bin_dir"/.rollcall-agent.?????? # of runs that were killed
  local staged
  if [ -e "$temporary/agent" ]; then
    staged=$(mktemp "$bin_dir/.rollcall-agent.XXXXXX")
    cp "$temporary/agent" "$staged"
    chmod 0755 "$staged"
    try_binary "$staged"
    mv -f "$staged" "$program"
    say "installed $(quoted "$program"), version $version."
  fi
  staged=$(mktemp "$bin_dir/.rollcall-agent.XXXXXX")
  write_starter >"$staged"
  chmod 0755 "$staged"
  mv -f "$staged" "$bin"
  rm -f "$bin.previous" # of the one-file build that stood there
}

# The one-file build runs from where it unpacks itself, and /tmp is often mounted noexec. Who may not
# write to the folder of the installation has the usual place.
write_starter() {
  local folder
  folder=\'${unpacking_commands//\'/\'\\\'\'}\'
  printf '#!/bin/sh\n# Written by install.sh.\n'
  printf '# The agent runs from where it unpacks itself, and /tmp is often mounted noexec.\n'
  printf 'if [ -w %s ] && [ -x %s ]; then\n  TMPDIR=%s\n  export TMPDIR\nfi\n' "$folder" "$folder" "$folder"
  printf "exec '%s' \"\$@\"\\n" "${program//\'/\'\\\'\'}"
}

try_binary() { # FILE
  local failed=0 said folder why
  TMPDIR=$unpacking_commands "$1" version >/dev/null 2>"$temporary/said" </dev/null || failed=$?
  [ "$failed" != 0 ] || return 0
  rm -f "$1"
  for folder in "$bin_dir" "$unpacking_commands"; do
    runs_programs "$folder" || fail_noexec "$folder" 1
  done
  said=$(head -c 600 "$temporary/said" | tr -cd '[:print:]\n')
  case "$failed:$said" in
    *GLIBC_*'not found'* | *GLIBCXX_*'not found'*) why="it needs a newer C library than this host has ($(getconf GNU_LIBC_VERSION 2>/dev/null || printf 'an unknown one'))" ;;
    *'xec format error'*) why="it is a program of another architecture than this host's" ;;
    *'required file not found'* | *'o such file or directory'*) why='this host has no loader for it: its C library is another one, or its programs have 32 bits' ;;
    *'ailed to map segment'* | *'peration not permitted'*) why="something forbids programs that are loaded from $(quoted "$unpacking_commands") (a security module, or a mount with noexec)" ;;
    *'o space left'*) why='there is too little room to unpack it' ;;
    13[24]:*) why='its processor lacks an instruction that the agent uses' ;;
    137:*) why='something ended it; is there too little memory?' ;;
    *) why='the lines below say why' ;;
  esac
  [ -z "$said" ] || printf '%s\n' "$said" | sed 's/^/  /' >&2
  fail "the agent does not run on this host (exit code $failed): ${why/below/above}. Nothing was installed, and the token was not spent."
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
  local place open
  (umask 022 && mkdir -p "$bin_dir") || fail "cannot make $(quoted "$bin_dir"); the line above says why. Next: make that place writable, and run this again." 2
  for place in "$config_dir" "$unpacking_commands"; do
    mkdir -p "$place" || fail "cannot make $(quoted "$place"); the line above says why. Next: make that place writable, and run this again." 2
  done
  if uses_service; then
    for place in "$config_dir" "$state_dir" "$unpacking" "$unpacking_commands" "$config"; do take_over "$place"; done
  fi
  open=$(find -L "$config_dir" "$state_dir" "$config" -prune \
    \( -perm -040 -o -perm -020 -o -perm -010 -o -perm -004 -o -perm -002 -o -perm -001 \) 2>/dev/null) || true
  # What is stricter stays as it is.
  while IFS= read -r place; do
    [ -n "$place" ] || continue
    if chmod go= "$place" 2>/dev/null; then
      warn "$place was open to others; it is not any more."
    else
      warn "$place is open to others. Next: chmod go= $(quoted "$place")"
    fi
  done < <(printf '%s\n' "$open")
}

# The service is root without any capability: it cannot open what is private to another user.
take_over() { # PLACE
  [ -e "$1" ] && [ ! -O "$1" ] || return 0
  chown "$EUID" "$1" 2>/dev/null ||
    fail "$1 belongs to another user, and the service, which has no power over the files of others, could not open it. Next: chown root $(quoted "$1")" 2
  warn "$1 belonged to another user; it belongs to root now, as the service needs it."
}

write_settings() {
  remember ROLLCALL_RELEASE_KEY_SHA256 "$release_key"
  if [ -n "$ca_bundle" ]; then
    # A copy: the service sees neither homes nor /tmp, and the original may be gone tomorrow.
    if ! [ "$ca_bundle" -ef "$ca_file" ]; then
      write_bundle "$ca_bundle" >"$ca_file.new"
      chmod 0644 "$ca_file.new"
      mv -f "$ca_file.new" "$ca_file"
    fi
    export ROLLCALL_CA_BUNDLE=$ca_file
    remember ROLLCALL_CA_BUNDLE "$ca_file"
  fi
  # A service inherits nothing of this environment.
  remember_switch ROLLCALL_ALLOW_HTTP 0
  remember_switch ROLLCALL_SELF_UPGRADE 1
}

remember_switch() { # NAME DEFAULT
  [ -n "${!1:-}" ] || return 0
  read_switch "$1" "$(env_value "$1")" "$(quoted "$config")"
  [ "${switched:-$2}" = "${!1}" ] || remember "$1" "${!1}"
}

# ---- Enrolling ----

# Prints the agent's id where this host is enrolled: an id and a key are there, as the agent sees it too.
agent_id() {
  local id
  id=$(first_value ROLLCALL_AGENT_ID BYTEOR_AGENT_ID)
  [ -z "$(first_value ROLLCALL_AGENT_API_KEY BYTEOR_AGENT_API_KEY RM_AGENT_TOKEN SENSOR_TOKEN)" ] || printf '%s' "$id"
}

# Prints what tells one control plane from another; upper case and a port that goes without saying do not.
place_of() { # URL
  local scheme host port address path=${1#*://}
  target_of "$(printf '%s' "$1" | tr '[:upper:]' '[:lower:]')" || return 1
  case "$path" in */*) path=/${path#*/} ;; *) path='' ;; esac
  while [ "${path%/}" != "$path" ]; do path=${path%/}; done
  printf '%s %s %s %s' "$scheme" "$host" "$port" "$path"
}

# Sets here to the URL where this host is enrolled, if that is another control plane than the one that was
# given or that served this script; else to nothing.
find_elsewhere() {
  local form='^[Hh][Tt][Tt][Pp][Ss]?://[][A-Za-z0-9._:-]+(/[A-Za-z0-9._~/%+=,:-]*)?$'
  trim "$(first_value ROLLCALL_API_BASE_URL BYTEOR_API_BASE_URL RM_SERVER BACKEND_URL)"
  here=$trimmed
  # Another form is not repeated: it may hold a password.
  [[ $here =~ $form ]] && [ "$(place_of "$here")" != "$(place_of "$url")" ] || here=''
}

say_enrolled() {
  local here
  find_elsewhere
  if [ -n "$here" ]; then
    say "this host is enrolled already as $identity at $here, not at $url; nothing was changed. To move it to $url: ROLLCALL_FORCE_REENROLL=1 and a token of that one."
  else
    say "this host is enrolled already as $identity; nothing was changed. For a new identity: ROLLCALL_FORCE_REENROLL=1 and a new token."
  fi
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

# Written before the enrollment: what differs from it afterwards was finished.
note_beginning() {
  printf '%s\n%s\n' "$identity" "$token_fingerprint" >"$unfinished.new"
  mv -f "$unfinished.new" "$unfinished"
}

enroll() {
  local failed=0 label arguments
  arguments=(enroll --config "$config" --url "$url")
  [ -z "$identity" ] || arguments+=(--replace)
  [ -z "$option_name" ] || arguments+=(--name "$option_name")
  for label in ${option_labels[@]+"${option_labels[@]}"}; do arguments+=(--label "$label"); done
  if [ -z "$stored" ]; then
    printf '%s\n' "$token" | agent "${arguments[@]}" --token-stdin || failed=${PIPESTATUS[1]}
  else
    agent "${arguments[@]}" </dev/null || failed=$?
  fi
  token=''
  case "$failed" in
    0) return ;;
    3) fail 'enrollment was refused; the line above says why. Next: a token that expired, was spent or revoked (HTTP 410) stays so: have a fresh one minted, and run this again with it.' 3 ;;
    4) fail 'the control plane did not answer. Next: run this again with the same token; it is not lost.' 4 ;;
    5) fail "the identity could not be written to $config. Next: make that place writable, and run this again with the same token within 24 hours." 5 ;;
    8) fail 'another enrollment works on this host right now. Next: wait for it, and run this again.' 8 ;;
    *) fail "the agent could not enroll (exit code $failed); the line above says why." "$failed" ;;
  esac
}

# ---- The service ----

# A service inherits nothing of this environment, so the proxy is written down for it: in a file of its
# own, because everybody may ask systemd what Environment= holds, and a proxy's URL may hold a password.
write_proxy() {
  [ -d "$SYSTEMD_RUNS" ] || return 0
  local name value lines=''
  for name in HTTPS_PROXY HTTP_PROXY ALL_PROXY NO_PROXY https_proxy http_proxy all_proxy no_proxy; do
    value=${!name:-}
    [ -n "$value" ] || continue
    # Entries of NO_PROXY may be parted by any kind of blank.
    value=${value//[$'\t\n\v\f\r']/ }
    lines="$lines"$'\n'"$name=\"$(escaped "$value")\""
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
  file=$(state_file)
  ! is_state "$file" || rm -f "$file"
}

start_service() {
  local since log=journalctl\ -u\ rollcall-agent
  [ -d "$SYSTEMD_RUNS" ] || log="tail $MACOS_LOG"
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
      fail "after $wait_seconds seconds the control plane has accepted no heartbeat of this host. Next: look at \`$(command_of doctor)\`, \`$(command_of status)\`, and the service's log (\`$log\`)."
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
  # What the enrollment has said of a former agent is not said again.
  local failed=0 told=$enrolling ends=$((SECONDS + wait_seconds))
  forget_state
  until ROLLCALL_FORMER_WAS_TOLD=$told agent run --once --config "$config" </dev/null; do
    failed=$? told=1
    [ "$failed" = 4 ] && [ "$SECONDS" -lt "$ends" ] ||
      fail "the control plane did not accept a heartbeat (exit code $failed); the line above says why. Next: $(command_of doctor)" "$failed"
    sleep 1
  done
}

# ---- Schedules ----

mask() {
  local secret='[Pp][Aa][Ss][Ss]|[Ss][Ee][Cc][Rr][Ee][Tt]|[Tt][Oo][Kk][Ee][Nn]|[Kk][Ee][Yy]'
  # A value of the shell: up to the closing quote, and what is glued to it.
  local value="(\"([^\"\\]|\\\\.)*(\"|\$)|'[^']*('|\$)|\\\\.|[^[:space:]\"'\\])+"
  tr -d '\000-\010\013-\037\177' | sed -E \
    -e "s/([A-Za-z0-9_]*($secret)[A-Za-z0-9_]*=)$value/\\1.../g" \
    -e "s/(--?[A-Za-z0-9-]*($secret)[A-Za-z0-9_-]*([[:space:]]+|=))$value/\\1.../g" \
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

# ---- Uninstalling ----

remove_service() {
  if is_installed; then
    agent service uninstall </dev/null || fail 'the service could not be removed; the line above says why.'
  elif [ -d "$SYSTEMD_RUNS" ]; then # the agent, which knows how, is gone
    systemctl disable --now rollcall-agent.service 2>/dev/null || true
    rm -f "${DROP_IN%.d/*}"
  else
    launchctl bootout system/rollcall-agent 2>/dev/null || true
    rm -f "$MACOS_JOB"
  fi
  if [ -d "${DROP_IN%/*}" ]; then
    remove_proxy
    systemctl daemon-reload || true
  fi
}

uninstall() {
  local failed=0 known
  read_env_file ignore_env_file
  known=$(agent_id)
  if [ "$decommission" = 1 ] && [ -n "$known" ]; then
    is_installed || fail "$(quoted "$bin") is gone, so it cannot tell the control plane. Next: ask an operator to decommission $known, and run this without --decommission."
    agent decommission --yes --config "$config" </dev/null || failed=$?
    case "$failed" in
      0 | 6 | 7) ;; # its identity has ended already, or it has none
      *) fail 'the control plane was not told; the line above says why. Nothing was removed.' "$failed" ;;
    esac
  fi
  if uses_service; then remove_service; fi
  # With what the agent's own upgrades keep beside it.
  rm -f "$bin" "$bin.previous" "$program" "$program.previous" "$bin_dir"/.rollcall-agent.* "$unfinished" "$unfinished.new"
  rm -rf "$unpacking"
  say "removed $(quoted "$bin")."
  if [ "$purge" = 1 ]; then
    rm -rf "$config_dir" "$state_dir"
    [ -n "$prefix" ] || [ "$(uname -s)" != Darwin ] || rm -f "$MACOS_LOG"
    say "removed $config_dir and $state_dir."
  else
    say "left: $(quoted "$config_dir") (with the identity) and $(quoted "$state_dir"). --purge removes them."
  fi
  if [ -n "$known" ] && [ "$decommission" = 0 ]; then
    say "the control plane still knows $known and will show it offline. An operator can decommission it."
  fi
}

# ---- Installing ----

take_settings() {
  url=${option_url:-${ROLLCALL_URL:-${RM_SERVER:-${BACKEND_URL:-$FILLED_URL}}}}
  schedules=${ROLLCALL_SHOW_SCHEDULES:-}
  [ -z "${RM_SERVER:-}" ] || [ "$url" != "$RM_SERVER" ] || schedules=${ROLLCALL_SHOW_SCHEDULES-restic}
  check_url
  check_settings
  force=0
  if is_on ROLLCALL_FORCE_REENROLL RM_FORCE_REENROLL; then force=1; fi
  ca_bundle=${ROLLCALL_CA_BUNDLE:-}
  [ -n "$ca_bundle" ] || return 0
  [[ $ca_bundle = /* ]] || ca_bundle=$PWD/$ca_bundle
  export ROLLCALL_CA_BUNDLE=$ca_bundle
}

install() {
  identity=$(agent_id)
  if [ -n "$identity" ] && [ "$force" != 1 ] && is_installed && [ ! -e "$unfinished" ]; then
    say_enrolled
    show_schedules
    return
  fi
  check_host
  enrolling=0 stored='' token_fingerprint=''
  if [ -z "$identity" ] || [ "$force" = 1 ]; then
    take_token
    token_fingerprint=$(fingerprint_of_token)
  fi
  if must_enroll; then enrolling=1; fi
  make_temporary_folder
  if [ "$enrolling" = 1 ]; then check_token; fi
  read_manifest
  download_binary
  make_folders
  if [ "$enrolling" = 1 ] || [ ! -e "$unfinished" ]; then note_beginning; fi
  install_binary
  write_settings
  if [ "$enrolling" = 1 ]; then enroll; fi
  read_env_file
  identity=$(agent_id)
  if uses_service; then
    start_service
  else
    prove_one_beat
    say "no service was installed. Start the agent with: $(quoted "$bin") run --config $(quoted "$config")"
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
  list_marks
  read_options "$@"
  check_switches
  if is_on ROLLCALL_UNINSTALL; then uninstall=1; fi
  check_options
  take_places
  if [ "$uninstall" = 1 ]; then
    uninstall
  else
    read_env_file
    check_env_switches
    take_settings
    install
  fi
}

# The braces: without its last one the line is no command, so a download that was cut does nothing.
{ main "$@"; }
