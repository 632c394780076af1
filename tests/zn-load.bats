#!/usr/bin/env bats
# zn-load: real archives of several programs, good and bad, as batches; what is lost is told; going on is exact.
bats_require_minimum_version 1.5.0

setup() {
	dir=$(mktemp -d "${TMPDIR:-/tmp}/load.XXXXXX")
	cd "$dir" || return 1
	unset RANK WORLD_SIZE
	PATH=${B:-build}/tests:$PATH
}
teardown() { cd /; rm -rf "$dir"; }

# traced OPTION...: strace, beside which no sanitizer can look for leaks.
traced() { ASAN_OPTIONS=${ASAN_OPTIONS:+$ASAN_OPTIONS:}detect_leaks=0 strace "$@"; }
# ends STATUS PID: of a child, which not even run's shell has.
ends() { local status=0; wait "$2" || status=$?; [ "$status" -eq "$1" ]; }
# sample N: files N.txt and N.cls in data/.
samples() { # FIRST LAST
	local i
	mkdir -p data
	for ((i = $1; i <= $2; i++)); do
		printf '%0*d' $((i * 37 % 900 + 1)) "$i" >"data/$i.txt"
		printf '%d' "$i" >"data/$i.cls"
	done
}
shard() { # NAME FIRST LAST [OPTION...]: made by GNU tar
	local name=$1 i files=()
	samples "$2" "$3"
	for ((i = $2; i <= $3; i++)); do files+=("data/$i.txt" "data/$i.cls"); done
	tar "${@:4}" -cf "$name" "${files[@]}"
}
# What comes out, "KEY FIELD=LENGTH ..." a line, and "loss KEY REASON".
shown() {
	zn-fmt -o json | python3 -c '
import base64, json, sys
for line in sys.stdin:
    r = json.loads(line)
    if r["kind"] == "loss":
        print("loss", r.get("key", "?"), r["offset_bytes"], r["reason"])
        continue
    for s in r["samples"]:
        print(s["key"], *(k.removesuffix("@base64") + "=" + str(len(base64.b64decode(v))) for k, v in s.items() if k != "key"))'
}
keys() { shown | sed 's/ .*//'; }
# Compares each byte with the file it was packed from.
same_bytes() {
	zn-fmt -o json | python3 -c '
import base64, json, sys
n = 0
for line in sys.stdin:
    for s in json.loads(line)["samples"]:
        for k, v in s.items():
            if k != "key":
                assert base64.b64decode(v) == open(s["key"] + "." + k.removesuffix("@base64"), "rb").read(), s["key"]
                n += 1
print(n)'
}

@test "samples come in the order in which they lie, each with its fields" {
	shard a.tar 1 5
	run --separate-stderr zn-load index a.tar
	[[ ${stderr_lines[0]} == "zn-load: a.tar: index built: there is none" && ${stderr_lines[1]} == "zn-load: 5 samples in 1 sources, 0 lost" ]]
	[ -s a.tar.zni ]
	run shown < <(zn-load -b 2 a.tar)
	[ "${lines[*]}" = "data/1 txt=38 cls=1 data/2 txt=75 cls=1 data/3 txt=112 cls=1 data/4 txt=149 cls=1 data/5 txt=186 cls=1" ]
	[ "$(zn-load -b 2 a.tar | zn-fmt -o csv --no-heading --fields kind,epoch,seq,next)" = "$(printf 'batch,0,0,2\nbatch,0,1,4\nbatch,0,2,5')" ]
	[ "$(zn-load -b 2 --fields cls a.tar | shown | head -1)" = "data/1 cls=1" ]
	[ "$(zn-load -b 2 --fields CLS,txt a.tar | shown | head -1)" = "data/1 cls=1 txt=38" ]
	run -64 zn-load --fields cls,CLS a.tar
}

@test "archives of every format of GNU tar and of Python are read, to the byte" {
	local long
	long=data/$(printf "d%.0s" {1..120})/$(printf "n%.0s" {1..90})
	for format in v7 oldgnu gnu ustar posix; do
		shard "$format.tar" 1 40 "--format=$format"
		[ "$(zn-load --no-index "$format.tar" | same_bytes)" = 80 ]
	done
	mkdir -p "${long%/*}"
	echo long >"$long.txt"
	for format in gnu posix; do
		tar --format=$format -cf "long-$format.tar" "$long.txt"
		[ "$(zn-load --no-index "long-$format.tar" | same_bytes)" = 1 ]
	done
	python3 -c '
import tarfile
for name, format in (("pax", tarfile.PAX_FORMAT), ("pygnu", tarfile.GNU_FORMAT), ("pyustar", tarfile.USTAR_FORMAT)):
    with tarfile.open(name + ".tar", "w", format=format) as t:
        for i in range(1, 41):
            for field in ("txt", "cls"):
                t.add("data/%d.%s" % (i, field))
        if format == tarfile.PAX_FORMAT:
            with open("data/\u00e4\u00f6\u00fc.txt", "w") as f: f.write("umlaut")
            t.add("data/\u00e4\u00f6\u00fc.txt")'
	[ "$(zn-load --no-index pygnu.tar | same_bytes)" = 80 ]
	[ "$(zn-load --no-index pyustar.tar | same_bytes)" = 80 ]
	[ "$(zn-load --no-index pax.tar | same_bytes)" = 81 ]
	if command -v bsdtar >/dev/null; then
		bsdtar -cf bsd.tar data
		[ "$(zn-load --no-index bsd.tar | same_bytes)" = 82 ]
	fi
}

@test "braces are many shards, a directory is all that is in it" {
	shard s-00.tar 1 3
	shard s-01.tar 4 6
	[ "$(zn-load 's-{00..01}.tar' | keys | tr '\n' ' ')" = "data/1 data/2 data/3 data/4 data/5 data/6 " ]
	[ "$(zn-load 's-{01,00}.tar' | keys | head -1)" = data/4 ]
	mkdir all && mv s-0* all && cp -r data all
	run keys < <(zn-load all)
	[ "${#lines[@]}" -eq 12 ] # each once in a shard, once as files
	[ "$(cd all && zn-load data | shown | head -1)" = "1 cls=1 txt=38" ]
	[ "$(zn-load data/1.txt | shown)" = "1 txt=38" ]
}

@test "a window mixes, the same way again, and a seed and an epoch another way" {
	shard a.tar 1 60
	zn-load a.tar | keys >plain
	zn-load --shuffle 10 a.tar | keys >ten
	zn-load --shuffle all a.tar | keys >all
	for mixed in ten all; do
		run ! cmp -s plain $mixed
		cmp <(sort plain) <(sort $mixed)
	done
	cmp <(head -10 plain | sort) <(head -10 ten | sort)
	run ! cmp -s <(head -10 plain | sort) <(head -10 all | sort)
	cmp all <(zn-load --shuffle all --no-uring -j 2 a.tar | keys)
	run ! cmp -s all <(zn-load --shuffle all --seed 1 a.tar | keys)
	zn-load --shuffle all -e 2 a.tar | keys >two
	cmp all <(head -60 two)
	run ! cmp -s all <(tail -60 two)
}

@test "ranks share the samples, as many batches each, by option or by the environment" {
	shard a.tar 1 50
	for r in 0 1 2; do RANK=$r WORLD_SIZE=3 zn-load -b 4 --shuffle all a.tar >"rank$r"; done
	cmp rank1 <(zn-load -b 4 --shuffle all --rank 1 --world 3 a.tar)
	cmp <(zn-load a.tar | keys | sort) <(cat rank? | keys | sort)
	for r in 0 1 2; do [ "$(zn-fmt --fields seq -o csv --no-heading <"rank$r" | wc -l)" -eq 5 ]; done
	for r in 0 1 2; do [ "$(zn-load -b 4 --tail drop --rank $r --world 3 a.tar | keys | wc -l)" -eq 16 ]; done
	for r in 0 1 2; do [ "$(zn-load -b 4 --tail repeat --rank $r --world 3 a.tar | keys | wc -l)" -eq 20 ]; done
	run zn-load --rank 3 --world 3 a.tar
	[ "$status" -eq 64 ] && [[ $output == *"there is no rank 3 of 3"* ]]
	RANK=many run zn-load a.tar
	[ "$status" -eq 64 ] && [[ $output == *"\$RANK is 'many'"* ]]
}

@test "a bad header loses one sample, which is told, and the status is that of the tolerance" {
	shard a.tar 1 20
	printf X | dd of=a.tar bs=1 seek=$((3 * 2048 + 5)) conv=notrunc status=none # in the header of 4.txt
	run --separate-stderr shown < <(zn-load a.tar 2>errors)
	[ "${#lines[@]}" -eq 20 ]
	[ "${lines[0]}" = "loss data/4 6144 the header's checksum is wrong" ]
	[ "$(grep -c lost errors)" -eq 1 ]
	grep -q "1 lost, the first: 'data/4' at byte 6144 of a.tar: the header's checksum is wrong" errors
	zn-load --max-errors 1 a.tar >/dev/null 2>&1
	run -65 zn-load --max-errors 0 a.tar
	[[ $output == *"gave up: that is more than was allowed"* ]]
	run -65 zn-load --on-error fail a.tar
	head -c $((10 * 2048 + 700)) a.tar >short.tar
	run shown < <(zn-load --no-index short.tar 2>/dev/null)
	[ "$(printf '%s\n' "${lines[@]}" | grep -c ^loss)" -eq 2 ]
	[ "$(printf '%s\n' "${lines[@]}" | grep -vc ^loss)" -eq 9 ]
	[[ ${lines[1]} == "loss data/11 20480 the shard ends within it" ]]
}

@test "an index is made again when its shard changed, or it is damaged, and that is said" {
	shard a.tar 1 5
	zn-load index a.tar 2>/dev/null
	zn-load --stats a.tar 2>&1 >/dev/null | grep -qv built
	shard a.tar 6 9
	zn-load --stats a.tar 2>&1 >/dev/null | grep -q "a.tar: index built: the shard has changed since"
	printf X | dd of=a.tar.zni bs=1 seek=90 conv=notrunc status=none
	zn-load --stats a.tar 2>&1 >/dev/null | grep -q "a.tar: index built: the one there is damaged"
	[ "$(zn-load a.tar | keys | wc -l)" -eq 4 ]
	if [ "$(id -u)" -eq 0 ]; then
		mount -t tmpfs none "$dir/data" 2>/dev/null || skip "no mount here"
		cp a.tar data/ && mount -o remount,ro "$dir/data"
		zn-load --stats data/a.tar 2>errors | keys >got
		umount "$dir/data"
		[ "$(wc -l <got)" -eq 4 ]
		grep -q "data/a.tar: index not kept: " errors
	fi
}

@test "SIGTERM ends with a whole batch, and going on is exact" {
	shard a.tar 1 400
	zn-load -b 4 --shuffle 50 --seed 3 a.tar | keys >whole
	mkfifo pipe
	zn-load -b 4 --shuffle 50 --seed 3 --resume state a.tar >pipe &
	exec 9<pipe
	head -c 30000 <&9 >part # then nobody reads: it waits for the pipe to be emptied
	kill -TERM $!
	cat <&9 >>part
	exec 9<&-
	ends 143 "$!"
	zn-load -b 4 --shuffle 50 --seed 3 --resume state a.tar >rest
	cmp whole <(cat part rest | keys)
	[ "$(keys <rest | wc -l)" -gt 10 ]
	zn-load --shuffle 50 --seed 3 --resume state a.tar | cmp - /dev/null # nothing is left
	grep -q '^{"kind":"resume","data":"[0-9a-f]*","order":"seed 3, shuffle 50","epoch":0,"next":400}' state
	(trap '' PIPE; zn-load -e 3 --resume later a.tar 2>/dev/null) | head -c 1M >/dev/null
	grep -q '"epoch":[12],' later
	zn-load -e 1 --resume later a.tar | cmp - /dev/null # it was further than that
}

@test "when who reads is killed, going on begins with a batch that was not read whole, or one before" {
	shard a.tar 1 400
	zn-load -b 4 a.tar | keys >whole
	zn-load -b 4 --resume state a.tar | { head -c 40000 >part; kill -9 $BASHPID; } || :
	zn-load -b 4 --resume state a.tar | keys >rest
	cmp <(tail -n "$(wc -l <rest)" whole) rest # it went on, without a hole, ...
	[ "$(wc -l <rest)" -lt 400 ]
	read_whole=$(python3 -c '
import re
data = open("part", "rb").read()
print(data.count(b"\xa5batch") - 1)') # the last one may not be whole
	[ "$(wc -l <rest)" -ge $((400 - 4 * (read_whole + 1))) ] # ... and did not begin behind what was read
	run -64 zn-load --shuffle 9 --resume state a.tar
	[[ $output == *"'state' is of another order (seed 0, shuffle 0)"* ]]
	shard b.tar 1 3
	run -64 zn-load --resume state b.tar
	[[ $output == *"'state' is of other data"* ]]
	echo nonsense >state
	run -65 zn-load --resume state a.tar
	[[ $output == *"'state': "* ]]
}

@test "who gives up goes on with the batch that was not sent" {
	shard a.tar 1 20
	printf X | dd of=a.tar bs=1 seek=$((12 * 2048 + 5)) conv=notrunc status=none # in the header of 13.txt
	run -65 zn-load -b 5 --on-error fail --resume state a.tar
	zn-load -b 5 --resume state a.tar 2>/dev/null | keys >rest
	[ "$(grep -vc loss rest)" -eq 19 ] # the flaw comes before the first batch, so nothing had been sent
}

@test "what lies in a socket counts as not read" {
	shard a.tar 1 400
	python3 -c '
import array, fcntl, json, socket, subprocess, termios, time
ours, theirs = socket.socketpair()
load = subprocess.Popen(["zn-load", "-b", "1", "--resume", "state", "a.tar"], stdout=theirs)
theirs.close()
n, before = array.array("i", [0]), -1
while n[0] == 0 or n[0] != before: # until it waits for us
    before = n[0]
    time.sleep(0.2)
    fcntl.ioctl(ours, termios.FIONREAD, n)
load.kill()
load.wait()
state = json.load(open("state"))
assert state["next"] == 0, state'
}

@test "a second signal is not waited for, whichever it is" {
	shard a.tar 1 400
	mkfifo pipe
	zn-load -b 4 a.tar >pipe &
	local pid=$!
	exec 9<pipe
	head -c 30000 <&9 >part # then nobody reads
	until grep -q '^State:.S' /proc/$pid/status; do sleep 0.1; done
	kill -INT $pid
	while (($((0x$(awk '/SigCgt/ { print $2 }' /proc/$pid/status) & 2)))); do sleep 0.1; done # it has seen it
	kill -TERM $pid
	timeout 20 tail --pid=$pid -f /dev/null || kill -KILL $pid
	ends 143 "$pid"
}

@test "another number of ranks goes on with what is left" {
	shard a.tar 1 100
	for r in 0 1; do zn-load -b 5 --rank $r --world 2 --resume "state$r" a.tar | head -c 8000 >"part$r" || :; done
	python3 -c '
import json
s = json.load(open("state0")); s["next"] = 30
json.dump(s, open("three", "w"))'
	for r in 0 1 2; do
		cp three "three$r"
		zn-load -b 7 --rank $r --world 3 --resume "three$r" a.tar | keys
	done | sort >rest
	cmp rest <(zn-load a.tar | keys | tail -70 | sort)
}

@test "sources and options that make no sense are refused in a sentence" {
	shard a.tar 1 3
	run -64 zn-load
	[[ $output == *"a source is missing"* ]]
	run -71 zn-load nowhere.tar
	[[ $output == "zn-load: 'nowhere.tar': No such file or directory" ]]
	run -64 zn-load /dev/null
	[[ $output == "zn-load: '/dev/null' is neither a file, a directory nor a FIFO" ]]
	echo "some text, and no archive" >text.tar
	run -65 zn-load text.tar
	[[ $output == "zn-load: 'text.tar': no tar archive: there is no header in it" ]]
	mkdir empty
	run -71 zn-load empty
	[[ $output == "zn-load: 'empty' has no file in it" ]]
	run -64 zn-load 's-{1..}.tar'
	[[ $output == *"is neither a range"* ]]
	run -64 zn-load --shuffle some a.tar
	run -64 zn-load -b 0 a.tar
	run -64 zn-load --memory 1 a.tar
	head -c 3M /dev/zero >data/1.txt
	tar -cf large.tar data/1.txt data/1.cls data/2.txt data/2.cls
	run shown < <(zn-load -b 1 --memory 2M large.tar 2>/dev/null)
	[[ ${lines[0]} == "loss data/1 0 it is larger than the memory that was allowed" && ${lines[1]} == "data/2 "* ]]
	run zn-load a.tar >/dev/full
	zn-load a.tar >/dev/full 2>errors && false
	[ $? -eq 71 ] || grep -q "No space left" errors
}

@test "strange members and directories are passed over, or told" {
	mkdir -p data/sub
	samples 1 3
	printf nl >$'data/new\nline.txt'
	ln -s .. data/sub/loop
	ln -s nowhere data/gone.txt
	mkfifo data/fifo.txt
	run shown < <(zn-load data 2>/dev/null)
	[ "$(printf '%s\n' "${lines[@]}" | grep -c ^loss)" -eq 2 ]
	[[ $output == *"a directory that leads back to itself"* && $output == *"No such file or directory"* ]]
	rm data/sub/loop data/gone.txt data/fifo.txt
	tar -cf strange.tar data
	[ "$(zn-load --no-index strange.tar | same_bytes)" -eq 7 ]
	truncate -s 1T data/holes.txt
	tar --sparse -cf sparse.tar data/1.txt data/holes.txt data/2.txt
	run shown < <(zn-load sparse.tar 2>/dev/null)
	[ "${lines[0]}" = "loss data/holes 1024 a sparse member is not read: pack it without --sparse" ]
	[ "${#lines[@]}" -eq 3 ]
	rm data/holes.txt
	python3 -c '
import tarfile
h = tarfile.TarInfo("data/huge.txt"); h.size = 1 << 40
f = open("huge.tar", "wb"); b = h.tobuf(tarfile.GNU_FORMAT); f.write(b); f.truncate(len(b) + (1 << 40))'
	run shown < <(timeout 20 zn-load huge.tar 2>/dev/null)
	[ "$output" = "loss data/huge 0 it is larger than 1 TiB" ]
}

@test "more files than there may be descriptors are read, and sizes beyond all memory are told" {
	samples 1 100
	for option in '' --direct '--no-uring --direct -j 2'; do
		# shellcheck disable=SC2086
		(ulimit -n 40 && zn-load $option -b 50 data 2>errors) | (cd data && same_bytes) >got
		[ "$(<got)" = 200 ]
		[ ! -s errors ]
	done
	mkdir "/dev/shm/${dir##*/}" || skip "no file system that has sizes like that"
	for i in 1 2 3 4; do truncate -s 4E "/dev/shm/${dir##*/}/a.$i"; done # 2 to the 64th together
	run shown < <(zn-load "/dev/shm/${dir##*/}" 2>/dev/null)
	rm -rf "/dev/shm/${dir##*/}"
	[ "$output" = "loss a 0 it is larger than the memory that was allowed" ]
}

@test "fields become numbers, in one tensor a batch; what is none is lost" {
	shard a.tar 1 6
	cp data/3.txt data/3.cls
	tar -cf b.tar data/{1..6}.cls
	run --separate-stderr zn-fmt -o json < <(zn-load -b 8 --decode cls=int:i32 b.tar 2>/dev/null)
	[ "${#lines[@]}" -eq 2 ]
	[[ ${lines[0]} == *'"key":"data/3","reason":"'* ]]
	[[ ${lines[1]} == *'{"key":"data/1","cls":{"dtype":"i32","shape":[],"data@base64":"AQAAAA=="}}'* ]]
	python3 -c '
import struct
for i in range(6):
    header = str(dict(descr="<f4", fortran_order=False, shape=(2, 2))).ljust(117) + "\n"
    open("data/%d.npy" % i, "wb").write(b"\x93NUMPY\x01\x00" + struct.pack("<H", 118) + header.encode() + struct.pack("<4f", i, i, i, i))'
	tar -cf c.tar data/*.npy
	run zn-fmt -o json < <(zn-load --decode npy=npy -j 2 c.tar) # its shape is that of the first
	[[ $output == *'{"key":"data/0","npy":{"dtype":"f32","shape":[2,2],"data@base64":"AAAAAAAAAAAAAAAAAAAAAA=="}}'* ]]
	run -65 zn-load --decode txt=npy c.tar
	[[ $output == *"the shape of a field can't be learnt: no sample of the first batch has that field"* ]]
	run -64 zn-load --decode cls=int --decode cls=float a.tar
	[[ $output == *"'cls' is there twice"* ]]
	run -64 zn-load --decode cls=nothing a.tar
}

@test "pictures are decoded, and a damaged one is a loss" {
	picture jpeg 300 260 >1.jpg 2>/dev/null || skip "built without libjpeg-turbo or libpng"
	picture png 260 300 >2.jpg
	head -c 5000 1.jpg >3.jpg
	tar -cf a.tar 1.jpg 2.jpg 3.jpg
	run zn-fmt -o json < <(zn-load --decode jpg=image:32x24,f32,flip a.tar 2>/dev/null)
	[ "$(grep -o '"shape":\[3,32,24\]' <<<"$output" | wc -l)" -eq 2 ]
	[[ ${lines[0]} == *'"kind":"loss"'*'"key":"3"'* ]]
}

@test "many threads that begin at once do not take that much more memory than was allowed" {
	mkdir data
	for i in {1..48}; do truncate -s 4M "data/$i.bin"; done
	tar -cf a.tar data
	zn-load index a.tar 2>/dev/null
	mkfifo pipe
	strace -f -o /dev/null -e trace=preadv2 -e inject=preadv2:delay_enter=300000 zn-load -j 24 -b 2 --memory 17M a.tar >pipe & # so all plan at once
	exec 9<pipe
	head -c 1 <&9 >first
	local pid before=-1 peak=0
	pid=$(pgrep -P $! -x zn-load)
	while [ "$peak" != "$before" ]; do # nobody reads on, so in the end all wait
		sleep 1
		before=$peak
		peak=$(awk '/VmHWM/ { print int($2 / 1024) }' "/proc/$pid/status")
	done
	kill -KILL "$pid"
	exec 9<&-
	echo "$peak MiB"
	[ "$peak" -lt 90 ] # three batches of 8, and the program; 24 batches were 192
}

@test "names of fields that are all different are no trouble, and the same in a directory as in a shard" {
	python3 -c '
import io, tarfile
with tarfile.open("a.tar", "w") as t:
    for i in range(100000):
        t.addfile(tarfile.TarInfo("photo.%06d.jpg" % i))'
	zn-load index a.tar 2>/dev/null
	(ulimit -t 4 && zn-load a.tar >out) # a list was gone through for each: 13 s
	mkdir data
	touch data/photo.{001..130}.jpg
	tar -cf b.tar data/*
	run shown < <(zn-load data 2>/dev/null)
	[ "${#lines[@]}" -eq 3 ] # of 64 fields each at most
	[ "$(printf '%s\n' "${lines[@]#photo}")" = "$(zn-load b.tar | shown | sed 's,^data/photo,,')" ]
}

@test "an index is not kept if a part of its shard could not be read, which may be there the next time" {
	head -c 600000 /dev/zero >pad.bin
	shard a.tar 1 5
	tar -rf a.tar pad.bin data/1.txt data/2.cls
	traced -o /dev/null -P a.tar -e trace=pread64 -e inject=pread64:error=EIO:when=2..3 zn-load --stats a.tar 2>errors | shown >got
	grep -q "^loss .*Input/output error" got
	grep -q "a.tar: index not kept: a part of the shard could not be read" errors
	[ ! -e a.tar.zni ]
	[ "$(zn-load a.tar | shown | grep -c ^loss)" -eq 0 ]
}

@test "batches that were begun before one that can't be are still given" {
	mkdir data
	for i in 1 2 3; do head -c 300K /dev/zero >data/$i.bin; done
	head -c 2040K /dev/zero >data/4.bin
	cp data/4.bin data/5.bin
	tar -cf a.tar data/{1..5}.bin
	run -71 bash -c 'zn-load -b 2 --direct --memory 2M a.tar | zn-fmt -o csv --no-heading --fields seq; exit ${PIPESTATUS[0]}'
	[ "${lines[0]}" = 0 ] || [ "${lines[1]}" = 0 ]
	[[ $output == *"a batch of 2 samples takes "* ]]
}

@test "a device that can't be asked is an error in a sentence, or reads by the page cache" {
	shard a.tar 1 64
	zn-load index a.tar 2>/dev/null
	for n in 1 2 3; do
		run traced -f -o /dev/null -e trace=io_uring_enter -e inject=io_uring_enter:error=ENOMEM:when=$n+ bash -c 'zn-load -b 4 --direct a.tar >out'
		[[ $status -eq 0 || ($status -eq 71 && $output == *"Cannot allocate memory"*) ]]
	done
}

@test "it runs on the NUMA node that is asked for, as far as it may" {
	shard a.tar 1 3
	run -64 zn-load --numa 999 a.tar
	[ "$output" = "zn-load: there is no NUMA node 999 here" ]
	run -64 zn-load --numa near a.tar
	for where in auto none 0; do [ "$(zn-load --numa $where a.tar | keys | wc -l)" -eq 3 ]; done
	traced -o trace -e trace=sched_setaffinity zn-load --numa 0 a.tar >/dev/null
	grep -q 'sched_setaffinity(0, .*) *= 0' trace
}

@test "tokens come in records of one length, each with the token that follows" {
	python3 -c '
import struct
tokens = list(range(1000, 1103))                     # 103 tokens in three sequences
open("t.bin", "wb").write(struct.pack("<103H", *tokens))
lengths, at = [50, 0, 53], 0
idx = b"MMIDIDX\x00\x00" + struct.pack("<QB", 1, 8) + struct.pack("<QQ", 3, 2) + struct.pack("<3i", *lengths)
for n in lengths:
    idx += struct.pack("<q", at); at += 2 * n
open("t.idx", "wb").write(idx + struct.pack("<2q", 0, 3))'
	zn-load --tokens 10 -b 4 t.idx >megatron
	cmp megatron <(zn-load --tokens 10 -b 4 t)
	cmp megatron <(zn-load --tokens 10:u16 -b 4 t.bin)
	zn-fmt -o json <megatron | python3 -c '
import base64, json, struct, sys
n = 0
for line in sys.stdin:
    for s in json.loads(line)["samples"]:
        t = s["tokens"]
        assert t["dtype"] == "u16" and t["shape"] == [11]
        assert list(struct.unpack("<11H", base64.b64decode(t["data@base64"]))) == list(range(1000 + 10 * n, 1011 + 10 * n)), n
        assert s["key"] == str(n)
        n += 1
assert n == 10, n'
	for r in 0 1; do zn-load --tokens 10 --shuffle all --rank $r --world 2 t.idx | zn-fmt -o json | grep -o '"key":"[0-9]*"'; done | sort | uniq | wc -l | grep -qx 10
	head -c 60 t.idx >u.idx
	cp t.bin u.bin
	run zn-load --tokens 10 u.idx
	[[ $status -eq 65 && $output == "zn-load: 'u.idx': "* ]]
	run -64 zn-load --tokens 10:f32 t.bin
	run -64 zn-load --tokens many t.bin
}

# A reader of shared batches in Python: take COUNT gives COUNT of them back (all of them without), and prints what it saw of each.
reader() {
	cat >reader.py <<'EOF'
import json, mmap, os, socket, struct, subprocess, sys
s = socket.socket(socket.AF_UNIX)
while True:
    try:
        s.connect("sock")
        break
    except (FileNotFoundError, ConnectionRefusedError):
        pass
left = int(sys.argv[1]) if len(sys.argv) > 1 else 1 << 30
def rest(n, head=b""):
    while len(head) < n:
        more = s.recv(n - len(head))
        if not more: sys.exit(0)
        head += more
    return head
while left:
    head, fds, _, _ = socket.recv_fds(s, 8, 1)
    if not head: break
    n, = struct.unpack("<I", rest(8, head)[:4])
    r = json.loads(subprocess.run(["zn-fmt", "-o", "json"], input=rest(n), stdout=subprocess.PIPE).stdout)
    if r["kind"] == "loss":
        print("loss", r["key"])
        continue
    m = mmap.mmap(fds[0], r["bytes"], prot=mmap.PROT_READ)
    try:
        os.ftruncate(fds[0], 0)
        print("could be written")
    except OSError:
        pass
    for sample in r["samples"]:
        for field, v in sample.items():
            if field != "key":
                data = m[v["offset"]:v["offset"] + v["bytes"]]
                print(sample["key"], field, v.get("dtype", ""), len(data), data == open(sample["key"] + "." + field, "rb").read())
    m.close()
    os.close(fds[0])
    left -= 1
    s.sendall(struct.pack("<Q", r["number"]))
EOF
	python3 reader.py "$@"
}

@test "each stage says how it did, in records, and a place that takes none ends nothing" {
	shard a.tar 1 300
	zn-load -b 8 --stats-to stats.json --direct a.tar | keys >got
	[ "$(wc -l <got)" -eq 300 ]
	tail -n 5 stats.json >end.json # before it, where a second has passed, others
	[ "$(zn-fmt -o csv --no-heading --fields stage end.json | tr '\n' ' ')" = "device copy parse decode sink " ]
	[ "$(zn-fmt --where 'bottleneck == true' -o json end.json | wc -l)" -eq 1 ]
	[ "$(zn-fmt --where "stage == 'device' && bytes > 0 && queue > 0 && waited_for == 'device'" -o json end.json | wc -l)" -eq 1 ]
	cp stats.json before
	zn-load -b 8 -j 2 --stats-to stats.json a.tar | keys | cmp got -
	head -n "$(wc -l <before)" stats.json | cmp - before # it was added to what was there
	tail -n 6 stats.json | grep -q '"stage":"ready".*"queue":'
	gzip -c a.tar >a.tar.gz
	zn-load --stats-to /dev/fd/8 a.tar.gz 8>flow.json >/dev/null
	[ "$(tail -n 3 flow.json | zn-fmt -o csv --no-heading --fields stage | tr '\n' ' ')" = "stream unpack sink " ]
	zn-load -b 8 --stats-to /dev/full a.tar 2>said | keys | cmp got -
	grep -q "statistics can't be written to '/dev/full': No space left on device" said
	run -71 zn-load --stats-to /nowhere/stats a.tar
	[[ $output == "zn-load: '/nowhere/stats': No such file or directory" ]]
}

@test "another process gets batches as they lie in memory, and gives them back" {
	shard a.tar 1 60
	zn-load --share sock -b 4 --shuffle all --resume state a.tar >out 2>&1 &
	run -0 reader
	wait $!
	[ "$(grep -c ' True$' <<<"$output")" -eq 120 ] && [ "${#lines[@]}" -eq 120 ]
	[ ! -s out ] && [ ! -e sock ]
	grep -q '"next":60}' state
	rm state
	zn-load --share sock -b 4 --resume state a.tar 2>&1 &
	run -0 reader 5 # and then it goes away
	ends 141 "$!"
	grep -q '"epoch":0,"next":20}' state # who goes on begins behind what was given back
	zn-load --resume state -b 4 a.tar | keys | head -1 | grep -qx data/21
	zn-load --share sock -b 8 --decode cls=int:i32 a.tar &
	run -0 reader
	wait $!
	[ "$(grep -c 'cls i32 4 False' <<<"$output")" -eq 60 ]
	zn-load --share sock a.tar &
	until [ -e sock ]; do sleep 0.01; done
	kill $!
	ends 143 "$!"
	[ ! -e sock ]
	run -64 zn-load --share sock --arrow a.tar
	run -64 zn-load --share sock - <a.tar
	run -71 zn-load --share /nowhere/sock a.tar
}

@test "it says how fast it was, what was waited for, and what the bottleneck is" {
	shard a.tar 1 50
	run --separate-stderr zn-load --stats --direct a.tar
	[[ $stderr == *"50 samples"* && $stderr == *"from devices by "* && $stderr == *"the bottleneck is "* ]]
	run --separate-stderr zn-load --stats --direct --no-uring a.tar
	[[ $stderr == *"from devices by threads"* ]]
}

@test "what is warm is read with one call a batch, and written with as few" {
	shard a.tar 1 64
	zn-load index a.tar 2>/dev/null
	cat a.tar >/dev/null
	traced -f -e trace=pread64,writev -o trace zn-load -b 16 a.tar >/dev/null
	[ "$(grep -c 'pread64.*"data/' trace)" -eq 4 ]
	[ "$(grep -c writev trace)" -eq 4 ]
}

@test "who stops in the middle waits for what the device was asked for, with threads, too" {
	mkdir data
	for i in {1..48}; do truncate -s 3M "data/$i.bin"; done
	tar -cf a.tar data
	for threads in 0 2; do
		mkfifo pipe
		strace -f -e trace=io_uring_enter -o trace zn-load -j $threads -b 1 --depth 64 --direct a.tar >pipe &
		head -c 1000 pipe >/dev/null
		wait $! || :
		rm pipe
		grep -q io_uring_enter trace || skip "no io_uring here"
		run ! grep EEXIST trace # it is for the thread that asked
	done
}
