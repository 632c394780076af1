/* byte_ring: see the header. */
#include "mem/byte_ring.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAGIC 0x31594e5aU /* "ZNY1" */
#define MOST (1ULL << 40)

struct zn__byte_ring_shared {
	uint32_t magic, wait;
	uint64_t capacity;
	uint32_t closed;
	_Alignas(ZN_LINE) uint64_t in;
	_Alignas(ZN_LINE) uint64_t out;
	_Alignas(ZN_LINE) struct zn__bed in_bed;
	_Alignas(ZN_LINE) struct zn__bed out_bed;
};

static size_t page(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

static size_t round_up(size_t n)
{
	size_t c = page();

	while (c < n)
		c *= 2;
	return c;
}

static size_t padded(size_t n)
{
	return (n + sizeof(uint32_t) + 7) & ~(size_t)7;
}

/* Its bytes twice in a row, in a place that is held while the two are put there. */
static char *map_twice(int fd, size_t capacity)
{
	char *p = mmap(NULL, 2 * capacity, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return NULL;
	for (size_t i = 0; i < 2; i++) {
		if (mmap(p + i * capacity, capacity, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, (off_t)page()) == MAP_FAILED) {
			int was = errno;
			munmap(p, 2 * capacity);
			errno = was;
			return NULL;
		}
	}
	return p;
}

static int map(struct zn_byte_ring *b, size_t capacity, struct zn_err *err)
{
	b->shared = mmap(NULL, page(), PROT_READ | PROT_WRITE, MAP_SHARED, b->fd, 0);
	if (b->shared == MAP_FAILED)
		b->shared = NULL;
	else
		b->data = map_twice(b->fd, capacity);
	b->capacity = capacity;
	return b->data ? 0 : zn_err_set(err, -errno, "can't map a ring of %zu bytes: %s", capacity, strerror(errno));
}

int zn_byte_ring_make(struct zn_byte_ring *ret, size_t capacity, enum zn_wait wait, struct zn_err *err)
{
	struct zn_byte_ring b = { .wait = wait, .fd = -1 };

	if (!capacity || capacity > MOST)
		return zn_err_set(err, -EINVAL, "a ring of %zu bytes is not from 1 byte to 1 TiB", capacity);
	capacity = round_up(capacity);
	b.fd = memfd_create("zn-bytes", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int rc = b.fd < 0 || ftruncate(b.fd, (off_t)(page() + capacity)) < 0 ? -errno : 0;
	if (rc == 0 && fcntl(b.fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
		rc = -errno;
	rc = rc < 0 ? zn_err_set(err, rc, "can't make a ring of %zu bytes: %s", capacity, strerror(-rc)) : map(&b, capacity, err);
	if (rc < 0) {
		zn_byte_ring_done(&b);
		return rc;
	}
	*b.shared = (struct zn__byte_ring_shared){ .magic = MAGIC, .wait = wait, .capacity = capacity };
	*ret = b;
	return 0;
}

/* Sealed, so that nobody can cut it off below us. */
static int check(int fd, size_t *ret_capacity)
{
	struct zn__byte_ring_shared head;
	struct stat st;
	int seals = fcntl(fd, F_GET_SEALS);

	if (seals < 0 || !(seals & F_SEAL_SHRINK) || fstat(fd, &st) < 0 || pread(fd, &head, sizeof(head), 0) != sizeof(head))
		return -EBADMSG;
	uint64_t c = head.capacity;
	if (head.magic != MAGIC || head.wait > ZN_WAIT_SLEEP || c < page() || c > MOST || (c & (c - 1)) ||
	    (uint64_t)st.st_size != page() + c)
		return -EBADMSG;
	*ret_capacity = c;
	return (int)head.wait;
}

int zn_byte_ring_open(struct zn_byte_ring *ret, int fd, struct zn_err *err)
{
	struct zn_byte_ring b = { .fd = fd };
	size_t capacity;
	int rc = check(fd, &capacity);

	if (rc < 0) {
		zn_err_set(err, rc, "descriptor %d is no ring", fd);
	} else {
		b.wait = (enum zn_wait)rc;
		rc = map(&b, capacity, err);
	}
	if (rc < 0) {
		zn_byte_ring_done(&b);
		return rc;
	}
	b.in = zn__load(&b.shared->in, ACQUIRE);
	b.out = zn__load(&b.shared->out, ACQUIRE);
	*ret = b;
	return 0;
}

void zn_byte_ring_done(struct zn_byte_ring *b)
{
	if (b->shared)
		munmap(b->shared, page());
	if (b->data)
		munmap(b->data, 2 * b->capacity);
	if (b->fd >= 0)
		close(b->fd);
	*b = (struct zn_byte_ring){ .fd = -1 };
}

size_t zn_byte_ring_largest(const struct zn_byte_ring *b)
{
	size_t n = b->capacity - 2 * sizeof(uint32_t);

	return n < UINT32_MAX ? n : UINT32_MAX;
}

static bool is_closed(const struct zn_byte_ring *b)
{
	return zn__load(&b->shared->closed, ACQUIRE);
}

/* How many bytes the producer may use: the whole, less what the consumer has not said it is done with. */
static size_t free_bytes(struct zn_byte_ring *b)
{
	b->out = zn__load(&b->shared->out, ACQUIRE);
	uint64_t used = b->in - b->out;
	return used <= b->capacity ? b->capacity - used : 0;
}

char *zn_byte_ring_room(struct zn_byte_ring *b, size_t n)
{
	size_t need = padded(n);

	if (n > zn_byte_ring_largest(b))
		return NULL;
	uint64_t used = b->in - b->out;
	if (used > b->capacity || b->capacity - used < need)
		if (free_bytes(b) < need)
			return NULL;
	return b->data + (b->in & (b->capacity - 1)) + sizeof(uint32_t);
}

void zn_byte_ring_put(struct zn_byte_ring *b, size_t n)
{
	uint32_t len = (uint32_t)n;

	memcpy(b->data + (b->in & (b->capacity - 1)), &len, sizeof(len));
	b->in += padded(n);
	zn__store(&b->shared->in, b->in, RELEASE);
	if (b->wait == ZN_WAIT_SLEEP)
		zn__bed_wake(&b->shared->out_bed);
}

char *zn_byte_ring_room_wait(struct zn_byte_ring *b, size_t n)
{
	char *p = NULL;

	if (n > zn_byte_ring_largest(b))
		return NULL;
	for (unsigned turn = 0; !is_closed(b) && !(p = zn_byte_ring_room(b, n)); turn++) {
		if (!zn__wait_turn(b->wait, turn))
			continue;
		zn__bed_take(&b->shared->in_bed);
		if (free_bytes(b) < padded(n) && !is_closed(b))
			zn__bed_sleep(&b->shared->in_bed);
	}
	return p;
}

int zn_byte_ring_next(struct zn_byte_ring *b, const char **ret, size_t *ret_n)
{
	const char *p = b->data + (b->out & (b->capacity - 1));
	uint32_t len;

	if (b->in == b->out)
		b->in = zn__load(&b->shared->in, ACQUIRE);
	uint64_t there = b->in - b->out;
	if (!there)
		return 0;
	if (there > b->capacity || there < sizeof(len))
		return -EBADMSG;
	memcpy(&len, p, sizeof(len)); /* once: the other side can change it */
	if (padded(len) > there)
		return -EBADMSG;
	b->taken = padded(len);
	*ret = p + sizeof(len);
	*ret_n = len;
	return 1;
}

int zn_byte_ring_next_wait(struct zn_byte_ring *b, const char **ret, size_t *ret_n)
{
	int rc = 0;

	for (unsigned turn = 0; (rc = zn_byte_ring_next(b, ret, ret_n)) == 0; turn++) {
		if (is_closed(b))
			return zn_byte_ring_next(b, ret, ret_n);
		if (!zn__wait_turn(b->wait, turn))
			continue;
		zn__bed_take(&b->shared->out_bed);
		if (zn__load(&b->shared->in, ACQUIRE) == b->out && !is_closed(b))
			zn__bed_sleep(&b->shared->out_bed);
	}
	return rc;
}

void zn_byte_ring_drop(struct zn_byte_ring *b)
{
	b->out += b->taken;
	b->taken = 0;
	zn__store(&b->shared->out, b->out, RELEASE);
	if (b->wait == ZN_WAIT_SLEEP)
		zn__bed_wake(&b->shared->in_bed);
}

void zn_byte_ring_close(struct zn_byte_ring *b)
{
	zn__store(&b->shared->closed, 1, RELEASE);
	zn__bed_wake(&b->shared->in_bed);
	zn__bed_wake(&b->shared->out_bed);
}
