#!/usr/bin/env bats
# Arrow streams, read by somebody else's reader: apache-arrow of the npm registry.
bats_require_minimum_version 1.5.0

version=21.1.0

lacks() { echo "$*" >"$BATS_FILE_TMPDIR/lacks"; }

setup_file() {
	export NODE_PATH=$BATS_FILE_TMPDIR/npm/node_modules
	if ! command -v node >/dev/null || ! command -v npm >/dev/null; then
		lacks "node and npm are not installed"
	elif ! timeout 120 npm install --prefix "$BATS_FILE_TMPDIR/npm" --no-audit --no-fund --ignore-scripts --fetch-retries 0 \
		"apache-arrow@$version" >"$BATS_FILE_TMPDIR/log" 2>&1; then
		lacks "apache-arrow can't be had from the npm registry: $(head -n 1 "$BATS_FILE_TMPDIR/log")"
	fi
}

setup() {
	[ ! -e "$BATS_FILE_TMPDIR/lacks" ] || skip "$(cat "$BATS_FILE_TMPDIR/lacks")"
	cd "$BATS_TEST_TMPDIR" || exit
}

# both WORD...: the stream that arrowput writes, and what arrow-check finds in it
both() (
	set -o pipefail
	"$B/tests/arrowput" "$@" 2>figures | "$BATS_TEST_DIRNAME/tools/arrow-check" "$@"
)

# shellcheck disable=SC2054 # commas of shapes
all=(jpg cls:i32 image:u8:3,8,8 bf:bf16 f16:f16 f32:f32 f64:f64 i8:i8 u8:u8 i16:i16 u16:u16 i64:i64 wide:f32:1,300 one:i32:1)

@test "each type comes out as it went in" {
	run -0 both 3 20 "${all[@]}"
	[ "$output" = "values 840 nulls 0 batches 3 rows 60" ]
}

@test "what a sample lacks is null, of each type" {
	for every in 1 2 3 7; do
		run -0 both 2 21 null=$every declare "${all[@]}"
		[[ $output == "values "*" batches 2 rows 42" ]]
		[[ $output != *" nulls 0 "* ]]
	done
}

@test "large data that are missing are as wide as others" {
	run -0 both 2 9 null=2 big:f64:9000 other
	[ "$output" = "values 18 nulls 18 batches 2 rows 18" ]
}

@test "an empty batch is a batch of no rows, wherever it stands" {
	run -0 both 6 5 empty=2 "${all[@]}"
	[ "$output" = "values 210 nulls 0 batches 6 rows 15" ]
	run -0 both 3 5 empty=1 declare "${all[@]}"
	[ "$output" = "values 0 nulls 0 batches 3 rows 0" ]
	run -0 both 3 0
	[ "$output" = "values 0 nulls 0 batches 3 rows 0" ]
}

@test "a stream without batches is read as that" {
	run -0 both 0 0
	[ "$output" = "values 0 nulls 0 batches 1 rows 0" ]
}

@test "many batches, many rows" {
	run -0 both 300 10 jpg cls:i32 image:u8:3,32,32
	[ "$output" = "values 9000 nulls 0 batches 300 rows 3000" ]
	run -0 both 2 4000 null=11 jpg cls:i64
	[[ $output == "values "*" batches 2 rows 8000" ]]
}

@test "the reader's check does find what is wrong" {
	run -1 sh -c '"$1/tests/arrowput" 2 5 jpg cls:i32 2>&- | "$2/tools/arrow-check" 2 5 jpg cls:u16' - "$B" "$BATS_TEST_DIRNAME"
	[ "$output" = "cls: Int32, must be Uint16" ]
	"$B/tests/arrowput" 1 5 jpg:u8:64 2>/dev/null >stream
	# the last byte of the last image: 64 bytes each of epoch and seq, and the end, come behind 320 of images
	printf '\x00' | dd of=stream bs=1 seek=$(($(stat -c %s stream) - 8 - 128 - 1)) conv=notrunc status=none
	run -1 sh -c '"$1/tools/arrow-check" 1 5 jpg:u8:64 <stream' - "$BATS_TEST_DIRNAME"
	[[ $output == "jpg in row 4 of batch 0: "* ]]
}

@test "what zn-load writes is what lies in the shard, and its losses are told beside the stream" {
	mkdir data
	for i in {1..9}; do printf '%0*d' $((i * 1000)) "$i" >data/$i.txt && printf '%d' $i >data/$i.cls; done
	tar -cf a.tar data/{1..9}.{txt,cls}
	printf X | dd of=a.tar bs=1 seek=3 conv=notrunc status=none
	zn-load --arrow -b 4 --fields cls,txt a.tar >stream 2>errors
	run -0 node -e '
		const { tableFromIPC } = require("apache-arrow");
		const fs = require("fs");
		const table = tableFromIPC(fs.readFileSync("stream"));
		console.log(table.schema.fields.map(f => f.name).join(" "));
		for (const row of table) {
			const same = ["txt", "cls"].every(f => Buffer.compare(Buffer.from(row[f]), fs.readFileSync(row.__key__ + "." + f)) === 0);
			console.log(row.__key__, same, Number(row.meta.seq));
		}'
	[ "${lines[0]}" = "__key__ cls txt meta" ]
	[ "${#lines[@]}" -eq 9 ]
	[ "$(grep -c true <<<"$output")" -eq 8 ]
	grep -q '"kind":"loss","epoch":0,"shard":"a.tar","offset_bytes":0,' errors
}
