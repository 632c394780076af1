/* number: a decimal number in a text, as strtod(3) reads it, and for most of them faster. */
#ifndef ZN_BASE_NUMBER_H
#define ZN_BASE_NUMBER_H

/* strtod, to the bit: end, value, errno and locale. */
double zn_strtod(const char *text, char **ret_end);

#endif
