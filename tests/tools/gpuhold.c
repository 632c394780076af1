/* gpuhold MIB: takes so much memory of the first GPU that CUDA shows, says "holds N of M" (M: GPUs that it can
 * see), and keeps it until standard input ends.  Talks to the driver alone; exits 2 when that says no, with why.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void *driver;

static void *need(const char *name)
{
	void *f = dlsym(driver, name);

	if (!f) {
		fprintf(stderr, "gpuhold: the driver has no %s\n", name);
		exit(2);
	}
	return f;
}

/* A pointer to data becomes one to a function, which C has no cast for. */
#define CALL(name, type, ...) \
	do { \
		int (*f) type; \
		void *p = need(name); \
		memcpy(&f, &p, sizeof(f)); \
		int rc = f(__VA_ARGS__); \
		if (rc) { \
			fprintf(stderr, "gpuhold: %s: CUDA error %d\n", name, rc); \
			exit(2); \
		} \
	} while (0)

int main(int argc, char **argv)
{
	int n = 0, device = 0;
	void *context;
	unsigned long long at;
	size_t bytes = (argc > 1 ? strtoull(argv[1], NULL, 10) : 64) << 20;
	char byte;

	driver = dlopen("libcuda.so.1", RTLD_NOW);
	if (!driver) {
		fprintf(stderr, "gpuhold: %s\n", dlerror());
		return 2;
	}
	CALL("cuInit", (unsigned), 0);
	CALL("cuDeviceGetCount", (int *), &n);
	CALL("cuDeviceGet", (int *, int), &device, 0);
	CALL("cuCtxCreate_v2", (void **, unsigned, int), &context, 0, device);
	CALL("cuMemAlloc_v2", (unsigned long long *, size_t), &at, bytes);
	printf("holds %zu of %d\n", bytes >> 20, n);
	fflush(stdout);
	while (read(STDIN_FILENO, &byte, 1) > 0)
		;
	return 0;
}
