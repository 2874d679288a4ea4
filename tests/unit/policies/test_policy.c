// SPDX-License-Identifier: Apache-2.0
/* Goal: the shipped policies say what the committed text says, and a policy file
 * that is wrong anywhere is refused with file, line and reason, all or none.
 * To refresh the golden files see assert_golden in fixture.h. */
#include "fixture.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fs.h"

static void the_shipped_policies_are_the_committed_ones(void **state)
{
	static const char *const names[] = {
	    "etcd", "generic-tls", "postgresql", "yugabytedb"};
	OWNED(policy_set) set = shipped_policies();

	(void)state;
	assert_int_equal(policy_set_count(set), ARRAY_LEN(names));
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		const struct policy *policy = policy_set_at(set, i);
		OWNED_STR(file) = mem_printf("%s.txt", names[i]);
		OWNED_BUF(text);

		assert_string_equal(policy_name(policy), names[i]);
		policy_print(policy, &text);
		assert_golden(file, buf_bytes(&text));
	}
}

static void a_policy_lists_its_profiles(void **state)
{
	OWNED(policy_set) set = shipped_policies();
	const struct policy *policy = NULL;
	struct err err;

	(void)state;
	assert_int_equal(policy_set_get(set, "etcd", &policy, &err), ERR_OK);
	assert_string_equal(policy_description(policy), "etcd clusters");
	assert_int_equal(policy_profile_count(policy), 4);
	assert_string_equal(policy_profile_name(policy, 0), "peer");
	assert_string_equal(policy_profile_name(policy, 2), "client");
	assert_true(policy_has_profile(policy, "server"));
	assert_false(policy_has_profile(policy, "Server"));
	assert_false(policy_has_profile(policy, ""));
}

static void an_unknown_policy_is_refused_with_those_there_are(void **state)
{
	OWNED(policy_set) set = shipped_policies();
	const struct policy *policy = NULL;
	struct err err;

	(void)state;
	assert_refused(policy_set_get(set, "mysql", &policy, &err), ERR_POLICY,
	    &err, "\"mysql\"", "etcd, generic-tls, postgresql, yugabytedb");
	assert_null(policy);
}

static void a_set_lives_until_its_last_user_lets_go(void **state)
{
	struct policy_set *set = shipped_policies();
	struct policy_set *mine = policy_set_ref(set);

	(void)state;
	policy_set_free(set);
	assert_string_equal(policy_name(policy_set_at(mine, 0)), "etcd");
	policy_set_free(mine);
	policy_set_free(NULL);
	policy_free(NULL);
	decision_free(NULL);
}

/* The file of a good policy; every refusal below changes one line of it. */
static const char *const good_lines[] = {
	"version: 1",
	"description: a test",
	"profiles:",
	"  - name: one",
	"    description: the first",
	"    key_types: [ec-p256, rsa-2048]",
	"    validity: {default: 1d, maximum: 2d}",
	"    key_usage: [digital-signature, key-encipherment]",
	"    extended_key_usage: [server-auth]",
	"    names:",
	"      dns: [\"{cluster.dns}\", \"*.{cluster}.svc.example\", localhost]",
	"      ip:",
	"        - \"{cluster.ip}\"",
	"        - 127.0.0.0/8",
	"      uri: [\"signet://{cluster}/x/{identifier}\"]",
	"      common_name: [\"{san.dns}\", \"{identifier}@{cluster}\"]",
	"      wildcards: true",
	"      require: [host, uri]",
	"  - name: two",
	"    description: the second, which allows no name at all",
	"    key_types: [ec-p384]",
	"    validity: {default: 1d, maximum: 1d, backdate: 0s}",
	"    key_usage: [digital-signature]",
	"    extended_key_usage: [client-auth]",
};

static void write_file(
    const struct fixture *fixture, const char *name, struct bytes text)
{
	OWNED_STR(path) = fs_join(fixture->dir, name);
	struct err err;

	assert_int_equal(fs_write(path, 0644, text, &err), ERR_OK);
}

/* Writes NAME with line LINE (from 1; 0: none) replaced. */
static void write_policy(const struct fixture *fixture, const char *name,
    size_t line, const char *replacement)
{
	OWNED_BUF(text);

	for (size_t i = 0; i < ARRAY_LEN(good_lines); i++)
		buf_printf(&text, "%s\n",
		    i + 1 == line ? replacement : good_lines[i]);
	write_file(fixture, name, buf_bytes(&text));
}

static enum err_code load(struct fixture *fixture, const char *name)
{
	OWNED_STR(path) = fs_join(fixture->dir, name);
	OWNED(policy) policy = NULL;

	return policy_load(path, &policy, &fixture->err);
}

static void a_good_file_is_loaded_whole(void **state)
{
	struct fixture *fixture = *state;
	OWNED_STR(path) = fs_join(fixture->dir, "good.yaml");
	OWNED(policy) policy = NULL;
	OWNED_BUF(text);

	write_policy(fixture, "good.yaml", 0, NULL);
	if (policy_load(path, &policy, &fixture->err) != ERR_OK)
		fail_msg("%s", fixture->err.detail);
	policy_print(policy, &text);
	assert_golden("test-good.txt", buf_bytes(&text));
}

/* Of the policy with LINE in the place of line 5. */
static bool calls_names_private(
    struct fixture *fixture, const char *line, const char *golden)
{
	OWNED_STR(path) = fs_join(fixture->dir, "p.yaml");
	OWNED(policy) policy = NULL;
	OWNED_BUF(text);

	write_policy(fixture, "p.yaml", 5, line);
	if (policy_load(path, &policy, &fixture->err) != ERR_OK)
		fail_msg("%s", fixture->err.detail);
	policy_print(policy, &text);
	assert_golden(golden, buf_bytes(&text));
	return policy_has_private_names(policy);
}

static void names_are_private_where_the_policy_says_so_alone(void **state)
{
	assert_true(calls_names_private(*state,
	    "    description: x\n    private_names: true", "test-private.txt"));
	assert_false(calls_names_private(*state,
	    "    description: x\n    private_names: false", "test-public.txt"));
	assert_false(
	    calls_names_private(*state, "    description: x", "test-public.txt"));
}

static void what_is_wrong_in_a_file_is_told_with_its_line(void **state)
{
	static const struct {
		size_t line;
		const char *text;
		const char *place;	/* "FILE:LINE: KEY" */
		const char *word;
	} samples[] = {
		{1, "version: 2", "p.yaml:1: version", "format 2"},
		{1, "version: one", "p.yaml:1: version", ""},
		{2, "# no description", "p.yaml", "description"},
		{4, "  - name: One", "p.yaml:4: profiles[1].name", "\"One\""},
		{4, "  - name: \"\"", "p.yaml:4", ""},
		{19, "  - name: one", "p.yaml:19: profiles[2].name", "twice"},
		{6, "    key_types: [ec-p256, dsa-1024]",
		    "p.yaml:6: profiles[1].key_types[2]", "ec-p256, ec-p384"},
		{6, "    key_types: [ec-p256, ec-p256]",
		    "p.yaml:6: profiles[1].key_types[2]", "twice"},
		{6, "    key_types: []", "p.yaml:6", ""},
		{6, "    key_type: [ec-p256]", "p.yaml:6", "key_type"},
		{7, "    validity: {default: 3d, maximum: 2d}",
		    "p.yaml:7: profiles[1].validity.default", "more than"},
		{7, "    validity: {default: 1x, maximum: 2d}",
		    "p.yaml:7: profiles[1].validity.default", "\"1x\""},
		{7, "    validity: {default: 1d, maximum: 50y}",
		    "p.yaml:7: profiles[1].validity.maximum", "is not from"},
		{7, "    validity: {default: 1s, maximum: 2d}",
		    "p.yaml:7: profiles[1].validity.default", "is not from"},
		{7, "    validity: {default: 1d, maximum: 2d, backdate: 2d}",
		    "p.yaml:7: profiles[1].validity.backdate", "is not from"},
		{7, "    validity: {default: 1d}", "p.yaml:7", "maximum"},
		{8, "    key_usage: [cert-sign]",
		    "p.yaml:8: profiles[1].key_usage[1]", "digital-signature"},
		{8, "    key_usage: [key-encipherment]",
		    "p.yaml:8: profiles[1].key_usage", "ec-p256"},
		{9, "    extended_key_usage: [ocsp-signing]",
		    "p.yaml:9: profiles[1].extended_key_usage[1]",
		    "server-auth, client-auth"},
		{9, "    extended_key_usage: []", "p.yaml:9", ""},
		{11, "      dns: [\"{cluster.dns}\", \"db-{cluster}.example\"]",
		    "p.yaml:11: profiles[1].names.dns[2]", "no placeholder"},
		{13, "        - \"{cluster.dns}\"",
		    "p.yaml:13: profiles[1].names.ip[1]", "not an IP"},
		{14, "        - 127.0.0.1/8",
		    "p.yaml:14: profiles[1].names.ip[2]", "beyond the prefix"},
		{15, "      uri: [\"{cluster}\"]",
		    "p.yaml:15: profiles[1].names.uri[1]", "no scheme"},
		{16, "      common_name: [\"*\"]",
		    "p.yaml:16: profiles[1].names.common_name[1]", "pattern"},
		{17, "      wildcards: yes",
		    "p.yaml:17: profiles[1].names.wildcards", "true nor false"},
		{17, "      wildcards: flase",
		    "p.yaml:17: profiles[1].names.wildcards", "true nor false"},
		{17, "      dns: [a.example]", "p.yaml:17", "twice"},
		{18, "      require: [name]",
		    "p.yaml:18: profiles[1].names.require[1]", "common-name"},
		{18, "      requires: [host]", "p.yaml:18", "requires"},
		{10, "    names: {", "p.yaml", "not valid YAML"},
		{5, "    description: x\n    private_names: yes",
		    "p.yaml:6: profiles[1].private_names", "true nor false"},
		{5, "    description: x\n    private_names: [dns]", "p.yaml:6", ""},
		{10, "    names:\n      private_names: true", "p.yaml:11",
		    "private_names"},
	};
	struct fixture *fixture = *state;

	for (size_t i = 0; i < ARRAY_LEN(samples); i++) {
		write_policy(
		    fixture, "p.yaml", samples[i].line, samples[i].text);
		assert_refused(load(fixture, "p.yaml"), ERR_CONFIG,
		    &fixture->err, samples[i].place, samples[i].word);
	}
}

/* GHSA-59w7: what a template lets through must not depend on what stands beside
 * or inside a placeholder. */
static void templates_that_could_be_widened_are_refused(void **state)
{
	static const struct {
		size_t line;
		const char *key;
		const char *templates[12];
	} samples[] = {
		{11, "dns",
		    {"*", "*.net", "**.example.net", "a*.example.net",
			"a.*.example.net", "{cluster}x.example",
			"{cluster}{cluster}.example", "{cluster.ip}",
			"{identifier}.example", "{cluster.dns}.example",
			"Upper.example", "{}"}},
		{11, "dns",
		    {"*.{cluster}", "{cluster", "cluster}", "{Cluster}.example",
			"{ cluster }.example", "10.0.0.1", "a..example",
			"a_b.example", "a.example.", "[a-z].example",
			"{cluster.name}.example", "a.example, b.example"}},
		{15, "uri",
		    {"signet://*", "signet://{cluster}x/", "{identifier}",
			"signet://{cluster.dns}/", "signet://{identifier}/{identifier}",
			"signet://{identifier}{cluster}/", "x:[a]", "x:a?b",
			"x: y", "x:$y", "x:y|z", "//{cluster}"}},
		{16, "common_name",
		    {"*", "app?", "[a-z]+", "^app$", "a|b", "app*",
			"{identifier}{cluster}", "{cluster}-{identifier}",
			"{identifier}_x", "{san.uri}", "{san.dns}x", " app"}},
	};
	struct fixture *fixture = *state;

	for (size_t i = 0; i < ARRAY_LEN(samples); i++) {
		for (size_t j = 0; j < 12; j++) {
			OWNED_STR(line) = mem_printf("      %s: ['%s']",
			    samples[i].key, samples[i].templates[j]);
			OWNED_STR(place) = mem_printf(
			    "p.yaml:%zu: profiles[1].names.%s[1]: ",
			    samples[i].line, samples[i].key);

			write_policy(fixture, "p.yaml", samples[i].line, line);
			assert_refused(load(fixture, "p.yaml"), ERR_CONFIG,
			    &fixture->err, place);
		}
	}
}

/* A role of any cluster may spell the name of another. */
static void no_common_name_is_the_name_of_a_cluster_alone(void **state)
{
	struct fixture *fixture = *state;

	write_policy(
	    fixture, "p.yaml", 16, "      common_name: ['{cluster}']");
	assert_refused(load(fixture, "p.yaml"), ERR_CONFIG, &fixture->err,
	    "p.yaml:16", "NAME@{cluster}");
	write_policy(
	    fixture, "p.yaml", 16, "      common_name: ['node@{cluster}']");
	assert_int_equal(load(fixture, "p.yaml"), ERR_OK);
}

static void a_template_longer_than_its_bound_is_refused(void **state)
{
	struct fixture *fixture = *state;
	char template[600] = "signet://";
	OWNED_STR(line) = NULL;

	memset(template + 9, 'a', sizeof(template) - 10);
	line = mem_printf("      uri: ['%s']", template);
	write_policy(fixture, "p.yaml", 15, line);
	assert_refused(load(fixture, "p.yaml"), ERR_CONFIG, &fixture->err,
	    "p.yaml:15", "longer than 512");
}

static void the_name_of_the_file_is_a_label_with_yaml_behind(void **state)
{
	static const char *const names[] = {
	    "Etcd.yaml", "a_b.yaml", ".yaml", "etcd.yml", "etcd", "-a.yaml"};
	struct fixture *fixture = *state;

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		write_policy(fixture, names[i], 0, NULL);
		assert_refused(load(fixture, names[i]), ERR_CONFIG,
		    &fixture->err, "NAME.yaml");
	}
}

static void a_file_that_is_not_there_or_too_large_is_an_error(void **state)
{
	struct fixture *fixture = *state;
	OWNED_BUF(large);

	assert_int_equal(load(fixture, "absent.yaml"), ERR_NOT_FOUND);
	memset(buf_extend(&large, 300 * 1024), '#', 300 * 1024);
	write_file(fixture, "large.yaml", buf_bytes(&large));
	assert_refused(load(fixture, "large.yaml"), ERR_CONFIG, &fixture->err,
	    "large.yaml:1", "longer than 262144");
}

static enum err_code load_set(struct fixture *fixture)
{
	OWNED(policy_set) set = NULL;

	return policy_set_load(fixture->dir, &set, &fixture->err);
}

static void one_bad_file_refuses_the_whole_folder(void **state)
{
	struct fixture *fixture = *state;

	assert_refused(load_set(fixture), ERR_CONFIG, &fixture->err, "0 policies");
	write_policy(fixture, "a.yaml", 0, NULL);
	write_policy(fixture, ".hidden.yaml", 1, "version: 9");
	write_policy(fixture, "notes.txt", 1, "version: 9");
	assert_int_equal(load_set(fixture), ERR_OK);
	write_policy(fixture, "b.yaml", 1, "version: 9");
	assert_refused(load_set(fixture), ERR_CONFIG, &fixture->err,
	    "b.yaml:1", "format 9");
}

static void a_folder_that_is_not_there_is_refused(void **state)
{
	struct fixture *fixture = *state;
	struct policy_set *set = NULL;

	assert_refused(policy_set_load("/nonexistent", &set, &fixture->err),
	    ERR_CONFIG, &fixture->err, "/nonexistent");
	assert_null(set);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_shipped_policies_are_the_committed_ones),
		cmocka_unit_test(a_policy_lists_its_profiles),
		cmocka_unit_test(
		    an_unknown_policy_is_refused_with_those_there_are),
		cmocka_unit_test(a_set_lives_until_its_last_user_lets_go),
		TEST(a_good_file_is_loaded_whole),
		TEST(names_are_private_where_the_policy_says_so_alone),
		TEST(what_is_wrong_in_a_file_is_told_with_its_line),
		TEST(templates_that_could_be_widened_are_refused),
		TEST(no_common_name_is_the_name_of_a_cluster_alone),
		TEST(a_template_longer_than_its_bound_is_refused),
		TEST(the_name_of_the_file_is_a_label_with_yaml_behind),
		TEST(a_file_that_is_not_there_or_too_large_is_an_error),
		TEST(one_bad_file_refuses_the_whole_folder),
		TEST(a_folder_that_is_not_there_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
