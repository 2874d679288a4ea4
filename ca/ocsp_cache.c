// SPDX-License-Identifier: Apache-2.0
#include "ca/ocsp_cache.h"

#include <openssl/rand.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define WAYS 8
#define STRIPES 64

struct entry {
	struct ocsp_response *response;
	size_t request_len;
	uint8_t request[];
};

struct place {
	uint64_t hash;
	struct entry *entry;	/* NULL: free */
	bool used;		/* since the hand came by */
};

struct set {
	struct place places[WAYS];
	unsigned hand;
};

struct stripe {
	_Alignas(64) pthread_mutex_t lock;
};

/* Set I is guarded by stripe I mod STRIPES. */
struct ocsp_cache {
	uint64_t seed;		/* unknown to those who choose requests */
	size_t set_mask;
	struct set *sets;
	atomic_uint_fast64_t entries;
	struct stripe stripes[STRIPES];
};

struct ocsp_cache *ocsp_cache_new(size_t entries)
{
	struct ocsp_cache *cache =
	    aligned_alloc(_Alignof(struct ocsp_cache), sizeof(*cache));
	size_t sets = 1;

	if (cache == NULL)
		abort();
	memset(cache, 0, sizeof(*cache));
	while (sets * WAYS < entries)
		sets *= 2;
	cache->set_mask = sets - 1;
	cache->sets = mem_zalloc_array(sets, sizeof(*cache->sets));
	if (RAND_bytes((uint8_t *)&cache->seed, sizeof(cache->seed)) != 1)
		abort();
	for (size_t i = 0; i < STRIPES; i++)
		pthread_mutex_init(&cache->stripes[i].lock, NULL);
	return cache;
}

static void free_entry(struct entry *entry)
{
	if (entry == NULL)
		return;
	ocsp_response_free(entry->response);
	free(entry);
}

void ocsp_cache_free(struct ocsp_cache *cache)
{
	if (cache == NULL)
		return;
	for (size_t i = 0; i <= cache->set_mask; i++)
		for (size_t way = 0; way < WAYS; way++)
			free_entry(cache->sets[i].places[way].entry);
	for (size_t i = 0; i < STRIPES; i++)
		pthread_mutex_destroy(&cache->stripes[i].lock);
	free(cache->sets);
	free(cache);
}

/* One multiplication for eight octets.  Collisions cost at most a place of the
 * set, so it need not withstand more than guessing. */
static uint64_t hash_of(const struct ocsp_cache *cache, struct bytes request)
{
	uint64_t hash = cache->seed ^ request.len, word;
	size_t at = 0;

	for (; at + sizeof(word) <= request.len; at += sizeof(word)) {
		memcpy(&word, request.data + at, sizeof(word));
		hash = (hash ^ word) * UINT64_C(0x9e3779b97f4a7c15);
		hash ^= hash >> 29;
	}
	word = 0;
	memcpy(&word, request.data + at, request.len - at);
	hash = (hash ^ word) * UINT64_C(0xc2b2ae3d27d4eb4f);
	return hash ^ hash >> 32;
}

struct seat {
	struct set *set;
	pthread_mutex_t *lock;
	uint64_t hash;
};

static struct seat seat_of(struct ocsp_cache *cache, struct bytes request)
{
	uint64_t hash = hash_of(cache, request);
	size_t index = hash & cache->set_mask;

	return (struct seat){&cache->sets[index],
	    &cache->stripes[index % STRIPES].lock, hash};
}

static struct place *find_place(const struct seat *seat, struct bytes request)
{
	for (size_t way = 0; way < WAYS; way++) {
		struct place *place = &seat->set->places[way];

		if (place->entry != NULL && place->hash == seat->hash &&
		    bytes_equal(request, BYTES(place->entry->request,
			place->entry->request_len)))
			return place;
	}
	return NULL;
}

struct ocsp_response *ocsp_cache_find(
    struct ocsp_cache *cache, struct bytes request)
{
	struct seat seat = seat_of(cache, request);
	struct ocsp_response *response = NULL;
	struct place *place;

	pthread_mutex_lock(seat.lock);
	place = find_place(&seat, request);
	if (place != NULL) {
		place->used = true;
		response = ocsp_response_ref(place->entry->response);
	}
	pthread_mutex_unlock(seat.lock);
	return response;
}

/* A free place, or that of the first entry that was not used since the hand
 * came by.  Two rounds find one for certain. */
static struct place *choose_place(struct set *set)
{
	for (size_t way = 0; way < WAYS; way++)
		if (set->places[way].entry == NULL)
			return &set->places[way];
	for (;;) {
		struct place *place = &set->places[set->hand];

		set->hand = (set->hand + 1) % WAYS;
		if (!place->used)
			return place;
		place->used = false;
	}
}

static struct entry *make_entry(
    struct bytes request, struct ocsp_response *response)
{
	struct entry *entry = mem_zalloc(sizeof(*entry) + request.len);

	entry->response = ocsp_response_ref(response);
	entry->request_len = request.len;
	memcpy(entry->request, request.data, request.len);
	return entry;
}

void ocsp_cache_put(struct ocsp_cache *cache, struct bytes request,
    struct ocsp_response *response)
{
	struct seat seat = seat_of(cache, request);
	struct entry *entry = make_entry(request, response), *old;
	struct place *place;

	pthread_mutex_lock(seat.lock);
	place = find_place(&seat, request);
	if (place == NULL)
		place = choose_place(seat.set);
	old = place->entry;
	/* It must be asked for again to outlast the hand: what is asked for
	 * once does not push out what is asked for often. */
	*place = (struct place){seat.hash, entry, false};
	pthread_mutex_unlock(seat.lock);
	if (old == NULL)
		atomic_fetch_add(&cache->entries, 1);
	free_entry(old);
}

void ocsp_cache_drop(struct ocsp_cache *cache, struct bytes request,
    const struct ocsp_response *response)
{
	struct seat seat = seat_of(cache, request);
	struct entry *old = NULL;
	struct place *place;

	pthread_mutex_lock(seat.lock);
	place = find_place(&seat, request);
	if (place != NULL && place->entry->response == response) {
		old = place->entry;
		*place = (struct place){0, NULL, false};
	}
	pthread_mutex_unlock(seat.lock);
	if (old != NULL)
		atomic_fetch_sub(&cache->entries, 1);
	free_entry(old);
}

uint64_t ocsp_cache_entries(const struct ocsp_cache *cache)
{
	return atomic_load(&cache->entries);
}
