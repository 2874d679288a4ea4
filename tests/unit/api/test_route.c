// SPDX-License-Identifier: Apache-2.0
#include "harness.h"
#include <jansson.h>
#include <stdio.h>
#include "api/openapi.h"
#include "api/route.h"

static char text[1024];
static struct target target;
static struct err err;
static const struct route *route;
static struct route_params params;
static const char *allow;

static enum err_code find(const char *method, const char *path)
{
	snprintf(text, sizeof(text), "%s", path);
	err = (struct err){0};
	assert_ok(target_parse(text, &target, &err));
	return route_find(method, &target, &route, &params, &allow, &err);
}

static void every_route_needs_a_permission(void **state)
{
	(void)state;
	for (size_t i = 0; i < ROUTE_COUNT; i++) {
		assert_int_not_equal(route_table[i].permission, PERM_NONE);
		assert_true(route_table[i].permission < PERM_COUNT);
	}
}

/* What is read stands in the audit log before it is told, and that waits. */
static void every_route_that_reads_what_is_not_open_may_wait(void **state)
{
	(void)state;
	for (size_t i = 0; i < ROUTE_COUNT; i++)
		assert_true(route_table[i].method != METHOD_GET ||
		    route_table[i].permission == PERM_PUBLIC ||
		    (route_table[i].flags & ROUTE_JOB) != 0);
}

static void nothing_but_roots_and_what_tells_nothing_is_open_to_everybody(
    void **state)
{
	(void)state;
	for (size_t i = 0; i < ROUTE_COUNT; i++) {
		route_handler *handler = route_table[i].handler;
		bool open = handler == handle_roots ||
			    handler == handle_openapi || handler == handle_ping;
		assert_int_equal(
		    route_table[i].permission == PERM_PUBLIC, open);
	}
}

static void a_bootstrap_token_opens_enrolment_and_who_am_i_alone(void **state)
{
	(void)state;
	for (size_t i = 0; i < ROUTE_COUNT; i++) {
		route_handler *handler = route_table[i].handler;
		assert_int_equal((route_table[i].flags & ROUTE_TOKEN) != 0,
		    handler == handle_certificate_issue ||
			handler == handle_self);
	}
}

static void codes_open_enrolment_and_bearer_tokens_the_use_of_keys(void **state)
{
	(void)state;
	for (size_t i = 0; i < ROUTE_COUNT; i++) {
		const struct route *entry = &route_table[i];
		bool keys = entry->permission == PERM_KEY_USE ||
			    (entry->permission == PERM_KEY_READ &&
				entry->scope == SCOPE_CLUSTER);
		assert_int_equal((entry->flags & ROUTE_CODE) != 0,
		    entry->permission == PERM_IDENTITY_ENROLL);
		assert_int_equal((entry->flags & ROUTE_KEY_TOKEN) != 0,
		    keys || entry->handler == handle_self);
	}
}

static void a_route_with_a_cluster_in_its_path_is_checked_for_it(void **state)
{
	(void)state;
	for (size_t i = 0; i < ROUTE_COUNT; i++)
		assert_int_equal(
		    strstr(route_table[i].path, "{cluster}") != NULL,
		    route_table[i].scope == SCOPE_CLUSTER);
}

static void posts_and_patches_take_a_body_and_changes_wait_on_a_thread(
    void **state)
{
	(void)state;
	for (size_t i = 0; i < ROUTE_COUNT; i++) {
		bool body = route_table[i].method == METHOD_POST ||
			    route_table[i].method == METHOD_PATCH;
		assert_int_equal(route_table[i].body_max > 0, body);
		if (route_table[i].method != METHOD_GET)
			assert_true(route_table[i].flags & ROUTE_JOB);
	}
}

/* Could one path match both?  Where one has a parameter, anything matches. */
static bool overlap(const char *a, const char *b)
{
	while (*a != '\0' && *b != '\0') {
		size_t la = strcspn(a + 1, "/"), lb = strcspn(b + 1, "/");
		bool same = la == lb && strncmp(a + 1, b + 1, la) == 0;
		if (!same && a[1] != '{' && b[1] != '{')
			return false;
		a += 1 + la;
		b += 1 + lb;
	}
	return *a == *b;
}

static void no_two_routes_could_match_one_request(void **state)
{
	(void)state;
	for (size_t i = 0; i < ROUTE_COUNT; i++)
		for (size_t k = i + 1; k < ROUTE_COUNT; k++)
			if (route_table[i].method == route_table[k].method)
				assert_false(overlap(
				    route_table[i].path, route_table[k].path));
}

static void each_route_is_found_by_its_own_path(void **state)
{
	(void)state;
	for (size_t i = 0; i < ROUTE_COUNT; i++) {
		assert_ok(find(
		    method_name(route_table[i].method), route_table[i].path));
		assert_ptr_equal(route, &route_table[i]);
	}
}

static void parameters_are_taken_from_the_path(void **state)
{
	(void)state;
	assert_ok(find("POST", "/clusters/orders/keys/data/unwrap"));
	assert_string_equal(params.cluster, "orders");
	assert_string_equal(params.item, "data");
	assert_ok(find("GET", "/certificates/01ab"));
	assert_null(params.cluster);
	assert_string_equal(params.item, "01ab");
}

static void head_is_answered_as_get(void **state)
{
	(void)state;
	assert_ok(find("HEAD", "/clusters"));
	assert_int_equal(route->method, METHOD_GET);
}

static void a_path_that_is_none_is_not_found(void **state)
{
	static const char *const paths[] = {"/cluster", "/clustersx",
	    "/clusters/a/b", "/clusters/a/certificates/renew/x", "/a",
	    "/clusters/a/tokens/b/c", "/Clusters", "/certificates/a/revoked"};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(paths); i++)
		assert_refused(find("GET", paths[i]), ERR_NOT_FOUND, "nothing");
}

static void a_wrong_method_is_told_the_right_ones(void **state)
{
	(void)state;
	assert_refused(
	    find("PUT", "/clusters"), ERR_BAD_METHOD, "GET, HEAD, POST");
	assert_string_equal(allow, "GET, HEAD, POST");
	assert_refused(find("OPTIONS", "/clusters/a/keys/b/unwrap"),
	    ERR_BAD_METHOD, "POST");
	assert_string_equal(allow, "POST");
	assert_refused(find("get", "/roots"), ERR_BAD_METHOD, "GET");
	assert_refused(
	    find("DELETE", "/clusters/a/tokens"), ERR_BAD_METHOD, "POST");
	assert_null(route);
}

static void names_that_the_query_may_have_are_those_of_the_route(void **state)
{
	(void)state;
	assert_ok(find("GET", "/certificates?cluster=a&limit=3&state=valid"));
	assert_ok(route_check_query(route, &target, &err));
	assert_ok(find("GET", "/certificates?clust=a"));
	assert_refused(route_check_query(route, &target, &err), ERR_BAD_FIELD,
	    "\"clust\"");
	assert_ok(find("GET", "/certificates?,=a"));
	assert_refused(route_check_query(route, &target, &err), ERR_BAD_FIELD,
	    "not known");
	assert_ok(find("GET", "/roots?limit=1"));
	assert_refused(route_check_query(route, &target, &err), ERR_BAD_FIELD,
	    "known: none");
	assert_ok(find("GET", "/certificates?=a"));
	assert_refused(route_check_query(route, &target, &err), ERR_BAD_FIELD,
	    "not known");
}

static json_t *described_operation(json_t *paths, const struct route *one)
{
	static const char *const names[METHOD_COUNT] = {
	    "get", "post", "patch", "delete"};
	return json_object_get(
	    json_object_get(paths, one->path), names[one->method]);
}

static void the_description_has_each_route_and_no_other(void **state)
{
	json_error_t error;
	json_t *root = json_loads(openapi_json, JSON_REJECT_DUPLICATES, &error);
	json_t *paths = json_object_get(root, "paths"), *methods;
	const char *path;
	size_t described = 0;
	(void)state;
	assert_non_null(root);
	for (size_t i = 0; i < ROUTE_COUNT; i++)
		if (described_operation(paths, &route_table[i]) == NULL)
			fail_msg("%s %s is not described",
			    method_name(route_table[i].method),
			    route_table[i].path);
	json_object_foreach(paths, path, methods) described +=
	    json_object_size(methods);
	assert_int_equal(described, ROUTE_COUNT);
	json_decref(root);
}

static size_t count_query(const char *names)
{
	size_t count = *names != '\0';
	for (; *names != '\0'; names++)
		count += *names == ',';
	return count;
}

static void the_description_has_the_query_and_body_of_each_route(void **state)
{
	json_t *root = json_loads(openapi_json, 0, NULL), *parameter;
	(void)state;
	for (size_t i = 0; i < ROUTE_COUNT; i++) {
		json_t *operation = described_operation(
		    json_object_get(root, "paths"), &route_table[i]);
		size_t at, query = 0;
		json_array_foreach(json_object_get(operation, "parameters"), at,
		    parameter) query +=
		    strcmp("query", json_string_value(
					json_object_get(parameter, "in"))) == 0;
		assert_int_equal(query, count_query(route_table[i].query));
		assert_int_equal(
		    json_object_get(operation, "requestBody") != NULL,
		    route_table[i].body_max > 0);
	}
	json_decref(root);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_route_needs_a_permission),
	    cmocka_unit_test(
		every_route_that_reads_what_is_not_open_may_wait),
	    cmocka_unit_test(
		nothing_but_roots_and_what_tells_nothing_is_open_to_everybody),
	    cmocka_unit_test(
		a_bootstrap_token_opens_enrolment_and_who_am_i_alone),
	    cmocka_unit_test(
		codes_open_enrolment_and_bearer_tokens_the_use_of_keys),
	    cmocka_unit_test(
		a_route_with_a_cluster_in_its_path_is_checked_for_it),
	    cmocka_unit_test(
		posts_and_patches_take_a_body_and_changes_wait_on_a_thread),
	    cmocka_unit_test(no_two_routes_could_match_one_request),
	    cmocka_unit_test(each_route_is_found_by_its_own_path),
	    cmocka_unit_test(parameters_are_taken_from_the_path),
	    cmocka_unit_test(head_is_answered_as_get),
	    cmocka_unit_test(a_path_that_is_none_is_not_found),
	    cmocka_unit_test(a_wrong_method_is_told_the_right_ones),
	    cmocka_unit_test(
		names_that_the_query_may_have_are_those_of_the_route),
	    cmocka_unit_test(the_description_has_each_route_and_no_other),
	    cmocka_unit_test(
		the_description_has_the_query_and_body_of_each_route),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
