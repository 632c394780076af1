/* DLPack's structs, version 1.0, as its dlpack.h has them, which a program may include beside zenith.h but not beside this. */
#ifndef ZN_DATA_DLPACK_H
#define ZN_DATA_DLPACK_H

#include <stdint.h>

enum { ZN__DL_CPU = 1 };
enum { ZN__DL_INT = 0, ZN__DL_UINT = 1, ZN__DL_FLOAT = 2, ZN__DL_BFLOAT = 4 };
#define ZN__DL_IS_COPIED ((uint64_t)1 << 1)

struct zn__dl_tensor {
	void *data;
	struct { int32_t type, id; } device;
	int32_t n_dims;
	struct { uint8_t code, bits; uint16_t lanes; } dtype;
	int64_t *shape;
	int64_t *strides;              /* in elements */
	uint64_t byte_offset;
};

struct DLManagedTensor {
	struct zn__dl_tensor tensor;
	void *manager_ctx;
	void (*deleter)(struct DLManagedTensor *);
};

struct DLManagedTensorVersioned {
	struct { uint32_t major, minor; } version;
	void *manager_ctx;
	void (*deleter)(struct DLManagedTensorVersioned *);
	uint64_t flags;
	struct zn__dl_tensor tensor;
};

#endif
