// SPDX-License-Identifier: Apache-2.0
/* Goal: the listeners as clients meet them: over sockets, with other people's
 * TLS. */
#include "harness.h"
#include "fixture.h"
#include <pthread.h>
#include "api/server.h"
#include "base/text.h"
#include "tests/unit/api/site.h"

static void the_api_knows_callers_by_their_certificate(void **state)
{
	(void)state;
	site_expect(
	    &(struct site_call){.listener = "api", .path = "/api/v1/roots"},
	    200, "BEGIN CERT");
	site_expect(&(struct site_call){.listener = "api",
			.path = "/api/v1/openapi.json"},
	    200, "3.1.0");
	site_expect(
	    &(struct site_call){.listener = "api", .path = "/api/v1/status"},
	    401, "WWW-Auth");
	site_expect(
	    &(struct site_call){
		.listener = "api", .path = "/api/v1/status", .as_admin = true},
	    200, "\"version\"");
}

static void a_change_goes_through_a_worker_and_back(void **state)
{
	(void)state;
	site_expect(&(struct site_call){.listener = "api",
			.path = "/api/v1/clusters",
			.body = "{\"name\":\"web\",\"policy\":\"etcd\"}",
			.as_admin = true},
	    201, "\"web\"");
	site_expect(&(struct site_call){.listener = "api",
			.path = "/api/v1/clusters/web",
			.as_admin = true},
	    200, "X-Request-Id: ");
	site_expect(&(struct site_call){.listener = "api",
			.path = "/api/v1/clusters/web",
			.method = "DELETE",
			.as_admin = true},
	    200, "retired");
}

static void a_request_that_cannot_be_served_is_told_why(void **state)
{
	static const struct {
		struct site_call call;
		long status;
		const char *text;
	} cases[] = {
	    {{.listener = "api", .path = "/"}, 404, "/api/v1/"},
	    {{.listener = "api", .path = "/api/v1"}, 404, "/api/v1/"},
	    {{.listener = "api", .path = "/api/v1/nothing"}, 404, "not-found"},
	    {{.listener = "api", .path = "/api/v1//roots"}, 400, "empty"},
	    {{.listener = "api", .path = "/api/v1/../roots"}, 400,
		"dot segment"},
	    {{.listener = "api", .path = "/api/v1/roots%2f"}, 400, "slash"},
	    {{.listener = "api", .path = "/api/v1/roots?x=1"}, 400,
		"known: none"},
	    {{.listener = "api", .path = "/api/v1/roots", .method = "OPTIONS"},
		405, "GET, HEAD"},
	    {{.listener = "api", .path = "/api/v1/roots", .method = "PUT"}, 405,
		"Allow: "},
	    {{.listener = "api",
		 .path = "/api/v1/roots",
		 .method = "POST",
		 .body = ""},
		405, "bad-method"},
	    {{.listener = "api",
		 .path = "/api/v1/clusters",
		 .body = "{}",
		 .type = "text/plain",
		 .as_admin = true},
		415, "text/plain"},
	    {{.listener = "api",
		 .path = "/api/v1/clusters",
		 .body = "{}",
		 .type = "application/json; charset=latin1",
		 .as_admin = true},
		415, "latin1"},
	    {{.listener = "api",
		 .path = "/api/v1/clusters",
		 .body = "{}",
		 .type = "application/json; charset=UTF-8",
		 .as_admin = true},
		400, "bad-field"},
	    {{.listener = "api",
		 .path = "/api/v1/status",
		 .header = "Authorization: Bearer sgt_x"},
		401, "unauthenticated"},
	    {{.listener = "public", .path = "/nothing"}, 404, ""},
	    {{.listener = "public", .path = "/ca/none.cer"}, 404, ""},
	    {{.listener = "public", .path = "/crl/none.crl"}, 404, ""},
	    {{.listener = "public", .path = "/crl/../issuing-1.crl"}, 404, ""},
	    {{.listener = "public", .path = "/crl/.crl"}, 404, ""},
	    {{.listener = "public",
		 .path = "/crl/issuing-1.crl",
		 .method = "DELETE"},
		405, "Allow: GET, HEAD"},
	    {{.listener = "public", .path = "/ocsp"}, 405, "Allow: POST"},
	    {{.listener = "public",
		 .path = "/ocsp",
		 .body = "x",
		 .type = "text/plain"},
		415, ""},
	    {{.listener = "ops", .path = "/nothing"}, 404, "/readyz"},
	    {{.listener = "ops", .path = "/healthz", .method = "DELETE"}, 405,
		"Allow: "},
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		site_expect(&cases[i].call, cases[i].status, cases[i].text);
}

static void head_has_the_length_of_get_and_no_body(void **state)
{
	(void)state;
	struct site_answer answer = site_send(&(struct site_call){
	    .listener = "api", .path = "/api/v1/roots", .method = "HEAD"});
	assert_int_equal(answer.status, 200);
	assert_int_equal(answer.body.len, 0);
	assert_true(site_has(&answer.headers, "Content-Length: "));
	assert_false(site_has(&answer.headers, "Content-Length: 0\r"));
	site_answer_free(&answer);
}

static void a_connection_serves_many_requests(void **state)
{
	CURL *curl = curl_easy_init();
	long connects = 0, total = 0;
	(void)state;
	for (int i = 0; i < 50; i++) {
		struct site_answer answer;
		site_perform(curl,
		    &(struct site_call){.listener = "api",
			.path = i % 2 ? "/api/v1/roots" : "/api/v1/clusters",
			.as_admin = true},
		    &answer);
		assert_int_equal(answer.status, 200);
		site_answer_free(&answer);
		curl_easy_getinfo(curl, CURLINFO_NUM_CONNECTS, &connects);
		total += connects;
	}
	assert_int_equal(total, 1);
	curl_easy_cleanup(curl);
}

static void documents_are_served_as_caches_want_them(void **state)
{
	(void)state;
	struct site_answer answer = site_send(&(struct site_call){
	    .listener = "public", .path = "/crl/issuing-1.crl"});
	assert_int_equal(answer.status, 200);
	assert_true(site_has(&answer.headers, "application/pkix-crl"));
	assert_true(site_has(&answer.headers, "Last-Modified: "));
	/* Not as long as the CRL is valid: the next may come at once. */
	assert_true(site_has(&answer.headers, "max-age=300,"));
	OWNED_STR(head) = buf_to_str(&answer.headers);
	const char *etag = strstr(head, "ETag: ");
	assert_non_null(etag);
	OWNED_STR(match) = mem_printf(
	    "If-None-Match: %.*s", (int)strcspn(etag + 6, "\r"), etag + 6);
	site_expect(&(struct site_call){.listener = "public",
			.path = "/crl/issuing-1.crl",
			.header = match},
	    304, "ETag");
	site_expect(&(struct site_call){.listener = "public",
			.path = "/crl/issuing-1.crl",
			.header = "If-None-Match: \"x\""},
	    200, "ETag");
	site_expect(&(struct site_call){.listener = "public",
			.path = "/crl/issuing-1.crl",
			.header = "If-Modified-Since: "
				  "Sun, 06 Nov 1994 08:49:37 GMT"},
	    200, "ETag");
	site_expect(&(struct site_call){.listener = "public",
			.path = "/crl/issuing-1.crl",
			.header = "If-Modified-Since: "
				  "Fri, 06 Nov 2093 08:49:37 GMT"},
	    304, "ETag");
	site_expect(
	    &(struct site_call){.listener = "public", .path = "/crl/root.pem"},
	    200, "X509 CRL");
	site_expect(
	    &(struct site_call){.listener = "public", .path = "/ca/root.pem"},
	    200, "BEGIN CERT");
	site_expect(&(struct site_call){.listener = "public",
			.path = "/ca/services.cer"},
	    200, "application/pkix-cert");
	site_answer_free(&answer);
}

/* A request for the status of SERIAL by the issuing CA. */
static void ocsp_request(struct bytes serial, struct buf *der)
{
	OWNED(issuer_set) issuers = ca_issuers(site.app->ca);
	const struct issuer *issuer = issuer_set_find(issuers, "issuing-1");
	static const uint8_t sha1[] = {
	    0x30, 0x09, 0x06, 0x05, 0x2b, 0x0e, 0x03, 0x02, 0x1a, 0x05, 0x00};
	size_t id = sizeof(sha1) + 22 + 22 + 2 + serial.len;
	const uint8_t heads[] = {0x30, (uint8_t)(id + 8), 0x30,
	    (uint8_t)(id + 6), 0x30, (uint8_t)(id + 4), 0x30, (uint8_t)(id + 2),
	    0x30, (uint8_t)id};
	buf_put(der, heads, sizeof(heads));
	buf_put(der, sha1, sizeof(sha1));
	buf_put(der, "\x04\x14", 2);
	buf_put(der, issuer->name_hash_sha1, 20);
	buf_put(der, "\x04\x14", 2);
	buf_put(der, issuer->key_hash_sha1, 20);
	buf_put_u8(der, 0x02);
	buf_put_u8(der, (uint8_t)serial.len);
	buf_put_bytes(der, serial);
}

static char *ocsp_path(const struct buf *der, bool encode)
{
	OWNED_BUF(text);
	OWNED_BUF(path);
	base64_put(&text, buf_bytes(der));
	buf_put_str(&path, "/ocsp/");
	for (size_t i = 0; i < text.len; i++) {
		bool plain = strchr("/+=", text.data[i]) == NULL;
		if (plain || !encode)
			buf_put_u8(&path, text.data[i]);
		else
			buf_printf(&path, "%%%02X", text.data[i]);
	}
	return buf_to_str(&path);
}

/* Both answers are about the serial, which a request cut short would not have.
 */
static void ask_ocsp_in_every_form(const struct buf *der, struct bytes serial)
{
	for (int encode = 0; encode < 2; encode++) {
		OWNED_STR(path) = ocsp_path(der, encode);
		struct site_answer answer = site_send(
		    &(struct site_call){.listener = "public", .path = path});
		assert_int_equal(answer.status, 200);
		assert_true(
		    site_has(&answer.headers, "application/ocsp-response"));
		assert_non_null(memmem(answer.body.data, answer.body.len,
		    serial.data, serial.len));
		site_answer_free(&answer);
	}
}

static void ocsp_by_get_survives_slashes_and_plus_signs_in_base64(void **state)
{
	/* Of serials nobody has: "unknown", signed. */
	static const uint8_t serials[][6] = {
	    {0x01, 0xff, 0xff, 0xff, 0xff, 0xff}, /* "//" */
	    {0x01, 0xfb, 0xef, 0xbe, 0xfb, 0xef}, /* "++" */
	    {0x01, 0x02, 0x03, 0x04, 0x05, 0x06},
	};
	bool slashes = false;
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(serials); i++) {
		OWNED_BUF(der);
		ocsp_request(BYTES_OF(serials[i]), &der);
		OWNED_STR(plain) = ocsp_path(&der, false);
		slashes |= strstr(plain + 6, "//") != NULL;
		ask_ocsp_in_every_form(&der, BYTES_OF(serials[i]));
	}
	assert_true(slashes);
}

static void what_is_no_ocsp_request_gets_an_ocsp_error(void **state)
{
	static const char *const paths[] = {
	    "/ocsp/", "/ocsp/!", "/ocsp/AAAA", "/ocsp/%00", "/ocsp/%"};
	static const uint8_t malformed[] = {0x30, 0x03, 0x0a, 0x01, 0x01};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
		struct site_answer answer = site_send(&(struct site_call){
		    .listener = "public", .path = paths[i]});
		assert_int_equal(answer.status, 200);
		assert_true(
		    bytes_equal(buf_bytes(&answer.body), BYTES_OF(malformed)));
		site_answer_free(&answer);
	}
}

static void the_operations_listener_tells_health_readiness_and_numbers(
    void **state)
{
	(void)state;
	site_expect(&(struct site_call){.listener = "ops", .path = "/healthz"},
	    200, "ok");
	site_expect(&(struct site_call){.listener = "ops", .path = "/metrics"},
	    200, "signet_build_info{version=");
	site_expect(&(struct site_call){.listener = "ops", .path = "/metrics"},
	    200, "signet_crl_number{issuer=\"issuing-1\"}");
	atomic_store(&site.app->hsm_answers, false);
	site_expect(&(struct site_call){.listener = "ops", .path = "/readyz"},
	    503, "does not answer");
	atomic_store(&site.app->hsm_answers, true);
	site_expect(&(struct site_call){.listener = "ops", .path = "/readyz"},
	    200, "\"ready\":true");
}

static void *load(void *arg)
{
	_Atomic unsigned *answered = arg;
	CURL *curl = curl_easy_init();
	for (int i = 0; i < 40; i++) {
		struct site_answer answer;
		site_perform(curl,
		    &(struct site_call){.listener = "api",
			.path =
			    i % 3 ? "/api/v1/audit?limit=1" : "/api/v1/status",
			.as_admin = true},
		    &answer);
		if (answer.status == 200)
			(*answered)++;
		site_answer_free(&answer);
	}
	curl_easy_cleanup(curl);
	return NULL;
}

static void many_clients_at_once_are_all_answered(void **state)
{
	pthread_t threads[8];
	_Atomic unsigned answered = 0;
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		assert_int_equal(
		    pthread_create(&threads[i], NULL, load, &answered), 0);
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(answered, 8 * 40);
}

/* The last: nothing is served after it. */
static void draining_refuses_what_is_new_and_tells_so(void **state)
{
	CURL *curl = curl_easy_init();
	struct site_answer answer;
	(void)state;
	site_perform(curl,
	    &(struct site_call){
		.listener = "api", .path = "/api/v1/roots", .as_admin = true},
	    &answer);
	assert_int_equal(answer.status, 200);
	site_answer_free(&answer);
	assert_true(server_drain(site_server, 60000));
	site_perform(curl,
	    &(struct site_call){.listener = "api",
		.path = "/api/v1/clusters",
		.as_admin = true},
	    &answer);
	assert_int_equal(answer.status, 503);
	assert_true(site_has(&answer.body, "\"stopping\""));
	assert_true(site_has(&answer.headers, "Retry-After: "));
	assert_true(site_has(&answer.headers, "Connection: close"));
	site_answer_free(&answer);
	curl_easy_cleanup(curl);
	site_expect(
	    &(struct site_call){.listener = "api", .path = "/api/v1/roots"}, -1,
	    "");
	site_expect(&(struct site_call){.listener = "ops", .path = "/readyz"},
	    503, "stopping");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_api_knows_callers_by_their_certificate),
	    cmocka_unit_test(a_change_goes_through_a_worker_and_back),
	    cmocka_unit_test(a_request_that_cannot_be_served_is_told_why),
	    cmocka_unit_test(head_has_the_length_of_get_and_no_body),
	    cmocka_unit_test(a_connection_serves_many_requests),
	    cmocka_unit_test(documents_are_served_as_caches_want_them),
	    cmocka_unit_test(
		ocsp_by_get_survives_slashes_and_plus_signs_in_base64),
	    cmocka_unit_test(what_is_no_ocsp_request_gets_an_ocsp_error),
	    cmocka_unit_test(
		the_operations_listener_tells_health_readiness_and_numbers),
	    cmocka_unit_test(many_clients_at_once_are_all_answered),
	    cmocka_unit_test(draining_refuses_what_is_new_and_tells_so),
	};
	return cmocka_run_group_tests(tests, site_begin, site_end);
}
