#!/bin/sh
# Stands in front of a command, counts it as a step, and at the chosen step dies with the whole
# installation, as a host that loses power does.
read -r count <"$STEPS"
count=$((count + 1))
echo "$count" >"$STEPS"
if [ "$count" -eq "$KILL_AT" ]; then kill -9 0; fi
[ "${0##*/}" != kill_at_step.sh ] || exit 0
PATH=$REAL_PATH
exec "${0##*/}" "$@"
