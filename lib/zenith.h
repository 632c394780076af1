/* zenith.h: the public C interface of libzenith.a.
 *
 * Conventions, here and in every header below lib/:
 *  - a call returns 0 or more on success and a negative errno on failure; where the number does not
 *    say what to mend, the last parameter (struct zn_err *, may be NULL) gets one sentence;
 *  - on failure nothing has changed: out-parameters are untouched;
 *  - units stand in the name (_bytes, _s, _ns, _mhz, _mw, _c, _pct, _gbps); times are seconds since
 *    the epoch;
 *  - the library never prints, exits or installs a signal handler.
 */
#ifndef ZENITH_H
#define ZENITH_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* "MAJOR.MINOR.PATCH" of the library that was linked. */
const char *zn_version(void);

/* ---- errors: one number for the program, one sentence for the person ------------------------- */

/* Fixed storage, owned by the caller; never allocates.  text is "" until something is set. */
struct zn_err {
	char text[320];
};

/* Sets the sentence (lower case, no full stop, culprit in quotes) and returns rc, so that a failure
 * is one line.  err may be NULL.  Bytes that are not printable come out as \xNN; a sentence too
 * long ends in "...".
 */
int zn_err_set(struct zn_err *err, int rc, const char *fmt, ...)
#ifdef __GNUC__
	__attribute__((format(printf, 3, 4)))
#endif
	;

/* ---- records ---------------------------------------------------------------------------------
 *
 * Everything below speaks the records of the pipes: MessagePack maps one after another, each with a
 * "kind" (zenith(7) documents their keys).  Returned streams are malloc'ed: free() them.
 */

/* The facts of this machine, as zn-topo prints them: machine, numa, cpu, gpu, nic, nvme and link records.
 * from: an hwloc XML file or an extracted sysfs dump to read instead, or NULL.  ZENITH_MOCK_GPUS counts.
 */
int zn_machine_records(const char *from, void **ret, size_t *ret_len, struct zn_err *err);

/* ---- the queue -------------------------------------------------------------------------------
 *
 * spool: the directory of the queue, or NULL for the usual one (ZENITH_SPOOL, else the machine's, else the
 * user's own).
 */

/* Submits one job: a submission record of len bytes, as zn-submit --records takes it; directory, when the
 * record has none, is the caller's.  Starts zn-schedd where none runs and that is allowed.  0 once the job is
 * durable, with its number in *ret_id.  A record with a key is submitted once however often this is called
 * with it; without one a lost answer (-ETIMEDOUT, -ECONNRESET) leaves open whether it was.
 * -EBADMSG: the record is at fault; -ECONNREFUSED: no zn-schedd; -EAGAIN: not now.
 */
int zn_job_submit(const char *spool, const void *record, size_t len, uint64_t *ret_id, struct zn_err *err);

/* Ends a job.  -ENOENT: there is none, or it has ended; -EPERM: it is somebody else's. */
int zn_job_cancel(const char *spool, uint64_t id, struct zn_err *err);

/* Sleeps until the job has ended, timeout_s seconds at most (below 0: for ever), and returns its job record.
 * -ETIMEDOUT, -ENOENT.
 */
int zn_job_wait(const char *spool, uint64_t id, double timeout_s, void **ret, size_t *ret_len, struct zn_err *err);

/* The job records of all jobs that have not ended. */
int zn_queue_records(const char *spool, void **ret, size_t *ret_len, struct zn_err *err);

/* ---- batches, for others in this process ------------------------------------------------------
 *
 * The Arrow C data, stream and device interfaces, as their specifications word them, so that its own headers may be
 * included as well, before this one or after it.
 */
#ifndef ARROW_C_DATA_INTERFACE
#define ARROW_C_DATA_INTERFACE

#define ARROW_FLAG_DICTIONARY_ORDERED 1
#define ARROW_FLAG_NULLABLE 2
#define ARROW_FLAG_MAP_KEYS_SORTED 4

struct ArrowSchema {
	const char *format;
	const char *name;
	const char *metadata;
	int64_t flags;
	int64_t n_children;
	struct ArrowSchema **children;
	struct ArrowSchema *dictionary;
	void (*release)(struct ArrowSchema *);
	void *private_data;
};

struct ArrowArray {
	int64_t length;
	int64_t null_count;
	int64_t offset;
	int64_t n_buffers;
	int64_t n_children;
	const void **buffers;
	struct ArrowArray **children;
	struct ArrowArray *dictionary;
	void (*release)(struct ArrowArray *);
	void *private_data;
};

#endif

#ifndef ARROW_C_STREAM_INTERFACE
#define ARROW_C_STREAM_INTERFACE

struct ArrowArrayStream {
	int (*get_schema)(struct ArrowArrayStream *, struct ArrowSchema *out);
	int (*get_next)(struct ArrowArrayStream *, struct ArrowArray *out);
	const char *(*get_last_error)(struct ArrowArrayStream *);
	void (*release)(struct ArrowArrayStream *);
	void *private_data;
};

#endif

#ifndef ARROW_C_DEVICE_DATA_INTERFACE
#define ARROW_C_DEVICE_DATA_INTERFACE

typedef int32_t ArrowDeviceType;

#define ARROW_DEVICE_CPU 1
#define ARROW_DEVICE_CUDA 2
#define ARROW_DEVICE_CUDA_HOST 3
#define ARROW_DEVICE_OPENCL 4
#define ARROW_DEVICE_VULKAN 7
#define ARROW_DEVICE_METAL 8
#define ARROW_DEVICE_VPI 9
#define ARROW_DEVICE_ROCM 10
#define ARROW_DEVICE_ROCM_HOST 11
#define ARROW_DEVICE_EXT_DEV 12
#define ARROW_DEVICE_CUDA_MANAGED 13
#define ARROW_DEVICE_ONEAPI 14
#define ARROW_DEVICE_WEBGPU 15
#define ARROW_DEVICE_HEXAGON 16

struct ArrowDeviceArray {
	struct ArrowArray array;
	int64_t device_id;
	ArrowDeviceType device_type;
	void *sync_event;
	int64_t reserved[3];
};

#endif

/* Of dlpack.h, which says what is in them. */
struct DLManagedTensor;
struct DLManagedTensorVersioned;

/* Samples in memory, of a loader. */
struct zn_batch;

/* A batch as a struct array: __key__ (utf8); a column for each field, in the order in which they are met (bytes: large binary; a
 * single number: that; a shape, and bf16: fixed-size binary with the metadata dtype, "u8", and shape, "[3,224,224]"), null where
 * the sample lacks it; meta, a struct of the batch's epoch and seq.  Data that lie one behind the other in memory stay there,
 * others are copied.
 * The batch must stay until release(release_arg), which may be NULL, is called: once, by the thread that releases the array
 * or the last child that was moved out of it.  The schema depends on nothing.  On failure release is not called.
 * -EINVAL: a field twice in a sample, or of several types; -EFBIG: more than 2 GiB of keys; -ENOMEM.
 */
int zn_batch_export_arrow(const struct zn_batch *batch, void (*release)(void *arg), void *release_arg,
			  struct ArrowSchema *ret_schema, struct ArrowArray *ret_array, struct zn_err *err);
/* The same as an array on a device, which is the CPU. */
int zn_batch_export_arrow_device(const struct zn_batch *batch, void (*release)(void *arg), void *release_arg,
				 struct ArrowSchema *ret_schema, struct ArrowDeviceArray *ret_array, struct zn_err *err);

/* Where batches come from. */
struct zn_batch_source {
	/* 1 and a batch, which stays until it is given back; 0: there are no more, and it is not called again; -errno. */
	int (*next)(void *arg, const struct zn_batch **ret, struct zn_err *err);
	/* In any order, and by whatever thread releases what was made of the batch. */
	void (*give_back)(void *arg, const struct zn_batch *batch);
	/* The last call: the stream and all that came out of it have been released.  May be NULL. */
	void (*close)(void *arg);
	void *arg;
};

/* Batches as a stream of such arrays, with the columns of the first batch that has samples; source is copied.  A batch that
 * does not fit them (-EINVAL as above, or a field that the stream began without) is an error of get_next and given back; the
 * next one may be asked for.  get_next and get_schema are for one thread at a time.  On failure, -ENOMEM, close is not called.
 */
int zn_batches_export_arrow(const struct zn_batch_source *source, struct ArrowArrayStream *ret, struct zn_err *err);

/* One field of all samples as a DLPack tensor on the CPU, [samples, its shape...], compact, with its strides said.  Copied only
 * if the data do not lie one behind the other, if they lie where their type may not, or are numbers of 128 bytes at most each;
 * then its flags say so.  *ret is freed by its deleter, which calls release(release_arg) once; until then the batch must stay.
 * -ENOENT: not every sample has the field, or there is no sample; -EINVAL: it is bytes that nobody decoded, or of several
 * shapes; -ENOMEM.  On failure release is not called.
 */
int zn_batch_export_dlpack(const struct zn_batch *batch, const char *field, void (*release)(void *arg), void *release_arg,
			   struct DLManagedTensorVersioned **ret, struct zn_err *err);
/* For consumers that know DLPack from before its version 1.0 only. */
int zn_batch_export_dlpack_unversioned(const struct zn_batch *batch, const char *field, void (*release)(void *arg),
				       void *release_arg, struct DLManagedTensor **ret, struct zn_err *err);

#ifdef __cplusplus
}
#endif
#endif
