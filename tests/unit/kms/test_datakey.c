// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/kms/fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/text.h"

#define ONE_TEXT                                                               \
	"the ciphertext was not made by this key with this context, or was "   \
	"changed"
/* octets before the sealed part: format, key id, version */
#define HEADER 21

/* A data key made for a use, and what it takes to open it. */
struct made {
	struct secret *plaintext;
	struct buf text;
	uint32_t version;
};

static void made_free(struct made *made)
{
	secret_free(made->plaintext);
	buf_free(&made->text);
}
#define MADE(name) __attribute__((cleanup(made_free))) struct made name = {0}

static void make(struct fixture *f, const struct datakey_use *use, int64_t bits,
    struct made *made)
{
	assert_ok(datakey_make(f->ring, use, bits, &made->plaintext,
		      &made->text, &made->version, &f->err),
	    &f->err);
}

static enum err_code open_text(struct fixture *f, const struct datakey_use *use,
    struct bytes text, struct secret **plaintext_out)
{
	uint32_t version = 0;
	enum err_code code = datakey_unwrap(
	    f->ring, use, text, plaintext_out, &version, &f->err);

	if (code == ERR_OK)
		assert_int_equal(version, 1);
	return code;
}

static void assert_opens(struct fixture *f, const struct datakey_use *use,
    const struct made *made)
{
	OWNED(secret) got = NULL;

	assert_ok(open_text(f, use, buf_bytes(&made->text), &got), &f->err);
	assert_true(secret_equal(got, secret_bytes(made->plaintext)));
}

/* Refused, with the one text, and nothing handed out. */
static void assert_one_text(struct fixture *f, const struct datakey_use *use,
    struct bytes text)
{
	struct secret *got = NULL;
	enum err_code code = open_text(f, use, text, &got);

	assert_null(got);
	assert_int_equal(code, ERR_UNWRAP);
	assert_int_equal(f->err.code, ERR_UNWRAP);
	assert_string_equal(f->err.detail, ONE_TEXT);
	assert_string_equal(f->err.cause, "");
	err_clear(&f->err);
}

static const struct datakey_use plain = {.cluster = "orders", .name = "main"};

static void data_key_of_each_size_opens_to_the_same_octets(void **state)
{
	static const int64_t sizes[] = {128, 256, 384, 512};
	struct fixture *f = *state;
	OWNED(key_info) info = fixture_key(f, "orders", "main");

	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		MADE(made);
		make(f, &plain, sizes[i], &made);
		assert_int_equal(made.version, 1);
		assert_int_equal(
		    secret_len(made.plaintext), (size_t)sizes[i] / 8);
		assert_opens(f, &plain, &made);
	}
}

static void data_key_of_another_size_is_refused(void **state)
{
	static const int64_t sizes[] = {0, 1, -256, 64, 127, 129, 192, 255, 257,
	    1024, 4294967552, INT64_MAX, INT64_MIN};
	struct fixture *f = *state;
	OWNED(key_info) info = fixture_key(f, "orders", "main");
	OWNED_BUF(text);
	struct secret *plaintext = NULL;
	uint32_t version;

	for (size_t i = 0; i < ARRAY_LEN(sizes); i++)
		assert_refused(datakey_make(f->ring, &plain, sizes[i],
				   &plaintext, &text, &version, &f->err),
		    ERR_BAD_FIELD, &f->err, "is not 128, 256, 384 or 512");
	assert_int_equal(text.len, 0);
	assert_int_equal(fake_hsm_count(f->hsm, FAKE_DATA_KEY), 0);
}

static void data_key_is_made_without_its_plaintext_when_not_wanted(void **state)
{
	struct fixture *f = *state;
	OWNED(key_info) info = fixture_key(f, "orders", "main");
	OWNED(secret) got = NULL;
	OWNED_BUF(text);
	uint32_t version;

	assert_ok(datakey_make(
		      f->ring, &plain, 256, NULL, &text, &version, &f->err),
	    &f->err);
	assert_int_equal(fixture_secrets(), 0);
	assert_ok(open_text(f, &plain, buf_bytes(&text), &got), &f->err);
	assert_int_equal(secret_len(got), 32);
}

static void data_key_costs_one_crossing(void **state)
{
	struct fixture *f = *state;
	OWNED(key_info) info = fixture_key(f, "orders", "main");
	unsigned macs;

	{
		MADE(first);
		make(f, &plain, 256, &first);
	}
	macs = fake_hsm_count(f->hsm, FAKE_HMAC);
	MADE(second);
	make(f, &plain, 256, &second);
	assert_int_equal(fake_hsm_count(f->hsm, FAKE_HMAC), macs);
	assert_int_equal(fake_hsm_count(f->hsm, FAKE_DATA_KEY), 2);
}

static void data_key_opens_with_its_context_in_any_order(void **state)
{
	struct fixture *f = *state;
	OWNED(key_info) info = fixture_key(f, "orders", "main");
	OWNED(context) one = context_of("tablet", "7", "db", "x");
	OWNED(context) two = context_of("db", "x", "tablet", "7");
	struct datakey_use use = {"orders", "main", one};
	struct datakey_use again = {"orders", "main", two};
	MADE(made);

	make(f, &use, 256, &made);
	assert_opens(f, &again, &made);
}

static void data_key_does_not_open_with_another_context(void **state)
{
	struct fixture *f = *state;
	OWNED(key_info) info = fixture_key(f, "orders", "main");
	OWNED(context) right = context_of("a", "bc");
	OWNED(context) cut = context_of("ab", "c");
	OWNED(context) more = context_of("a", "bc", "d", "");
	OWNED(context) case_ = context_of("A", "bc");
	const struct context *const wrong[] = {NULL, cut, more, case_};
	struct datakey_use use = {"orders", "main", right};
	MADE(made);
	MADE(bare);

	make(f, &use, 256, &made);
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		struct datakey_use other = {"orders", "main", wrong[i]};
		assert_one_text(f, &other, buf_bytes(&made.text));
	}
	make(f, &plain, 256, &bare);
	assert_one_text(f, &use, buf_bytes(&bare.text));
}

static void data_key_does_not_open_by_another_key_or_cluster(void **state)
{
	struct fixture *f = *state;
	OWNED(key_info) one = fixture_key(f, "orders", "main");
	OWNED(key_info) two = fixture_key(f, "orders", "other");
	OWNED(key_info) three = fixture_key(f, "users", "main");
	struct datakey_use other_key = {"orders", "other", NULL};
	struct datakey_use other_cluster = {"users", "main", NULL};
	MADE(made);

	make(f, &plain, 256, &made);
	assert_one_text(f, &other_key, buf_bytes(&made.text));
	assert_one_text(f, &other_cluster, buf_bytes(&made.text));
	assert_opens(f, &plain, &made);
}

static void data_key_of_a_name_that_was_made_again_does_not_open(void **state)
{
	struct fixture *f = *state;
	OWNED(key_info) old = fixture_key(f, "orders", "main");
	OWNED(batch) batch = batch_new();
	struct key name = key_row("orders", "main");
	struct key kek = kek_row(old->id, 1);
	MADE(made);

	make(f, &plain, 256, &made);
	batch_delete(batch, TABLE_KEYS, key_bytes(&name));
	batch_delete(batch, TABLE_KEKS, key_bytes(&kek));
	assert_ok(store_commit(f->store, batch, &f->err), &f->err);
	OWNED(key_info) fresh = fixture_key(f, "orders", "main");
	assert_one_text(f, &plain, buf_bytes(&made.text));
}

/* "signet:v" VERSION ":" and base64 of OCTETS. */
static void spell(struct buf *out, const char *version, struct bytes octets)
{
	buf_reset(out);
	buf_printf(out, "signet:v%s:", version);
	base64_put(out, octets);
}

static void decode(const struct made *made, struct buf *raw)
{
	static const char begin[] = "signet:v1:";
	size_t skip = sizeof(begin) - 1;

	assert_memory_equal(made->text.data, begin, skip);
	assert_true(base64_parse(
	    BYTES(made->text.data + skip, made->text.len - skip), raw));
}

static void ciphertext_with_any_bit_flipped_is_refused(void **state)
{
	struct fixture *f = *state;
	OWNED(key_info) info = fixture_key(f, "orders", "main");
	OWNED_BUF(raw);
	OWNED_BUF(text);
	MADE(made);

	make(f, &plain, 256, &made);
	decode(&made, &raw);
	assert_int_equal(raw.len, HEADER + 12 + 32 + 16);
	for (size_t bit = 0; bit < raw.len * 8; bit++) {
		raw.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
		spell(&text, "1", buf_bytes(&raw));
		assert_one_text(f, &plain, buf_bytes(&text));
		raw.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	assert_opens(f, &plain, &made);
}

static void ciphertext_cut_at_any_octet_is_refused(void **state)
{
	struct fixture *f = *state;
	OWNED(key_info) info = fixture_key(f, "orders", "main");
	OWNED_BUF(raw);
	OWNED_BUF(text);
	MADE(made);

	make(f, &plain, 256, &made);
	for (size_t len = 0; len < made.text.len; len++)
		assert_one_text(f, &plain, BYTES(made.text.data, len));
	decode(&made, &raw);
	for (size_t len = 0; len < raw.len; len++) {
		spell(&text, "1", BYTES(raw.data, len));
		assert_one_text(f, &plain, buf_bytes(&text));
	}
	buf_put_u8(&raw, 0);
	spell(&text, "1", buf_bytes(&raw));
	assert_one_text(f, &plain, buf_bytes(&text));
}

static void ciphertext_spelled_otherwise_is_refused(void **state)
{
	static const char *const versions[] = {"01", "", "+1", " 1", "1 ", "2",
	    "0x1", "4294967297", "1:", "-1", "1\n"};
	struct fixture *f = *state;
	OWNED(key_info) info = fixture_key(f, "orders", "main");
	OWNED_BUF(raw);
	OWNED_BUF(text);
	MADE(made);

	make(f, &plain, 256, &made);
	decode(&made, &raw);
	for (size_t i = 0; i < ARRAY_LEN(versions); i++) {
		spell(&text, versions[i], buf_bytes(&raw));
		assert_one_text(f, &plain, buf_bytes(&text));
	}
	for (size_t i = 0; i < 9; i++) {
		buf_reset(&text);
		buf_put_bytes(&text, buf_bytes(&made.text));
		text.data[i] = (uint8_t)(text.data[i] ^ 0x20);
		assert_one_text(f, &plain, buf_bytes(&text));
	}
}

static void ciphertext_in_another_base64_is_refused(void **state)
{
	struct fixture *f = *state;
	OWNED(key_info) info = fixture_key(f, "orders", "main");
	static const char *const tails[] = {"\n", "=", " ", "A", "AAAA"};
	OWNED_BUF(text);
	MADE(made);

	/* 128 bits: 65 octets, which base64 ends with "=". */
	make(f, &plain, 128, &made);
	assert_int_equal(made.text.data[made.text.len - 1], '=');
	assert_one_text(f, &plain, BYTES(made.text.data, made.text.len - 1));
	for (size_t i = 0; i < ARRAY_LEN(tails); i++) {
		buf_reset(&text);
		buf_put_bytes(&text, buf_bytes(&made.text));
		buf_put_str(&text, tails[i]);
		assert_one_text(f, &plain, buf_bytes(&text));
	}
	/* A bit that no octet takes. */
	buf_reset(&text);
	buf_put_bytes(&text, buf_bytes(&made.text));
	text.data[text.len - 2] ^= 1;
	assert_one_text(f, &plain, buf_bytes(&text));
	/* The alphabet of URLs. */
	buf_reset(&text);
	buf_put_str(&text, "signet:v1:");
	OWNED_BUF(raw);
	decode(&made, &raw);
	memset(raw.data + HEADER, 0xff, 12);
	base64url_put(&text, buf_bytes(&raw));
	assert_one_text(f, &plain, buf_bytes(&text));
}

static void ciphertext_longer_than_any_is_refused_unread(void **state)
{
	struct fixture *f = *state;
	OWNED(key_info) info = fixture_key(f, "orders", "main");
	OWNED_BUF(text);

	buf_put_str(&text, "signet:v1:");
	while (text.len <= CIPHERTEXT_TEXT_MAX)
		buf_put_str(&text, "AAAA");
	assert_one_text(f, &plain, buf_bytes(&text));
	assert_int_equal(fake_hsm_count(f->hsm, FAKE_OPEN), 0);
}

static void ciphertext_of_a_version_that_never_was_is_refused(void **state)
{
	struct fixture *f = *state;
	OWNED(key_info) info = fixture_key(f, "orders", "main");
	OWNED_BUF(raw);
	OWNED_BUF(text);
	MADE(made);

	make(f, &plain, 256, &made);
	decode(&made, &raw);
	raw.data[HEADER - 1] = 2;
	spell(&text, "2", buf_bytes(&raw));
	assert_one_text(f, &plain, buf_bytes(&text));
	raw.data[HEADER - 1] = 0;
	spell(&text, "0", buf_bytes(&raw));
	assert_one_text(f, &plain, buf_bytes(&text));
}

static void use_of_a_key_that_is_not_there_says_so(void **state)
{
	struct fixture *f = *state;
	struct secret *got = NULL;
	OWNED_BUF(text);
	uint32_t version;

	assert_refused(datakey_make(f->ring, &plain, 256, NULL, &text, &version,
			   &f->err),
	    ERR_NOT_FOUND, &f->err, "no key main");
	assert_refused(open_text(f, &plain, BYTES_STR("signet:v1:"), &got),
	    ERR_NOT_FOUND, &f->err, "no key main");
}

static void disable(struct fixture *f, const struct key_info *info)
{
	struct key row = kek_row(info->id, 1);
	struct kek_record record;
	OWNED_BUF(value);
	OWNED_BUF(input);

	assert_ok(
	    keyring_kek(f->ring, info, 0, &record, &f->err), &f->err);
	record.state = KEK_DISABLED;
	kek_record_mac_input(&record, info, &input);
	assert_ok(hsm_hmac(f->hsm, FAKE_MAC, buf_bytes(&input), record.mac,
		      &f->err),
	    &f->err);
	kek_record_write(&record, &value);
	fixture_put(f, TABLE_KEKS, &row, buf_bytes(&value));
}

static void key_that_is_disabled_neither_makes_nor_opens(void **state)
{
	struct fixture *f = *state;
	OWNED(key_info) info = fixture_key(f, "orders", "main");
	struct secret *got = NULL;
	OWNED_BUF(text);
	uint32_t version;
	MADE(made);

	make(f, &plain, 256, &made);
	disable(f, info);
	assert_refused(datakey_make(f->ring, &plain, 256, NULL, &text, &version,
			   &f->err),
	    ERR_KEY_DISABLED, &f->err, "key main, version 1, is disabled");
	assert_refused(open_text(f, &plain, buf_bytes(&made.text), &got),
	    ERR_KEY_DISABLED, &f->err, "is disabled");
	/* What is not its own is told apart from nothing. */
	assert_one_text(f, &plain, BYTES_STR("signet:v1:AAAA"));
}

static void key_whose_state_was_changed_by_hand_is_refused(void **state)
{
	struct fixture *f = *state;
	OWNED(key_info) info = fixture_key(f, "orders", "main");
	struct key row = kek_row(info->id, 1);
	struct secret *got = NULL;
	OWNED_BUF(value);
	MADE(made);

	make(f, &plain, 256, &made);
	disable(f, info);
	fixture_get(f, TABLE_KEKS, &row, &value);
	value.data[21] = KEK_ENABLED;
	fixture_put(f, TABLE_KEKS, &row, buf_bytes(&value));
	assert_failed(open_text(f, &plain, buf_bytes(&made.text), &got),
	    ERR_CORRUPT, &f->err);
}

static void fault_of_the_token_is_no_refusal(void **state)
{
	static const enum err_code codes[] = {ERR_HSM_UNAVAILABLE, ERR_DEADLINE,
	    ERR_HSM_REFUSED, ERR_OVERLOADED};
	struct fixture *f = *state;
	OWNED(key_info) info = fixture_key(f, "orders", "main");
	struct secret *got = NULL;
	OWNED_BUF(text);
	uint32_t version;
	MADE(made);

	make(f, &plain, 256, &made);
	for (size_t i = 0; i < ARRAY_LEN(codes); i++) {
		fake_hsm_fail(f->hsm, FAKE_DATA_KEY, codes[i]);
		fake_hsm_fail(f->hsm, FAKE_OPEN, codes[i]);
		assert_failed(datakey_make(f->ring, &plain, 256, NULL, &text,
				  &version, &f->err),
		    codes[i], &f->err);
		assert_failed(open_text(f, &plain, buf_bytes(&made.text), &got),
		    codes[i], &f->err);
	}
	assert_int_equal(text.len, 0);
	assert_null(got);
}

/* golden/version1.txt: the rows and a ciphertext as the first version made
 * them, one "NAME HEX" a line. */
#define GOLDEN GOLDEN_DIR "/version1.txt"

static void write_golden(struct fixture *f, const struct datakey_use *use)
{
	OWNED(key_info) info = fixture_key(f, use->cluster, use->name);
	struct key name = key_row(use->cluster, use->name);
	struct key kek = kek_row(info->id, 1);
	OWNED_BUF(key_value);
	OWNED_BUF(kek_value);
	OWNED_BUF(out);
	MADE(made);

	make(f, use, 256, &made);
	fixture_get(f, TABLE_KEYS, &name, &key_value);
	fixture_get(f, TABLE_KEKS, &kek, &kek_value);
	OWNED_STR(id) = hex_new(info->id, KEY_ID_SIZE);
	OWNED_STR(key_hex) = hex_new(key_value.data, key_value.len);
	OWNED_STR(kek_hex) = hex_new(kek_value.data, kek_value.len);
	OWNED_STR(plaintext) = hex_new(secret_data(made.plaintext), 32);
	OWNED_STR(text) = hex_new(made.text.data, made.text.len);
	buf_printf(&out,
	    "id %s\nkey %s\nkek %s\nplaintext %s\nciphertext %s\n", id, key_hex,
	    kek_hex, plaintext, text);
	assert_ok(
	    fs_write(GOLDEN, 0644, buf_bytes(&out), &f->err), &f->err);
}

static void read_line(const char *text, const char *name, struct buf *out)
{
	OWNED_STR(begin) = mem_printf("%s ", name);
	const char *at = strstr(text, begin);

	assert_non_null(at);
	at += strlen(begin);
	OWNED_STR(hex) = mem_strndup(at, strcspn(at, "\n"));
	assert_true(hex_parse_any(hex, 4096, out));
}

static void data_key_that_version_1_made_opens(void **state)
{
	struct fixture *f = *state;
	OWNED(context) context = context_of("db", "orders", "tablet", "7");
	struct datakey_use use = {"orders", "golden", context};
	struct key name = key_row("orders", "golden");
	OWNED(secret) got = NULL;
	OWNED_BUF(file);
	OWNED_BUF(id);
	OWNED_BUF(key);
	OWNED_BUF(kek);
	OWNED_BUF(plaintext);
	OWNED_BUF(text);

	if (getenv("SIGNET_UPDATE_GOLDEN") != NULL)
		write_golden(f, &use);
	assert_ok(fs_read(GOLDEN, 65536, &file, &f->err), &f->err);
	OWNED_STR(lines) = buf_to_str(&file);
	read_line(lines, "id", &id);
	read_line(lines, "key", &key);
	read_line(lines, "kek", &kek);
	read_line(lines, "plaintext", &plaintext);
	read_line(lines, "ciphertext", &text);
	assert_int_equal(id.len, KEY_ID_SIZE);
	struct key kek_key = kek_row(id.data, 1);
	fixture_put(f, TABLE_KEYS, &name, buf_bytes(&key));
	fixture_put(f, TABLE_KEKS, &kek_key, buf_bytes(&kek));
	assert_ok(open_text(f, &use, buf_bytes(&text), &got), &f->err);
	assert_true(secret_equal(got, buf_bytes(&plaintext)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(data_key_of_each_size_opens_to_the_same_octets),
	    TEST(data_key_of_another_size_is_refused),
	    TEST(data_key_is_made_without_its_plaintext_when_not_wanted),
	    TEST(data_key_costs_one_crossing),
	    TEST(data_key_opens_with_its_context_in_any_order),
	    TEST(data_key_does_not_open_with_another_context),
	    TEST(data_key_does_not_open_by_another_key_or_cluster),
	    TEST(data_key_of_a_name_that_was_made_again_does_not_open),
	    TEST(ciphertext_with_any_bit_flipped_is_refused),
	    TEST(ciphertext_cut_at_any_octet_is_refused),
	    TEST(ciphertext_spelled_otherwise_is_refused),
	    TEST(ciphertext_in_another_base64_is_refused),
	    TEST(ciphertext_longer_than_any_is_refused_unread),
	    TEST(ciphertext_of_a_version_that_never_was_is_refused),
	    TEST(use_of_a_key_that_is_not_there_says_so),
	    TEST(key_that_is_disabled_neither_makes_nor_opens),
	    TEST(key_whose_state_was_changed_by_hand_is_refused),
	    TEST(fault_of_the_token_is_no_refusal),
	    TEST(data_key_that_version_1_made_opens),
	};

	return RUN_TESTS(tests);
}
