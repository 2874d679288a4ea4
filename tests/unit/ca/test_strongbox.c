// SPDX-License-Identifier: Apache-2.0
/* Goal of this test: an encrypted backup opens, to what was put in, by the keys of its
 * recipients alone; whatever is changed, cut, moved or added is refused and told
 * apart. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <openssl/rsa.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/stream.h"
#include "ca/strongbox_inside.h"
#include "store/audit.h"
#include "tests/unit/ca/fixture.h"
#include "tests/unit/ca/person.h"

/* ---- a backup ---- */

struct world {
	struct fixture *f;
	char *path;
	struct person person, second;
	struct buf file; /* its octets */
	size_t stream_at;
};

/* Four chunks and a part. */
static void fill_store(struct fixture *f)
{
	OWNED(batch) batch = batch_new();
	uint8_t big[250000];
	struct err err = {0};

	memset(big, 'b', sizeof(big));
	batch_put(batch, TABLE_TOKENS, BYTES_STR("big"), BYTES_OF(big));
	assert_int_equal(store_commit(f->store, batch, &err), ERR_OK);
}

static enum err_code write_box(
    struct world *w, const struct recipients *to, struct err *err)
{
	OWNED_MANIFEST(manifest);
	const struct strongbox_order order = {.to = to, .manifest = &manifest};

	assert_int_equal(
	    manifest_of(w->f->store, 1000, &manifest, err), ERR_OK);
	return strongbox_write(w->f->store, w->path, &order, err);
}

static size_t end_of_header(struct bytes file)
{
	struct reader in = reader_over(file);

	reader_take(&in, MAGIC_SIZE);
	reader_lv(&in);
	for (unsigned count = reader_u8(&in); count > 0; count--)
		reader_lv(&in);
	reader_lv(&in);
	assert_false(in.failed);
	return file.len - in.left;
}

static int setup(void **state)
{
	struct world *w = mem_zalloc(sizeof(*w));
	OWNED(recipients) to = recipients_new();
	struct err err = {0};

	w->f = fixture_with_ca();
	w->path = mem_printf("%s/box", w->f->dir);
	w->person = person_new(person_ec(), "first", "keyAgreement", -DAY, DAY);
	w->second = person_new(EVP_RSA_gen(2048), "second",
	    "keyEncipherment", -DAY, DAY);
	fill_store(w->f);
	assert_int_equal(person_add(to, &w->person, &err), ERR_OK);
	assert_int_equal(person_add(to, &w->second, &err), ERR_OK);
	if (write_box(w, to, &err) != ERR_OK)
		fail_msg("%s%s", err.detail, err.cause);
	assert_int_equal(fs_read(w->path, 1 << 20, &w->file, &err), ERR_OK);
	w->stream_at = end_of_header(buf_bytes(&w->file));
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	unlink(w->path);
	fixture_free(w->f);
	free(w->path);
	person_end(&w->person);
	person_end(&w->second);
	buf_free(&w->file);
	free(w);
	return 0;
}

static enum err_code open_octets(
    struct bytes octets, struct strongbox **box_out, struct err *err)
{
	int fd = memfd_create("box", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, octets.data, octets.len), octets.len);
	return strongbox_open_fd(fd, "the box", box_out, err);
}


static enum err_code collect(void *arg, struct bytes octets, struct err *err)
{
	(void)err;
	buf_put_bytes(arg, octets);
	return ERR_OK;
}

/* Opens all of OCTETS with KEY; OUT may be NULL. */
static enum err_code open_all(
    struct bytes octets, EVP_PKEY *key, struct buf *out, struct err *err)
{
	OWNED(strongbox) box = NULL;
	const struct store_sink sink = {collect, NULL, out};
	enum err_code code = open_octets(octets, &box, err);

	if (code == ERR_OK)
		code = strongbox_unlock(box, key, err);
	if (code == ERR_OK)
		code = strongbox_pour(
		    box, out == NULL ? NULL : &sink, NULL, err);
	return code;
}

/* ---- what opens ---- */

static enum err_code receive(
    void *arg, const struct store_sink *sink, struct err *err)
{
	return strongbox_pour(arg, sink, NULL, err);
}

static void assert_restores(struct world *w, EVP_PKEY *key)
{
	OWNED_STR(dir) = mem_printf("%s/restored", w->f->dir);
	OWNED_STR(data) = store_data_path(dir);
	OWNED(strongbox) box = NULL;
	struct err err = {0};

	assert_int_equal(strongbox_open(w->path, &box, &err), ERR_OK);
	assert_int_equal(strongbox_unlock(box, key, &err), ERR_OK);
	assert_int_equal(store_receive(dir, receive, box, &err), ERR_OK);
	OWNED(store) copy = NULL;
	struct audit_head head;
	struct stat st;
	assert_int_equal(store_open_copy(data, &copy, &err), ERR_OK);
	assert_int_equal(audit_verify(copy, &head, &err), ERR_OK);
	assert_int_equal(
	    head.sequence, strongbox_manifest(box)->entries);
	assert_memory_equal(head.hash, strongbox_manifest(box)->root, 32);
	assert_int_equal(stat(data, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	store_remove(dir);
}

static void each_recipient_opens_it_to_what_was_put_in(void **state)
{
	struct world *w = *state;

	assert_restores(w, w->person.key);
	assert_restores(w, w->second.key);
}

static void the_file_is_its_owners_alone_and_tells_who_may_open_it(void **state)
{
	struct world *w = *state;
	OWNED(strongbox) box = NULL;
	struct err err = {0};
	struct recipient_info info;
	struct stat st;
	bool is;

	assert_int_equal(stat(w->path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(strongbox_is(w->path, &is, &err), ERR_OK);
	assert_true(is);
	assert_int_equal(strongbox_open(w->path, &box, &err), ERR_OK);
	assert_int_equal(strongbox_size(box), st.st_size);
	assert_int_equal(strongbox_manifest(box)->created, 1000);
	assert_true(strongbox_manifest(box)->keys_count >= 2);
	assert_has(strongbox_manifest(box)->log, "signet.audit/");
	assert_int_equal(recipients_count(strongbox_recipients(box)), 2);
	recipients_describe(strongbox_recipients(box), 1, &info);
	assert_string_equal(info.subject, "CN=second");
	assert_string_equal(info.serial, "1234");
	assert_null(info.key_id);
	recipient_info_end(&info);
}

static void nothing_of_the_store_is_in_the_file(void **state)
{
	struct world *w = *state;
	OWNED_BUF(plain);
	struct err err = {0};
	static const char *const names[] = {
	    "certificates", "issuing-1", "certificate.issue", "data.mdb"};

	assert_int_equal(open_all(buf_bytes(&w->file), w->person.key, &plain,
			     &err),
	    ERR_OK);
	for (size_t i = 0; i + 1 < ARRAY_LEN(names); i++) {
		/* The search does search. */
		assert_non_null(memmem(plain.data, plain.len, names[i],
		    strlen(names[i])));
		assert_null(memmem(w->file.data, w->file.len, names[i],
		    strlen(names[i])));
	}
}

static void two_backups_share_no_octets(void **state)
{
	struct world *w = *state;
	OWNED(recipients) to = recipients_new();
	OWNED_BUF(again);
	struct err err = {0};

	assert_int_equal(unlink(w->path), 0);
	assert_int_equal(person_add(to, &w->person, &err), ERR_OK);
	assert_int_equal(write_box(w, to, &err), ERR_OK);
	assert_int_equal(fs_read(w->path, 1 << 20, &again, &err), ERR_OK);
	size_t at = end_of_header(buf_bytes(&again));
	for (size_t i = 0; i + 64 < STREAM_CHUNK; i += 64)
		assert_memory_not_equal(w->file.data + w->stream_at + i,
		    again.data + at + i, 64);
}

static void a_box_never_replaces_a_file_and_leaves_none_behind(void **state)
{
	struct world *w = *state;
	OWNED(recipients) to = recipients_new();
	OWNED_BUF(content);
	struct err err = {0};

	assert_int_equal(person_add(to, &w->person, &err), ERR_OK);
	assert_int_equal(write_box(w, to, &err), ERR_EXISTS);
	assert_int_equal(fs_read(w->path, 1 << 20, &content, &err), ERR_OK);
	assert_true(
	    bytes_equal(buf_bytes(&content), buf_bytes(&w->file)));
}

/* ---- what does not ---- */

static void another_key_is_told_whose_it_should_be(void **state)
{
	struct world *w = *state;
	PERSON(stranger, person_ec(), NULL);
	struct err err = {0};

	assert_int_equal(open_all(buf_bytes(&w->file), stranger.key, NULL,
			     &err),
	    ERR_UNWRAP);
	assert_has(err.detail, "CN=first");
	assert_has(err.detail, "CN=second");
	assert_has(err.detail, "serial 1234");
}

static void assert_broken(struct world *w, struct bytes octets, size_t at)
{
	struct err err = {0};
	enum err_code code = open_all(octets, w->person.key, NULL, &err);

	if (code == ERR_OK)
		fail_msg("a change at octet %zu is not seen", at);
	assert_int_equal(err.code, code);
	assert_true(err.detail[0] != '\0' || err.cause[0] != '\0');
	assert_true(code == ERR_CORRUPT || code == ERR_UNWRAP ||
	    (code == ERR_CONFIG && at < MAGIC_SIZE));
}

/* Every octet of the header's lengths and of the magic, and many of the rest. */
static void a_flipped_bit_anywhere_is_refused(void **state)
{
	struct world *w = *state;
	size_t end = w->file.len;
	size_t step;

	for (size_t at = 0; at < end; at += step) {
		uint8_t bit = (uint8_t)(1 << at % 8);

		step = at < 64 ? 1 : at < w->stream_at + 20 ? 13 : 4999;
		if (at + step >= end && at + 1 < end)
			step = end - 1 - at;
		w->file.data[at] ^= bit;
		assert_broken(w, buf_bytes(&w->file), at);
		w->file.data[at] ^= bit;
	}
	/* Around the border of each chunk: its tag, and the next one's begin. */
	for (size_t border = w->stream_at; border < end;
	     border += STREAM_SEALED)
		for (size_t at = border - 1; at <= border + 1; at++) {
			w->file.data[at] ^= 0x80;
			assert_broken(w, buf_bytes(&w->file), at);
			w->file.data[at] ^= 0x80;
		}
	assert_int_equal(open_all(buf_bytes(&w->file), w->person.key, NULL,
			     &(struct err){0}),
	    ERR_OK);
}

static void a_file_that_is_cut_is_refused_wherever_it_ends(void **state)
{
	struct world *w = *state;
	struct err err = {0};

	for (size_t len = 0; len < w->file.len;
	     len += len < w->stream_at + 40 ? 11 : 6007)
		assert_broken(w, BYTES(w->file.data, len), len);
	assert_broken(w, BYTES(w->file.data, w->file.len - 1), 0);
	/* Between two chunks it looks whole. */
	assert_int_equal(
	    open_all(BYTES(w->file.data, w->stream_at + 2 * STREAM_SEALED),
		w->person.key, NULL, &err),
	    ERR_CORRUPT);
	assert_has(err.cause, "is truncated: its end is missing");
	assert_int_equal(
	    open_all(BYTES(w->file.data, w->file.len - 1), w->person.key,
		NULL, &err),
	    ERR_CORRUPT);
	assert_has(err.cause, "is truncated, or was changed, in its last");
}

/* The file's header, and a stream of two whole chunks behind it. */
static void put_two_chunks(struct world *w, struct buf *file)
{
	OWNED(strongbox) box = NULL;
	OWNED(stream) stream = NULL;
	OWNED_BUF(plain);
	struct err err = {0};

	assert_int_equal(
	    open_octets(buf_bytes(&w->file), &box, &err), ERR_OK);
	assert_int_equal(strongbox_unlock(box, w->person.key, &err), ERR_OK);
	assert_int_equal(stream_new(box->stream_key, &stream, &err), ERR_OK);
	memset(buf_extend(&plain, STREAM_CHUNK), 'p', STREAM_CHUNK);
	buf_put(file, w->file.data, w->stream_at);
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(stream_seal(stream, buf_bytes(&plain), i == 1,
				     buf_extend(file, STREAM_SEALED), &err),
		    ERR_OK);
}

static void what_follows_the_end_is_told(void **state)
{
	struct world *w = *state;
	OWNED_BUF(more);
	OWNED_BUF(out);
	struct err err = {0};

	buf_put_bytes(&more, buf_bytes(&w->file));
	buf_put_u8(&more, 0);
	assert_broken(w, buf_bytes(&more), more.len);
	/* Behind a last chunk that is a full one there is a place. */
	buf_reset(&more);
	put_two_chunks(w, &more);
	assert_int_equal(
	    open_all(buf_bytes(&more), w->person.key, &out, &err), ERR_OK);
	assert_int_equal(out.len, 2 * STREAM_CHUNK);
	buf_put_u8(&more, 0);
	assert_int_equal(
	    open_all(buf_bytes(&more), w->person.key, NULL, &err),
	    ERR_CORRUPT);
	assert_has(err.cause, "was added to: something follows its end");
	err_clear(&err);
	buf_put_bytes(&more, BYTES(w->file.data, STREAM_SEALED));
	assert_int_equal(
	    open_all(buf_bytes(&more), w->person.key, NULL, &err),
	    ERR_CORRUPT);
	assert_has(err.cause, "was added to");
}

static void chunks_in_another_order_are_refused(void **state)
{
	struct world *w = *state;
	OWNED_BUF(moved);
	uint8_t *first;
	struct err err = {0};

	buf_put_bytes(&moved, buf_bytes(&w->file));
	first = moved.data + w->stream_at;
	memcpy(first, w->file.data + w->stream_at + STREAM_SEALED,
	    STREAM_SEALED);
	memcpy(first + STREAM_SEALED, w->file.data + w->stream_at,
	    STREAM_SEALED);
	assert_int_equal(
	    open_all(buf_bytes(&moved), w->person.key, NULL, &err),
	    ERR_CORRUPT);
	assert_has(err.cause, "in its header or its first chunk");
}

/* Both are to the same person, and both are whole. */
static void the_stream_of_another_backup_is_refused(void **state)
{
	struct world *w = *state;
	OWNED(recipients) to = recipients_new();
	OWNED_BUF(other);
	OWNED_BUF(spliced);
	struct err err = {0};

	assert_int_equal(unlink(w->path), 0);
	assert_int_equal(person_add(to, &w->person, &err), ERR_OK);
	assert_int_equal(write_box(w, to, &err), ERR_OK);
	assert_int_equal(fs_read(w->path, 1 << 20, &other, &err), ERR_OK);
	size_t at = end_of_header(buf_bytes(&other));
	buf_put(&spliced, other.data, at);
	buf_put(&spliced, w->file.data + w->stream_at,
	    w->file.len - w->stream_at);
	assert_int_equal(
	    open_all(buf_bytes(&spliced), w->person.key, NULL, &err),
	    ERR_CORRUPT);
	/* One later chunk alone, too. */
	buf_reset(&spliced);
	buf_put_bytes(&spliced, buf_bytes(&other));
	memcpy(spliced.data + at + STREAM_SEALED,
	    w->file.data + w->stream_at + STREAM_SEALED, STREAM_SEALED);
	assert_int_equal(
	    open_all(buf_bytes(&spliced), w->person.key, NULL, &err),
	    ERR_CORRUPT);
	assert_has(err.cause, "was changed in the chunk that ends at octet");
}

static void a_later_version_is_told_apart_from_junk(void **state)
{
	struct world *w = *state;
	OWNED(strongbox) box = NULL;
	struct err err = {0};

	w->file.data[14] = '2';
	assert_int_equal(
	    open_octets(buf_bytes(&w->file), &box, &err), ERR_CONFIG);
	assert_has(err.detail, "the version of Signet that wrote it");
	w->file.data[0] = 'S';
	assert_int_equal(
	    open_octets(buf_bytes(&w->file), &box, &err), ERR_CORRUPT);
	assert_int_equal(open_octets(BYTES(NULL, 0), &box, &err), ERR_CORRUPT);
}

static enum err_code refuse(void *arg, struct bytes octets, struct err *err)
{
	(void)arg;
	(void)octets;
	return err_fail(err, ERR_IO, "no room");
}

static void a_sink_that_fails_ends_the_opening(void **state)
{
	struct world *w = *state;
	OWNED(strongbox) box = NULL;
	const struct store_sink sink = {refuse, NULL, NULL};
	struct err err = {0};

	assert_int_equal(
	    open_octets(buf_bytes(&w->file), &box, &err), ERR_OK);
	assert_int_equal(strongbox_unlock(box, w->person.key, &err), ERR_OK);
	assert_int_equal(strongbox_pour(box, &sink, NULL, &err), ERR_IO);
	assert_has(err.cause, "no room");
}

static void what_is_not_there_is_not_found(void **state)
{
	struct err err = {0};
	struct strongbox *box = NULL;
	bool is;

	(void)state;
	assert_int_equal(strongbox_is("/nowhere/box", &is, &err),
	    ERR_NOT_FOUND);
	assert_int_equal(
	    strongbox_open("/nowhere/box", &box, &err), ERR_NOT_FOUND);
	assert_int_equal(strongbox_open("/dev/null", &box, &err), ERR_IO);
}

/* ---- the manifest ---- */

/* Version 1, for good: backups are read years later. */
static void put_manifest_v1(struct buf *out, uint8_t version, uint8_t keys)
{
	buf_put_u8(out, version);
	buf_put_i64(out, 1764000000);
	buf_put_u32(out, 2);
	buf_put_lv_str(out, "signet.audit/00ff");
	buf_put_u64(out, 7);
	memset(buf_extend(out, 32), 0xaa, 32);
	buf_put_u8(out, keys);
	for (unsigned i = 0; i < keys; i++)
		buf_put_lv_str(out, "pkcs11:object=a");
}

static void a_manifest_of_version_1_is_read(void **state)
{
	OWNED_MANIFEST(manifest);
	OWNED_BUF(record);
	OWNED_BUF(again);

	(void)state;
	put_manifest_v1(&record, 1, 2);
	assert_true(manifest_read(buf_bytes(&record), &manifest));
	assert_int_equal(manifest.created, 1764000000);
	assert_int_equal(manifest.store_format, 2);
	assert_string_equal(manifest.log, "signet.audit/00ff");
	assert_int_equal(manifest.entries, 7);
	assert_int_equal(manifest.root[31], 0xaa);
	assert_int_equal(manifest.keys_count, 2);
	assert_string_equal(manifest.keys[1], "pkcs11:object=a");
	manifest_write(&manifest, &again);
	assert_true(bytes_equal(buf_bytes(&record), buf_bytes(&again)));
}

static void what_is_no_manifest_is_refused(void **state)
{
	struct manifest manifest;
	OWNED_BUF(record);

	(void)state;
	put_manifest_v1(&record, 1, 2);
	for (size_t len = 0; len < record.len; len++)
		assert_false(manifest_read(
		    BYTES(record.data, len), &manifest));
	buf_put_u8(&record, 0);
	assert_false(manifest_read(buf_bytes(&record), &manifest));
	buf_reset(&record);
	put_manifest_v1(&record, 2, 2);
	assert_false(manifest_read(buf_bytes(&record), &manifest));
	buf_reset(&record);
	put_manifest_v1(&record, 1, MANIFEST_KEYS_MAX + 1);
	assert_false(manifest_read(buf_bytes(&record), &manifest));
	buf_reset(&record);
	put_manifest_v1(&record, 1, 0);
	record.data[1] = 0x80; /* before 1970 */
	assert_false(manifest_read(buf_bytes(&record), &manifest));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(each_recipient_opens_it_to_what_was_put_in),
	    TEST(the_file_is_its_owners_alone_and_tells_who_may_open_it),
	    TEST(nothing_of_the_store_is_in_the_file),
	    TEST(two_backups_share_no_octets),
	    TEST(a_box_never_replaces_a_file_and_leaves_none_behind),
	    TEST(another_key_is_told_whose_it_should_be),
	    TEST(a_flipped_bit_anywhere_is_refused),
	    TEST(a_file_that_is_cut_is_refused_wherever_it_ends),
	    TEST(what_follows_the_end_is_told),
	    TEST(chunks_in_another_order_are_refused),
	    TEST(the_stream_of_another_backup_is_refused),
	    TEST(a_later_version_is_told_apart_from_junk),
	    TEST(a_sink_that_fails_ends_the_opening),
	    cmocka_unit_test(what_is_not_there_is_not_found),
	    cmocka_unit_test(a_manifest_of_version_1_is_read),
	    cmocka_unit_test(what_is_no_manifest_is_refused),
	};
	struct err err;
	int failed;

	if (secret_heap_open(1 << 20, &err) != ERR_OK)
		return 1;
	size_t idle = fixture_heap_idle();
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	if (secret_heap_used() != idle) {
		fprintf(stderr, "secret memory is left\n");
		return 1;
	}
	return failed;
}
