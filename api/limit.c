// SPDX-License-Identifier: Apache-2.0
#include "api/limit.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

/* Of the 64 bits of a hash: six say the shard, then eight the cell of a row. */
#define SHARD_BITS 6
#define CELL_BITS 8
#define ROWS 4
#define MICRO 1000000

/* Invariant, under lock: a cell is at least the due moment of each key that it
 * belongs to. */
struct shard {
	pthread_mutex_t lock;
	int64_t cells[ROWS][1 << CELL_BITS];
};

struct limit {
	struct shard shards[1 << SHARD_BITS];
};

/* ---- SipHash-1-3 (Aumasson and Bernstein) ---- */

static pthread_once_t key_once = PTHREAD_ONCE_INIT;
static uint64_t hash_key[2];

static void draw_key(void)
{
	if (getrandom(hash_key, sizeof(hash_key), 0) != sizeof(hash_key))
		abort();
}

static uint64_t turn(uint64_t word, unsigned bits)
{
	return word << bits | word >> (64 - bits);
}

static void sip_round(uint64_t v[static 4])
{
	v[0] += v[1];
	v[2] += v[3];
	v[1] = turn(v[1], 13) ^ v[0];
	v[3] = turn(v[3], 16) ^ v[2];
	v[0] = turn(v[0], 32);
	v[2] += v[1];
	v[0] += v[3];
	v[1] = turn(v[1], 17) ^ v[2];
	v[3] = turn(v[3], 21) ^ v[0];
	v[2] = turn(v[2], 32);
}

static void absorb(uint64_t v[static 4], uint64_t word)
{
	v[3] ^= word;
	sip_round(v);
	v[0] ^= word;
}

static uint64_t little_endian(const uint8_t *octets, size_t len)
{
	uint64_t word = 0;
	for (size_t i = 0; i < len; i++)
		word |= (uint64_t)octets[i] << 8 * i;
	return word;
}

uint64_t limit_hash(struct bytes octets)
{
	pthread_once(&key_once, draw_key);
	uint64_t v[4] = {hash_key[0] ^ 0x736f6d6570736575u,
	    hash_key[1] ^ 0x646f72616e646f6du,
	    hash_key[0] ^ 0x6c7967656e657261u,
	    hash_key[1] ^ 0x7465646279746573u};
	size_t at = 0;
	for (; octets.len - at >= 8; at += 8)
		absorb(v, little_endian(octets.data + at, 8));
	absorb(v, little_endian(octets.data + at, octets.len - at) |
		(uint64_t)octets.len << 56);
	v[2] ^= 0xff;
	for (int i = 0; i < 3; i++)
		sip_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

/* ---- Cells ---- */

struct limit *limit_new(void)
{
	struct limit *limit = mem_zalloc(sizeof(*limit));
	for (size_t i = 0; i < ARRAY_LEN(limit->shards); i++)
		pthread_mutex_init(&limit->shards[i].lock, NULL);
	return limit;
}

void limit_free(struct limit *limit)
{
	if (limit == NULL)
		return;
	for (size_t i = 0; i < ARRAY_LEN(limit->shards); i++)
		pthread_mutex_destroy(&limit->shards[i].lock);
	free(limit);
}

static int64_t *cell_of(struct shard *shard, uint64_t hash, unsigned row)
{
	uint64_t bits = hash >> (SHARD_BITS + row * CELL_BITS);
	return &shard->cells[row][bits & ((1 << CELL_BITS) - 1)];
}

/* How long until one more conforms; then *next_out is when it will be due. */
static int64_t wait_for(struct shard *shard, const struct config_rate *rate,
    uint64_t hash, int64_t now_us, int64_t *next_out)
{
	int64_t due = INT64_MAX;
	for (unsigned row = 0; row < ROWS; row++) {
		int64_t cell = *cell_of(shard, hash, row);
		due = cell < due ? cell : due;
	}
	*next_out = (due > now_us ? due : now_us) + rate->interval_us;
	int64_t ahead = *next_out - now_us;
	int64_t allowed = rate->interval_us * rate->burst;
	return ahead > allowed ? ahead - allowed : 0;
}

static void set(struct shard *shard, uint64_t hash, int64_t next)
{
	for (unsigned row = 0; row < ROWS; row++) {
		int64_t *cell = cell_of(shard, hash, row);
		if (*cell < next)
			*cell = next;
	}
}

int64_t limit_take(struct limit *limit, const struct config_rate *rate,
    struct bytes key, int64_t now_us)
{
	int64_t next;
	if (rate->interval_us == 0)
		return 0;
	uint64_t hash = limit_hash(key);
	struct shard *shard = &limit->shards[hash & ((1 << SHARD_BITS) - 1)];
	pthread_mutex_lock(&shard->lock);
	int64_t wait = wait_for(shard, rate, hash, now_us, &next);
	if (wait == 0)
		set(shard, hash, next);
	pthread_mutex_unlock(&shard->lock);
	return wait;
}

unsigned limit_retry_after(int64_t wait_us)
{
	int64_t seconds = wait_us / MICRO + (wait_us % MICRO > 0);
	return seconds > UINT32_MAX ? UINT32_MAX : (unsigned)seconds;
}
