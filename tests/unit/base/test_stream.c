// SPDX-License-Identifier: Apache-2.0
/* Goal of this test: of a sealed stream nothing can be changed, left out, moved,
 * added or cut without its being refused. */
#include "harness.h"

#include "base/stream.h"

#define COUNT 3 /* chunks, the last one short */
#define SHORT 100

struct sealed {
	struct secret *key;
	uint8_t chunks[COUNT][STREAM_SEALED];
};

static size_t len_of(size_t number)
{
	return number + 1 == COUNT ? SHORT : STREAM_CHUNK;
}

static struct bytes chunk_of(const struct sealed *sealed, size_t number)
{
	return BYTES(sealed->chunks[number], len_of(number) + STREAM_TAG);
}

static struct stream *new_stream(const struct secret *key)
{
	struct stream *stream = NULL;
	struct err err = {0};

	assert_ok(stream_new(key, &stream, &err));
	return stream;
}

static int setup(void **state)
{
	struct sealed *sealed = mem_zalloc(sizeof(*sealed));
	OWNED_BUF(plain);
	struct err err = {0};

	sealed->key = secret_new(STREAM_KEY_SIZE);
	OWNED(stream) stream = new_stream(sealed->key);
	memset(buf_extend(&plain, STREAM_CHUNK), 'p', STREAM_CHUNK);
	for (size_t i = 0; i < COUNT; i++)
		assert_ok(stream_seal(stream, BYTES(plain.data, len_of(i)),
		    i + 1 == COUNT, sealed->chunks[i], &err));
	*state = sealed;
	return 0;
}

static int teardown(void **state)
{
	struct sealed *sealed = *state;

	secret_free(sealed->key);
	free(sealed);
	return 0;
}

static enum err_code open_one(
    struct stream *stream, struct bytes sealed, bool last, struct err *err)
{
	static uint8_t plain[STREAM_CHUNK];
	enum err_code code = stream_open(stream, sealed, last, plain, err);

	for (size_t i = 0; code == ERR_OK && i + STREAM_TAG < sealed.len; i++)
		assert_int_equal(plain[i], 'p');
	/* What does not open is not given out. */
	for (size_t i = 0; code != ERR_OK && i + STREAM_TAG < sealed.len &&
	     i < STREAM_CHUNK; i++)
		if (plain[i] != 0 && plain[i] != 'p')
			fail();
	return code;
}

/* After the first BEFORE, which open. */
static struct stream *opened(const struct sealed *sealed, size_t before)
{
	struct stream *stream = new_stream(sealed->key);
	struct err err = {0};

	for (size_t i = 0; i < before; i++)
		assert_ok(open_one(stream, chunk_of(sealed, i), false, &err));
	return stream;
}

static void a_stream_opens_to_what_was_sealed(void **state)
{
	const struct sealed *sealed = *state;
	OWNED(stream) stream = opened(sealed, COUNT - 1);
	struct err err = {0};

	assert_ok(open_one(stream, chunk_of(sealed, COUNT - 1), true, &err));
}

static void equal_chunks_do_not_look_equal(void **state)
{
	const struct sealed *sealed = *state;

	assert_memory_not_equal(
	    sealed->chunks[0], sealed->chunks[1], STREAM_CHUNK);
}

static void a_chunk_in_another_place_is_refused(void **state)
{
	const struct sealed *sealed = *state;

	for (size_t at = 0; at < COUNT; at++)
		for (size_t other = 0; other < COUNT; other++) {
			OWNED(stream) stream = NULL;
			struct err err = {0};
			bool last = other + 1 == COUNT;

			if (at == other)
				continue;
			stream = opened(sealed, at < COUNT ? at : COUNT - 1);
			assert_failed(open_one(stream, chunk_of(sealed, other),
					  last, &err),
			    ERR_CORRUPT, "does not open");
		}
}

static void a_stream_that_ends_early_is_refused(void **state)
{
	const struct sealed *sealed = *state;

	for (size_t at = 0; at + 1 < COUNT; at++) {
		OWNED(stream) stream = opened(sealed, at);
		struct err err = {0};

		assert_failed(
		    open_one(stream, chunk_of(sealed, at), true, &err),
		    ERR_CORRUPT, "does not open");
		/* And it was not moved on. */
		assert_ok(open_one(stream, chunk_of(sealed, at), false, &err));
	}
}

static void nothing_follows_the_last_chunk(void **state)
{
	struct sealed *sealed = *state;
	OWNED(stream) stream = opened(sealed, COUNT - 1);
	struct err err = {0};

	assert_failed(open_one(stream, chunk_of(sealed, COUNT - 1), false, &err),
	    ERR_CORRUPT, "size");
	assert_ok(open_one(stream, chunk_of(sealed, COUNT - 1), true, &err));
	assert_failed(open_one(stream, chunk_of(sealed, COUNT - 1), true, &err),
	    ERR_CORRUPT, "size");
}

static void each_bit_counts(void **state)
{
	struct sealed *sealed = *state;
	uint8_t *chunk = sealed->chunks[COUNT - 1];

	for (size_t bit = 0; bit < 8 * (SHORT + STREAM_TAG); bit++) {
		OWNED(stream) stream = opened(sealed, 0);
		OWNED(stream) at = NULL;
		struct err err = {0};

		if (bit % 64 != 0 && bit < 8 * SHORT)
			continue;
		at = opened(sealed, COUNT - 1);
		chunk[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_failed(
		    open_one(at, chunk_of(sealed, COUNT - 1), true, &err),
		    ERR_CORRUPT, "chunk 2 does not open");
		chunk[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
}

static void a_chunk_of_no_possible_size_is_refused(void **state)
{
	const struct sealed *sealed = *state;
	OWNED(stream) stream = opened(sealed, 0);
	struct err err = {0};
	uint8_t none[1];

	for (size_t len = 0; len < STREAM_TAG; len++)
		assert_failed(stream_open(stream,
				  BYTES(sealed->chunks[0], len), true, none,
				  &err),
		    ERR_CORRUPT, "size");
	assert_failed(stream_open(stream, BYTES(sealed->chunks, STREAM_SEALED + 1),
			  true, none, &err),
	    ERR_CORRUPT, "size");
	assert_failed(stream_open(stream, BYTES(sealed->chunks, STREAM_SEALED - 1),
			  false, none, &err),
	    ERR_CORRUPT, "size");
}

static void another_key_opens_nothing(void **state)
{
	const struct sealed *sealed = *state;
	OWNED(secret) key = secret_copy(secret_bytes(sealed->key).data, 32);
	OWNED(stream) stream = NULL;
	struct err err = {0};

	secret_data(key)[31] ^= 1;
	stream = new_stream(key);
	assert_failed(open_one(stream, chunk_of(sealed, 0), false, &err),
	    ERR_CORRUPT, "chunk 0 does not open");
}

static void an_empty_stream_is_one_empty_chunk(void **state)
{
	const struct sealed *sealed = *state;
	OWNED(stream) seal = new_stream(sealed->key);
	OWNED(stream) stream = new_stream(sealed->key);
	uint8_t chunk[STREAM_TAG], none[1];
	struct err err = {0};

	assert_ok(stream_seal(seal, BYTES(NULL, 0), true, chunk, &err));
	assert_failed(stream_open(stream, BYTES(chunk, 0), true, none, &err),
	    ERR_CORRUPT, "size");
	assert_ok(stream_open(stream, BYTES_OF(chunk), true, none, &err));
}

static void no_secret_memory_is_left(void **state)
{
	(void)state;
	assert_int_equal(secret_heap_used(), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(a_stream_opens_to_what_was_sealed),
	    TEST(equal_chunks_do_not_look_equal),
	    TEST(a_chunk_in_another_place_is_refused),
	    TEST(a_stream_that_ends_early_is_refused),
	    TEST(nothing_follows_the_last_chunk),
	    TEST(each_bit_counts),
	    TEST(a_chunk_of_no_possible_size_is_refused),
	    TEST(another_key_opens_nothing),
	    TEST(an_empty_stream_is_one_empty_chunk),
	    cmocka_unit_test(no_secret_memory_is_left),
	};
	struct err err;

	if (secret_heap_open(65536, &err) != ERR_OK)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
