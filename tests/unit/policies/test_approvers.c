// SPDX-License-Identifier: Apache-2.0
/* Goal: a file of approvals names who must consent to what, and whatever is wrong
 * in it is refused with file and line. */
#include "fixture.h"

#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "policies/approvers.h"

static char *write_file(struct fixture *fixture, const char *text)
{
	char *path = fs_join(fixture->dir, APPROVALS_FILE);

	assert_int_equal(
	    fs_write(path, 0600, BYTES_STR(text), &fixture->err), ERR_OK);
	return path;
}

#define RULE(actions, rest)                                                    \
	"version: 1\napprovals:\n  - actions: [" actions "]\n" rest
#define GOOD                                                                   \
	RULE("identity.create, key.destroy",                                   \
	    "    needed: 2\n    roles: [admin, key-officer]\n")                \
	"  - actions: [cluster.retire]\n    needed: 1\n"                       \
	"    identities: [Ann]\n    expires: 30m\n"

static void a_file_of_approvals_says_who_consents_to_what(void **state)
{
	struct fixture *fixture = *state;
	OWNED_STR(path) = write_file(fixture, GOOD);
	OWNED(approver_rules) rules = NULL;
	const struct approver_rule *rule;
	OWNED_BUF(text);

	assert_int_equal(
	    approver_rules_load(path, NULL, &rules, &fixture->err), ERR_OK);
	rule = approver_rules_find(rules, GUARDED_KEY_DESTROY);
	assert_int_equal(rule->needed, 2);
	assert_int_equal(rule->expires, 86400);
	rule = approver_rules_find(rules, GUARDED_CLUSTER_RETIRE);
	assert_int_equal(rule->expires, 1800);
	assert_null(approver_rules_find(rules, GUARDED_ISSUER_CREATE));
	assert_null(approver_rules_find(rules, GUARDED_NONE));
	assert_null(approver_rules_find(NULL, GUARDED_KEY_DESTROY));
	approver_rules_print(rules, &text);
	buf_put_u8(&text, '\0');
	assert_non_null(strstr((char *)text.data,
	    "    needs 2 of role admin, key-officer, within 1d\n"));
	assert_non_null(
	    strstr((char *)text.data, "    needs 1 of Ann, within 30m\n"));
}

/* Else one admin turned an auditor into the other, or took its place. */
static void a_change_needs_what_making_or_ending_an_approver_needs(
    void **state)
{
	static const struct {
		const char *text;
		unsigned needed;	/* 0: no rule */
	} files[] = {
	    {RULE("identity.create", "    needed: 2\n    roles: [admin]\n"), 2},
	    {RULE("identity.revoke", "    needed: 3\n    roles: [admin]\n"), 3},
	    {RULE("identity.revoke", "    needed: 3\n    roles: [admin]\n")
		"  - actions: [identity.create]\n    needed: 2\n"
		"    roles: [admin]\n", 2},
	    {RULE("identity.create", "    needed: 2\n    roles: [admin]\n")
		"  - actions: [identity.change]\n    needed: 1\n"
		"    roles: [admin]\n", 1},
	    {RULE("cluster.retire", "    needed: 2\n    roles: [admin]\n"), 0},
	};
	struct fixture *fixture = *state;

	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		OWNED_STR(path) = write_file(fixture, files[i].text);
		OWNED(approver_rules) rules = NULL;
		const struct approver_rule *rule;

		assert_int_equal(approver_rules_load(path, NULL, &rules,
				     &fixture->err), ERR_OK);
		rule = approver_rules_find(rules, GUARDED_IDENTITY_CHANGE);
		assert_int_equal(rule == NULL ? 0 : rule->needed,
		    files[i].needed);
	}
}

static void without_a_file_nothing_needs_consent(void **state)
{
	struct fixture *fixture = *state;
	OWNED_STR(path) = fs_join(fixture->dir, APPROVALS_FILE);
	OWNED(approver_rules) rules = NULL;

	assert_int_equal(
	    approver_rules_load(path, NULL, &rules, &fixture->err), ERR_OK);
	for (unsigned i = 0; i < GUARDED_COUNT; i++)
		assert_null(
		    approver_rules_find(rules, (enum guarded_action)i));
}

static void what_is_wrong_in_a_file_of_approvals_is_told_with_its_line(
    void **state)
{
	static const struct {
		const char *text, *line, *word;
	} files[] = {
	    {RULE("key.steal", "    needed: 1\n    roles: [admin]\n"),
		"approvals.yaml:3", "\"key.steal\""},
	    {RULE("none", "    needed: 1\n    roles: [admin]\n"),
		"approvals.yaml:3", "\"none\""},
	    {RULE("restore, restore", "    needed: 1\n    roles: [admin]\n"),
		"approvals.yaml:3", "twice"},
	    {RULE("restore", "    needed: 0\n    roles: [admin]\n"),
		"approvals.yaml:4", "from 1 to 8"},
	    {RULE("restore", "    needed: 9\n    roles: [admin]\n"),
		"approvals.yaml:4", "from 1 to 8"},
	    {RULE("restore", "    needed: 2\n    identities: [Ann]\n"),
		"approvals.yaml:4", "no more than 1"},
	    {RULE("restore", "    needed: 1\n"), "approvals.yaml:4", "than 0"},
	    {RULE("restore", "    needed: 1\n    roles: [king]\n"),
		"approvals.yaml:5", "\"king\""},
	    {RULE("restore", "    needed: 1\n    roles: [auditor]\n"),
		"approvals.yaml:5", "approval.decide"},
	    {RULE("restore", "    needed: 1\n    roles: [admin]\n"
			     "    expires: 1s\n"), "approvals.yaml:6", "1m"},
	    {RULE("restore", "    needed: 1\n    roles: [admin]\n"
			     "    expires: 31d\n"), "approvals.yaml:6", "30d"},
	    {"version: 2\napprovals: []\n", "approvals.yaml:1", "format 2"},
	    {"version: 1\napproval: []\n", "approvals.yaml:2", "approval"},
	};
	struct fixture *fixture = *state;

	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		OWNED_STR(path) = write_file(fixture, files[i].text);
		OWNED(approver_rules) rules = NULL;

		assert_refused(
		    approver_rules_load(path, NULL, &rules, &fixture->err),
		    ERR_CONFIG, &fixture->err, files[i].line, files[i].word);
		assert_null(rules);
	}
}

static void the_example_loads_and_is_off(void **state)
{
	struct fixture *fixture = *state;
	OWNED_STR(from) =
	    mem_printf("%s/policies/approvals.yaml.example", SOURCE_DIR);
	OWNED_STR(to) = fs_join(fixture->dir, APPROVALS_FILE);
	OWNED(approver_rules) rules = NULL;
	struct policy_set *shipped = shipped_policies();

	assert_int_equal(
	    fs_copy(from, to, 0600, 1 << 16, &fixture->err), ERR_OK);
	assert_int_equal(
	    approver_rules_load(to, NULL, &rules, &fixture->err), ERR_OK);
	assert_int_equal(
	    approver_rules_find(rules, GUARDED_IDENTITY_CREATE)->needed, 2);
	assert_null(approver_rules_find(
	    policy_set_approvers(shipped), GUARDED_IDENTITY_CREATE));
	policy_set_free(shipped);
}

static void every_action_has_one_name_and_words_for_people(void **state)
{
	(void)state;
	for (unsigned i = GUARDED_NONE + 1; i < GUARDED_COUNT; i++) {
		enum guarded_action found = GUARDED_NONE;
		const char *name = guarded_name((enum guarded_action)i);

		assert_true(guarded_parse(name, &found));
		assert_int_equal(found, i);
		assert_true(
		    strlen(guarded_help((enum guarded_action)i)) > 5);
	}
}

static void an_approver_is_who_may_decide_or_is_named(void **state)
{
	static const struct {
		const char *role, *name, *cluster;
		bool is;
	} cases[] = {
	    {"admin", "Eve", NULL, true},
	    {"key-officer", "Eve", NULL, true},
	    {"admin", "Eve", "orders", true},
	    {"operator", "Eve", NULL, false},
	    {"auditor", "Eve", NULL, false},
	    {"auditor", "Ann", NULL, true},
	};
	struct fixture *fixture = *state;
	OWNED_STR(path) = write_file(fixture, GOOD);
	OWNED(approver_rules) rules = NULL;

	assert_int_equal(
	    approver_rules_load(path, NULL, &rules, &fixture->err), ERR_OK);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		OWNED_STR(role) = mem_strdup(cases[i].role);
		OWNED_STR(name) = mem_strdup(cases[i].name);
		OWNED_STR(cluster) = cases[i].cluster == NULL
		    ? NULL : mem_strdup(cases[i].cluster);
		const struct identity identity = {.name = name,
		    .roles = &role,
		    .roles_count = 1,
		    .cluster = cluster};

		assert_int_equal(
		    approver_is(rules, NULL, &identity), cases[i].is);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_file_of_approvals_says_who_consents_to_what),
		TEST(without_a_file_nothing_needs_consent),
		TEST(
		    a_change_needs_what_making_or_ending_an_approver_needs),
		TEST(what_is_wrong_in_a_file_of_approvals_is_told_with_its_line),
		TEST(the_example_loads_and_is_off),
		TEST(every_action_has_one_name_and_words_for_people),
		TEST(an_approver_is_who_may_decide_or_is_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
