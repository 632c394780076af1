/* A driver library of before 2018: see nvidia-ml.c. */
#define OLD
#include "nvidia-ml.c"
