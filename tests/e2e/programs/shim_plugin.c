#include <stdlib.h>
/* A library that is loaded and unloaded while its callers are being recorded. */
static int padding[64];
__attribute__((noinline)) static void* inner(size_t n) { void* p = malloc(n); padding[n & 63]++; return p; }
void* plugin_allocate(size_t n) { void* p = inner(n); padding[0]++; return p; }
