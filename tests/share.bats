#!/usr/bin/env bats
# Fair share: who used much lately comes later.  There is one user here, in several accounts.
load queue

conf() { cat >conf; export ZENITH_CONFIG=$dir/conf; }
quick() { zn-submit --output /dev/null "$@"; }
shares() { zn-queue shares -o csv --no-heading --fields account,share,used,factor; }

# Account a uses the machine for a moment; then somebody without an account has it, and b and a wait, a longer.
wait_in_line() {
	quick -w -g 8 -A a -- sleep 1                                    # 1
	blocker -g 8 >number                                             # 2
	await RUNNING 2
	quick -g 8 -A a "$@" -- true                                     # 3
	quick -g 8 -A b -- true                                          # 4
}
first_of() {
	touch go
	zn-queue wait 3 4
	awk "BEGIN { print $(field start_s 3) < $(field start_s 4) ? \"a\" : \"b\" }"
}

@test "among equal priorities who used less lately comes first" {
	wait_in_line
	[ "$(first_of)" = b ]
}

@test "a higher priority comes first, whoever used what" {
	wait_in_line -p 1
	[ "$(first_of)" = a ]
}

@test "without a half-life there is no fair share, and nothing to list" {
	conf <<<$'[fair_share]\nhalf_life = 0\n'
	wait_in_line
	[ -z "$(shares)" ]
	[[ $(zn-queue why -o json 3) != *fair_share* ]]
	[ "$(first_of)" = a ]
}

@test "what was used is known again after a start of zn-schedd" {
	wait_in_line
	kill -KILL "$(pid_of zn-schedd)"
	quick --hold -- true
	shares | awk -F, '$1 == "a" { exit !($3 > 0.1 && $4 < 0.8) }'
	[ "$(first_of)" = b ]
}

@test "shares are listed, and what a job's urgency is multiplied by is said" {
	conf <<<$'[share account:a]\nshares = 2\n'
	wait_in_line
	sleep 1.1
	quick -g 8 -A b -- true                                          # somebody comes: it is looked at anew
	until_true test "$(shares | wc -l)" -eq 3
	shares | sort >list
	awk -F, '{ s[$1] = $2; u[$1] = $3; f[$1] = $4 } END {
		near(s["a"], 0.5); near(s["b"], 0.25); near(s[""], 0.25); near(u["a"] + u["b"] + u[""], 1)
		near(u["b"], 0); near(f["b"], 1); near(f["a"], 2 ^ (-u["a"] / 0.5)); near(f[""], 2 ^ (-u[""] / 0.25)) }
		function near(x, y) { if (x - y > 0.02 || y - x > 0.02) { print x, y; exit 1 } }' list || { cat list; false; }
	why=$(zn-queue why -o json 3 | sed -n 's/.*"fair_share":\([0-9.]*\).*/\1/p')
	awk -F, -v w="$why" '$1 == "a" { d = w - $4; exit !(d < 1e-6 && d > -1e-6) }' list
	[[ $(zn-queue why -o table 4) == *"fair share: 1 of its urgency"* ]]
	zn-queue show -o table 4 | grep -qx 'fair share     1 of its urgency'
	[ "$(zn-queue show -o json 3 | sed -n 's/.*"fair_share":\([0-9.]*\).*/\1/p')" = "$why" ]
	touch go
}

@test "who comes before a job is counted by what was used, too" {
	ahead() { zn-queue why -o json "$1" | sed -n 's/.*"ahead":\([0-9]*\).*/\1/p'; }
	wait_in_line
	sleep 1.1
	quick -g 8 -A b -- true                                          # 5: somebody comes: it is looked at anew
	until_true test "$(shares | wc -l)" -eq 3
	[ "$(ahead 3) $(ahead 4) $(ahead 5)" = "2 0 1" ]
	touch go
	zn-queue wait 3 4 5
	[ "$(zn-queue history -o csv --fields start_s,id --no-heading | sort -n | cut -d, -f2 | paste -sd' ')" = "1 2 4 5 3" ]
}

@test "shares that make no sense are named with their file, and nothing starts" {
	bad() { printf '%s\n' "$1" >bad.conf; run --separate-stderr -64 zn-schedd --config "$dir/bad.conf" --spool "$dir/spool"; [ "$stderr" = "zn-schedd: '$dir/bad.conf': $2" ] || { echo "$stderr"; false; }; }
	bad $'[share user:ann]\nshares = 0' "[share user:ann] shares = '0': a number from 0.001 to 1e9"
	bad $'[share user:ann]\nshares = nan' "[share user:ann] shares = 'nan': a number from 0.001 to 1e9"
	bad $'[share user:ann]\nparts = 1' "[share user:ann] has no key 'parts'"
	bad $'[share ann]\nshares = 1' "[share ann] is none: [share user:NAME] or [share account:NAME], of 48 bytes at most"
	bad $'[share user:ann]\nshares = 1\nshares = 2' "[share user:ann] shares stands twice or goes on in a second line"
	bad $'[fair_share]\nhalf_life = soon' "[fair_share] half_life = 'soon' makes no sense"
}
