/* words: texts that are kept once, however many say them: equal ones are one pointer. */
#ifndef ZN_QUEUE_WORDS_H
#define ZN_QUEUE_WORDS_H

struct zn_word; /* the hash of them; NULL: there is none yet */

/* Lives until they are freed.  NULL: out of memory. */
const char *zn_words_get(struct zn_word **words, const char *text);
void zn_words_free(struct zn_word *words);

#endif
