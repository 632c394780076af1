/* filter: which device files the processes of a cgroup can't open.
 *
 * cgroup v2 has no file for that: a BPF program is asked at each open and mknod (see "Device controller" in the
 * kernel's admin-guide/cgroup-v2).  Ours says no to a list of numbers and yes to everything else, and goes with
 * the cgroup.
 */
#include <errno.h>
#include <linux/bpf.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "proc/cgroup.h"

enum { R0 = BPF_REG_0, CONTEXT = BPF_REG_1, TYPE = BPF_REG_2, MAJOR = BPF_REG_3, MINOR = BPF_REG_4 };
enum { HEAD = 5, EACH = 2, TAIL = 4 }; /* instructions */

static struct bpf_insn load(unsigned char to, size_t at)
{
	return (struct bpf_insn){ .code = BPF_LDX | BPF_MEM | BPF_W, .dst_reg = to & 0xf, .src_reg = CONTEXT,
		                  .off = (short)at };
}

static struct bpf_insn with(unsigned char code, unsigned char reg, long skip, unsigned value)
{
	return (struct bpf_insn){ .code = code, .dst_reg = reg & 0xf, .off = (short)skip, .imm = (int)value };
}

/* The numbers are compared as 32 bits, as the kernel hands them over. */
static size_t write_program(struct bpf_insn *p, const struct zn_device *denied, size_t n_denied)
{
	size_t n = 0, yes = HEAD + EACH * n_denied, no = yes + 2;

	p[n++] = load(TYPE, offsetof(struct bpf_cgroup_dev_ctx, access_type));
	p[n++] = with(BPF_ALU | BPF_AND | BPF_K, TYPE, 0, 0xffff);
	p[n++] = load(MAJOR, offsetof(struct bpf_cgroup_dev_ctx, major));
	p[n++] = load(MINOR, offsetof(struct bpf_cgroup_dev_ctx, minor));
	p[n] = with(BPF_JMP32 | BPF_JNE | BPF_K, TYPE, (long)(yes - n - 1), BPF_DEVCG_DEV_CHAR);
	n++;
	for (size_t i = 0; i < n_denied; i++) {
		p[n++] = with(BPF_JMP32 | BPF_JNE | BPF_K, MAJOR, 1, denied[i].major);
		p[n] = with(BPF_JMP32 | BPF_JEQ | BPF_K, MINOR, (long)(no - n - 1), denied[i].minor);
		n++;
	}
	p[n++] = with(BPF_ALU | BPF_MOV | BPF_K, R0, 0, 1);
	p[n++] = with(BPF_JMP | BPF_EXIT, 0, 0, 0);
	p[n++] = with(BPF_ALU | BPF_MOV | BPF_K, R0, 0, 0);
	p[n++] = with(BPF_JMP | BPF_EXIT, 0, 0, 0);
	return n;
}

static int bpf(int command, union bpf_attr *attr, size_t size)
{
	long rc = syscall(SYS_bpf, command, attr, size);

	return rc < 0 ? -errno : (int)rc;
}

static int load_program(const struct bpf_insn *insns, size_t n)
{
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE;
	attr.insns = (uintptr_t)insns;
	attr.insn_cnt = (unsigned)n;
	attr.license = (uintptr_t)"MIT";
	return bpf(BPF_PROG_LOAD, &attr, sizeof(attr));
}

/* Beside those that are there already (a service manager's, say): all must say yes. */
static int attach(int cgroup_fd, int program)
{
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.target_fd = (unsigned)cgroup_fd;
	attr.attach_bpf_fd = (unsigned)program;
	attr.attach_type = BPF_CGROUP_DEVICE;
	attr.attach_flags = BPF_F_ALLOW_MULTI;
	return bpf(BPF_PROG_ATTACH, &attr, sizeof(attr));
}

int zn__cg_deny(int cgroup_fd, const struct zn_device *denied, size_t n)
{
	struct bpf_insn *insns = n <= ZN_DEVICES_MAX ? calloc(HEAD + EACH * n + TAIL, sizeof(*insns)) : NULL;

	if (!insns)
		return n <= ZN_DEVICES_MAX ? -ENOMEM : -E2BIG;
	int program = load_program(insns, write_program(insns, denied, n));
	free(insns);
	if (program < 0)
		return program;
	int rc = attach(cgroup_fd, program);
	close(program);
	return rc;
}
