// SPDX-License-Identifier: Apache-2.0
/* Goal: where a policy calls names private, what is kept of a refusal has the
 * alias of the name that was refused, and neither it nor a name of the cluster;
 * the caller is told all, as ever. */
#include "fixture.h"

#include <string.h>

#include <openssl/rand.h>

#include "base/secret.h"
#include "store/alias.h"

#define SECRET "secret-1.example.org"

/* %s: "true" or "false". */
static const char text[] =
    "version: 1\n"
    "description: x\n"
    "profiles:\n"
    "  - {name: hidden, description: x, key_types: [ec-p256], "
    "validity: {default: 1d, maximum: 1d}, private_names: %s, "
    "key_usage: [digital-signature], extended_key_usage: [client-auth], "
    "names: {dns: [\"{cluster.dns}\"], ip: [\"{cluster.ip}\"], "
    "uri: [\"signet://{cluster}/x\"], common_name: [\"{identifier}\"], "
    "except_common_name: [root]}}\n"
    "  - {name: open, description: x, key_types: [ec-p256], "
    "validity: {default: 1d, maximum: 1d}, "
    "key_usage: [digital-signature], extended_key_usage: [client-auth], "
    "names: {dns: [\"{cluster.dns}\"]}}\n";

struct asking {
	struct policy *policy;
	struct cluster *cluster;
	struct policy_question question;
	const char *private;	/* what was told to be withheld */
	struct err err;
};

static void asking_begin(
    struct asking *asking, struct store *store, const char *is_private)
{
	OWNED_STR(file) = mem_printf(text, is_private);

	if (policy_parse("p.yaml", BYTES_STR(file), &asking->policy,
		&asking->err) != ERR_OK)
		fail_msg("%s", asking->err.detail);
	asking->cluster = orders("p");
	asking->question = (struct policy_question){
	    .policy = asking->policy,
	    .cluster = asking->cluster,
	    .profile = "hidden",
	    .key_type = KEY_EC_P256,
	    .now = NOW,
	    .issuer_not_after = NOW + 86400 * 365,
	    .store = store,
	    .private_out = &asking->private,
	};
}

static void asking_end(struct asking *asking)
{
	cluster_free(asking->cluster);
	policy_free(asking->policy);
}
#define ASKING(name, store, is_private)                                        \
	__attribute__((cleanup(asking_end))) struct asking name = {0};         \
	asking_begin(&name, (store), (is_private))

/* Asks for one name, which is freed, and is refused. */
static void refuse(struct asking *asking, struct names *names)
{
	OWNED(names) owned = names;
	OWNED(decision) decision = NULL;

	asking->question.names = owned;
	asking->private = NULL;
	assert_int_equal(
	    policy_decide(&asking->question, &decision, &asking->err),
	    ERR_POLICY);
	/* Borrowed from NAMES: looked at here alone. */
	if (asking->private != NULL)
		assert_true(asking->private == owned->common_name ||
		    (owned->sans_count > 0 &&
			asking->private == owned->sans[0].text));
}

static int begin_sealed(void **state)
{
	struct fixture *fixture;
	OWNED(secret) key = NULL;

	if (fixture_begin_store(state) != 0)
		return -1;
	fixture = *state;
	key = secret_new(STORE_KEY_SIZE);
	memset(secret_data(key), 7, STORE_KEY_SIZE);
	return store_seal(fixture->store, BYTES_STR("x"), key,
		   &fixture->err) == ERR_OK
	    ? 0 : -1;
}
#define TEST_SEALED(name)                                                      \
	cmocka_unit_test_setup_teardown(name, begin_sealed, fixture_end)

static void assert_kept(struct fixture *fixture, struct asking *asking,
    struct names *names, const char *name)
{
	char alias[ALIAS_TEXT_SIZE];

	refuse(asking, names);
	assert_non_null(strstr(asking->err.detail, name));
	assert_non_null(asking->private);
	assert_true(alias_make(fixture->store, name, alias));
	assert_non_null(strstr(err_kept(&asking->err), alias));
	assert_non_null(strstr(err_kept(&asking->err), "(policy p, profile "));
	assert_null(strstr(err_kept(&asking->err), name));
	/* Of the cluster: its patterns may be whole names. */
	assert_null(strstr(err_kept(&asking->err), "example.net"));
	assert_null(strstr(err_kept(&asking->err), "10.1."));
}

static void a_private_name_that_is_refused_is_kept_as_its_alias(void **state)
{
	ASKING(hidden, ((struct fixture *)*state)->store, "true");

	assert_kept(*state, &hidden, names_of("DNS:" SECRET), SECRET);
	assert_kept(*state, &hidden, names_of("IP:10.9.8.7"), "10.9.8.7");
	assert_kept(*state, &hidden, names_of("URI:x:secret"), "x:secret");
	assert_kept(*state, &hidden, names_of("CN=Not Allowed"), "Not Allowed");
	assert_kept(*state, &hidden, names_of("CN=root@orders"), "root@orders");
	assert_kept(*state, &hidden, names_of("DNS:*.secret.example.org"),
	    "*.secret.example.org");
}

static void asked_for_under_another_profile_it_is_private_still(void **state)
{
	ASKING(hidden, ((struct fixture *)*state)->store, "true");

	hidden.question.profile = "open";
	assert_kept(*state, &hidden, names_of("DNS:" SECRET), SECRET);
	/* And in the place of the profile. */
	hidden.question.profile = SECRET;
	refuse(&hidden, names_of("DNS:db1.example.net"));
	assert_non_null(strstr(hidden.err.detail, SECRET));
	assert_null(strstr(err_kept(&hidden.err), SECRET));
	assert_null(hidden.private);
}

static void a_name_that_is_not_private_is_kept_as_it_is_told(void **state)
{
	ASKING(open, ((struct fixture *)*state)->store, "false");

	refuse(&open, names_of("DNS:" SECRET));
	assert_string_equal(err_kept(&open.err), open.err.detail);
	assert_non_null(strstr(open.err.detail, SECRET));
	assert_null(open.private);
	open.question.profile = SECRET;
	refuse(&open, names_of("DNS:db1.example.net"));
	assert_non_null(strstr(err_kept(&open.err), SECRET));
}

static void refusals_that_quote_no_name_are_kept_whole(void **state)
{
	ASKING(hidden, ((struct fixture *)*state)->store, "true");

	hidden.question.key_type = KEY_RSA_2048;
	refuse(&hidden, names_of("DNS:db1.example.net"));
	assert_string_equal(err_kept(&hidden.err), hidden.err.detail);
	assert_null(hidden.private);
}

/* Fail closed: less is told, not more. */
static void without_a_key_a_private_name_has_no_alias(void **state)
{
	ASKING(hidden, ((struct fixture *)*state)->store, "true");

	refuse(&hidden, names_of("DNS:" SECRET));
	assert_null(strstr(err_kept(&hidden.err), SECRET));
	assert_non_null(strstr(err_kept(&hidden.err), "(private)"));
	assert_null(hidden.private);
	hidden.question.store = NULL;
	refuse(&hidden, names_of("CN=" SECRET));
	assert_null(strstr(err_kept(&hidden.err), SECRET));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST_SEALED(a_private_name_that_is_refused_is_kept_as_its_alias),
	    TEST_SEALED(asked_for_under_another_profile_it_is_private_still),
	    TEST_SEALED(a_name_that_is_not_private_is_kept_as_it_is_told),
	    TEST_SEALED(refusals_that_quote_no_name_are_kept_whole),
	    TEST_STORE(without_a_key_a_private_name_has_no_alias),
	};
	struct err err = {0};
	uint8_t octet;
	size_t idle;
	int failed;

	/* The generator's own state is there from its first use. */
	if (secret_heap_open(1 << 18, &err) != ERR_OK ||
	    RAND_bytes(&octet, 1) != 1)
		return 1;
	idle = secret_heap_used();
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	if (secret_heap_used() != idle) {
		print_error("secrets are left in the locked heap\n");
		return 1;
	}
	return failed;
}
