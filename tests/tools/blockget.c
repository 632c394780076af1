/* blockget BYTES PAGES POLICY NODES: what zn_block_get gives, and where it lies: "2M hugetlb 2:4194304 lacks: ".
 * PAGES: size, small, thp, 2m or 1g; POLICY: anywhere, bind, prefer or interleave.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/units.h"
#include "mem/block.h"

static int index_of(const char *const *words, const char *word)
{
	for (int i = 0; words[i]; i++)
		if (!strcmp(words[i], word))
			return i;
	fprintf(stderr, "blockget: what is '%s'?\n", word);
	exit(64);
}

int main(int argc, char **argv)
{
	static const char *const pages[] = { "size", "heap", "small", "thp", "2m", "1g", NULL };
	static const char *const policies[] = { "anywhere", "bind", "prefer", "interleave", NULL };
	struct zn_block_ask ask = { .touch = 2 };
	struct zn_block b;
	char text[ZN_BLOCK_TEXT];
	struct zn_err err = { .text = "" };
	uint64_t at[64], bytes;

	if (argc != 5 || zn_parse_bytes(argv[1], &bytes, &err) < 0 || zn_idset_parse(argv[4], &ask.nodes, &err) < 0)
		return fprintf(stderr, "blockget: BYTES PAGES POLICY NODES: %s\n", err.text), 64;
	ask.bytes = bytes;
	ask.pages = (enum zn_pages)index_of(pages, argv[2]);
	ask.policy = (enum zn_block_policy)index_of(policies, argv[3]);
	int rc = zn_block_get(&ask, &b, &err);
	if (rc < 0 || zn_block_where(&b, at, 64) < 0)
		return fprintf(stderr, "blockget: %s\n", err.text), 1;
	for (size_t i = 0; i < b.bytes; i += 4096)
		((char *)b.p)[i] = 1; /* a page that is missing would end us */
	printf("%s", zn_pages_name(b.got));
	for (int i = 0; i < 64; i++)
		if (at[i])
			printf(" %d:%" PRIu64, i, at[i]);
	printf(" lacks: %s\n", zn_block_text(&b, text) + strlen(zn_pages_name(b.got)));
	zn_block_put(&b);
	return 0;
}
