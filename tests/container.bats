#!/usr/bin/env bats
# What a job starts through a container daemon is not below the job: a real dockerd of the test's own.
bats_require_minimum_version 1.5.0
load queue

setup() {
	[ "$(id -u)" -eq 0 ] || skip "only root starts a dockerd"
	command -v dockerd >/dev/null && command -v docker >/dev/null || skip "docker.io is not installed"
	busybox=$(command -v busybox) && run ! grep -q . <(ldd "$busybox" 2>/dev/null | grep '=>') || skip "there is no static busybox"
	dir=$(mktemp -d "${TMPDIR:-/tmp}/queue.XXXXXX")
	cd "$dir" || return 1
	export DOCKER_HOST=unix://$dir/docker.sock DOCKER_CONFIG=$dir
	dockerd --data-root "$dir/data" --exec-root "$dir/exec" --pidfile "$dir/dockerd.pid" -H "$DOCKER_HOST" \
		--iptables=false --bridge=none >dockerd.log 2>&1 3>&- &
	dockerd=$!
	until_true docker info >/dev/null 2>&1 || skip "dockerd does not start here: $(tail -n 1 dockerd.log)"
	mkdir -p root/bin && cp "$busybox" root/bin/busybox
	tar -C root -c . | docker import - box >/dev/null
	export ZENITH_SPOOL=$dir/spool ZENITH_LEASE_DIR=$dir/leases LD_LIBRARY_PATH=$dir/driver FAKE_NVML_PID=$dir/holder
	export FAKE_NVML_PCI=0000:18:00.0,0000:22:00.0
	mkdir -m 1777 leases
	mkdir driver && ln -s "$B/tests/nvidia-ml.so" driver/libnvidia-ml.so.1
	unset ZENITH_MOCK_GPUS
}

teardown() {
	zn-schedd --stop 2>/dev/null || :
	if [ "${dockerd-}" ]; then
		docker ps -q | xargs -r docker rm -f >/dev/null 2>&1
		kill "$dockerd" && wait "$dockerd"
		grep -o "$dir/[^ ]*" /proc/mounts | sort -r | xargs -r umount 2>/dev/null
	fi
	cd /
	rm -rf "$dir"
}

@test "a container that a job left behind on its GPU is noticed and named, and the GPU is not handed out" {
	cat >escape <<-'END'
		id=$(docker run -d --network none box /bin/busybox sleep 300)
		docker inspect -f '{{.State.Pid}}' "$id" >"$FAKE_NVML_PID.new"
		mv "$FAKE_NVML_PID.new" "$FAKE_NVML_PID"
	END
	zn-submit --wait -g 1 --output out -- sh escape
	pid=$(cat holder)
	[ -d "/proc/$pid" ]
	zn-submit -g 2 --output /dev/null -- true
	until_true eval 'zn-queue why -o table 2 | grep -q "gpu 0: pid $pid of root (busybox.*), outside the queue"'
	zn-queue nodes -o json | grep -q '"held":\[{"gpu":0,"pid":'"$pid"
	zn-submit --wait -g 1 --output out -- sh -c 'echo $CUDA_VISIBLE_DEVICES' # the other one
	[ "$(cat out)" = GPU-fake-22 ]
	docker ps -q | xargs docker rm -f
	rm holder
	zn-queue wait 2
}
