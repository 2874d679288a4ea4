// SPDX-License-Identifier: Apache-2.0
/*
 * Goal of this test: which token is chosen, and which of its keys are used. The
 * parts of the worker run in this process, on SoftHSM behind the shim, so that
 * keys can be made here which the worker would never make.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include <openssl/rand.h>

#include "base/secret.h"
#include "hsm/durable.h"
#include "hsm/generate.h"
#include "hsm/kek.h"
#include "tests/unit/hsm/home.h"

static struct home home;
static struct module *module;
static size_t heap_idle; /* OpenSSL keeps its generators on that heap */

struct open_token {
	struct token *token;
	struct entropy *entropy;
	struct keyring *ring;
	struct kek_cache *keks;
};

static void open_token(struct open_token *open)
{
	const struct token_options options = {
	    "pkcs11:token=alpha", home.pin_file};
	struct fault fault = {.text = ""};

	if (token_open(module, &options, &open->token, &fault) != WIRE_OK)
		fail_msg("%s", fault.text);
	open->entropy = entropy_new(open->token);
	open->ring = keyring_new(open->token);
	open->keks = kek_cache_new(open->token, open->entropy, 2);
}

static void close_token(struct open_token *open)
{
	home_write(home.rules, "");
	kek_cache_free(open->keks);
	keyring_free(open->ring);
	entropy_free(open->entropy);
	token_close(open->token);
	assert_int_equal(secret_heap_used(), heap_idle);
}

static void refused_as_config(const char *uri, const char *text)
{
	struct module_slot slot;
	struct fault fault = {.text = ""};

	assert_int_equal(
	    module_find_token(module, uri, &slot, &fault), WIRE_CONFIG);
	if (strstr(fault.text, text) == NULL)
		fail_msg("%s: %s", uri, fault.text);
}

static void a_token_is_found_by_its_label_and_by_its_serial(void **state)
{
	struct module_slot slot;
	struct module_slot again;
	struct fault fault = {.text = ""};
	OWNED_STR(uri) = NULL;

	(void)state;
	assert_int_equal(
	    module_find_token(module, "pkcs11:token=alpha", &slot, &fault),
	    WIRE_OK);
	assert_memory_equal(slot.info.label, "alpha ", 6);
	uri = mem_printf("pkcs11:serial=%.16s;token=alpha",
	    (const char *)slot.info.serialNumber);
	assert_int_equal(
	    module_find_token(module, uri, &again, &fault), WIRE_OK);
	assert_int_equal(again.id, slot.id);
}

static void a_uri_that_fits_no_token_or_several_is_refused(void **state)
{
	(void)state;
	refused_as_config("pkcs11:token=gamma", "no token fits");
	refused_as_config("pkcs11:token=gamma", "alpha (serial ");
	refused_as_config("pkcs11:token=alph", "no token fits");
	refused_as_config(
	    "pkcs11:manufacturer=SoftHSM%20project", "fits 2 tokens");
}

static void a_uri_that_names_more_than_a_token_is_refused(void **state)
{
	(void)state;
	refused_as_config("alpha", "URI");
	refused_as_config("pkcs11:", "names no token");
	refused_as_config("pkcs11:slot-id=0", "slot numbers change");
	refused_as_config("pkcs11:token=alpha;slot-id=0", "slot numbers");
	refused_as_config("pkcs11:token=alpha?pin-value=1234", "holds a PIN");
	refused_as_config(
	    "pkcs11:token=alpha?pin-source=file:/x", "holds a PIN");
	refused_as_config("pkcs11:token=alpha;object=k", "names an object");
	refused_as_config("pkcs11:token=alpha;colour=red", "not known");
	refused_as_config("pkcs11:token=%zz", "URI");
}

static void a_pin_in_a_uri_is_not_repeated(void **state)
{
	struct module_slot slot;
	struct fault fault = {.text = ""};

	(void)state;
	assert_int_equal(
	    module_find_token(
		module, "pkcs11:token=alpha?pin-value=9876", &slot, &fault),
	    WIRE_CONFIG);
	assert_null(strstr(fault.text, "9876"));
}

static void a_label_in_use_gives_no_second_token(void **state)
{
	(void)state;
	assert_int_equal(home_init_token(&home, "alpha"), WIRE_EXISTS);
	assert_int_equal(home_init_token(&home, ""), WIRE_CONFIG);
	assert_int_equal(
	    home_init_token(&home, "a label of more than thirty-two octets"),
	    WIRE_CONFIG);
}

static void a_module_that_is_none_is_refused(void **state)
{
	struct module *none = NULL;
	struct fault fault = {.text = ""};

	(void)state;
	assert_int_equal(
	    module_open("relative.so", &none, &fault), WIRE_CONFIG);
	assert_int_equal(
	    module_open("/nonexistent.so", &none, &fault), WIRE_CONFIG);
	assert_int_equal(
	    module_open(home.pin_file, &none, &fault), WIRE_CONFIG);
	assert_null(none);
}

/* A pair as careless tools make it, with one attribute changed. */
static void make_pair(struct open_token *open, const char *label,
    CK_ATTRIBUTE_TYPE type, bool value)
{
	CK_MECHANISM mechanism = {CKM_EC_KEY_PAIR_GEN, NULL, 0};
	const struct template_name name = {
	    BYTES(label, strlen(label)), BYTES(label, strlen(label))};
	struct template public = {.count = 0};
	struct template private = {.count = 0};
	CK_OBJECT_HANDLE handles[2];

	template_public(&public, HSM_EC_P256, &name, token_quirks(open->token));
	template_private(
	    &private, HSM_EC_P256, &name, token_quirks(open->token));
	for (CK_ULONG i = 0; i < private.count; i++)
		if (private.attributes[i].type == type)
	private.attributes[i].pValue = value ? &private.yes : &private.no;
	assert_int_equal(
	    token_functions(open->token)
		->C_GenerateKeyPair(token_session(open->token), &mechanism,
		    public.attributes, public.count, private.attributes,
		    private.count, &handles[0], &handles[1]),
	    CKR_OK);
}

static enum wire_status get(struct open_token *open, const char *uri,
    enum key_role role, struct fault *fault)
{
	const struct key *key = NULL;

	return keyring_get(
	    open->ring, BYTES(uri, strlen(uri)), role, &key, fault);
}

static void an_unsafe_key_is_not_used(void **state)
{
	static const struct {
		const char *label;
		CK_ATTRIBUTE_TYPE type;
		bool value;
		const char *text;
	} cases[] = {
	    {"extractable", CKA_EXTRACTABLE, true, "is extractable"},
	    {"modifiable", CKA_MODIFIABLE, true, "is modifiable"},
	    {"public", CKA_PRIVATE, false, "is not private"},
	    {"readable", CKA_SENSITIVE, false, "is not sensitive"},
	    {"decrypting", CKA_DECRYPT, true, "signs and also"},
	};
	struct open_token open;

	(void)state;
	open_token(&open);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		OWNED_STR(uri) =
		    mem_printf("pkcs11:token=alpha;object=%s;type=private",
			cases[i].label);
		struct fault fault = {.text = ""};
		struct item item;

		make_pair(&open, cases[i].label, cases[i].type, cases[i].value);
		assert_int_equal(
		    get(&open, uri, KEY_SIGN, &fault), WIRE_UNSAFE);
		if (strstr(fault.text, cases[i].text) == NULL)
			fail_msg("%s: %s", cases[i].label, fault.text);
		assert_int_equal(keyring_check(open.ring,
				     BYTES(uri, strlen(uri)), &item, &fault),
		    WIRE_UNSAFE);
	}
	close_token(&open);
}

static void a_key_is_used_only_for_what_it_is_named_for(void **state)
{
	struct open_token open;
	struct fault fault = {.text = ""};

	(void)state;
	open_token(&open);
	make_pair(&open, "good", CKA_SIGN, true);
	assert_int_equal(
	    get(&open, "pkcs11:token=alpha;object=good", KEY_SIGN, &fault),
	    WIRE_OK);
	assert_int_equal(
	    get(&open, "pkcs11:token=alpha;object=good", KEY_WRAP, &fault),
	    WIRE_NO_KEY);
	assert_int_equal(
	    get(&open, "pkcs11:token=alpha;object=good;type=private", KEY_MAC,
		&fault),
	    WIRE_NO_KEY);
	assert_int_equal(
	    get(&open, "pkcs11:token=beta;object=good;type=private", KEY_SIGN,
		&fault),
	    WIRE_NO_KEY);
	assert_int_equal(
	    get(&open, "pkcs11:token=alpha;object=bad", KEY_SIGN, &fault),
	    WIRE_NO_KEY);
	assert_int_equal(get(&open, "pkcs11:token=alpha", KEY_SIGN, &fault),
	    WIRE_BAD_REQUEST);
	assert_int_equal(
	    get(&open, "good", KEY_SIGN, &fault), WIRE_BAD_REQUEST);
	assert_int_equal(
	    get(&open, "pkcs11:object=good?pin-value=1", KEY_SIGN, &fault),
	    WIRE_BAD_REQUEST);
	close_token(&open);
}

static void two_keys_of_one_label_are_refused_until_named_by_id(void **state)
{
	struct open_token open;
	struct fault fault = {.text = ""};

	(void)state;
	open_token(&open);
	make_pair(&open, "twin", CKA_SIGN, true);
	make_pair(&open, "twin", CKA_SIGN, true);
	assert_int_equal(
	    get(&open, "pkcs11:token=alpha;object=twin", KEY_SIGN, &fault),
	    WIRE_NO_KEY);
	assert_string_equal(
	    fault.text, "several keys fit the URI; name it by id");
	close_token(&open);
}

static void a_key_that_is_destroyed_is_forgotten_when_checked(void **state)
{
	static const char uri[] =
	    "pkcs11:token=alpha;object=short;type=private";
	struct open_token open;
	struct fault fault = {.text = ""};
	struct item item;

	(void)state;
	open_token(&open);
	make_pair(&open, "short", CKA_SIGN, true);
	assert_int_equal(get(&open, uri, KEY_SIGN, &fault), WIRE_OK);
	assert_int_equal(
	    keyring_check(open.ring, BYTES_STR(uri), &item, &fault), WIRE_OK);
	assert_int_equal(
	    token_functions(open.token)
		->C_DestroyObject(token_session(open.token), item.handle),
	    CKR_OK);
	assert_int_equal(
	    keyring_check(open.ring, BYTES_STR(uri), &item, &fault),
	    WIRE_NO_KEY);
	assert_int_equal(get(&open, uri, KEY_SIGN, &fault), WIRE_NO_KEY);
	close_token(&open);
}

static const struct key *make_root(struct open_token *open, const char *label)
{
	const struct generate generate = {
	    open->token, open->entropy, BYTES(label, strlen(label))};
	OWNED_STR(uri) = NULL;
	struct fault fault = {.text = ""};
	const struct key *root = NULL;

	if (generate_secret(&generate, HSM_USE_WRAP, &uri, &fault) != WIRE_OK)
		fail_msg("%s", fault.text);
	assert_int_equal(keyring_get(open->ring, BYTES(uri, strlen(uri)),
			     KEY_WRAP, &root, &fault),
	    WIRE_OK);
	return root;
}

static void loaded_keks_are_bounded_and_the_least_used_goes(void **state)
{
	struct open_token open;
	struct fault fault = {.text = ""};
	uint8_t blobs[3][KEK_BLOB_SIZE];
	CK_OBJECT_HANDLE handles[3];
	CK_OBJECT_HANDLE again;
	const struct key *root;

	(void)state;
	open_token(&open); /* at most two */
	root = make_root(&open, "root-lru");
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(
		    kek_new(open.keks, root, blobs[i], &fault), WIRE_OK);
	for (size_t i = 0; i < 2; i++)
		assert_int_equal(kek_load(open.keks, root, BYTES_OF(blobs[i]),
				     &handles[i], &fault),
		    WIRE_OK);
	/* the first is used again, so the second is the one to go */
	assert_int_equal(
	    kek_load(open.keks, root, BYTES_OF(blobs[0]), &again, &fault),
	    WIRE_OK);
	assert_int_equal(again, handles[0]);
	assert_int_equal(
	    kek_load(open.keks, root, BYTES_OF(blobs[2]), &handles[2], &fault),
	    WIRE_OK);
	assert_int_equal(kek_cache_count(open.keks), 2);
	assert_int_equal(
	    kek_load(open.keks, root, BYTES_OF(blobs[0]), &again, &fault),
	    WIRE_OK);
	assert_int_equal(again, handles[0]);
	assert_int_equal(
	    kek_load(open.keks, root, BYTES_OF(blobs[1]), &again, &fault),
	    WIRE_OK);
	assert_int_not_equal(again, handles[1]);
	close_token(&open);
}

static void a_blob_opens_only_under_its_own_root(void **state)
{
	struct open_token open;
	struct fault fault = {.text = ""};
	uint8_t blob[KEK_BLOB_SIZE];
	CK_OBJECT_HANDLE kek;
	const struct key *mine;
	const struct key *other;

	(void)state;
	open_token(&open);
	mine = make_root(&open, "root-mine");
	assert_int_equal(kek_new(open.keks, mine, blob, &fault), WIRE_OK);
	assert_int_equal(
	    kek_load(open.keks, mine, BYTES_OF(blob), &kek, &fault), WIRE_OK);
	other = make_root(&open, "root-other");
	assert_int_equal(
	    kek_load(open.keks, other, BYTES_OF(blob), &kek, &fault),
	    WIRE_UNWRAP);
	assert_int_equal(
	    kek_load(open.keks, other, BYTES(blob, 24), &kek, &fault),
	    WIRE_UNWRAP);
	close_token(&open);
}

static void a_loaded_kek_cannot_be_read_or_wrapped_out(void **state)
{
	struct open_token open;
	struct fault fault = {.text = ""};
	uint8_t blob[KEK_BLOB_SIZE];
	uint8_t value[64];
	CK_MECHANISM wrap = {CKM_AES_KEY_WRAP, NULL, 0};
	CK_ATTRIBUTE attribute = {CKA_VALUE, value, sizeof(value)};
	CK_ULONG len = sizeof(value);
	CK_OBJECT_HANDLE kek;
	struct item item;
	CK_FUNCTION_LIST *p11;
	const struct key *root;

	(void)state;
	open_token(&open);
	p11 = token_functions(open.token);
	root = make_root(&open, "root-closed");
	assert_int_equal(kek_new(open.keks, root, blob, &fault), WIRE_OK);
	assert_int_equal(
	    kek_load(open.keks, root, BYTES_OF(blob), &kek, &fault), WIRE_OK);
	assert_int_equal(p11->C_GetAttributeValue(
			     token_session(open.token), kek, &attribute, 1),
	    CKR_ATTRIBUTE_SENSITIVE);
	assert_int_not_equal(p11->C_WrapKey(token_session(open.token), &wrap,
				 root->handle, kek, value, &len),
	    CKR_OK);
	assert_int_equal(item_read(open.token, kek, &item, &fault), WIRE_OK);
	assert_int_equal(
	    item.attributes &
		(HSM_ATTR_TOKEN | HSM_ATTR_PRIVATE | HSM_ATTR_SENSITIVE |
		    HSM_ATTR_EXTRACTABLE | HSM_ATTR_MODIFIABLE | HSM_ATTR_WRAP |
		    HSM_ATTR_UNWRAP | HSM_ATTR_SIGN | HSM_ATTR_DERIVE),
	    HSM_ATTR_PRIVATE | HSM_ATTR_SENSITIVE);
	close_token(&open);
}

static void a_constant_generator_of_the_token_still_gives_distinct_octets(
    void **state)
{
	struct open_token open;
	struct fault fault = {.text = ""};
	uint8_t first[32];
	uint8_t second[32];
	uint8_t third[32];

	(void)state;
	home_write(home.rules, "C_GenerateRandom every:1 constant\n");
	open_token(&open);
	assert_int_equal(
	    entropy_draw(open.entropy, first, sizeof(first), &fault), WIRE_OK);
	assert_int_equal(
	    entropy_draw(open.entropy, second, sizeof(second), &fault),
	    WIRE_OK);
	assert_memory_not_equal(first, second, sizeof(first));
	memset(third, 0x42, sizeof(third));
	assert_memory_not_equal(first, third, sizeof(first));
	close_token(&open);
}

static void a_generator_of_the_token_that_fails_gives_nothing(void **state)
{
	struct open_token open;
	struct fault fault = {.text = ""};
	uint8_t out[32];

	(void)state;
	home_write(home.rules, "C_GenerateRandom every:1 0x121\n");
	open_token(&open);
	assert_int_equal(
	    entropy_draw(open.entropy, out, sizeof(out), &fault), WIRE_REFUSED);
	close_token(&open);
}

/* SoftHSM 2.6.1 refuses the copy; either way the key must sign. */
static void a_signing_key_that_cannot_be_copied_signs_all_the_same(void **state)
{
	const char *uri = "pkcs11:token=alpha;object=copied;type=private";
	CK_MECHANISM mechanism = {CKM_ECDSA, NULL, 0};
	struct open_token open;
	struct fault fault = {.text = ""};
	const struct key *key = NULL;
	CK_BYTE digest[32] = {1};
	CK_BYTE signature[64];
	CK_ULONG len = sizeof(signature);

	(void)state;
	home_write(home.rules, "C_CopyObject every:1 0x54\n");
	open_token(&open);
	make_pair(&open, "copied", CKA_SIGN, true);
	assert_int_equal(keyring_get(open.ring, BYTES(uri, strlen(uri)),
			     KEY_SIGN, &key, &fault),
	    WIRE_OK);
	assert_false(key->copied);
	assert_int_equal(token_functions(open.token)
			     ->C_SignInit(token_session(open.token), &mechanism,
				 key->handle),
	    CKR_OK);
	assert_int_equal(token_functions(open.token)
			     ->C_Sign(token_session(open.token), digest,
				 sizeof(digest), signature, &len),
	    CKR_OK);
	close_token(&open);
}

static void what_softhsm_wrote_is_synced_or_said_not_to_be(void **state)
{
	OWNED_STR(good) = mem_strdup(getenv("SOFTHSM2_CONF"));
	OWNED_STR(conf) = mem_printf("%s/other.conf", home.dir);
	OWNED_STR(text) = mem_printf("# a comment\nlog.level = INFO\n"
				     " directories.tokendir=%s/none \n",
	    home.dir);

	(void)state;
	assert_true(durable_softhsm());
	home_write(conf, text);
	assert_int_equal(setenv("SOFTHSM2_CONF", conf, 1), 0);
	assert_false(durable_softhsm());
	home_write(conf, "log.level = INFO\n");
	assert_true(durable_softhsm()); /* with a line in the log */
	assert_int_equal(setenv("SOFTHSM2_CONF", good, 1), 0);
}

static int set_up(void **state)
{
	struct err err = {0};
	struct fault fault = {.text = ""};
	uint8_t warm[1];

	(void)state;
	assert_int_equal(secret_heap_open(64 * 1024, &err), ERR_OK);
	assert_int_equal(secret_heap_used(), 0);
	assert_int_equal(RAND_priv_bytes(warm, sizeof(warm)), 1);
	assert_int_equal(RAND_bytes(warm, sizeof(warm)), 1);
	heap_idle = secret_heap_used();
	home_open(&home);
	assert_int_equal(home_init_token(&home, "alpha"), WIRE_OK);
	assert_int_equal(home_init_token(&home, "beta"), WIRE_OK);
	if (module_open(home.shim, &module, &fault) != WIRE_OK)
		fail_msg("%s", fault.text);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	module_close(module);
	home_close(&home);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_token_is_found_by_its_label_and_by_its_serial),
	    cmocka_unit_test(a_uri_that_fits_no_token_or_several_is_refused),
	    cmocka_unit_test(a_uri_that_names_more_than_a_token_is_refused),
	    cmocka_unit_test(a_pin_in_a_uri_is_not_repeated),
	    cmocka_unit_test(a_label_in_use_gives_no_second_token),
	    cmocka_unit_test(a_module_that_is_none_is_refused),
	    cmocka_unit_test(an_unsafe_key_is_not_used),
	    cmocka_unit_test(a_key_is_used_only_for_what_it_is_named_for),
	    cmocka_unit_test(
		two_keys_of_one_label_are_refused_until_named_by_id),
	    cmocka_unit_test(a_key_that_is_destroyed_is_forgotten_when_checked),
	    cmocka_unit_test(loaded_keks_are_bounded_and_the_least_used_goes),
	    cmocka_unit_test(a_blob_opens_only_under_its_own_root),
	    cmocka_unit_test(a_loaded_kek_cannot_be_read_or_wrapped_out),
	    cmocka_unit_test(
		a_constant_generator_of_the_token_still_gives_distinct_octets),
	    cmocka_unit_test(a_generator_of_the_token_that_fails_gives_nothing),
	    cmocka_unit_test(
		a_signing_key_that_cannot_be_copied_signs_all_the_same),
	    cmocka_unit_test(what_softhsm_wrote_is_synced_or_said_not_to_be),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
