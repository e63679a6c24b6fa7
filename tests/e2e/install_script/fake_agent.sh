#!/bin/sh
# Stands in for the agent: writes down how it was called, and keeps the rules that the installer
# builds on. What it does is steered by files in the folder `fake` of the prefix.
root=${0%/usr/local/bin/*}
fake=$root/fake
step() { [ -z "${STEP:-}" ] || "$STEP"; }
ends() { if [ -e "$fake/$1.exit" ]; then read -r code <"$fake/$1.exit"; exit "$code"; fi; }

echo "$*" >>"$fake/calls"
if [ "$1" = version ]; then ends version; echo 1.2.3; exit; fi
command=$1 replace='' token='' config='' url=''
while [ "$#" -gt 0 ]; do
  case "$1" in
    --config) config=$2; shift ;;
    --url) url=$2; shift ;;
    --replace) replace=1 ;;
    --token-stdin) read -r token ;;
  esac
  shift
done
key=''
if [ -e "$config" ]; then
  while read -r line; do
    case "$line" in
      ROLLCALL_AGENT_API_KEY=*) key=${line#*=} ;;
      ROLLCALL_TOKEN=*) token=${token:-${line#*=}} ;;
    esac
  done <"$config"
fi
case "$command" in
  enroll)
    step
    ends enroll
    if [ -n "$key" ] && [ -z "$replace" ]; then echo 'Already enrolled.'; exit; fi
    # What an enrollment that was finished has spent is spent.
    case "$(cat "$fake/finished" 2>/dev/null)" in *"$token"*) exit 3 ;; esac
    # One use for each token, however often it is shown: what the idempotency key gives.
    case "$(cat "$fake/spent" 2>/dev/null)" in
      *"$token"*) ;;
      *) echo "$token" >>"$fake/spent" ;;
    esac
    step
    number=$(($(wc -l <"$fake/spent")))
    printf 'ROLLCALL_AGENT_ID=agt_%s\nROLLCALL_AGENT_API_KEY=rca_%s\n' "$number" "$number" >>"$config"
    echo "$token" >>"$fake/finished"
    echo "$url" >"$fake/url"
    env >"$fake/environment"
    step
    ;;
  run)
    step
    echo "$ROLLCALL_FORMER_WAS_TOLD" >"$fake/told"
    ends run
    ;;
  service)
    step
    ends service
    printf '{"last_state": {"state": "online", "since": "%s"}}\n' "$(date -u '+%Y-%m-%dT%H:%M:%S+00:00')" >"$fake/status"
    ;;
  status) cat "$fake/status" ;;
  decommission) ends decommission ;;
esac
