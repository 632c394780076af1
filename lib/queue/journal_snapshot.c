/* journal_snapshot: everything that still matters, in one new file, written beside the running daemon.
 *
 * A forked child sees the caller's memory as it was, so the caller goes on changing it.  Before the fork all is
 * committed and a new segment begun: what the snapshot stands for is exactly the files up to its number, and
 * the child needs neither the buffers nor the commit thread's locks.  The child writes NUMBER.tmp, syncs it,
 * renames it to .zs and syncs the directory: from then on the state opens from it.  It passes where each record
 * went through a memfd, whose head is written last and says how it ended.  Only the parent removes old files.
 * A snapshot takes a sequence number of its own, so that no two have the same name.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "queue/journal_priv.h"
#include "rec/val.h"

enum { FLUSH_BYTES = 1 << 20 };

static const char nil[1] = { (char)0xc0 }; /* in MessagePack: the payload of the first and the last frame */

struct moved {
	uint64_t tag, offset, len;
};

struct outcome {
	int64_t rc;               /* 1 done, below 0 failed, 0 the child never got there */
	uint64_t count, bytes;
};

/* ---- in the child ------------------------------------------------------------------------------ */

struct zn_snapshot {
	int dirfd, fd, index_fd, from_fd;
	uint64_t from_file, number, offset, count;
	uint32_t nonce;
	struct zn_buf out, index, copy;
	int failed;
};

static int drain(int fd, struct zn_buf *b, size_t above)
{
	if (b->len <= above)
		return 0;
	int rc = zn_write_all(fd, b->data, b->len);
	b->len = 0;
	return rc;
}

static int put_frame(struct zn_snapshot *s, uint64_t seq, uint32_t nonce, const void *payload, size_t len)
{
	int rc = s->failed ? s->failed : zn_frame_put(&s->out, seq, nonce, payload, len);

	if (rc == 0) {
		s->offset += ZN_FRAME_HEAD + len;
		rc = drain(s->fd, &s->out, FLUSH_BYTES);
	}
	s->failed = rc;
	return rc;
}

int zn_snapshot_put(struct zn_snapshot *s, uint64_t tag, const void *payload, size_t len)
{
	struct moved m = { .tag = tag, .offset = s->offset + ZN_FRAME_HEAD, .len = len };

	if (len > ZN_RECORD_MAX)
		return -EMSGSIZE;
	int rc = put_frame(s, tag, s->nonce, payload, len);
	if (rc < 0)
		return rc;
	s->count++;
	zn_buf_add(&s->index, &m, sizeof(m));
	s->failed = s->index.failed ? -ENOMEM : drain(s->index_fd, &s->index, FLUSH_BYTES);
	return s->failed;
}

static int open_source(struct zn_snapshot *s, uint64_t file)
{
	char name[ZN__NAME];

	if (s->from_fd >= 0 && s->from_file == file)
		return s->from_fd;
	if (s->from_fd >= 0)
		close(s->from_fd);
	zn__file_name(file, name);
	s->from_fd = openat(s->dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	s->from_file = file;
	return s->from_fd < 0 ? -errno : s->from_fd;
}

int zn_snapshot_copy(struct zn_snapshot *s, uint64_t tag, struct zn_loc from)
{
	int fd = open_source(s, from.file);

	if (fd < 0)
		return fd;
	if (from.len > ZN_RECORD_MAX)
		return -EMSGSIZE;
	s->copy.len = 0;
	char *frame = zn_buf_room(&s->copy, (size_t)ZN_FRAME_HEAD + from.len);
	if (!frame)
		return s->failed = -ENOMEM;
	int rc = zn__frame_read(fd, from, frame);
	return rc < 0 ? rc : zn_snapshot_put(s, tag, frame + ZN_FRAME_HEAD, from.len);
}

static int publish(struct zn_snapshot *s, const char *temp)
{
	char name[ZN__NAME];

	zn__file_name(s->number | ZN_LOC_SNAPSHOT, name);
	if (fdatasync(s->fd) < 0 || renameat(s->dirfd, temp, s->dirfd, name) < 0 || fsync(s->dirfd) < 0)
		return -errno;
	return 0;
}

static int write_snapshot(struct zn_snapshot *s, const struct zn_snapshot_job *job)
{
	char temp[ZN__NAME];

	snprintf(temp, sizeof(temp), "%016llx.tmp", (unsigned long long)s->number);
	s->fd = openat(s->dirfd, temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (s->fd < 0)
		return -errno;
	int rc = zn__nonce(&s->nonce);
	if (rc == 0)
		rc = put_frame(s, s->number, s->nonce, nil, sizeof(nil));
	if (rc == 0)
		rc = job->write(job->arg, s);
	if (rc >= 0)
		rc = s->failed;
	if (rc == 0)
		rc = put_frame(s, s->count, ~s->nonce, nil, sizeof(nil));
	if (rc == 0)
		rc = drain(s->fd, &s->out, 0);
	if (rc == 0)
		rc = drain(s->index_fd, &s->index, 0);
	if (rc == 0)
		rc = publish(s, temp);
	if (rc < 0)
		unlinkat(s->dirfd, temp, 0);
	return rc;
}

/* The parent's handlers write into descriptors whose numbers mean something else here. */
static void forget_signals(void)
{
	struct sigaction dfl = { .sa_handler = SIG_DFL }, was;
	sigset_t none;

	for (int sig = 1; sig < NSIG; sig++)
		if (sigaction(sig, NULL, &was) == 0 && was.sa_handler != SIG_IGN)
			sigaction(sig, &dfl, NULL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Clients wait for the end of their connections, and others for our locks. */
static void close_all_but(int a, int b)
{
	unsigned lo = (unsigned)(a < b ? a : b), hi = (unsigned)(a < b ? b : a);

	if (lo > 3)
		close_range(3, lo - 1, 0);
	if (hi > lo + 1)
		close_range(lo + 1, hi - 1, 0);
	close_range(hi + 1, ~0U, 0);
}

static _Noreturn void run_child(struct zn_journal *j, pid_t parent)
{
	struct zn_snapshot s = { .dirfd = j->dirfd, .index_fd = j->run.index_fd, .fd = -1, .from_fd = -1,
	                         .number = j->run.number };

	forget_signals();
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	close_all_but(s.dirfd, s.index_fd);
	int rc = write_snapshot(&s, &j->run.job);
	struct outcome end = { .rc = rc < 0 ? rc : 1, .count = s.count, .bytes = s.offset };
	/* Without a readable outcome the parent counts it as failed: nothing to add here. */
	ssize_t n = pwrite(s.index_fd, &end, sizeof(end), 0);
	_exit(rc < 0 || n != sizeof(end));
}

/* ---- in the parent ----------------------------------------------------------------------------- */

static int begin_segment(struct zn_journal *j)
{
	struct statvfs fs;

	/* Without another spare the reserve for a full disk would be spent on this. */
	if (fstatvfs(j->dirfd, &fs) < 0)
		return -errno;
	if ((uint64_t)fs.f_bavail * fs.f_frsize < j->segment_bytes)
		return -ENOSPC;
	pthread_mutex_lock(&j->lock);
	j->run.number = j->next_seq++;
	int rc = j->failed ? -EIO : zn__journal_rotate(j);
	if (rc == 0 && !zn__batch_new(j))
		rc = -ENOMEM;
	pthread_mutex_unlock(&j->lock);
	return rc < 0 ? rc : zn_journal_flush(j);
}

static int make_index(void)
{
	struct outcome none = { 0 };
	int fd = memfd_create("zenith-snapshot", MFD_CLOEXEC);

	if (fd < 0)
		return -errno;
	int rc = zn_write_all(fd, &none, sizeof(none));
	if (rc < 0) {
		close(fd);
		return rc;
	}
	return fd;
}

static int start_child(struct zn_journal *j)
{
	sigset_t all, was;
	pid_t parent = getpid();

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &was);
	pid_t pid = fork();
	int rc = pid < 0 ? -errno : 0;
	if (pid == 0)
		run_child(j, parent);
	pthread_sigmask(SIG_SETMASK, &was, NULL);
	if (rc < 0)
		return rc;
	j->run.pid = pid;
	j->run.pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (j->run.pidfd >= 0)
		return 0;
	rc = -errno;
	zn__snapshot_kill(j);
	return rc;
}

int zn_journal_snapshot_start(struct zn_journal *j, const struct zn_snapshot_job *job)
{
	if (j->read_only)
		return -EROFS;
	if (j->run.pid)
		return -EALREADY;
	int rc = begin_segment(j);
	if (rc < 0)
		return rc;
	rc = make_index();
	if (rc < 0)
		return rc;
	j->run.index_fd = rc;
	j->run.job = *job;
	j->run.bytes_before = j->bytes;
	rc = start_child(j);
	if (rc < 0 && j->run.index_fd >= 0) {
		close(j->run.index_fd);
		j->run.index_fd = -1;
	}
	return rc;
}

int zn_journal_snapshot_pidfd(const struct zn_journal *j)
{
	return j->run.pidfd;
}

/* The child is gone, or will be at once. */
static void reap(struct zn_journal *j)
{
	/* -ECHILD when a loop that reaps everything was faster. */
	while (waitpid(j->run.pid, NULL, 0) < 0 && errno == EINTR)
		;
	if (j->run.pidfd >= 0)
		close(j->run.pidfd);
	j->run.pid = 0;
	j->run.pidfd = -1;
}

static void end_run(struct zn_journal *j)
{
	char temp[ZN__NAME];

	snprintf(temp, sizeof(temp), "%016llx.tmp", (unsigned long long)j->run.number);
	unlinkat(j->dirfd, temp, 0);
	close(j->run.index_fd);
	j->run.index_fd = -1;
}

void zn__snapshot_kill(struct zn_journal *j)
{
	if (!j->run.pid)
		return;
	kill(j->run.pid, SIGKILL);
	reap(j);
	end_run(j);
}

static int tell_moved(struct zn_journal *j, const struct outcome *end)
{
	uint64_t file = j->run.number | ZN_LOC_SNAPSHOT;
	size_t bytes = (size_t)end->count * sizeof(struct moved), head = sizeof(*end);

	if (!end->count)
		return 0;
	const char *p = mmap(NULL, head + bytes, PROT_READ, MAP_PRIVATE, j->run.index_fd, 0);
	if (p == MAP_FAILED)
		return -errno;
	const struct moved *m = (const struct moved *)(p + head);
	for (uint64_t i = 0; i < end->count; i++)
		j->run.job.moved(j->run.job.arg, m[i].tag,
		                 (struct zn_loc){ .file = file, .offset = m[i].offset, .len = (uint32_t)m[i].len });
	munmap((void *)(uintptr_t)p, head + bytes);
	return 0;
}

static int finish(struct zn_journal *j)
{
	struct outcome end;
	int rc = 0;

	if (pread(j->run.index_fd, &end, sizeof(end), 0) != sizeof(end) || end.rc == 0)
		return -ECANCELED;
	if (end.rc < 0)
		return (int)end.rc;
	if (j->run.job.moved)
		rc = tell_moved(j, &end);
	if (rc < 0)
		return rc;
	j->bytes = j->bytes - j->run.bytes_before + end.bytes;
	if (j->open_fd >= 0)
		close(j->open_fd);
	j->open_fd = -1;
	pthread_mutex_lock(&j->lock);
	j->drop = j->run.number;
	pthread_cond_signal(&j->work);
	pthread_mutex_unlock(&j->lock);
	return 1;
}

int zn_journal_snapshot_poll(struct zn_journal *j)
{
	if (!j->run.pid)
		return -ESRCH;
	struct pollfd gone = { .fd = j->run.pidfd, .events = POLLIN };
	if (poll(&gone, 1, 0) <= 0)
		return 0;
	reap(j);
	int rc = finish(j);
	end_run(j);
	return rc;
}
