// SPDX-License-Identifier: Apache-2.0
/* Goal of this test: every operation says to the worker what it was asked and
 * to the caller what the worker said, in Signet's own terms. */
#include "config.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fs.h"
#include "fake.h"
#include "hsm/wire.h"

static int open_pool(void **state)
{
	struct fake *fake = mem_zalloc(sizeof(*fake));

	fake_begin(fake);
	fake_open(fake, NULL);
	*state = fake;
	return 0;
}

static int close_pool(void **state)
{
	fake_end(*state);
	free(*state);
	return 0;
}

static void a_signature_is_the_workers_reply(void **state)
{
	OWNED_BUF(out);
	struct err err = {0};

	assert_int_equal(
	    fake_sign(*state, "key", "digest", &out, &err), ERR_OK);
	assert_true(bytes_equal(buf_bytes(&out), BYTES_STR("digest")));
	assert_int_equal(fake_logged(*state, "5 key"), 1);
}

static void each_status_is_an_error_of_its_own(void **state)
{
	static const struct {
		enum wire_status status;
		enum err_code code;
	} table[] = {
	    {WIRE_BAD_REQUEST, ERR_INTERNAL},
	    {WIRE_REFUSED, ERR_HSM_REFUSED},
	    {WIRE_NO_KEY, ERR_HSM_REFUSED},
	    {WIRE_EXISTS, ERR_EXISTS},
	    {WIRE_UNSAFE, ERR_HSM_KEY_UNSAFE},
	    {WIRE_UNWRAP, ERR_HSM_REFUSED},
	    {WIRE_DEVICE_GONE, ERR_HSM_UNAVAILABLE},
	    {WIRE_CONFIG, ERR_HSM_UNAVAILABLE},
	    /* After it there are no workers any more. */
	    {WIRE_PIN, ERR_HSM_UNAVAILABLE},
	};
	OWNED_BUF(out);

	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		OWNED_STR(word) =
		    mem_printf("status=%d", (int)table[i].status);
		struct err err = {0};

		assert_int_equal(fake_sign(*state, word, "x", &out, &err),
		    table[i].code);
		assert_int_equal(err.code, table[i].code);
		assert_int_equal(out.len, 0);
		/* What the worker said is for the log, never the caller. */
		assert_null(strstr(err.detail, "the reason"));
		if (!err_is_refusal(err.code))
			assert_non_null(strstr(err.cause, "the reason"));
	}
}

static void a_made_pair_is_named_and_its_public_key_told(void **state)
{
	struct fake *fake = *state;
	OWNED_STR(uri) = NULL;
	OWNED_BUF(spki);
	struct err err = {0};

	assert_int_equal(hsm_generate_pair(fake->hsm, "root", HSM_EC_P384,
			     &uri, &spki, &err),
	    ERR_OK);
	assert_string_equal(uri, "pkcs11:object=new");
	assert_int_equal(spki.len, 91);
}

static void a_label_in_use_is_refused_by_name(void **state)
{
	struct fake *fake = *state;
	char *uri = NULL;
	OWNED_BUF(spki);
	struct err err = {0};

	assert_int_equal(hsm_generate_pair(fake->hsm, "status=4", HSM_EC_P256,
			     &uri, &spki, &err),
	    ERR_EXISTS);
	assert_non_null(strstr(err.detail, "status=4"));
	assert_int_equal(hsm_generate_secret(fake->hsm, "status=4",
			     HSM_USE_MAC, &uri, &err),
	    ERR_EXISTS);
	assert_null(uri);
	assert_int_equal(spki.len, 0);
}

static void a_made_secret_is_named(void **state)
{
	struct fake *fake = *state;
	OWNED_STR(uri) = NULL;
	struct err err = {0};

	assert_int_equal(hsm_generate_secret(
			     fake->hsm, "mac", HSM_USE_MAC, &uri, &err),
	    ERR_OK);
	assert_string_equal(uri, "pkcs11:object=secret");
}

static void a_mac_has_32_octets_or_is_none(void **state)
{
	struct fake *fake = *state;
	uint8_t mac[32] = {0}, want[32];
	struct err err = {0};

	memset(want, 'm', sizeof(want));
	assert_int_equal(
	    hsm_hmac(fake->hsm, "key", BYTES_STR("data"), mac, &err), ERR_OK);
	assert_memory_equal(mac, want, sizeof(mac));
	assert_int_equal(
	    hsm_hmac(fake->hsm, "short", BYTES_STR("data"), mac, &err),
	    ERR_INTERNAL);
}

static const struct hsm_kek kek = {"root", {(const uint8_t *)"blob", 4}};

static void a_kek_is_a_blob(void **state)
{
	struct fake *fake = *state;
	OWNED_BUF(blob);
	struct err err = {0};

	assert_int_equal(
	    hsm_kek_new(fake->hsm, "root", &blob, &err), ERR_OK);
	assert_int_equal(blob.len, 40);
}

static void what_is_sealed_opens(void **state)
{
	struct fake *fake = *state;
	OWNED(secret) plaintext = NULL;
	OWNED_BUF(sealed);
	struct err err = {0};

	assert_int_equal(hsm_seal(fake->hsm, &kek, BYTES_STR("aad"),
			     BYTES_STR("plain"), &sealed, &err),
	    ERR_OK);
	assert_int_equal(sealed.len, 5 + 28);
	assert_int_equal(hsm_open_sealed(fake->hsm, &kek, BYTES_STR("aad"),
			     buf_bytes(&sealed), &plaintext, &err),
	    ERR_OK);
	assert_true(secret_equal(plaintext, BYTES_STR("plain")));
}

static void a_sealed_text_that_does_not_open_is_refused_without_a_reason(
    void **state)
{
	static const struct hsm_kek tampered = {
	    "status=6", {(const uint8_t *)"blob", 4}};
	static const uint8_t sealed[28 + 1];
	struct fake *fake = *state;
	struct secret *plaintext = NULL;
	struct err err = {0}, short_err = {0};

	assert_int_equal(hsm_open_sealed(fake->hsm, &tampered, BYTES_STR(""),
			     BYTES_OF(sealed), &plaintext, &err),
	    ERR_UNWRAP);
	assert_int_equal(hsm_open_sealed(fake->hsm, &kek, BYTES_STR(""),
			     BYTES(sealed, 28), &plaintext, &short_err),
	    ERR_UNWRAP);
	assert_string_equal(err.detail, short_err.detail);
	assert_null(plaintext);
}

static void a_kek_that_does_not_unwrap_is_no_fault_of_the_caller(void **state)
{
	static const struct hsm_kek broken = {
	    "status=6", {(const uint8_t *)"blob", 4}};
	struct fake *fake = *state;
	OWNED_BUF(sealed);
	struct err err = {0};

	assert_int_equal(hsm_seal(fake->hsm, &broken, BYTES_STR(""),
			     BYTES_STR("x"), &sealed, &err),
	    ERR_HSM_REFUSED);
	assert_int_equal(hsm_data_key(fake->hsm, &broken, BYTES_STR(""), 32,
			     NULL, &sealed, &err),
	    ERR_HSM_REFUSED);
	assert_string_equal(err.detail, "");
}

static void a_data_key_comes_sealed_and_plain_when_wanted(void **state)
{
	struct fake *fake = *state;
	OWNED(secret) plaintext = NULL;
	OWNED_BUF(sealed);
	struct err err = {0};

	for (size_t len = 16; len <= 1024; len *= 2) {
		uint8_t want[1024];

		memset(want, 'k', sizeof(want));
		buf_reset(&sealed);
		assert_int_equal(hsm_data_key(fake->hsm, &kek, BYTES_STR("a"),
				     len, &plaintext, &sealed, &err),
		    ERR_OK);
		assert_int_equal(sealed.len, len + 28);
		assert_true(secret_equal(plaintext, BYTES(want, len)));
		secret_free(GIVE(plaintext));
	}
}

static void a_data_key_not_wanted_plain_stays_sealed(void **state)
{
	struct fake *fake = *state;
	OWNED_BUF(sealed);
	struct err err = {0};

	assert_int_equal(hsm_data_key(fake->hsm, &kek, BYTES_STR("a"), 64,
			     NULL, &sealed, &err),
	    ERR_OK);
	assert_int_equal(sealed.len, 64 + 28);
}

static void random_octets_are_as_many_as_asked(void **state)
{
	struct fake *fake = *state;
	OWNED_BUF(out);
	struct err err = {0};

	assert_int_equal(hsm_random(fake->hsm, 1024, &out, &err), ERR_OK);
	assert_int_equal(out.len, 1024);
}

static void what_is_too_large_is_refused_before_it_crosses(void **state)
{
	static uint8_t data[4097];
	struct fake *fake = *state;
	struct bytes large = BYTES_OF(data), none = {NULL, 0};
	struct secret *plaintext = NULL;
	uint8_t mac[32];
	OWNED_BUF(out);
	struct err err = {0};

	assert_int_equal(hsm_sign(fake->hsm, "key", HSM_ECDSA,
			     BYTES(data, 129), &out, &err),
	    ERR_TOO_LARGE);
	assert_int_equal(
	    hsm_hmac(fake->hsm, "key", large, mac, &err), ERR_TOO_LARGE);
	assert_int_equal(
	    hsm_seal(fake->hsm, &kek, large, none, &out, &err), ERR_TOO_LARGE);
	assert_int_equal(
	    hsm_seal(fake->hsm, &kek, none, large, &out, &err), ERR_TOO_LARGE);
	assert_int_equal(
	    hsm_open_sealed(fake->hsm, &kek, large, large, &plaintext, &err),
	    ERR_TOO_LARGE);
	assert_int_equal(
	    hsm_data_key(fake->hsm, &kek, large, 32, NULL, &out, &err),
	    ERR_TOO_LARGE);
	assert_int_equal(
	    hsm_data_key(fake->hsm, &kek, none, 1025, NULL, &out, &err),
	    ERR_TOO_LARGE);
	assert_int_equal(
	    hsm_random(fake->hsm, 1025, &out, &err), ERR_TOO_LARGE);
	assert_int_equal(out.len, 0);
}

static void what_is_as_large_as_allowed_crosses(void **state)
{
	static uint8_t data[4096];
	struct fake *fake = *state;
	struct bytes large = BYTES_OF(data);
	OWNED(secret) plaintext = NULL;
	OWNED_BUF(out);
	struct err err = {0};

	memset(data, 'd', sizeof(data));
	assert_int_equal(
	    hsm_seal(fake->hsm, &kek, large, large, &out, &err), ERR_OK);
	assert_int_equal(out.len, 4096 + 28);
	assert_int_equal(hsm_open_sealed(fake->hsm, &kek, large,
			     buf_bytes(&out), &plaintext, &err),
	    ERR_OK);
	assert_true(secret_equal(plaintext, large));
}

static void a_list_tells_each_object(void **state)
{
	struct fake *fake = *state;
	OWNED(hsm_object_list) list = NULL;
	struct err err = {0};

	assert_int_equal(hsm_list(fake->hsm, &list, &err), ERR_OK);
	assert_int_equal(list->count, 2);
	assert_string_equal(list->objects[0].uri, "pkcs11:object=a");
	assert_string_equal(list->objects[0].label, "the label");
	assert_string_equal(list->objects[0].kind, "private");
	assert_string_equal(list->objects[0].key_type, "ec-p256");
	assert_int_equal(list->objects[0].id_len, 3);
	assert_memory_equal(list->objects[0].id, "\x01\x02\x03", 3);
	assert_null(hsm_object_unsafe(&list->objects[0]));
	assert_string_equal(list->objects[1].kind, "public");
	assert_int_equal(list->objects[1].attributes, HSM_ATTR_VERIFY);
}

static void a_safe_key_passes_and_an_extractable_one_does_not(void **state)
{
	struct fake *fake = *state;
	struct err err = {0};

	assert_int_equal(hsm_check_key(fake->hsm, "key", &err), ERR_OK);
	assert_int_equal(hsm_check_key(fake->hsm, "extractable", &err),
	    ERR_HSM_KEY_UNSAFE);
	assert_non_null(strstr(err.cause, "is extractable"));
	assert_int_equal(
	    hsm_check_key(fake->hsm, "status=3", &err), ERR_HSM_REFUSED);
}

static void a_ping_reaches_the_worker(void **state)
{
	struct fake *fake = *state;
	unsigned before = fake_logged(fake, "1 ");
	struct err err = {0};

	assert_int_equal(hsm_ping(fake->hsm, &err), ERR_OK);
	assert_int_equal(fake_logged(fake, "1 "), before + 1);
}

#define SAFE                                                                   \
	(HSM_ATTR_PRIVATE | HSM_ATTR_SENSITIVE | HSM_ATTR_ALWAYS_SENSITIVE |   \
	    HSM_ATTR_NEVER_EXTRACTABLE)

static void the_rule_for_keys_names_what_breaks_it(void **state UNUSED)
{
	static const struct {
		uint32_t attributes;
		uint32_t unknown;
		const char *says;
	} table[] = {
	    {SAFE | HSM_ATTR_SIGN, 0, NULL},
	    {SAFE | HSM_ATTR_WRAP | HSM_ATTR_UNWRAP, 0, NULL},
	    {SAFE | HSM_ATTR_EXTRACTABLE, 0, "is extractable"},
	    {SAFE | HSM_ATTR_MODIFIABLE, 0, "is modifiable"},
	    {SAFE & ~HSM_ATTR_PRIVATE, 0, "is not private"},
	    {SAFE & ~HSM_ATTR_SENSITIVE, 0, "is not sensitive"},
	    {SAFE & ~HSM_ATTR_NEVER_EXTRACTABLE, 0, "was extractable"},
	    {SAFE | HSM_ATTR_WRAP | HSM_ATTR_DECRYPT, 0, "both wraps"},
	    {SAFE, HSM_ATTR_EXTRACTABLE, "does not tell"},
	};

	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		struct hsm_object object = {.kind = (char[]){"private"},
		    .attributes = table[i].attributes,
		    .unknown = table[i].unknown};
		const char *said = hsm_object_unsafe(&object);

		if (table[i].says == NULL)
			assert_null(said);
		else
			assert_non_null(strstr(said, table[i].says));
	}
}

static enum err_code init_with(struct fake *fake, const char *word,
    struct err *err)
{
	fake_hello(fake, word);
	return hsm_init_token(
	    &fake->options, "label", "/so-pin", "/user-pin", err);
}

static void making_a_token_maps_how_the_worker_ends(void **state)
{
	struct fake *fake = *state;
	struct err err = {0};

	assert_int_equal(init_with(fake, "ok", &err), ERR_OK);
	assert_int_equal(init_with(fake, "status=4", &err), ERR_EXISTS);
	assert_string_equal(err.detail, "the reason");
	assert_int_equal(init_with(fake, "status=9", &err), ERR_CONFIG);
	assert_string_equal(err.detail, "the reason");
	assert_int_equal(init_with(fake, "status=8", &err), ERR_CONFIG);
	assert_int_equal(init_with(fake, "status=2", &err), ERR_HSM_REFUSED);
	assert_int_equal(
	    init_with(fake, "status=7", &err), ERR_HSM_UNAVAILABLE);
	assert_int_equal(
	    init_with(fake, "status=77", &err), ERR_HSM_UNAVAILABLE);
	assert_int_equal(init_with(fake, "crash", &err), ERR_HSM_UNAVAILABLE);
	assert_non_null(strstr(err.cause, "signal 9"));
	fake->options.worker = "/nonexistent/signet-hsm";
	assert_int_equal(init_with(fake, "ok", &err), ERR_CONFIG);
	assert_non_null(strstr(err.detail, "/nonexistent/signet-hsm"));
}

static void making_a_token_gives_the_worker_labels_and_files(void **state)
{
	struct fake *fake = *state;
	OWNED_STR(path) = fake_path(fake, "report");
	OWNED_STR(text) = NULL;
	OWNED_BUF(report);
	struct err err = {0};

	assert_int_equal(init_with(fake, "report", &err), ERR_OK);
	assert_int_equal(fs_read(path, 65536, &report, &err), ERR_OK);
	text = buf_to_str(&report);
	assert_non_null(strstr(text,
	    "arg signet-hsm\narg --sandbox=strict\narg --init-token\n"
	    "arg --module\narg /module.so\n"
	    "arg --label\narg label\narg --so-pin-file\narg /so-pin\n"
	    "arg --pin-file\narg /user-pin\n"));
	assert_non_null(strstr(text, "fd 0\nfd 1\nfd 2\n"));
	assert_null(strstr(text, "fd 4\n"));
}

#define ON_POOL(test)                                                          \
	cmocka_unit_test_setup_teardown(test, open_pool, close_pool)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    ON_POOL(a_signature_is_the_workers_reply),
	    ON_POOL(each_status_is_an_error_of_its_own),
	    ON_POOL(a_made_pair_is_named_and_its_public_key_told),
	    ON_POOL(a_label_in_use_is_refused_by_name),
	    ON_POOL(a_made_secret_is_named),
	    ON_POOL(a_mac_has_32_octets_or_is_none),
	    ON_POOL(a_kek_is_a_blob),
	    ON_POOL(what_is_sealed_opens),
	    ON_POOL(
		a_sealed_text_that_does_not_open_is_refused_without_a_reason),
	    ON_POOL(a_kek_that_does_not_unwrap_is_no_fault_of_the_caller),
	    ON_POOL(a_data_key_comes_sealed_and_plain_when_wanted),
	    ON_POOL(a_data_key_not_wanted_plain_stays_sealed),
	    ON_POOL(random_octets_are_as_many_as_asked),
	    ON_POOL(what_is_too_large_is_refused_before_it_crosses),
	    ON_POOL(what_is_as_large_as_allowed_crosses),
	    ON_POOL(a_list_tells_each_object),
	    ON_POOL(a_safe_key_passes_and_an_extractable_one_does_not),
	    ON_POOL(a_ping_reaches_the_worker),
	    cmocka_unit_test(the_rule_for_keys_names_what_breaks_it),
	    ON_POOL(making_a_token_maps_how_the_worker_ends),
	    ON_POOL(making_a_token_gives_the_worker_labels_and_files),
	};
	struct err err = {0};

	if (secret_heap_open(1 << 20, &err) != ERR_OK)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
