// SPDX-License-Identifier: Apache-2.0
/* Goal: every pair of role and permission is as the committed table says, a
 * bound caller stays in its cluster, and whatever is not granted is refused.
 * To refresh golden/access.txt see assert_golden in fixture.h. */
#include "fixture.h"

#include <stdlib.h>
#include <string.h>

#include "policies/access.h"

static const enum role all_roles[] = {ROLE_ADMIN, ROLE_OPERATOR,
    ROLE_KEY_OFFICER, ROLE_AUDITOR, ROLE_NODE, ROLE_KMS, ROLE_KEY_USER};

#define ON(name) (&(struct object){.cluster = (name)})

static struct caller caller_of(uint32_t roles, const char *cluster)
{
	return (struct caller){.kind = CALLER_CERTIFICATE,
	    .roles = roles,
	    .cluster = (char *)(uintptr_t)cluster};
}

static enum err_code check(
    const struct caller *caller, enum permission permission, const char *cluster)
{
	struct err err;

	return authorize(caller, permission, &(struct object){.cluster = cluster},
	    &err);
}

static void the_table_of_grants_is_the_committed_one(void **state)
{
	OWNED_BUF(text);

	(void)state;
	access_print(&text);
	assert_golden("access.txt", buf_bytes(&text));
}

/* The table as the design states it, written a second time. */
static bool is_expected(enum role role, enum permission permission)
{
	bool reads = permission == PERM_CLUSTER_READ ||
	    permission == PERM_TOKEN_READ || permission == PERM_CERT_READ ||
	    permission == PERM_ISSUER_READ || permission == PERM_KEY_READ ||
	    permission == PERM_AUDIT_READ || permission == PERM_POLICY_READ ||
	    permission == PERM_STATUS_READ;
	bool identities = permission == PERM_IDENTITY_WRITE ||
	    permission == PERM_IDENTITY_READ ||
	    permission == PERM_IDENTITY_REVOKE ||
	    permission == PERM_SERVICE_REVOKE;

	if (permission == PERM_IDENTITY_RENEW)
		return role != ROLE_NODE;
	if (permission == PERM_APPROVAL_DECIDE)
		return role == ROLE_ADMIN || role == ROLE_KEY_OFFICER;
	if (permission == PERM_APPROVAL_READ)
		return role == ROLE_ADMIN || role == ROLE_KEY_OFFICER ||
		    role == ROLE_AUDITOR;
	switch (role) {
	case ROLE_ADMIN:
		return reads || identities ||
		    permission == PERM_CLUSTER_WRITE ||
		    permission == PERM_TOKEN_WRITE;
	case ROLE_OPERATOR:
		return permission == PERM_TOKEN_WRITE ||
		    permission == PERM_CERT_ISSUE ||
		    permission == PERM_CERT_REVOKE ||
		    permission == PERM_CRL_PUBLISH ||
		    (reads && permission != PERM_KEY_READ &&
			permission != PERM_AUDIT_READ);
	case ROLE_KEY_OFFICER:
		return permission == PERM_KEY_MANAGE ||
		    permission == PERM_KEY_READ ||
		    permission == PERM_CLUSTER_READ ||
		    permission == PERM_STATUS_READ;
	case ROLE_AUDITOR:
		return reads || permission == PERM_IDENTITY_READ;
	case ROLE_NODE:
		return permission == PERM_CERT_RENEW;
	case ROLE_KMS:
	case ROLE_KEY_USER:
		return permission == PERM_KEY_USE || permission == PERM_KEY_READ;
	}
	return false;
}

static void each_role_by_certificate_may_what_the_design_says(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(all_roles); i++) {
		struct caller caller = caller_of(all_roles[i], "orders");

		for (unsigned p = PERM_SELF + 1; p < PERM_COUNT; p++) {
			bool allowed = check(&caller, (enum permission)p,
			    "orders") == ERR_OK;

			if (allowed != is_expected(
			    all_roles[i], (enum permission)p))
				fail_msg("%s %s", role_name(all_roles[i]),
				    permission_name((enum permission)p));
		}
	}
}

static void a_bootstrap_token_lets_a_node_ask_for_a_certificate_alone(
    void **state)
{
	struct caller token = caller_of(ROLE_NODE, "orders");

	(void)state;
	token.kind = CALLER_TOKEN;
	for (unsigned p = PERM_SELF + 1; p < PERM_COUNT; p++)
		assert_int_equal(check(&token, (enum permission)p, "orders"),
		    p == PERM_CERT_ISSUE ? ERR_OK : ERR_FORBIDDEN);
	/* Roles of people are never reached by a token. */
	token.roles = ROLE_ALL_HUMAN;
	for (unsigned p = PERM_SELF + 1; p < PERM_COUNT; p++)
		assert_int_equal(check(&token, (enum permission)p, "orders"),
		    ERR_FORBIDDEN);
}

static void a_node_without_a_cluster_may_nothing(void **state)
{
	struct caller node = caller_of(ROLE_NODE, NULL);

	(void)state;
	assert_int_equal(check(&node, PERM_CERT_RENEW, "orders"), ERR_FORBIDDEN);
	node.kind = CALLER_TOKEN;
	assert_int_equal(check(&node, PERM_CERT_ISSUE, "orders"), ERR_FORBIDDEN);
}

static void a_program_without_a_cluster_may_nothing(void **state)
{
	struct caller kms = caller_of(ROLE_KMS, NULL);

	(void)state;
	for (unsigned p = PERM_SELF + 1; p < PERM_COUNT; p++) {
		kms.kind = CALLER_CERTIFICATE;
		assert_int_equal(
		    check(&kms, (enum permission)p, "orders"), ERR_FORBIDDEN);
		kms.kind = CALLER_KEY_TOKEN;
		assert_int_equal(
		    check(&kms, (enum permission)p, "orders"), ERR_FORBIDDEN);
	}
}

static void a_bearer_token_uses_and_reads_keys_of_its_cluster_alone(
    void **state)
{
	struct caller kms = caller_of(~0u, "orders");

	(void)state;
	kms.kind = CALLER_KEY_TOKEN;
	kms.custom = ~UINT64_C(0);
	for (unsigned p = PERM_SELF + 1; p < PERM_COUNT; p++)
		assert_int_equal(check(&kms, (enum permission)p, "orders"),
		    p == PERM_KEY_USE || p == PERM_KEY_READ ? ERR_OK
							    : ERR_FORBIDDEN);
	assert_int_equal(check(&kms, PERM_KEY_USE, "billing"), ERR_NOT_FOUND);
	assert_int_equal(check(&kms, PERM_KEY_READ, NULL), ERR_FORBIDDEN);
}

static void an_enrolment_code_enrols_and_nothing_else(void **state)
{
	struct caller code = caller_of(~0u, "orders");

	(void)state;
	code.kind = CALLER_CODE;
	code.custom = ~UINT64_C(0);
	for (unsigned p = PERM_SELF + 1; p < PERM_COUNT; p++)
		assert_int_equal(check(&code, (enum permission)p, NULL),
		    p == PERM_IDENTITY_ENROLL ? ERR_OK : ERR_FORBIDDEN);
}

static void a_kind_of_caller_that_is_unknown_is_nobody(void **state)
{
	struct caller caller = caller_of(~0u, NULL);

	(void)state;
	caller.custom = ~UINT64_C(0);
	for (int kind = CALLER_KEY_TOKEN + 1; kind < 40; kind++) {
		caller.kind = (enum caller_kind)kind;
		for (unsigned p = PERM_SELF; p < PERM_COUNT; p++)
			assert_int_equal(
			    check(&caller, (enum permission)p, NULL),
			    ERR_UNAUTHENTICATED);
	}
}

static enum err_code revoke(uint32_t roles, enum object_kind kind)
{
	struct caller caller = caller_of(roles, NULL);
	struct err err;

	return authorize(&caller, PERM_CERT_REVOKE,
	    &(struct object){.kind = kind}, &err);
}

static void an_operator_revokes_what_clusters_have_and_nothing_of_signets(
    void **state)
{
	struct caller operator = caller_of(ROLE_OPERATOR, NULL);
	const struct object identity = {.kind = OBJECT_IDENTITY};
	struct err err;

	(void)state;
	assert_int_equal(revoke(ROLE_OPERATOR, OBJECT_PLAIN), ERR_OK);
	assert_int_equal(revoke(ROLE_OPERATOR, OBJECT_ANY), ERR_OK);
	assert_int_equal(revoke(ROLE_OPERATOR, OBJECT_SERVICE), ERR_FORBIDDEN);
	assert_refused(
	    authorize(&operator, PERM_CERT_REVOKE, &identity, &err),
	    ERR_FORBIDDEN, &err, "identity.revoke", "operator");
	assert_int_equal(revoke(ROLE_ADMIN, OBJECT_IDENTITY), ERR_OK);
	assert_int_equal(revoke(ROLE_ADMIN, OBJECT_SERVICE), ERR_OK);
	assert_int_equal(revoke(ROLE_ADMIN, OBJECT_ANY), ERR_OK);
	assert_int_equal(revoke(ROLE_ADMIN, OBJECT_PLAIN), ERR_FORBIDDEN);
	assert_int_equal(revoke(ROLE_AUDITOR, OBJECT_ANY), ERR_FORBIDDEN);
	assert_int_equal(
	    revoke(ROLE_ALL_HUMAN, (enum object_kind)77), ERR_FORBIDDEN);
}

static void a_role_of_a_policy_file_never_makes_an_admin(void **state)
{
	struct caller caller = caller_of(0, "orders");

	(void)state;
	caller.custom = ~UINT64_C(0);
	for (unsigned p = PERM_SELF + 1; p < PERM_COUNT; p++)
		assert_int_equal(check(&caller, (enum permission)p, "orders"),
		    p == PERM_IDENTITY_RENEW ||
			permission_is_grantable((enum permission)p)
			? ERR_OK : ERR_FORBIDDEN);
	assert_false(permission_is_grantable(PERM_IDENTITY_WRITE));
	assert_false(permission_is_grantable(PERM_IDENTITY_REVOKE));
	assert_false(permission_is_grantable(PERM_SERVICE_REVOKE));
	assert_false(permission_is_grantable(PERM_COUNT));
	caller.custom = PERMISSION_BIT(PERM_KEY_USE);
	assert_int_equal(check(&caller, PERM_KEY_USE, "orders"), ERR_OK);
	caller.cluster = NULL;
	assert_int_equal(check(&caller, PERM_KEY_USE, "orders"), ERR_FORBIDDEN);
}

static void permissions_have_names_both_ways(void **state)
{
	enum permission found;

	(void)state;
	for (unsigned p = 0; p < PERM_COUNT; p++) {
		assert_true(permission_parse(
		    permission_name((enum permission)p), &found));
		assert_int_equal(found, p);
	}
	assert_false(permission_parse("cert.steal", &found));
	assert_false(permission_parse("", &found));
}

static void another_cluster_does_not_exist_for_a_bound_caller(void **state)
{
	struct caller kms = caller_of(ROLE_KMS, "orders");
	struct err err;

	(void)state;
	assert_int_equal(check(&kms, PERM_KEY_USE, "orders"), ERR_OK);
	assert_refused(authorize(&kms, PERM_KEY_USE, ON("billing"), &err),
	    ERR_NOT_FOUND, &err, "there is no cluster \"billing\"");
	/* Without the permission the answer is the same for every cluster. */
	assert_int_equal(check(&kms, PERM_KEY_MANAGE, "billing"), ERR_FORBIDDEN);
	assert_int_equal(check(&kms, PERM_KEY_MANAGE, "orders"), ERR_FORBIDDEN);
}

static void a_bound_caller_names_its_cluster_or_asks_of_the_instance(
    void **state)
{
	struct caller bound = caller_of(ROLE_AUDITOR, "orders");
	struct caller free_one = caller_of(ROLE_AUDITOR, NULL);
	struct err err;

	(void)state;
	assert_int_equal(check(&bound, PERM_STATUS_READ, NULL), ERR_OK);
	assert_int_equal(check(&bound, PERM_ISSUER_READ, NULL), ERR_OK);
	assert_int_equal(check(&bound, PERM_POLICY_READ, NULL), ERR_OK);
	assert_refused(authorize(&bound, PERM_CERT_READ, ON(NULL), &err),
	    ERR_FORBIDDEN, &err, "bound to cluster orders");
	assert_int_equal(check(&bound, PERM_AUDIT_READ, NULL), ERR_FORBIDDEN);
	assert_int_equal(check(&free_one, PERM_CERT_READ, NULL), ERR_OK);
	assert_int_equal(check(&free_one, PERM_CERT_READ, "billing"), ERR_OK);
}

static void roles_add_up(void **state)
{
	struct caller both = caller_of(ROLE_OPERATOR | ROLE_KEY_USER, NULL);

	(void)state;
	assert_int_equal(check(&both, PERM_CERT_REVOKE, "orders"), ERR_OK);
	assert_int_equal(check(&both, PERM_KEY_USE, "orders"), ERR_OK);
	assert_int_equal(check(&both, PERM_KEY_MANAGE, "orders"), ERR_FORBIDDEN);
}

static void whoever_is_known_may_ask_who_they_are(void **state)
{
	struct caller node = caller_of(ROLE_NODE, "orders");
	struct caller nobody = {.kind = CALLER_ANONYMOUS, .roles = ~0u};

	(void)state;
	assert_int_equal(check(&node, PERM_SELF, NULL), ERR_OK);
	node.kind = CALLER_TOKEN;
	assert_int_equal(check(&node, PERM_SELF, NULL), ERR_OK);
	assert_int_equal(
	    check(&nobody, PERM_SELF, NULL), ERR_UNAUTHENTICATED);
}

static void whoever_is_not_known_may_what_is_public(void **state)
{
	struct caller nobody = {.kind = CALLER_ANONYMOUS};
	struct caller confused = {.kind = CALLER_ANONYMOUS, .roles = ~0u};

	(void)state;
	assert_int_equal(check(&nobody, PERM_PUBLIC, NULL), ERR_OK);
	for (unsigned p = PERM_PUBLIC + 1; p < PERM_COUNT; p++) {
		assert_int_equal(check(&nobody, (enum permission)p, NULL),
		    ERR_UNAUTHENTICATED);
		assert_int_equal(check(&confused, (enum permission)p, NULL),
		    ERR_UNAUTHENTICATED);
	}
}

static void no_caller_has_the_permission_that_is_none(void **state)
{
	struct caller all = caller_of(~0u, "orders");
	struct caller no_roles = caller_of(0, NULL);
	struct err err;

	(void)state;
	assert_int_equal(check(&all, PERM_NONE, "orders"), ERR_FORBIDDEN);
	assert_int_equal(check(&all, PERM_COUNT, "orders"), ERR_FORBIDDEN);
	assert_refused(authorize(&no_roles, PERM_CERT_READ, ON(NULL), &err),
	    ERR_FORBIDDEN, &err, "cert.read", "role none");
}

static void roles_have_names_both_ways(void **state)
{
	OWNED_STR(two) = roles_format(ROLE_KMS | ROLE_ADMIN);
	OWNED_STR(none) = roles_format(0);
	enum role role;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(all_roles); i++) {
		assert_true(role_parse(role_name(all_roles[i]), &role));
		assert_int_equal(role, all_roles[i]);
	}
	assert_false(role_parse("root", &role));
	assert_false(role_parse("", &role));
	assert_string_equal(role_name((enum role)0), "unknown");
	assert_string_equal(permission_name(PERM_COUNT), "unknown");
	assert_string_equal(two, "admin,kms");
	assert_string_equal(none, "");
}

/* What is listed is what is decided by. */
static void what_is_told_of_a_role_is_what_it_may(void **state)
{
	(void)state;
	for (size_t i = 0; i < ROLE_COUNT; i++) {
		struct role_info info;
		struct caller caller, by_token;

		role_info(i, &info);
		assert_string_equal(info.name, role_name(info.role));
		assert_true(strlen(info.help) > 10);
		caller = caller_of(info.role, "orders");
		by_token = caller;
		by_token.kind = CALLER_TOKEN;
		for (unsigned p = PERM_SELF + 1; p < PERM_COUNT; p++) {
			enum permission permission = (enum permission)p;
			bool may = check(&caller, permission, "orders") == ERR_OK ||
			    check(&by_token, permission, "orders") == ERR_OK;

			assert_int_equal(
			    may, (info.all & PERMISSION_BIT(p)) != 0);
		}
		caller.cluster = NULL;
		assert_int_equal(info.bound,
		    check(&caller, PERM_IDENTITY_RENEW, NULL) != ERR_OK);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_table_of_grants_is_the_committed_one),
		cmocka_unit_test(
		    each_role_by_certificate_may_what_the_design_says),
		cmocka_unit_test(
		    a_bootstrap_token_lets_a_node_ask_for_a_certificate_alone),
		cmocka_unit_test(a_node_without_a_cluster_may_nothing),
		cmocka_unit_test(a_program_without_a_cluster_may_nothing),
		cmocka_unit_test(
		    a_bearer_token_uses_and_reads_keys_of_its_cluster_alone),
		cmocka_unit_test(an_enrolment_code_enrols_and_nothing_else),
		cmocka_unit_test(a_kind_of_caller_that_is_unknown_is_nobody),
		cmocka_unit_test(
		    an_operator_revokes_what_clusters_have_and_nothing_of_signets),
		cmocka_unit_test(
		    a_role_of_a_policy_file_never_makes_an_admin),
		cmocka_unit_test(permissions_have_names_both_ways),
		cmocka_unit_test(
		    another_cluster_does_not_exist_for_a_bound_caller),
		cmocka_unit_test(
		    a_bound_caller_names_its_cluster_or_asks_of_the_instance),
		cmocka_unit_test(roles_add_up),
		cmocka_unit_test(whoever_is_known_may_ask_who_they_are),
		cmocka_unit_test(whoever_is_not_known_may_what_is_public),
		cmocka_unit_test(no_caller_has_the_permission_that_is_none),
		cmocka_unit_test(roles_have_names_both_ways),
		cmocka_unit_test(what_is_told_of_a_role_is_what_it_may),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
