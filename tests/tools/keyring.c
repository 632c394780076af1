/* keyring add NAME TEXT COMMAND...: becomes COMMAND, with a key in a session keyring of its own.
 * keyring read NAME: prints the key's text; exits 1 when it can't be found or read, 2 without such a call.
 */
#include <errno.h>
#include <linux/keyctl.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static int unable(const char *what)
{
	fprintf(stderr, "keyring: %s: %s\n", what, strerror(errno));
	return errno == ENOSYS || errno == EPERM ? 2 : 1;
}

static int add(char **argv)
{
	if (syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL) < 0 ||
	    syscall(SYS_add_key, "user", argv[0], argv[1], strlen(argv[1]), KEY_SPEC_SESSION_KEYRING) < 0)
		return unable("a key can't be added");
	execvp(argv[2], argv + 2);
	return unable(argv[2]);
}

static int print(const char *name)
{
	char text[256];
	long key = syscall(SYS_request_key, "user", name, NULL, 0);
	long n = key < 0 ? -1 : syscall(SYS_keyctl, KEYCTL_READ, key, text, sizeof(text));

	if (n < 0)
		return unable(name);
	printf("%.*s\n", n < (long)sizeof(text) ? (int)n : (int)sizeof(text), text);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc > 4 && strcmp(argv[1], "add") == 0)
		return add(argv + 2);
	return argc == 3 && strcmp(argv[1], "read") == 0 ? print(argv[2]) : 64;
}
