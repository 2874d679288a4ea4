// SPDX-License-Identifier: Apache-2.0
/*
 * Signed responses by the exact octets of the request.  A response here may be
 * out of date: whoever takes it out compares its revision with the store.
 *
 * Sets of eight places with a clock hand each: a lookup looks at eight places
 * whatever requests are thrown at it, and memory is bounded by the number of
 * entries.  Locks are striped over the sets.
 */
#ifndef CA_OCSP_CACHE_H
#define CA_OCSP_CACHE_H

#include "ca/ocsp.h"

struct ocsp_cache;

/* ENTRIES is rounded up to a power of two, at least 8. */
struct ocsp_cache *ocsp_cache_new(size_t entries);
void ocsp_cache_free(struct ocsp_cache *cache);
DEFINE_CLEANUP(ocsp_cache, ocsp_cache_free)

/* A reference of the caller's, or NULL. */
struct ocsp_response *ocsp_cache_find(
    struct ocsp_cache *cache, struct bytes request);
/* Adds, or replaces what stands there for REQUEST; takes a reference. */
void ocsp_cache_put(struct ocsp_cache *cache, struct bytes request,
    struct ocsp_response *response);
/* Takes RESPONSE away if it is what stands there for REQUEST. */
void ocsp_cache_drop(struct ocsp_cache *cache, struct bytes request,
    const struct ocsp_response *response);
uint64_t ocsp_cache_entries(const struct ocsp_cache *cache);

#endif
