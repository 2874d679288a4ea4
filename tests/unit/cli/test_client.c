// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/cli/harness.h"

#include <curl/curl.h>
#include <stdio.h>

#include "base/text.h"
#include "cli/client.h"
#include "cli/exit.h"
#include "tests/unit/cli/server.h"

/* One answer for every request, and what the last request was. */
struct scene {
	struct authority authority;
	struct server *server;
	struct client *client;
	char *root_pem;
	struct err err;

	int status;
	const char *type, *header, *body;
	size_t filler; /* octets of blanks put before the body */
	char *target, *head, *sent;
};

static void answer(const struct request *request, struct reply *reply, void *arg)
{
	struct scene *scene = arg;

	free(scene->target);
	free(scene->head);
	free(scene->sent);
	scene->target = mem_strdup(request->target);
	scene->head = mem_strdup(request->head);
	scene->sent = mem_strdup(request->body);
	reply->status = scene->status;
	reply->type = scene->type;
	reply->header = scene->header;
	if (scene->filler > 0)
		memset(buf_extend(&reply->body, scene->filler), ' ',
		    scene->filler);
	buf_put_str(&reply->body, scene->body);
}

static int begin(void **state)
{
	struct scene *scene = mem_zalloc(sizeof(*scene));

	scene->authority = authority_new("root");
	scene->root_pem = authority_pem(scene->authority.root);
	scene->server = server_start(
	    &scene->authority, "IP:127.0.0.1", answer, scene);
	scene->status = 200;
	scene->type = "application/json";
	scene->header = "";
	scene->body = "{}";
	struct client_options options = {.url = server_url(scene->server),
	    .ca_pem = bytes_str(scene->root_pem)};
	assert_ok(
	    client_open(&options, &scene->client, &scene->err), &scene->err);
	*state = scene;
	return 0;
}

static int end(void **state)
{
	struct scene *scene = *state;

	client_close(scene->client);
	server_stop(scene->server);
	authority_free(&scene->authority);
	free(scene->root_pem);
	free(scene->target);
	free(scene->head);
	free(scene->sent);
	free(scene);
	return 0;
}
#define SCENE(name) cmocka_unit_test_setup_teardown(name, begin, end)

static enum err_code call(struct scene *scene)
{
	OWNED_JSON(json) = NULL;

	return client_call(
	    scene->client, "GET", "/status", NULL, &json, &scene->err);
}

static void call_sends_and_takes_json(void **state)
{
	struct scene *scene = *state;
	OWNED_JSON(body) = json_pack("{s:s}", "name", "a");
	OWNED_JSON(json) = NULL;

	scene->body = "{\"x\":1}";
	assert_ok(client_call(scene->client, "POST", "/clusters", body, &json,
		      &scene->err),
	    &scene->err);
	assert_string_equal(scene->target, "POST /api/v1/clusters");
	assert_string_equal(scene->sent, "{\"name\":\"a\"}");
	assert_has(scene->head, "Content-Type: application/json");
	assert_int_equal(
	    json_integer_value(json_object_get(json, "x")), 1);
	assert_ok(client_call(scene->client, "DELETE", "/x", NULL, NULL,
		      &scene->err),
	    &scene->err);
	assert_string_equal(scene->target, "DELETE /api/v1/x");
	assert_string_equal(scene->sent, "");
}

static void token_goes_in_its_header_alone(void **state)
{
	struct scene *scene = *state;
	OWNED(secret) token = secret_copy("sgt_abc", 7);
	OWNED(client) client = NULL;
	struct client_options options = {.url = server_url(scene->server),
	    .ca_pem = bytes_str(scene->root_pem),
	    .token = token};

	assert_ok(client_open(&options, &client, &scene->err), &scene->err);
	assert_ok(
	    client_call(client, "GET", "/self", NULL, NULL, &scene->err),
	    &scene->err);
	assert_has(scene->head, "\r\nAuthorization: Bearer sgt_abc");
	assert_lacks(scene->target, "sgt_");
}

static void problem_becomes_the_error_that_the_server_had(void **state)
{
	static const struct {
		int status;
		const char *slug;
		enum err_code code;
		int exit;
	} table[] = {
	    {403, "refused-by-policy", ERR_POLICY, 4},
	    {403, "forbidden", ERR_FORBIDDEN, 4},
	    {401, "unauthenticated", ERR_UNAUTHENTICATED, 4},
	    {404, "not-found", ERR_NOT_FOUND, 1},
	    {409, "exists", ERR_EXISTS, 1},
	    {400, "unwrap-refused", ERR_UNWRAP, 1},
	    {503, "overloaded", ERR_OVERLOADED, 3},
	    {503, "hsm-unavailable", ERR_HSM_UNAVAILABLE, 3},
	    {503, "stopping", ERR_STOPPING, 3},
	    {500, "internal", ERR_INTERNAL, 1},
	    /* What a server cannot know of this side. */
	    {400, "usage", ERR_INTERNAL, 1},
	    {400, "bad-config", ERR_INTERNAL, 1},
	    {400, "never-heard-of", ERR_INTERNAL, 1},
	    {502, "never-heard-of", ERR_UNREACHABLE, 3},
	};
	struct scene *scene = *state;

	scene->type = "application/problem+json";
	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		OWNED_STR(body) =
		    mem_printf("{\"code\":\"%s\",\"detail\":\"do this\","
			       "\"request_id\":\"5f0c\"}",
			table[i].slug);
		scene->status = table[i].status;
		scene->body = body;
		assert_int_equal(call(scene), table[i].code);
		assert_int_equal(exit_for(scene->err.code), table[i].exit);
		if (err_is_refusal(table[i].code)) {
			assert_has(scene->err.detail, "do this");
			assert_has(scene->err.detail, "5f0c");
		}
		err_clear(&scene->err);
	}
}

static void answer_that_is_not_json_is_no_success(void **state)
{
	static const char *const bodies[] = {"<html>hello</html>", "",
	    "{\"a\":", "{} {}", "{\"a\":1,\"a\":2}", "[[[[[[[[[[[]]]]]]]]]]]",
	    "\xff\xfe"};
	struct scene *scene = *state;

	scene->type = "text/html";
	for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
		scene->body = bodies[i];
		scene->status = 200;
		assert_error(call(scene), ERR_INTERNAL, &scene->err,
		    "something that is not JSON");
		scene->status = 502;
		assert_error(call(scene), ERR_UNREACHABLE, &scene->err,
		    "status 502");
		scene->status = 404;
		assert_error(
		    call(scene), ERR_INTERNAL, &scene->err, "status 404");
	}
}

static void problem_with_fields_of_wrong_types_is_borne(void **state)
{
	static const char *const bodies[] = {"[]", "7", "null",
	    "{\"code\":7}", "{\"code\":[\"not-found\"]}", "{\"detail\":{}}"};
	struct scene *scene = *state;

	scene->status = 400;
	for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
		scene->body = bodies[i];
		assert_error(
		    call(scene), ERR_INTERNAL, &scene->err, "status 400");
	}
	scene->body = "{\"code\":\"not-found\",\"detail\":7}";
	assert_error(
	    call(scene), ERR_NOT_FOUND, &scene->err, "no reason given");
}

static void answer_too_large_is_cut_off(void **state)
{
	struct scene *scene = *state;

	scene->filler = 17 * 1024 * 1024;
	assert_error(call(scene), ERR_INTERNAL, &scene->err, "longer than");
	scene->filler = 1024 * 1024;
	assert_ok(call(scene), &scene->err);
}

static void redirect_is_not_followed(void **state)
{
	struct scene *scene = *state;
	unsigned before = server_requests(scene->server);
	OWNED_STR(header) = mem_printf(
	    "Location: %s/api/v1/other\r\n", server_url(scene->server));

	scene->status = 302;
	scene->header = header;
	assert_error(call(scene), ERR_INTERNAL, &scene->err, "status 302");
	assert_int_equal(server_requests(scene->server), before + 1);
}

static void proxy_of_the_environment_is_not_used(void **state)
{
	struct scene *scene = *state;

	setenv("https_proxy", "http://127.0.0.1:9", 1);
	setenv("ALL_PROXY", "http://127.0.0.1:9", 1);
	enum err_code code = call(scene);
	unsetenv("https_proxy");
	unsetenv("ALL_PROXY");
	assert_ok(code, &scene->err);
}

static void connection_closed_without_an_answer_is_temporary(void **state)
{
	struct scene *scene = *state;

	scene->status = 0;
	assert_error(
	    call(scene), ERR_UNREACHABLE, &scene->err, "no answer from");
	assert_int_equal(exit_for(ERR_UNREACHABLE), 3);
}

static void server_that_is_down_is_temporary(void **state)
{
	struct scene *scene = *state;
	OWNED(client) client = NULL;
	struct client_options options = {.url = "https://127.0.0.1:1",
	    .ca_pem = bytes_str(scene->root_pem)};

	assert_ok(client_open(&options, &client, &scene->err), &scene->err);
	assert_error(
	    client_call(client, "GET", "/x", NULL, NULL, &scene->err),
	    ERR_UNREACHABLE, &scene->err, "https://127.0.0.1:1");
}

static void server_of_another_root_or_name_is_refused(void **state)
{
	struct scene *scene = *state;
	struct authority other = authority_new("root");
	struct server *misnamed = server_start(
	    &scene->authority, "DNS:other.example.net", answer, scene);
	OWNED_STR(other_pem) = authority_pem(other.root);
	OWNED(client) wrong_root = NULL;
	OWNED(client) wrong_name = NULL;
	struct client_options options = {.url = server_url(scene->server),
	    .ca_pem = bytes_str(other_pem)};
	struct client_options named = {.url = server_url(misnamed),
	    .ca_pem = bytes_str(scene->root_pem)};

	assert_ok(client_open(&options, &wrong_root, &scene->err),
	    &scene->err);
	assert_error(
	    client_call(wrong_root, "GET", "/x", NULL, NULL, &scene->err),
	    ERR_POLICY, &scene->err, "not the server it should be");
	assert_ok(
	    client_open(&named, &wrong_name, &scene->err), &scene->err);
	assert_error(
	    client_call(wrong_name, "GET", "/x", NULL, NULL, &scene->err),
	    ERR_POLICY, &scene->err, "not the server it should be");
	assert_int_equal(server_requests(misnamed), 0);
	server_stop(misnamed);
	authority_free(&other);
}

static void url_that_is_not_https_is_refused(void **state)
{
	static const char *const urls[] = {
	    NULL, "", "http://127.0.0.1:1", "127.0.0.1", "file:///etc/passwd"};
	struct scene *scene = *state;
	OWNED(client) client = NULL;

	for (size_t i = 0; i < ARRAY_LEN(urls); i++) {
		struct client_options options = {.url = urls[i],
		    .ca_pem = bytes_str(scene->root_pem)};
		assert_error(client_open(&options, &client, &scene->err),
		    ERR_USAGE, &scene->err, "does not begin with https://");
	}
	struct client_options bare = {.url = "https://127.0.0.1:1"};
	assert_error(client_open(&bare, &client, &scene->err), ERR_USAGE,
	    &scene->err, "no root to trust");
}

static void files_that_cannot_be_used_are_not_configured(void **state)
{
	struct scene *scene = *state;
	OWNED(client) client = NULL;
	OWNED(client) other = NULL;
	struct client_options options = {.url = server_url(scene->server),
	    .ca_file = "/nonexistent/ca.pem"};
	struct client_options cert = {.url = server_url(scene->server),
	    .ca_pem = bytes_str(scene->root_pem),
	    .cert_file = "/nonexistent/cert.pem",
	    .key_file = "/nonexistent/key.pem"};

	assert_ok(client_open(&options, &client, &scene->err), &scene->err);
	assert_error(
	    client_call(client, "GET", "/x", NULL, NULL, &scene->err),
	    ERR_CONFIG, &scene->err, "ca.pem");
	assert_ok(client_open(&cert, &other, &scene->err), &scene->err);
	assert_error(client_call(other, "GET", "/x", NULL, NULL, &scene->err),
	    ERR_CONFIG, &scene->err, "cert.pem");
}

static void pages(const struct request *request, struct reply *reply, void *arg)
{
	(void)arg;
	if (strstr(request->target, "cursor=a%20b") != NULL)
		buf_put_str(&reply->body, "{\"items\":[3]}");
	else
		buf_put_str(
		    &reply->body, "{\"items\":[1,2],\"next\":\"a b\"}");
}

static void list_follows_its_pages(void **state)
{
	struct scene *scene = *state;
	struct server *server =
	    server_start(&scene->authority, "IP:127.0.0.1", pages, NULL);
	OWNED(client) client = NULL;
	OWNED_JSON(items) = NULL;
	struct client_options options = {.url = server_url(server),
	    .ca_pem = bytes_str(scene->root_pem)};

	assert_ok(client_open(&options, &client, &scene->err), &scene->err);
	assert_ok(client_list(client, "/x?limit=2", &items, &scene->err),
	    &scene->err);
	assert_int_equal(json_array_size(items), 3);
	assert_int_equal(server_requests(server), 2);
	server_stop(server);
}

static void list_that_is_none_is_refused(void **state)
{
	static const char *const bodies[] = {
	    "{}", "{\"items\":7}", "{\"items\":{}}", "[]"};
	struct scene *scene = *state;
	OWNED_JSON(items) = NULL;

	for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
		scene->body = bodies[i];
		assert_error(
		    client_list(scene->client, "/x", &items, &scene->err),
		    ERR_INTERNAL, &scene->err, "without a list");
	}
}

static void digest_of(const struct scene *scene, uint8_t digest[static 32])
{
	OWNED_STR(text) = authority_fingerprint(&scene->authority);

	assert_true(hex_parse(text + strlen("sha256:"), digest, 32));
}

static void root_is_taken_by_its_fingerprint(void **state)
{
	struct scene *scene = *state;
	struct authority other = authority_new("other");
	OWNED_STR(other_pem) = authority_pem(other.root);
	OWNED_JSON(body) = json_pack("{s:[{s:s},{s:s}]}", "items",
	    "certificate", other_pem, "certificate", scene->root_pem);
	OWNED_STR(text) = json_dumps(body, 0);
	OWNED_BUF(pem);
	uint8_t digest[32];

	digest_of(scene, digest);
	scene->body = text;
	assert_ok(client_fetch_root(server_url(scene->server), digest, &pem,
		      &scene->err),
	    &scene->err);
	OWNED_STR(got) = buf_to_str(&pem);
	assert_string_equal(got, scene->root_pem);

	digest[31] ^= 1;
	assert_error(client_fetch_root(server_url(scene->server), digest, &pem,
			 &scene->err),
	    ERR_POLICY, &scene->err, "wrong server, or wrong fingerprint");
	authority_free(&other);
}

static void nothing_is_trusted_that_stands_beside_the_pinned_root(void **state)
{
	struct scene *scene = *state;
	struct authority evil = authority_new("evil");
	OWNED_STR(evil_pem) = authority_pem(evil.root);
	OWNED_STR(both) = mem_printf("%s%s", scene->root_pem, evil_pem);
	OWNED_STR(reversed) = mem_printf("%s%s", evil_pem, scene->root_pem);
	OWNED_JSON(body) =
	    json_pack("{s:[{s:s}]}", "items", "certificate", both);
	OWNED_JSON(other) =
	    json_pack("{s:[{s:s}]}", "items", "certificate", reversed);
	OWNED_STR(text) = json_dumps(body, 0);
	OWNED_STR(other_text) = json_dumps(other, 0);
	OWNED_BUF(pem);
	uint8_t digest[32];

	digest_of(scene, digest);
	scene->body = text;
	assert_ok(client_fetch_root(server_url(scene->server), digest, &pem,
		      &scene->err),
	    &scene->err);
	OWNED_STR(got) = buf_to_str(&pem);
	assert_string_equal(got, scene->root_pem);
	scene->body = other_text;
	assert_error(client_fetch_root(server_url(scene->server), digest, &pem,
			 &scene->err),
	    ERR_POLICY, &scene->err, "fingerprint");
	authority_free(&evil);
}

static void text_in_a_path_is_one_segment(void **state)
{
	OWNED_BUF(url);

	(void)state;
	url_put(&url, "a/b?c=d&e #%\xc3\xa4-._~Z9");
	OWNED_STR(text) = buf_to_str(&url);
	assert_string_equal(
	    text, "a%2Fb%3Fc%3Dd%26e%20%23%25%C3%A4-._~Z9");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    SCENE(call_sends_and_takes_json),
	    SCENE(token_goes_in_its_header_alone),
	    SCENE(problem_becomes_the_error_that_the_server_had),
	    SCENE(answer_that_is_not_json_is_no_success),
	    SCENE(problem_with_fields_of_wrong_types_is_borne),
	    SCENE(answer_too_large_is_cut_off),
	    SCENE(redirect_is_not_followed),
	    SCENE(proxy_of_the_environment_is_not_used),
	    SCENE(connection_closed_without_an_answer_is_temporary),
	    SCENE(server_that_is_down_is_temporary),
	    SCENE(server_of_another_root_or_name_is_refused),
	    SCENE(url_that_is_not_https_is_refused),
	    SCENE(files_that_cannot_be_used_are_not_configured),
	    SCENE(list_follows_its_pages),
	    SCENE(list_that_is_none_is_refused),
	    SCENE(root_is_taken_by_its_fingerprint),
	    SCENE(nothing_is_trusted_that_stands_beside_the_pinned_root),
	    cmocka_unit_test(text_in_a_path_is_one_segment),
	};
	struct err err = {0};

	if (secret_heap_open(1 << 18, &err) != ERR_OK)
		return 99;
	curl_global_init(CURL_GLOBAL_DEFAULT);
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	curl_global_cleanup();
	return failed;
}
