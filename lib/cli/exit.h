/* exit: the exit codes of every program, the same everywhere; zenith(7) lists them. */
#ifndef ZN_CLI_EXIT_H
#define ZN_CLI_EXIT_H

enum zn_exit {
	ZN_EXIT_OK = 0,
	ZN_EXIT_NO = 1,           /* a question was asked and the answer is no; never an error */
	ZN_EXIT_USAGE = 64,
	ZN_EXIT_DATA = 65,        /* input is not what it says */
	ZN_EXIT_UNAVAILABLE = 69, /* zn-schedd does not answer */
	ZN_EXIT_BUG = 70,
	ZN_EXIT_OS = 71,          /* the kernel refused */
	ZN_EXIT_AGAIN = 75,       /* not now, try again */
	ZN_EXIT_DENIED = 77,      /* not permitted */
	/* programs that become another program */
	ZN_EXIT_WRAP = 125,
	ZN_EXIT_NOT_RUNNABLE = 126,
	ZN_EXIT_NOT_FOUND = 127,
};

#endif
