#include "data/taken.h"

#include <errno.h>
#include <linux/sockios.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

int zn_taken_open(struct zn_taken *t, const char *path, int out, const struct zn_sources *s, const char *order, struct zn_arena *a, struct zn_err *err)
{
	struct zn_resume before = { .data = NULL };
	int rc = zn_sources_digest(s, t->data);

	t->fd = -1;
	t->out = out;
	t->first = t->n = 0;
	if (rc == 0)
		rc = zn_resume_read(path, a, &before, err);
	if (rc > 0 && strcmp(before.data, t->data))
		return zn_err_set(err, -EINVAL, "'%s' is of other data: go on with the sources it was made with, or remove it", path);
	if (rc > 0 && strcmp(before.order, order))
		return zn_err_set(err, -EINVAL, "'%s' is of another order (%s): go on with that, or remove it", path, before.order);
	if (rc < 0)
		return rc;
	t->state = (struct zn_resume){ t->data, order, before.epoch, before.next };
	t->fd = zn_resume_open(path, &t->state, err);
	return t->fd < 0 ? t->fd : 0;
}

/* Bytes that lie there, and nobody has taken. */
static uint64_t unread(int fd)
{
	struct stat st;
	int n = 0;

	if (fstat(fd, &st) < 0)
		return 0;
	if (S_ISFIFO(st.st_mode))
		return ioctl(fd, FIONREAD, &n) == 0 && n > 0 ? (uint64_t)n : 0;
	if (S_ISSOCK(st.st_mode))
		return ioctl(fd, SIOCOUTQ, &n) == 0 && n > 0 ? (uint64_t)n : 0;
	return 0;
}

int zn_taken_end(struct zn_taken *t, uint64_t written, bool all)
{
	uint64_t left = all ? 0 : unread(t->out), taken = left < written ? written - left : 0; /* a socket counts more than the bytes */
	bool is_new = false;

	for (; t->n && t->sent[t->first].end <= taken; t->first = (t->first + 1) % ZN__SENT_MAX, t->n--) {
		t->state.epoch = t->sent[t->first].epoch;
		t->state.next = t->sent[t->first].next;
		is_new = true;
	}
	return is_new ? zn_resume_note(t->fd, &t->state) : 0;
}

int zn_taken_sent(struct zn_taken *t, uint64_t written, const struct zn_batch *b)
{
	if (t->fd < 0)
		return 0;
	int rc = zn_taken_end(t, written, false);
	if (t->n == ZN__SENT_MAX) /* many small ones: those in between are not noted */
		t->n--;
	t->sent[(t->first + t->n++) % ZN__SENT_MAX] = (struct zn__sent){ written, b->epoch, b->next };
	return rc;
}

int zn_taken_back(struct zn_taken *t, const struct zn_batch *b)
{
	if (t->fd < 0)
		return 0;
	t->state.epoch = b->epoch;
	t->state.next = b->next;
	return zn_resume_note(t->fd, &t->state);
}
