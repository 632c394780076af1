/* nic: network devices on the PCI bus.
 *
 * One record is one thing that a job can be told to use: an RDMA device with its network interface, else a
 * network interface, else (no driver, or an interface in another namespace) the bare PCI function.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "topo/source.h"

enum { AMAZON = 0x1d0f };

static bool is_infiniband(hwloc_obj_t dev)
{
	return dev->attr->pcidev.class_id == 0x0207 || dev->attr->pcidev.class_id == 0x0c06;
}

/* ---- state of the link ------------------------------------------------------------------------- */

/* "4: ACTIVE" in sysfs, "4" in hwloc's XML. */
static const char *port_state(const char *text)
{
	static const char *const names[] = { NULL, "down", "init", "armed", "up", "up" };
	unsigned long v = text ? strtoul(text, NULL, 10) : 0;

	return v < sizeof(names) / sizeof(*names) ? names[v] : NULL;
}

/* The GUID is the lower half of the port's first GID, "fe80:...:9803:9b03:0082:9c64". */
static const char *port_guid(const char *gid)
{
	return gid && strlen(gid) == 39 ? gid + 20 : NULL;
}

static void read_port(const struct zn__topo_src *src, struct zn_arena *a, hwloc_obj_t os, struct zn_nic *nic)
{
	const char *at = "sys/class/infiniband";
	const char *state = zn__sys_text(src, a, "%s/%s/ports/1/state", at, os->name);
	const char *rate = zn__sys_text(src, a, "%s/%s/ports/1/rate", at, os->name);
	const char *layer = zn__sys_text(src, a, "%s/%s/ports/1/link_layer", at, os->name);
	const char *gid = zn__sys_text(src, a, "%s/%s/ports/1/gids/0", at, os->name);

	nic->state = port_state(state ? state : hwloc_obj_get_info_by_name(os, "Port1State"));
	if (rate && strtod(rate, NULL) > 0)
		nic->link_gbps = ZN_SOME_F64(strtod(rate, NULL)); /* "200 Gb/sec (4X HDR)" */
	if (layer)
		nic->layer = layer;
	nic->address = port_guid(gid ? gid : zn__obj_info(a, os, "Port1GID0"));
	if (!nic->address)
		nic->address = zn__obj_info(a, os, "NodeGUID");
}

static void read_netdev(const struct zn__topo_src *src, struct zn_arena *a, hwloc_obj_t os, struct zn_nic *nic)
{
	const char *state = zn__sys_text(src, a, "sys/class/net/%s/operstate", os->name);
	struct zn_ou64 mbps = zn__sys_u64(src, "sys/class/net/%s/speed", os->name);

	if (!nic->state && state && strcmp(state, "unknown"))
		nic->state = state;
	if (!nic->link_gbps.has && mbps.has && mbps.v && mbps.v < UINT32_MAX)
		nic->link_gbps = ZN_SOME_F64((double)mbps.v / 1000);
	if (!nic->address)
		nic->address = zn__obj_info(a, os, "Address");
}

/* ---- the records ------------------------------------------------------------------------------- */

static int add(const struct zn__topo_src *src, struct zn_topo *t, hwloc_obj_t dev, hwloc_obj_t rdma,
               hwloc_obj_t net)
{
	struct zn_nic *nic = &t->nics[t->n_nics];
	struct zn__near near = zn__pci_near(src, &t->arena, dev);
	bool named = rdma || net;

	*nic = (struct zn_nic){
		.pci = zn__pci_name(&t->arena, dev),
		.numa = near.numa,
		.cpus = near.cpus,
		.layer = is_infiniband(dev) ? "InfiniBand" : dev->attr->pcidev.class_id == 0x0200 ? "Ethernet" : NULL,
	};
	nic->nic = named ? zn__text(&t->arena, rdma ? rdma->name : net->name) : nic->pci;
	if (!nic->pci || !nic->nic)
		return -ENOMEM;
	if (named)
		nic->rdma = ZN_SOME_BOOL(rdma != NULL);
	if (rdma)
		read_port(src, &t->arena, rdma, nic);
	if (rdma && dev->attr->pcidev.vendor_id == AMAZON)
		nic->layer = NULL; /* an EFA: RDMA over a protocol of its own, whatever its PCI class says */
	if (rdma && net)
		nic->netdev = zn__text(&t->arena, net->name);
	if (net)
		read_netdev(src, &t->arena, net, nic);
	t->n_nics++;
	return 0;
}

/* A virtual function that nobody drives is there to be given to a virtual machine. */
static bool is_bare_nic(const struct zn__topo_src *src, struct zn_arena *a, hwloc_obj_t dev)
{
	const char *pci = zn__pci_name(a, dev);
	uint16_t class = dev->attr->pcidev.class_id;

	if (class != 0x0200 && !is_infiniband(dev))
		return false;
	return !pci || !zn__sys_text(src, a, "sys/bus/pci/devices/%s/physfn/class", pci);
}

/* An interface goes with the RDMA device of the same rank on its function; what is left stands alone. */
static int read_device(const struct zn__topo_src *src, struct zn_topo *t, hwloc_obj_t dev)
{
	hwloc_obj_t rdma = zn__next_osdev(dev, HWLOC_OBJ_OSDEV_OPENFABRICS, NULL);
	hwloc_obj_t net = zn__next_osdev(dev, HWLOC_OBJ_OSDEV_NETWORK, NULL);
	int rc = 0;

	if (!rdma && !net)
		return is_bare_nic(src, &t->arena, dev) ? add(src, t, dev, NULL, NULL) : 0;
	while (rc == 0 && (rdma || net)) {
		rc = add(src, t, dev, rdma, net);
		rdma = rdma ? zn__next_osdev(dev, HWLOC_OBJ_OSDEV_OPENFABRICS, rdma) : NULL;
		net = net ? zn__next_osdev(dev, HWLOC_OBJ_OSDEV_NETWORK, net) : NULL;
	}
	return rc;
}

int zn__topo_read_nics(const struct zn__topo_src *src, struct zn_topo *t)
{
	int osdevs = hwloc_get_nbobjs_by_type(src->h, HWLOC_OBJ_OS_DEVICE);
	hwloc_obj_t *devs = zn__pci_devices(src, &t->arena);
	int rc = 0;

	t->nics = zn_arena_array(&t->arena, t->tree->n + (size_t)(osdevs > 0 ? osdevs : 0) + 1, sizeof(*t->nics));
	if (!devs || !t->nics)
		return -ENOMEM;
	for (; rc == 0 && *devs; devs++)
		rc = read_device(src, t, *devs);
	return rc;
}
