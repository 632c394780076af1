/* file: whole files and safe directories. */
#ifndef ZN_BASE_FILE_H
#define ZN_BASE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "base/arena.h"
#include "zenith.h"

/* A whole regular file or /sys or /proc entry of at most max bytes, NUL-terminated, in a.
 * dirfd as in openat(2).  -EFBIG when it is larger.  Does not block on a FIFO (-EINVAL).
 */
int zn_file_read(int dirfd, const char *path, size_t max, struct zn_arena *a, char **ret, size_t *ret_len);
/* The same of what a descriptor gives until its end, a pipe too. */
int zn_fd_read(int fd, size_t max, struct zn_arena *a, char **ret, size_t *ret_len);
/* The first line of a small file, without its newline, cut at size; -errno if it can't be read. */
int zn_file_line(int dirfd, const char *path, char *line, size_t size);
/* All n bytes, through EINTR and short writes. */
int zn_write_all(int fd, const void *p, size_t n);
/* Write to a new file beside path, fsync, rename over path, fsync the directory. */
int zn_file_replace(const char *path, const void *p, size_t n, mode_t mode, struct zn_err *err);
/* mkdir -p, each new part with mode. */
int zn_mkdirs(const char *path, mode_t mode, struct zn_err *err);
/* fsync of the directory itself, after a create, rename or unlink in it. */
int zn_dir_sync(const char *path);
/* 1 when path lies on a filesystem that is shared over a network (NFS, SMB, Lustre, ...), else 0. */
int zn_is_network_fs(const char *path);

/* A log that stays small: from max bytes on it becomes PATH.1, in the place of an older one, and fd goes on in a new
 * file.  fd < 0: opens it.  Returns the descriptor; where a new file can't be had it is the old one, or -errno.
 */
int zn_logfile_turn(const char *path, off_t max, int fd);

/* /dev/null or /dev/full: a device to which anything may be written. */
bool zn_file_is_sink(const struct stat *st);

#endif
