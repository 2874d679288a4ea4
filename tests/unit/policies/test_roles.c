// SPDX-License-Identifier: Apache-2.0
/* Goal: a file of roles gives what it says and no more, and whatever is wrong in
 * it is refused with file and line. */
#include "fixture.h"

#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "policies/roles.h"

static char *write_file(struct fixture *fixture, const char *text)
{
	char *path = fs_join(fixture->dir, ROLES_FILE);

	assert_int_equal(
	    fs_write(path, 0600, BYTES_STR(text), &fixture->err), ERR_OK);
	return path;
}

#define GOOD                                                                   \
	"version: 1\n"                                                         \
	"roles:\n"                                                             \
	"  - name: release\n"                                                  \
	"    description: issues, and sees what it issued\n"                   \
	"    actions:\n"                                                       \
	"      - cert.issue\n"                                                 \
	"      - cert.read\n"                                                  \
	"  - name: app\n"                                                      \
	"    description: opens data keys\n"                                   \
	"    actions:\n"                                                       \
	"      - key.use\n"

static void roles_of_a_file_give_their_actions_and_no_others(void **state)
{
	struct fixture *fixture = *state;
	OWNED_STR(path) = write_file(fixture, GOOD);
	OWNED(role_set) set = NULL;
	struct caller caller = {.kind = CALLER_CERTIFICATE};
	OWNED_BUF(text);

	assert_int_equal(role_set_load(path, &set, &fixture->err), ERR_OK);
	assert_int_equal(role_set_count(set), 2);
	assert_string_equal(role_set_name(set, 1), "app");
	assert_true(role_take(set, "release", &caller));
	assert_int_equal(caller.roles, 0);
	assert_int_equal(caller.custom, PERMISSION_BIT(PERM_CERT_ISSUE) |
		PERMISSION_BIT(PERM_CERT_READ));
	assert_true(role_take(set, "auditor", &caller));
	assert_int_equal(caller.roles, ROLE_AUDITOR);
	assert_false(role_take(set, "nobody", &caller));
	assert_false(role_take(NULL, "release", &caller));
	role_set_print(set, &text);
	buf_put_u8(&text, '\0');
	assert_non_null(strstr((char *)text.data,
	    "role release: issues, and sees what it issued\n"
	    "    may cert.issue, cert.read\n"));
}

static void a_file_of_roles_may_be_absent_or_empty(void **state)
{
	struct fixture *fixture = *state;
	OWNED_STR(none) = fs_join(fixture->dir, "none.yaml");
	OWNED_STR(path) = write_file(fixture, "version: 1\nroles: []\n");
	OWNED(role_set) absent = NULL;
	OWNED(role_set) empty = NULL;

	assert_int_equal(role_set_load(none, &absent, &fixture->err), ERR_OK);
	assert_int_equal(role_set_count(absent), 0);
	assert_int_equal(role_set_load(path, &empty, &fixture->err), ERR_OK);
	assert_int_equal(role_set_count(empty), 0);
}

#define ROLE(name, action)                                                     \
	"version: 1\nroles:\n  - name: " name "\n    description: d\n"         \
	"    actions:\n      - cert.read\n      - " action "\n"

static void what_is_wrong_in_a_file_of_roles_is_told_with_its_line(
    void **state)
{
	static const struct {
		const char *text, *line, *word;
	} files[] = {
	    {ROLE("a", "cert.steal"), "roles.yaml:7", "\"cert.steal\""},
	    {ROLE("a", "cert.read"), "roles.yaml:7", "twice"},
	    {ROLE("a", "none"), "roles.yaml:7", "not given"},
	    {ROLE("a", "public"), "roles.yaml:7", "not given"},
	    {ROLE("a", "self"), "roles.yaml:7", "not given"},
	    {ROLE("a", "cert.renew"), "roles.yaml:7", "not given"},
	    {ROLE("a", "identity.write"), "roles.yaml:7", "not given"},
	    {ROLE("a", "identity.revoke"), "roles.yaml:7", "not given"},
	    {ROLE("a", "identity.enroll"), "roles.yaml:7", "not given"},
	    {ROLE("a", "service.revoke"), "roles.yaml:7", "not given"},
	    {ROLE("admin", "key.read"), "roles.yaml:3", "built-in"},
	    {ROLE("kms", "key.read"), "roles.yaml:3", "built-in"},
	    {ROLE("A b", "key.read"), "roles.yaml:3", "a-z"},
	    {"version: 2\nroles: []\n", "roles.yaml:1", "format 2"},
	    {"version: 1\nrolls: []\n", "roles.yaml:2", "rolls"},
	    {ROLE("a", "key.read") "    also: x\n", "roles.yaml:8", "also"},
	    {ROLE("a", "key.read") "  - name: a\n    description: d\n"
		"    actions:\n      - key.read\n", "roles.yaml:8", "twice"},
	    {ROLE("a", "key.read") "  - name: b\n    description: d\n"
		"    actions: []\n", "roles.yaml:", "actions"},
	};
	struct fixture *fixture = *state;

	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		OWNED_STR(path) = write_file(fixture, files[i].text);
		OWNED(role_set) set = NULL;

		assert_refused(role_set_load(path, &set, &fixture->err),
		    ERR_CONFIG, &fixture->err, files[i].line, files[i].word);
		assert_null(set);
	}
}

static void the_folder_of_policies_brings_its_roles_or_nothing(void **state)
{
	struct fixture *fixture = *state;
	OWNED_STR(from) = mem_printf("%s/policies/etcd.yaml", SOURCE_DIR);
	OWNED_STR(etcd) = fs_join(fixture->dir, "etcd.yaml");
	OWNED_STR(path) = write_file(fixture, GOOD);
	OWNED(policy_set) set = NULL;
	OWNED(policy_set) bad = NULL;
	permissions found;

	assert_int_equal(
	    fs_copy(from, etcd, 0600, 1 << 16, &fixture->err), ERR_OK);
	assert_int_equal(
	    policy_set_load(fixture->dir, &set, &fixture->err), ERR_OK);
	assert_int_equal(policy_set_count(set), 1);
	assert_true(role_set_find(policy_set_roles(set), "app", &found));
	assert_int_equal(found, PERMISSION_BIT(PERM_KEY_USE));
	free(write_file(fixture, ROLE("a", "cert.steal")));
	assert_refused(policy_set_load(fixture->dir, &bad, &fixture->err),
	    ERR_CONFIG, &fixture->err, "roles.yaml:7");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(roles_of_a_file_give_their_actions_and_no_others),
		TEST(a_file_of_roles_may_be_absent_or_empty),
		TEST(what_is_wrong_in_a_file_of_roles_is_told_with_its_line),
		TEST(the_folder_of_policies_brings_its_roles_or_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
