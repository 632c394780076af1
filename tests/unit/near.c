/* Which NUMA node a file's device hangs from, in a /sys of our own. */
#include <ftw.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/file.h"
#include "data/near.h"
#include "tap.h"

static char sys_dir[64];

static void make(const char *dir, const char *file, const char *text)
{
	char path[512];

	snprintf(path, sizeof(path), "%s/%s", sys_dir, dir);
	if (zn_mkdirs(path, 0755, NULL) < 0)
		exit(2);
	if (!file)
		return;
	snprintf(path, sizeof(path), "%s/%s/%s", sys_dir, dir, file);
	FILE *f = fopen(path, "w");
	if (!f || fputs(text, f) < 0 || fclose(f))
		exit(2);
}

static void link_to(const char *at, const char *to)
{
	char path[512], target[512];

	snprintf(path, sizeof(path), "%s/%s", sys_dir, at);
	snprintf(target, sizeof(target), "%s/%s", sys_dir, to);
	if (symlink(target, path) < 0)
		exit(2);
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *f)
{
	(void)st, (void)kind, (void)f;
	return remove(path);
}

int main(void)
{
	struct zn_idset cpus, want;

	snprintf(sys_dir, sizeof(sys_dir), "/tmp/zn-near-XXXXXX");
	if (!mkdtemp(sys_dir))
		return 2;
	make("dev/block", NULL, NULL);
	make("devices/pci/0000:01:00.0", "numa_node", "1\n");
	make("devices/pci/0000:01:00.0/nvme/nvme0/nvme0n1/nvme0n1p2", "dev", "259:2\n");
	link_to("dev/block/259:2", "devices/pci/0000:01:00.0/nvme/nvme0/nvme0n1/nvme0n1p2");
	make("devices/pci/0000:02:00.0", "numa_node", "-1\n");
	make("devices/pci/0000:02:00.0/virtio/block/vda", "dev", "254:0\n");
	link_to("dev/block/254:0", "devices/pci/0000:02:00.0/virtio/block/vda");
	make("devices/virtual/block/dm-0/slaves", NULL, NULL);
	make("devices/virtual/block/dm-1/slaves", NULL, NULL);
	link_to("devices/virtual/block/dm-0/slaves/dm-1", "devices/virtual/block/dm-1");
	link_to("devices/virtual/block/dm-1/slaves/nvme0n1", "devices/pci/0000:01:00.0/nvme/nvme0/nvme0n1");
	link_to("dev/block/253:0", "devices/virtual/block/dm-0");
	make("devices/system/node/node1", "cpulist", "4-7,12\n");
	tap_ok(zn_device_node(sys_dir, makedev(259, 2)) == 1, "a partition hangs where its disk's card does");
	tap_ok(zn_device_node(sys_dir, makedev(253, 0)) == 1, "a mapped device where that does which it is made of");
	tap_ok(zn_device_node(sys_dir, makedev(254, 0)) == -1, "a card that does not say hangs nowhere");
	tap_ok(zn_device_node(sys_dir, makedev(0, 33)) == -1, "nor does what is no device");
	tap_ok(zn_node_cpus(sys_dir, 1, &cpus) == 0 && zn_idset_parse("4-7,12", &want, NULL) == 0 && zn_idset_equal(&cpus, &want), "its CPUs");
	tap_ok(zn_node_cpus(sys_dir, 2, &cpus) < 0, "a node that there is not has none");
	nftw(sys_dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	return tap_done();
}
