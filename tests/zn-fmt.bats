#!/usr/bin/env bats
# zn-fmt: records in, records out, and what happens to those who send it rubbish.
bats_require_minimum_version 1.5.0

setup() {
	cd "$BATS_TEST_TMPDIR" || return
	cat >jobs.json <<-'END'
		{"kind":"run","id":1,"name":"train","state":"RUNNING","resources":{"gpus":4,"mem_bytes":85899345920},"submit_s":1700000000.25,"wait_s":192.5,"alloc":[{"node":"n1","gpus":[0,1]},{"node":"n2","gpus":[2,3]}]}
		{"kind":"run","id":2,"name":"eval, \"quick\"","state":"QUEUED","resources":{"gpus":1},"submit_s":1700000100.0,"hold":false,"blob@base64":"aGVsbG8="}
		{"kind":"run","id":12,"name":"häßlich 日本","state":"FAILED","submit_s":1600000000.5,"reason":"lost: agent","loss":-5}
	END
}

# At most so many KiB from here on.  A sanitizer's shadow is larger than any machine; it counts for itself.
bounded() {
	case $SANITIZED in
	'') ulimit -v "$1" ;;
	address) export ASAN_OPTIONS="max_allocation_size_mb=$(($1 / 1024)):hard_rss_limit_mb=1500" ;;
	*) skip "no way to bound memory under the $SANITIZED sanitizer" ;;
	esac
}
export -f bounded

# The input, whose bytes printf %b makes, is refused with one sentence that names this byte.
refused() {
	printf '%b' "$2" >bad
	run --separate-stderr -65 zn-fmt -o json bad
	[[ $stderr == *"at byte $1"* ]] || { echo "$stderr"; false; }
	[[ $stderr != *$'\n'* ]]
}

@test "JSON to MessagePack and back is the identity" {
	zn-fmt -o msgpack jobs.json | zn-fmt -o json | diff jobs.json -
}

@test "every record of this machine and of one with eight GPUs comes back from JSON to the byte" {
	for mock in "" 8; do
		ZENITH_MOCK_GPUS=$mock zn-topo -o msgpack >m
		[ -s m ]
		zn-fmt -o json m | zn-fmt -o msgpack | cmp - m
		zn-fmt -o json m | diff <(zn-fmt -o json m | zn-fmt -o json) -
	done
}

@test "a kind that is known has its headings and columns" {
	echo '{"kind":"event","seq":1,"event":"submit","job":{"id":3,"state":"QUEUED"},"more":1}' >e
	run -0 zn-fmt -o table e
	[[ ${lines[0]} =~ ^SEQ\ .*EVENT\ .*STATE ]]
	[[ $output != *MORE* ]]
	run -0 zn-fmt --fields help
	[[ $output == *$'\n''event: '* ]]
}

@test "numbers keep their kind and every bit" {
	cat >n.json <<-'END'
		{"a":3.0,"b":3,"c":0.1,"d":-0.0,"e":1e+300,"f":5e-324,"g":1.7976931348623157e+308,"h":2.2250738585072014e-308}
		{"a":9223372036854775807,"b":-9223372036854775808,"c":0.30000000000000004,"d":1.2345678901234568e+17}
	END
	zn-fmt -o msgpack n.json | zn-fmt -o json | diff n.json -
}

@test "a MessagePack number above 2^63-1 is written as JSON, but not read from JSON" {
	printf '\x81\xa1a\xcf\xff\xff\xff\xff\xff\xff\xff\xff' >n
	[ "$(zn-fmt -o json n)" = '{"a":18446744073709551615}' ]
	zn-fmt -o json n >n.json
	run --separate-stderr -65 zn-fmt n.json
	[[ $stderr == *"at byte"* ]]
}

@test "a binary is base64 in JSON, in a map and in a list" {
	printf '\x82\xa1a\xc4\x02\x00\xff\xa1b\x91\xc4\x01\x80' >n
	[ "$(zn-fmt -o json n)" = '{"a@base64":"AP8=","b":[{"@base64":"gA=="}]}' ]
	zn-fmt -o json n | zn-fmt -o msgpack | cmp - n
	refused 0 '{"a@base64":"?"}\n'
}

@test "a text whose key ends in @base64 cannot pose as a binary's name" {
	printf '\x81\xa8a@base64\xa4aGk=' >n
	[ "$(zn-fmt -o json n)" = '{"a@base64@base64":"YUdrPQ=="}' ]
	refused 0 '{"a":1,"a@base64":"aGk="}\n'
}

@test "two streams joined are one" {
	zn-fmt -o msgpack jobs.json >m
	cat m m | zn-fmt -o json | diff <(cat jobs.json jobs.json) -
	zn-fmt -o json jobs.json m | diff <(cat jobs.json jobs.json) -
}

@test "no input is no records" {
	run --separate-stderr -0 zn-fmt -o json /dev/null
	[ -z "$output$stderr" ]
	run -0 zn-fmt -o table /dev/null
	[ -z "$output" ]
	printf '\n  \n' >blank
	run -0 zn-fmt -o json blank
	[ -z "$output" ]
}

@test "a table shows sizes, durations, moments and lists for people" {
	TZ=UTC run -0 zn-fmt -o table --select id,name,resources.mem_bytes,submit_s,wait_s,alloc.node,hold jobs.json
	[ "${lines[0]}" = "ID  NAME           RESOURCES.MEM_BYTES             SUBMIT_S  WAIT_S  ALLOC.NODE  HOLD" ]
	[ "${lines[1]}" = " 1  train                        80.0G  2023-11-14 22:13:20   3m12s  n1,n2" ]
	[ "${lines[2]}" = ' 2  eval, "quick"                       2023-11-14 22:15:00                      no' ]
	[ "${lines[3]}" = "12  häßlich 日本                        2020-09-13 12:26:40" ]
}

@test "a table of several kinds has a block for each, in the order they came" {
	{ cat jobs.json; echo '{"kind":"other","x":1}'; head -1 jobs.json; } >mixed
	run -0 zn-fmt -o table --select id,x mixed
	[ "$output" = $'ID  X\n 1\n 2\n12\n 1\n\nID  X\n    1' ]
}

@test "nothing in a record can steer the terminal" {
	printf '{"name":"a\\u001b[31m\\u0007\\n\\u009b31m\\u202eb\\u007f","ctl\\u001b":1}\n' >evil
	for o in table json; do
		run -0 zn-fmt -o $o evil
		[ -z "$(tr -d '\n' <<<"$output" | LC_ALL=C tr -d '[:print:]' | tr -d '\342\200\256')" ]
	done
	[[ $(zn-fmt -o table evil) == *'a\x1b[31m\x07\x0a\xc2\x9b31m\xe2\x80\xaeb\x7f'* ]]
	[ "$(zn-fmt -o json evil)" = "$(zn-fmt -o msgpack evil | zn-fmt -o json)" ]
}

@test "CSV quotes what needs it and has machine values" {
	run -0 zn-fmt -o csv --select id,name,resources.mem_bytes,hold,alloc.node jobs.json
	[ "${lines[0]}" = "id,name,resources.mem_bytes,hold,alloc.node" ]
	[ "${lines[1]}" = '1,train,85899345920,,"[""n1"",""n2""]"' ]
	[ "${lines[2]}" = '2,"eval, ""quick""",,false,' ]
}

@test "CSV of unknown kinds has every key, and a header for each kind" {
	printf '%s\n' '{"kind":"a","x":1}' '{"kind":"b","y":2}' '{"kind":"a","z":3}' >k
	run -0 zn-fmt -o csv k
	[ "$output" = $'kind,x,z\na,1,\na,,3\n\nkind,y\nb,2' ]
}

@test "--no-heading leaves the values" {
	run -0 zn-fmt -o csv --no-heading --select id jobs.json
	[ "$output" = $'1\n2\n12' ]
	run -0 zn-fmt -o table --no-heading --select id jobs.json
	[ "$output" = $' 1\n 2\n12' ]
}

@test "--select keeps the order asked for and leaves out what is absent" {
	run -0 zn-fmt -o json --select name,resources.gpus,id,id jobs.json
	[ "${lines[0]}" = '{"name":"train","resources.gpus":4,"id":1}' ]
	[ "${lines[2]}" = '{"name":"häßlich 日本","id":12}' ]
	# A selected path can be asked for again.
	[ "$(zn-fmt -o msgpack --select resources.gpus jobs.json | zn-fmt -o json -w 'resources.gpus > 1')" = \
		'{"resources.gpus":4}' ]
	run --separate-stderr -64 zn-fmt --select id,,name jobs.json
}

ids() { zn-fmt -o json --select id "$@" jobs.json | tr -cd '0-9\n' | paste -sd' '; }

@test "--where compares numbers, sizes, durations, moments, text and truth" {
	[ "$(ids -w 'id > 1')" = "2 12" ]
	[ "$(ids -w 'resources.mem_bytes >= 80G')" = "1" ]
	[ "$(ids -w 'wait_s > 3m && wait_s < 00:03:13')" = "1" ]
	[ "$(ids -w "submit_s < '2023-01-01'")" = "12" ]
	[ "$(ids -w 'state == "QUEUED" || state == "FAILED"')" = "2 12" ]
	[ "$(ids -w 'hold == false')" = "2" ]
	[ "$(ids -w "name ~ '^(train|eval)'")" = "1 2" ]
	[ "$(ids -w '!(id == 2)')" = "1 12" ]
	[ "$(ids -w 'loss == -5')" = "12" ]
}

@test "--where: a bare key asks whether something is there; what is absent answers no" {
	[ "$(ids -w 'resources')" = "1 2" ]
	[ "$(ids -w '!hold')" = "1 2 12" ]
	[ "$(ids -w 'hold != true')" = "2" ]
	[ "$(ids -w 'nothing != 1 || nothing == 1')" = "" ]
	[ "$(ids -w 'blob')" = "2" ]
}

@test "--where: a list passes when one of its elements does" {
	[ "$(ids -w "alloc.node == 'n2'")" = "1" ]
	[ "$(ids -w "alloc.0.node == 'n2'")" = "" ]
	[ "$(ids -w "alloc.node != 'n2'")" = "" ]
	[ "$(ids -w "alloc.node != 'n3'")" = "1" ]
	[ "$(ids -w "alloc.gpus == 3")" = "1" ]
}

@test "a bad expression is a usage error that names the column" {
	while IFS='|' read -r column expr; do
		run --separate-stderr -64 zn-fmt -w "$expr" jobs.json
		[[ ${stderr_lines[0]} == *"at column $column"* ]] || { echo "$expr: $stderr"; false; }
		[ -z "$output" ]
	done <<-'END'
		4|id = 1
		6|id ==
		7|id == RUNNING
		1|
		9|id == 1 id
		4|(id
		6|id ~ '(
		6|id ~ '('
		8|name ~ 3
		7|id == 1x
		7|id == 'x
		6|a && && b
		1|1 == id
	END
	deep=$(printf '%*s' 1000 '' | tr ' ' '!')id
	run --separate-stderr -64 zn-fmt -w "$deep" jobs.json
	[[ $stderr == *"too deep"* ]]
}

@test "--sort is stable, puts numbers before text and what lacks the key last" {
	printf '%s\n' '{"n":1,"k":"b"}' '{"n":2,"k":2}' '{"n":3}' '{"n":4,"k":"a"}' '{"n":5,"k":2.0}' '{"n":6,"k":10}' >s
	order() { zn-fmt -o json --select n "$@" s | tr -cd '0-9\n' | paste -sd' '; }
	[ "$(order --sort k)" = "2 5 6 4 1 3" ]
	[ "$(order --sort -k)" = "1 4 6 2 5 3" ]
	[ "$(order --sort=-k --head 2)" = "1 4" ]
	[ "$(order --sort k --tail 2)" = "1 3" ]
	[ "$(order --sort k --head 0)" = "" ]
}

@test "--head and --tail count after the filter" {
	[ "$(ids --head 1 -w 'id > 1')" = "2" ]
	[ "$(ids --tail 1)" = "12" ]
	[ "$(ids --tail 2)" = "2 12" ]
	[ "$(ids --tail 99)" = "1 2 12" ]
	[ "$(ids --tail 0)" = "" ]
	run -64 zn-fmt --head 1 --tail 1 jobs.json
}

@test "--head stops reading: a stream without end is no problem" {
	run -0 timeout 20 bash -c 'yes "{\"a\":1}" | zn-fmt -o json --head 2'
	[ "$output" = $'{"a":1}\n{"a":1}' ]
}

@test "a record goes on before the next one comes" {
	mkfifo in out
	zn-fmt -o json -w 'a > 1' <in >out 3>&- &
	exec 4>in 5<out
	for n in 1 2 3; do echo "{\"a\":$n}" >&4; done
	read -r -t 20 line <&5
	[ "$line" = '{"a":2}' ]
	printf '\n' >&4
	read -r -t 20 line <&5
	[ "$line" = '{"a":3}' ]
	exec 4>&-
	wait $!
}

@test "a live table does not wait for the end" {
	mkfifo in out
	zn-fmt -o table --live <in >out 3>&- &
	exec 4>in 5<out
	echo '{"a":1,"name":"x"}' >&4
	read -r -t 20 line <&5
	[[ $line == *A*NAME* ]]
	read -r -t 20 line <&5
	[[ $line == *1*x* ]]
	exec 4>&-
	wait $!
}

@test "records before a bad one are still written" {
	printf '{"a":1}\n{"a":2}\n{"a":\n{"a":3}\n' >bad
	for o in json csv table; do
		run --separate-stderr -65 zn-fmt -o $o --select a bad
		[[ $output == *1*2* && $output != *3* ]]
		[[ $stderr == *"'bad': line 3: "*"at byte 22"* ]]
	done
	run --separate-stderr -65 zn-fmt -o json --sort -a bad
	[ "$output" = $'{"a":2}\n{"a":1}' ]
}

@test "MessagePack cut at every byte is refused, at the record's first byte" {
	zn-fmt -o msgpack jobs.json >m
	head -1 jobs.json | zn-fmt -o msgpack >one
	size=$(stat -c %s one)
	for ((n = 1; n < size; n++)); do
		run --separate-stderr -65 zn-fmt -o json < <(head -c $n one)
		[[ -z $output && $stderr == *"ends inside the record at byte 0" ]]
	done
	run --separate-stderr -65 zn-fmt -o json < <(head -c $((size + 3)) m)
	[[ ${#lines[@]} -eq 1 && $stderr == *"ends inside the record at byte $size" ]]
}

@test "a length of 4 GB is refused before anything is allocated for it" {
	bounded 200000
	refused 3 '\x81\xa1a\xdd\xff\xff\xff\xff'
	refused 3 '\x81\xa1a\xdf\xff\xff\xff\xff'
	refused 3 '\x81\xa1a\xdb\xff\xff\xff\xff'
	refused 3 '\x81\xa1a\xc6\xff\xff\xff\xff'
	refused 0 '\xdf\xff\xff\xff\xff'
}

@test "lists inside each other: 64 are taken, 65 and 10,000 are not" {
	many() { printf "%*s" "$1" '' | sed "s/ /$2/g"; }
	bounded 200000
	echo "{\"a\":$(many 63 '[')$(many 63 ']')}" >ok
	zn-fmt -o msgpack ok | zn-fmt -o json | diff ok -
	refused 0 "{\"a\":$(many 64 '[')$(many 64 ']')}\n"
	refused 69 "{\"a\":$(many 10000 '[')"
	refused 66 "\x81\xa1a$(many 64 '\\x91')\x90"
	refused 66 "\x81\xa1a$(many 10000 '\\x91')"
	refused 192 "$(many 10000 '\\x81\\xa1a')"
}

@test "what is no record is refused" {
	refused 0 'garbage\n'
	refused 0 '[1]\n'
	refused 0 '\x93\x01\x02\x03'
	refused 3 '\x81\xa1a\xc1'
	refused 3 '\x81\xa1a\xd4\x01\x02'
	refused 3 '\x81\xa1a\xc7\x01\x02\x03'
	refused 1 '\x81\x01\x02'
	refused 4 '\x81\xa1a\x01garbage'
	refused 8 '{"a":1}\n7\n'
}

@test "NaN and infinities are refused in every format" {
	refused 3 '\x81\xa1a\xcb\x7f\xf8\x00\x00\x00\x00\x00\x00'
	refused 3 '\x81\xa1a\xcb\xff\xf0\x00\x00\x00\x00\x00\x00'
	refused 3 '\x81\xa1a\xca\x7f\xc0\x00\x00'
	refused 3 '\x81\xa1a\xca\x7f\x80\x00\x00'
	refused "" '{"a":NaN}\n'
	refused "" '{"a":Infinity}\n'
	refused "" '{"a":1e999}\n'
}

@test "duplicate keys are refused in every format" {
	refused 5 '\x82\xa1a\x01\xa1a\x02'
	refused "" '{"a":1,"a":2}\n'
	refused "" '{"x":[{"a":1,"b":2,"a":3}]}\n'
	python='import sys; sys.stdout.buffer.write(b"\xdf\x00\x01\x86\xa1" + b"".join(b"\xd9\x06%06d\x01" % (i % 100000) for i in range(100001)))'
	if command -v python3 >/dev/null; then
		python3 -c "$python" >many
		run --separate-stderr -65 timeout 20 zn-fmt -o json many
		[[ $stderr == *"duplicate key '000000' at byte 900007" ]]
	fi
}

@test "text that is not UTF-8, and a NUL in text, are refused" {
	refused 3 '\x81\xa1a\xa1\xff'
	refused 1 '\x81\xa1\xc0\x01'
	refused 3 '\x81\xa1a\xa3\xed\xa0\x80'
	refused 3 '\x81\xa1a\xa2x\x00'
	refused "" '{"a":"\xff"}\n'
	refused "" '{"a":"x\\u0000"}\n'
	refused "" '{"x\\u0000":"a"}\n'
	refused "" '{"a":"\\ud800"}\n'
}

@test "numbers that JSON cannot hold here are refused" {
	refused "" '{"a":9223372036854775808}\n'
	refused "" '{"a":-9223372036854775809}\n'
	refused "" "{\"a\":$(printf '%*s' 5000 '' | tr ' ' 9)}\n"
}

@test "a record too long is refused while it comes, in bounded memory" {
	run --separate-stderr -65 bash -c 'bounded 400000; { printf "{\"a\":\""; yes x | tr -d "\n"; } | zn-fmt -o json'
	[[ $stderr == *"a record that is too long at byte 0" ]]
	run --separate-stderr -65 bash -c 'bounded 400000; { printf "\x81\xa1a\xdd\x00\x0f\xff\x00"; yes "" | tr "\n" "\221"; } | zn-fmt -o json'
	[[ $stderr == *"at byte"* ]]
	run --separate-stderr -65 bash -c 'bounded 400000; { printf "{\"a\":["; yes "{}," | head -c 60000000; } | zn-fmt -o json'
	[[ $stderr == *"at byte"* ]]
}

@test "a file that is not there, a directory, and a full disk are errors" {
	run --separate-stderr -71 zn-fmt -o json nothing
	[ "$stderr" = "zn-fmt: can't open 'nothing': No such file or directory" ]
	run --separate-stderr -71 zn-fmt -o json .
	run --separate-stderr -71 bash -c 'zn-fmt -o json jobs.json >/dev/full'
	[[ $stderr == *"No space left on device" ]]
}

@test "an empty sort key, or a list of keys with a hole, is a usage error" {
	run --separate-stderr -64 zn-fmt -s - <<<'{"kind":"x"}'
	[[ $stderr == *"a key is missing"* ]]
	run --separate-stderr -64 zn-fmt --select a,,b <<<'{"kind":"x"}'
	[[ $stderr == *"'a,,b' is no list of keys"* ]]
}
