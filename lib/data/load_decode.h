/* load_decode: the fields of a batch that become numbers: one tensor each, a sample after the other. */
#ifndef ZN_DATA_LOAD_DECODE_H
#define ZN_DATA_LOAD_DECODE_H

#include "data/decode.h"
#include "data/loader.h"
#include "mem/mempool.h"

/* One thread's tools. */
struct zn__hands { void **v; uint32_t n; };

int zn__hands_make(const struct zn_loader_ask *ask, struct zn__hands *ret);
void zn__hands_done(const struct zn_loader_ask *ask, struct zn__hands *h);

/* Memory for the tensors of n samples; 0: nothing is decoded.  SIZE_MAX: more than there can be. */
size_t zn__tensors_bytes(const struct zn_loader_ask *ask, uint32_t n);
/* Decodes data, of a sample that is the i-th of n, into tensors.  random: of that sample.  NULL, or why it is lost. */
const char *zn__decode_sample(const struct zn_loader_ask *ask, struct zn__hands *hands, struct zn_datum *data, uint32_t n_data, char *tensors,
                              uint32_t i, uint32_t n, uint64_t random);
/* What augmentation draws for a sample: the same for it in each epoch of that seed, whichever rank has it. */
uint64_t zn__random_of(uint64_t seed, uint64_t epoch, uint32_t shard, uint64_t sample);
/* Those whose shape a sample must show learn it.  NULL, or why not; *ret_left: how many still do not know theirs. */
const char *zn__learn_shapes(const struct zn_loader_ask *ask, const struct zn_sample *s, uint32_t *ret_left);

#endif
