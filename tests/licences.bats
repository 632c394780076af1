#!/usr/bin/env bats
# Licences: what is counted by name, is given to jobs as GPUs are, and is in use as long as they have a place.
load queue

conf() { cat >conf; export ZENITH_CONFIG=$dir/conf; }
quick() { zn-submit --output /dev/null "$@"; }
why() { zn-queue why -o table "$1" | head -n 1; }
use() { zn-queue licences -o csv --no-heading; }
is_use() { [ "$(use)" = "$1" ]; }
# A job that runs until the file of this name is there.  With a GPU it needs no CPU of its own, of which there may be one.
until_there() { quick -g 1 "${@:2}" -- /bin/sh -c "until [ -e '$dir/$1' ]; do sleep 0.02; done"; }
no() { run --separate-stderr -"$1" quick "${@:3}" -- true; [ "$stderr" = "zn-submit: $2" ] || { echo "$stderr"; false; }; }

@test "a job has its licences while it runs; who asks too many waits, is told which, and others pass" {
	conf <<<$'[licences]\nmatlab = 5\nvcs = 2\n'
	until_there one --licences matlab:3,vcs -t 1h
	await RUNNING 1
	quick --licences matlab:3 -t 1h -- true
	quick --licences vcs -- true
	quick -- true
	zn-queue wait 3 4
	is_use $'matlab,5,3,1\nvcs,2,1,1'
	[ "$(field licences 1)" = "matlab:3,vcs:1" ]
	[ -z "$(field licences 4)" ]
	zn-queue show -o table 1 | grep -qx "licences       matlab:3,vcs:1"
	[ "$(why 2)" = "job 2 is QUEUED: licence matlab: 2 of 5 free, 3 needed" ]
	zn-queue why -o json 2 >two
	grep -q '"reasons":\[{"text":"licence matlab: 2 of 5 free, 3 needed","count":1}\]' two
	run ! grep smallest two
	expected=$(sed -n 's/.*"expected_s":\([0-9.]*\).*/\1/p' two)
	awk "BEGIN { d = $expected - $(field start_s 1) - 3600; exit !(d < 1 && d > -1) }"
	touch one
	zn-queue wait 1 2
	until_true is_use $'matlab,5,0,0\nvcs,2,0,0'
	zn-queue requeue 2 >number # one that has ended
	[ "$(field licences "$(cat number)")" = matlab:3 ]
}

@test "for the first in line licences are set aside: small wishes that come later do not take them, unless they are over in time" {
	conf <<<$'[licences]\nmatlab = 4\n'
	until_there one --licences matlab:2 -t 1h
	await RUNNING 1
	quick --licences matlab:4 -p 5 -t 1h -- true
	quick --licences matlab:1 -t 2h -- true
	quick --licences matlab:2 -t 10m -- true
	quick -t 2h -- true
	zn-queue wait 4 5
	[ "$(state 2) $(state 3)" = "QUEUED QUEUED" ]
	[ "$(why 3)" = "job 3 is QUEUED: it fits, but would delay job 2, which comes before it" ]
	run -1 zn-submit --dry-run --licences matlab:1 -t 2h -o json -- true
	[[ $output == *'"now":false'*'it would delay job 2'* ]]
	run -0 zn-submit --dry-run --licences matlab:1 -t 10m -o json -- true
	run -1 zn-submit --dry-run --licences matlab:3 -t 2h -o json -- true
	[[ $output == *'"now":false'*'"expected_s"'*'licence matlab: 2 of 4 free, 3 needed'* ]]
	run -1 zn-submit --dry-run --licences vcs,matlab:5 -o json -- true
	[[ $output == *'licence matlab: 2 of 4 free, 5 needed'*'licence vcs: 0 of 0 free, 1 needed'* ]]
	[[ $output != *expected_s* ]]
	touch one
	zn-queue wait 1 2 3
	awk "BEGIN { exit !($(field start_s 3) >= $(field start_s 2)) }"
}

@test "without time limits, too, nobody has more than there are, and everybody starts" {
	conf <<<$'[licences]\na = 3\nb = 1\n'
	count='mkdir "$0.$ZENITH_JOB_ID"; ls -d "$0".* | wc -l >>"$0"; sleep 0.05; rmdir "$0.$ZENITH_JOB_ID"'
	for i in 1 2 3 4 5 6 7 8; do
		quick --licences b -- /bin/sh -c "$count" "$dir/b"
		quick --licences a:$((i % 3 + 1)) -- sleep 0.05
		quick --licences a,b -- /bin/sh -c "$count" "$dir/b"
	done >numbers
	xargs zn-queue wait <numbers
	[ "$(sort -u b)" = 1 ]
	[ "$(grep -c . b)" -eq 16 ]
}

@test "after the death of zn-schedd what jobs have is still theirs; suspended ones keep it, requeued ones give it back" {
	conf <<<$'[licences]\nmatlab = 2\n'
	until_there one --licences matlab:2 --requeue 1
	await RUNNING 1
	kill -KILL "$(pid_of zn-schedd)"
	quick --licences matlab -- true
	quick -w -- true
	[ "$(state 2)" = QUEUED ]
	is_use matlab,2,2,1
	[ "$(why 2)" = "job 2 is QUEUED: licence matlab: 0 of 2 free, 1 needed" ]
	zn-queue suspend 1
	await SUSPENDED 1
	quick -w -- true
	[ "$(state 2)" = QUEUED ]
	is_use matlab,2,2,1
	zn-queue resume 1
	zn-queue hold 2
	zn-queue requeue 1
	again() { [ "$(field attempt 1)" = 2 ] && is_state RUNNING 1; }
	until_true again
	is_use matlab,2,2,1
	zn-queue release 2
	zn-queue cancel --grace 0 1
	zn-queue wait 2
	until_true is_use matlab,2,0,0
	[ "$(state 2)" = COMPLETED ]
}

@test "with fewer than are in use nothing is ended, and nothing starts until there are enough; who can't have enough waits" {
	conf <<<$'[licences]\nmatlab = 4\nold = 1\n'
	until_there one --licences matlab:2,old -t 1h
	until_there two --licences matlab:1 -t 1h
	await RUNNING 1
	await RUNNING 2
	quick --hold --licences matlab:1 -- true # 3
	quick --licences matlab:3 -- true        # 4
	zn-schedd --stop
	conf <<<$'[licences]\nmatlab = 1\n'
	quick -w -- true                         # 5
	is_use $'matlab,1,3,2\nold,0,1,1'
	zn-queue release 3
	quick -w -- true                         # 6
	[ "$(state 1) $(state 2) $(state 3)" = "RUNNING RUNNING QUEUED" ]
	[ "$(why 3)" = "job 3 is QUEUED: licence matlab: 0 of 1 free, 1 needed" ]
	[ "$(why 4)" = "job 4 is QUEUED: it can never start here: licence matlab: 0 of 1 free, 3 needed" ]
	run ! grep expected_s <(zn-queue why -o json 4)
	no 65 "licence 'old' is not configured here: zn-queue licences lists those that are" --licences old
	touch one
	zn-queue wait 1
	quick -w -- true
	[ "$(state 3)" = QUEUED ]
	touch two
	zn-queue wait 2 3
	[ "$(state 4)" = QUEUED ]
	until_true is_use matlab,1,0,0
}

@test "a wish that makes no sense, or that nobody could grant, is a sentence and no job" {
	conf <<<$'[licences]\nmatlab = 5\nnone = 0\n'
	no 65 "licence 'vcs' is not configured here: zn-queue licences lists those that are" --licences matlab,vcs
	no 65 "it asks licence 'matlab' 6 times, and there are 5: ask no more than that" --licences matlab:6
	no 65 "it asks licence 'none' 1 times, and there are 0: ask no more than that" --licences none
	no 65 "licence 'matlab' must be asked 1 to 1000000 times, not 0" --licences matlab:0
	no 65 "licence 'matlab' must be asked 1 to 1000000 times, not 1000001" --licences matlab:1000001
	no 64 "licence 'matlab' can be asked a number of times, not '-1'" --licences matlab:-1
	no 64 "licence 'matlab' can be asked a number of times, not '99999999999999999999'" --licences matlab:99999999999999999999
	no 64 "licence 'matlab' can be asked a number of times, not '1:2'" --licences matlab:1:2
	no 64 "licence 'matlab' can be asked a number of times, not ''" --licences matlab:
	no 65 "licence 'matlab' is asked twice" --licences matlab,none,matlab:2
	no 65 "a licence's name must have 1 to 128 bytes, not 0" --licences ""
	no 65 "a licence's name must have 1 to 128 bytes, not 0" --licences matlab,
	no 65 "a licence's name 'a\\x09b' holds a control character" --licences $'a\tb'
	no 65 "a job may ask 16 different licences, not 17" --licences "$(seq -s, 17)"
	row() { run --separate-stderr -65 zn-submit --records <<<'{"command":"/bin/true","directory":"/tmp","resources":{"licences":'"$1"'}}'; echo "$stderr"; }
	[[ $(row '{"matlab":"2"}') == *"licence 'matlab' can be asked a whole number of times" ]]
	[[ $(row '{"matlab":1.5}') == *"licence 'matlab' can be asked a whole number of times" ]]
	[[ $(row '{"a:b":1}') == *"a licence's name 'a:b' holds a colon or a comma" ]]
	[[ $(row '["matlab"]') == *"licences must be a map of names and numbers" ]]
	[[ $(row '{"other":1}') == *"licence 'other' is not configured here"* ]]
	run -0 zn-submit --records <<<'{"command":"/bin/true","directory":"/tmp","output":"/dev/null","resources":{"licences":{"matlab":2}}}'
	[ "$output" = 1 ]
	[ "$(field licences 1)" = matlab:2 ]
}

@test "a submit with the same key is the same one in whatever order its licences stand" {
	conf <<<$'[licences]\na = 1\nb = 1\n'
	[ "$(quick --hold --key k --licences b,a:1 -- true)" = 1 ]
	[ "$(quick --hold --key k --licences a,b -- true)" = 1 ]
	run -65 quick --hold --key k --licences a -- true
}

@test "a queue without licences lists none, and without a queue a dry run does not guess" {
	run -0 zn-submit --dry-run --licences whatever -o json -- true
	quick -w -- true
	[ -z "$(zn-queue licences -o json)" ]
	no 65 "licence 'whatever' is not configured here: zn-queue licences lists those that are" --licences whatever
}

@test "scripts name their licences for Slurm; a server is ignored, one or another is refused" {
	conf <<<$'[licences]\nmatlab = 5\nvcs = 1\n'
	printf '#!/bin/sh\n#SBATCH -L matlab@flex:2,vcs\nexit 0\n' >job.sh
	run --separate-stderr -0 quick job.sh
	[ "$stderr" = "zn-submit: of the #SBATCH lines, ignored: --licenses=matlab@flex:2" ]
	[ "$(field licences 1)" = matlab:2,vcs:1 ]
	printf '#!/bin/sh\n#SBATCH --licenses=matlab\nexit 0\n' >job.sh
	[ "$(quick --hold job.sh) $(quick --hold --licences vcs job.sh)" = "2 3" ]
	[ "$(field licences 2) $(field licences 3)" = "matlab:1 vcs:1" ]
	printf '#!/bin/sh\n#SBATCH --licenses=matlab|vcs\nexit 0\n' >job.sh
	no 65 "#SBATCH --licenses 'matlab|vcs': one or another can't be had, only all of them" job.sh
}

@test "licences that make no sense are named with their file, and nothing starts" {
	bad() { printf '%s\n' "$1" >bad.conf; run --separate-stderr -64 zn-schedd --config "$dir/bad.conf" --spool "$dir/spool"; [ "$stderr" = "zn-schedd: '$dir/bad.conf': $2" ] || { echo "$stderr"; false; }; }
	bad $'[licences]\nmatlab = many' "[licences] matlab = 'many': a number from 0 to 1000000"
	bad $'[licences]\nmatlab = -1' "[licences] matlab = '-1': a number from 0 to 1000000"
	bad $'[licences]\nmatlab = 1000001' "[licences] matlab = '1000001': a number from 0 to 1000000"
	bad $'[licences]\nmatlab =' "[licences] matlab = '': a number from 0 to 1000000"
	bad $'[licences]\nmatlab = 1\n[queue]\n[licences]\nmatlab = 2' "[licences] matlab stands twice or goes on in a second line"
	bad $'[licences]\nmatlab = 1\n  2' "[licences] matlab stands twice or goes on in a second line"
	bad $'[licences]\na,b = 1' "[licences] 'a,b' is no name of one: 1 to 48 bytes without ':' and ','"
	bad $'[licences]\n'"$(printf '%049d' 0) = 1" "[licences] '$(printf '%049d' 0)' is no name of one: 1 to 48 bytes without ':' and ','"
	bad $'[licenses]\nmatlab = 1' "[licenses] has no key 'matlab'"
}

@test "elements of an array have licences each, and give them back" {
	conf <<<$'[licences]\nvcs = 2\n'
	quick -g 1 --licences vcs --array 0-5 -- sleep 0.05 >number
	zn-queue wait "$(cat number)"
	[ "$(field licences "$(cat number).3")" = "vcs:1" ]
	[ "$(zn-queue licences -o csv --no-heading --fields name,used)" = "vcs,0" ]
	zn-queue history -o csv --no-heading --fields start_s,end_s | awk -F, '$1 { print $1, 1; print $2, -1 }' |
		sort -n -k1,1 -k2,2 | awk '{ n += $2; if (n > 2) over = 1 } END { exit over }'
}
