# shellcheck shell=bash
# tap: what the tests inside an emulated machine are written with.  $count says how many there were.

check() { # SENTENCE FUNCTION
	count=$((count + 1))
	( set -ex; "$2" ) >/run/said 2>&1 # not as a condition, where -e would mean nothing
	local status=$?
	if [ $status -eq 0 ]; then
		echo "ok $count - $1"
	else
		echo "not ok $count - $1"
		tail -n 12 /run/said | cut -c 1-300 | sed "s/^/# /"
	fi
}

fails() { ! "$@"; }
is() { [ "$1" = "$2" ] || { echo "'$1' is not '$2'"; return 1; }; }
until_true() { local i; for ((i = 0; i < 600; i++)); do "$@" && return; sleep 0.1; done; return 1; }
field() { zn-queue show -o json "$2" | sed -n 's/.*"'"$1"'":\("[^"]*"\|[^,"}]*\).*/\1/p' | tr -d '"'; }
is_state() { [ "$(field state "$2")" = "$1" ]; }
