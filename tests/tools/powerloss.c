/* powerloss DIR: the filesystem that DIR lies on stops at once, as at a loss of power: what is not on the disk is
 * gone, and nothing more gets there (EXT4_IOC_SHUTDOWN, without a flush of the log).  It can only be unmounted then.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* In no header of the kernel's for programs; ext4, XFS and F2FS share the number. */
#define SHUTDOWN _IOR('X', 125, uint32_t)
enum { NO_LOG_FLUSH = 2 };

int main(int argc, char **argv)
{
	uint32_t how = NO_LOG_FLUSH;
	int fd = argc == 2 ? open(argv[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;

	if (argc != 2)
		return 64;
	if (fd < 0 || ioctl(fd, SHUTDOWN, &how) < 0) {
		perror("powerloss");
		return 71;
	}
	return close(fd) < 0;
}
