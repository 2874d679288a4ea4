// SPDX-License-Identifier: Apache-2.0
/* The listeners as clients meet them: over sockets, with other people's TLS. */
#include "harness.h"
#include "fixture.h"
#include <arpa/inet.h>
#include <curl/curl.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>
#include "api/maintain.h"
#include "api/server.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/text.h"
#include "ca/ceremony.h"

static struct fixture fixture;
static struct server *server;
static struct sockets *sockets;
static struct maintenance *maintenance;
static struct err err;
static char admin_cert[128], admin_key[128], roots[128];

/* ---- A client by libcurl ---- */

struct answer {
	long status;
	struct buf body, headers;
};

static size_t keep(char *data, size_t size, size_t count, void *arg)
{
	buf_put(arg, data, size * count);
	return size * count;
}

struct call {
	const char *listener, *path, *method, *body, *type, *header;
	bool as_admin;
};

static struct curl_slist *headers_of(const struct call *call)
{
	struct curl_slist *list = NULL;
	if (call->body != NULL) {
		OWNED_STR(type) = mem_printf("Content-Type: %s",
		    call->type == NULL ? "application/json" : call->type);
		list = curl_slist_append(list, type);
		list = curl_slist_append(list, "Expect:");
	}
	if (call->header != NULL)
		list = curl_slist_append(list, call->header);
	return list;
}

static void set_identity(CURL *curl, const struct call *call)
{
	curl_easy_setopt(curl, CURLOPT_CAINFO, roots);
	if (!call->as_admin)
		return;
	curl_easy_setopt(curl, CURLOPT_SSLCERT, admin_cert);
	curl_easy_setopt(curl, CURLOPT_SSLKEY, admin_key);
}

static void perform(CURL *curl, const struct call *call, struct answer *answer)
{
	bool api = strcmp(call->listener, "api") == 0;
	OWNED_STR(url) =
	    mem_printf("%s://127.0.0.1:%u%s", api ? "https" : "http",
		(unsigned)server_port(server, call->listener), call->path);
	struct curl_slist *headers = headers_of(call);
	*answer = (struct answer){0};
	curl_easy_setopt(curl, CURLOPT_URL, url);
	curl_easy_setopt(curl, CURLOPT_PATH_AS_IS, 1L);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, keep);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, &answer->body);
	curl_easy_setopt(curl, CURLOPT_HEADERDATA, &answer->headers);
	curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(curl, CURLOPT_TIMEOUT, 60L);
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	if (call->body != NULL)
		curl_easy_setopt(curl, CURLOPT_POSTFIELDS, call->body);
	if (call->method != NULL)
		curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, call->method);
	if (call->method != NULL && strcmp(call->method, "HEAD") == 0)
		curl_easy_setopt(curl, CURLOPT_NOBODY, 1L);
	set_identity(curl, call);
	if (curl_easy_perform(curl) != CURLE_OK)
		answer->status = -1;
	else
		curl_easy_getinfo(
		    curl, CURLINFO_RESPONSE_CODE, &answer->status);
	curl_slist_free_all(headers);
}

static struct answer send_call(const struct call *call)
{
	struct answer answer;
	CURL *curl = curl_easy_init();
	perform(curl, call, &answer);
	curl_easy_cleanup(curl);
	return answer;
}

static void answer_free(struct answer *answer)
{
	buf_free(&answer->body);
	buf_free(&answer->headers);
}

static bool has(const struct buf *buf, const char *text)
{
	return buf->len > 0 &&
	       memmem(buf->data, buf->len, text, strlen(text)) != NULL;
}

/* The call is answered by STATUS, with TEXT in head or body. */
static void expect(const struct call *call, long status, const char *text)
{
	struct answer answer = send_call(call);
	if (answer.status != status ||
	    (!has(&answer.body, text) && !has(&answer.headers, text) &&
		*text != '\0'))
		fail_msg("%s: %ld, wanted %ld with \"%s\": %.*s%.*s",
		    call->path, answer.status, status, text,
		    (int)answer.headers.len, answer.headers.data,
		    (int)answer.body.len, answer.body.data);
	answer_free(&answer);
}

/* ---- Tests ---- */

static void the_api_knows_callers_by_their_certificate(void **state)
{
	(void)state;
	expect(&(struct call){.listener = "api", .path = "/api/v1/roots"}, 200,
	    "BEGIN CERT");
	expect(
	    &(struct call){.listener = "api", .path = "/api/v1/openapi.json"},
	    200, "3.1.0");
	expect(&(struct call){.listener = "api", .path = "/api/v1/status"}, 401,
	    "WWW-Auth");
	expect(
	    &(struct call){
		.listener = "api", .path = "/api/v1/status", .as_admin = true},
	    200, "\"version\"");
}

static void a_change_goes_through_a_worker_and_back(void **state)
{
	(void)state;
	expect(&(struct call){.listener = "api",
		   .path = "/api/v1/clusters",
		   .body = "{\"name\":\"web\",\"policy\":\"etcd\"}",
		   .as_admin = true},
	    201, "\"web\"");
	expect(&(struct call){.listener = "api",
		   .path = "/api/v1/clusters/web",
		   .as_admin = true},
	    200, "X-Request-Id: ");
	expect(&(struct call){.listener = "api",
		   .path = "/api/v1/clusters/web",
		   .method = "DELETE",
		   .as_admin = true},
	    200, "retired");
}

static void a_request_that_cannot_be_served_is_told_why(void **state)
{
	static const struct {
		struct call call;
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
		expect(&cases[i].call, cases[i].status, cases[i].text);
}

static void a_body_past_its_bound_is_refused_however_it_is_announced(
    void **state)
{
	char *body = mem_zalloc(70 * 1024);
	(void)state;
	memset(body, ' ', 70 * 1024 - 1);
	expect(&(struct call){.listener = "api",
		   .path = "/api/v1/clusters",
		   .body = body,
		   .as_admin = true},
	    413, "65536");
	expect(&(struct call){.listener = "api",
		   .path = "/api/v1/clusters",
		   .body = body,
		   .header = "Transfer-Encoding: chunked",
		   .as_admin = true},
	    413, "65536");
	expect(&(struct call){.listener = "api",
		   .path = "/api/v1/roots",
		   .method = "GET",
		   .body = "x"},
	    413, "no body");
	expect(&(struct call){.listener = "public",
		   .path = "/ocsp",
		   .body = body,
		   .type = "application/ocsp-request"},
	    413, "");
	free(body);
}

static void headers_past_their_bound_are_refused(void **state)
{
	char header[17 * 1024] = "X-Long: ";
	(void)state;
	memset(header + 8, 'a', sizeof(header) - 9);
	header[sizeof(header) - 1] = '\0';
	expect(
	    &(struct call){
		.listener = "api", .path = "/api/v1/roots", .header = header},
	    413, "16384");
}

static void head_has_the_length_of_get_and_no_body(void **state)
{
	(void)state;
	struct answer answer = send_call(&(struct call){
	    .listener = "api", .path = "/api/v1/roots", .method = "HEAD"});
	assert_int_equal(answer.status, 200);
	assert_int_equal(answer.body.len, 0);
	assert_true(has(&answer.headers, "Content-Length: "));
	assert_false(has(&answer.headers, "Content-Length: 0\r"));
	answer_free(&answer);
}

static void a_connection_serves_many_requests(void **state)
{
	CURL *curl = curl_easy_init();
	long connects = 0, total = 0;
	(void)state;
	for (int i = 0; i < 50; i++) {
		struct answer answer;
		perform(curl,
		    &(struct call){.listener = "api",
			.path = i % 2 ? "/api/v1/roots" : "/api/v1/clusters",
			.as_admin = true},
		    &answer);
		assert_int_equal(answer.status, 200);
		answer_free(&answer);
		curl_easy_getinfo(curl, CURLINFO_NUM_CONNECTS, &connects);
		total += connects;
	}
	assert_int_equal(total, 1);
	curl_easy_cleanup(curl);
}

static void documents_are_served_as_caches_want_them(void **state)
{
	(void)state;
	struct answer answer = send_call(
	    &(struct call){.listener = "public", .path = "/crl/issuing-1.crl"});
	assert_int_equal(answer.status, 200);
	assert_true(has(&answer.headers, "application/pkix-crl"));
	assert_true(has(&answer.headers, "Last-Modified: "));
	/* Not as long as the CRL is valid: the next may come at once. */
	assert_true(has(&answer.headers, "max-age=300,"));
	OWNED_STR(head) = buf_to_str(&answer.headers);
	const char *etag = strstr(head, "ETag: ");
	assert_non_null(etag);
	OWNED_STR(match) = mem_printf(
	    "If-None-Match: %.*s", (int)strcspn(etag + 6, "\r"), etag + 6);
	expect(&(struct call){.listener = "public",
		   .path = "/crl/issuing-1.crl",
		   .header = match},
	    304, "ETag");
	expect(&(struct call){.listener = "public",
		   .path = "/crl/issuing-1.crl",
		   .header = "If-None-Match: \"x\""},
	    200, "ETag");
	expect(&(struct call){.listener = "public",
		   .path = "/crl/issuing-1.crl",
		   .header = "If-Modified-Since: "
			     "Sun, 06 Nov 1994 08:49:37 GMT"},
	    200, "ETag");
	expect(&(struct call){.listener = "public",
		   .path = "/crl/issuing-1.crl",
		   .header = "If-Modified-Since: "
			     "Fri, 06 Nov 2093 08:49:37 GMT"},
	    304, "ETag");
	expect(&(struct call){.listener = "public", .path = "/crl/root.pem"},
	    200, "X509 CRL");
	expect(&(struct call){.listener = "public", .path = "/ca/root.pem"},
	    200, "BEGIN CERT");
	expect(&(struct call){.listener = "public", .path = "/ca/services.cer"},
	    200, "application/pkix-cert");
	answer_free(&answer);
}

/* A request for the status of SERIAL by the issuing CA. */
static void ocsp_request(struct bytes serial, struct buf *der)
{
	OWNED(issuer_set) issuers = ca_issuers(fixture.app->ca);
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
		struct answer answer = send_call(
		    &(struct call){.listener = "public", .path = path});
		assert_int_equal(answer.status, 200);
		assert_true(has(&answer.headers, "application/ocsp-response"));
		assert_non_null(memmem(answer.body.data, answer.body.len,
		    serial.data, serial.len));
		answer_free(&answer);
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
		struct answer answer = send_call(
		    &(struct call){.listener = "public", .path = paths[i]});
		assert_int_equal(answer.status, 200);
		assert_true(
		    bytes_equal(buf_bytes(&answer.body), BYTES_OF(malformed)));
		answer_free(&answer);
	}
}

static void the_operations_listener_tells_health_readiness_and_numbers(
    void **state)
{
	(void)state;
	expect(
	    &(struct call){.listener = "ops", .path = "/healthz"}, 200, "ok");
	expect(&(struct call){.listener = "ops", .path = "/metrics"}, 200,
	    "signet_build_info{version=");
	expect(&(struct call){.listener = "ops", .path = "/metrics"}, 200,
	    "signet_crl_number{issuer=\"issuing-1\"}");
	atomic_store(&fixture.app->hsm_answers, false);
	expect(&(struct call){.listener = "ops", .path = "/readyz"}, 503,
	    "does not answer");
	atomic_store(&fixture.app->hsm_answers, true);
	expect(&(struct call){.listener = "ops", .path = "/readyz"}, 200,
	    "\"ready\":true");
}

static int connect_to(const char *listener)
{
	struct sockaddr_in address = {
	    .sin_family = AF_INET,
	    .sin_port = htons(server_port(server, listener)),
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 ||
	    connect(fd, (const struct sockaddr *)&address, sizeof(address)))
		abort();
	return fd;
}

/* Nothing of the body is sent: an answer can only come before it. */
static void who_waits_to_be_told_to_send_is_refused_before(void **state)
{
	static const char request[] =
	    "POST /ocsp HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\n"
	    "Content-Type: application/ocsp-request\r\n"
	    "Expect: 100-continue\r\n\r\n";
	OWNED_FD(fd) = connect_to("public");
	OWNED_BUF(answer);
	char part[512];
	ssize_t got;
	(void)state;
	assert_int_equal(
	    send(fd, request, strlen(request), MSG_NOSIGNAL), strlen(request));
	while ((got = recv(fd, part, sizeof(part), 0)) > 0)
		buf_put(&answer, part, (size_t)got);
	assert_true(has(&answer, "HTTP/1.1 413 "));
	assert_true(has(&answer, "Connection: close"));
}

/* Sends an octet now and then; returns when the server has ended it. */
static void trickle(int fd, const char *begin)
{
	char octet;
	assert_true(send(fd, begin, strlen(begin), MSG_NOSIGNAL) > 0);
	for (;;) {
		struct timeval wait = {0, 50000};
		setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
		ssize_t got = recv(fd, &octet, 1, 0);
		if (got == 0 || (got < 0 && errno != EAGAIN))
			return;
		if (send(fd, "a", 1, MSG_NOSIGNAL) < 0)
			return;
	}
}

/* Each octet would renew a timeout of inactivity: only the bound on the whole
 * request ends these, and without it this test would not end. */
static void a_sender_who_never_finishes_is_cut_off(void **state)
{
	int64_t usual = atomic_load(&fixture.app->request_timeout_ms);
	(void)state;
	atomic_store(&fixture.app->request_timeout_ms, 500);
	OWNED_FD(line) = connect_to("public");
	trickle(line, "GET /");
	OWNED_FD(headers) = connect_to("public");
	trickle(headers, "GET /ca/root.cer HTTP/1.1\r\nHost: x\r\nX-A: ");
	OWNED_FD(body) = connect_to("public");
	trickle(body,
	    "POST /ocsp HTTP/1.1\r\nHost: x\r\nContent-Length: 4000\r\n"
	    "Content-Type: application/ocsp-request\r\n\r\n");
	OWNED_FD(tls) = connect_to("api");
	trickle(tls, "\x16\x03\x01\x02");
	atomic_store(&fixture.app->request_timeout_ms, usual);
}

static void a_reload_of_a_bad_file_changes_nothing(void **state)
{
	(void)state;
	OWNED_STR(path) = fs_join(fixture.dir, "signet.yaml");
	OWNED_BUF(good);
	assert_ok(fs_read(path, 1 << 20, &good, &err));
	OWNED_STR(text) = buf_to_str(&good);
	OWNED_STR(bad) = mem_printf("%snonsense: 1\n", text);
	OWNED_STR(changed) = mem_printf("%s", text);
	char *limits = strstr(changed, "  workers: 4\n");
	assert_non_null(limits);
	OWNED_STR(slower) = mem_printf("%.*s  request_timeout: 7s\n%s",
	    (int)(limits - changed), changed, limits);
	int64_t before = atomic_load(&fixture.app->request_timeout_ms);
	fixture_write(&fixture, "signet.yaml", bad);
	assert_refused(app_reload(fixture.app, &err), ERR_CONFIG, "nonsense");
	assert_int_equal(atomic_load(&fixture.app->request_timeout_ms), before);
	fixture_write(&fixture, "signet.yaml", slower);
	assert_ok(app_reload(fixture.app, &err));
	assert_int_equal(atomic_load(&fixture.app->request_timeout_ms), 7000);
	fixture_write(&fixture, "signet.yaml", text);
	assert_ok(app_reload(fixture.app, &err));
}

static void a_check_wants_the_module_and_the_pin_file_to_be_there(void **state)
{
	struct config changed = *fixture.config;
	char nowhere[] = "/nonexistent/file";
	(void)state;
	changed.hsm.module = nowhere;
	assert_refused(app_check(&changed, &err), ERR_CONFIG, "hsm.module");
	changed = *fixture.config;
	changed.hsm.pin_file = nowhere;
	assert_refused(app_check(&changed, &err), ERR_CONFIG, "hsm.pin_file");
	/* With both there it comes to the store, which no process may open
	 * twice: one that is not there shows it. */
	changed = *fixture.config;
	changed.store.path = nowhere;
	assert_refused(app_check(&changed, &err), ERR_NOT_FOUND, nowhere);
}

static void a_name_is_known_to_be_in_the_served_certificate_or_not(
    void **state)
{
	(void)state;
	assert_true(fixture.config->tls.names_count > 0);
	for (unsigned i = 0; i < fixture.config->tls.names_count; i++)
		assert_true(tls_carries(
		    fixture.app->tls, fixture.config->tls.names[i]));
	assert_false(tls_carries(fixture.app->tls, "other.example.net"));
	assert_false(tls_carries(fixture.app->tls, "192.0.2.77"));
}

static void a_new_certificate_is_served_without_a_restart(void **state)
{
	struct tls_validity validity = tls_validity(fixture.app->tls);
	(void)state;
	assert_false(maintain_tls_is_due(&validity, clock_now()));
	assert_true(maintain_tls_is_due(&validity, validity.not_after));
	OWNED_BUF(before);
	OWNED_BUF(after);
	assert_ok(
	    fs_read(fixture.config->tls.certificate, 1 << 20, &before, &err));
	assert_ok(service_server(fixture.app->ca, fixture.config, NULL, &err));
	assert_ok(tls_reload(fixture.app->tls, &err));
	assert_ok(
	    fs_read(fixture.config->tls.certificate, 1 << 20, &after, &err));
	assert_false(bytes_equal(buf_bytes(&before), buf_bytes(&after)));
	expect(&(struct call){.listener = "api", .path = "/api/v1/roots"}, 200,
	    "BEGIN CERT");
}

/* As a stop between the steps of a replacement leaves it. */
static void a_key_that_waits_beside_its_place_is_taken_with_its_certificate(
    void **state)
{
	const char *key = fixture.config->tls.key;
	OWNED_STR(next) = mem_printf("%s.next", key);
	OWNED_STR(name) = mem_strdup("tls/server-key.pem");
	OWNED_BUF(good);
	(void)state;
	assert_ok(fs_read(key, 1 << 20, &good, &err));
	OWNED_STR(text) = buf_to_str(&good);
	EVP_PKEY *other = NULL;
	free(csr_make("x", NULL, &other));
	assert_int_equal(rename(key, next), 0);
	fixture_write(&fixture, name, "no key\n");
	assert_ok(tls_reload(fixture.app->tls, &err));
	assert_false(fs_exists(next));
	fixture_write(&fixture, name, "no key\n");
	assert_int_equal(tls_reload(fixture.app->tls, &err), ERR_CONFIG);
	expect(&(struct call){.listener = "api", .path = "/api/v1/roots"}, 200,
	    "BEGIN CERT");
	fixture_write(&fixture, name, text);
	assert_ok(tls_reload(fixture.app->tls, &err));
	EVP_PKEY_free(other);
}

/* ---- Load, then the end ---- */

static void *load(void *arg)
{
	_Atomic unsigned *answered = arg;
	CURL *curl = curl_easy_init();
	for (int i = 0; i < 40; i++) {
		struct answer answer;
		perform(curl,
		    &(struct call){.listener = "api",
			.path =
			    i % 3 ? "/api/v1/audit?limit=1" : "/api/v1/status",
			.as_admin = true},
		    &answer);
		if (answer.status == 200)
			(*answered)++;
		answer_free(&answer);
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

/* What stands in the path is no room for what comes in the body. */
static void a_body_behind_ocsp_by_get_is_dropped_and_then_cut_off(void **state)
{
	static const char begin[] =
	    "GET /ocsp/MAMKAQE= HTTP/1.1\r\nHost: x\r\n"
	    "Transfer-Encoding: chunked\r\n\r\n";
	static const char head[] = "4000\r\n";
	static char chunk[sizeof(head) - 1 + 0x4000 + 2];
	bool cut = false;
	(void)state;
	memset(chunk, 'a', sizeof(chunk));
	memcpy(chunk, head, sizeof(head) - 1);
	memcpy(chunk + sizeof(chunk) - 2, "\r\n", 2);
	OWNED_FD(fd) = connect_to("public");
	assert_true(send(fd, begin, strlen(begin), MSG_NOSIGNAL) > 0);
	for (unsigned i = 0; i < 4096 && !cut; i++)
		cut = send(fd, chunk, sizeof(chunk), MSG_NOSIGNAL) < 0;
	assert_true(cut);
}

/* The last: nothing is served after it. */
static void draining_refuses_what_is_new_and_tells_so(void **state)
{
	CURL *curl = curl_easy_init();
	struct answer answer;
	(void)state;
	perform(curl,
	    &(struct call){
		.listener = "api", .path = "/api/v1/roots", .as_admin = true},
	    &answer);
	assert_int_equal(answer.status, 200);
	answer_free(&answer);
	assert_true(server_drain(server, 60000));
	perform(curl,
	    &(struct call){.listener = "api",
		.path = "/api/v1/clusters",
		.as_admin = true},
	    &answer);
	assert_int_equal(answer.status, 503);
	assert_true(has(&answer.body, "\"stopping\""));
	assert_true(has(&answer.headers, "Retry-After: "));
	assert_true(has(&answer.headers, "Connection: close"));
	answer_free(&answer);
	curl_easy_cleanup(curl);
	expect(
	    &(struct call){.listener = "api", .path = "/api/v1/roots"}, -1, "");
	expect(&(struct call){.listener = "ops", .path = "/readyz"}, 503,
	    "stopping");
}

static void write_admin(void)
{
	OWNED(names) names = names_new();
	OWNED(secret) key = NULL;
	OWNED(certificate) record = NULL;
	OWNED(issuer_set) issuers = ca_issuers(fixture.app->ca);
	const struct issuer *root = issuer_set_find(issuers, "root");
	OWNED_BUF(pem);
	assert_ok(names_set_cn(names, BYTES_STR("admin"), &err));
	fixture_identity(&fixture, (uint8_t[IDENTITY_ID_SIZE]){1}, "admin");
	const struct service_order order = {.profile = PROFILE_IDENTITY,
	    .names = names,
	    .roles = ROLE_ALL_HUMAN,
	    .identity = (uint8_t[IDENTITY_ID_SIZE]){1},
	    .ttl = 3600,
	    .requester = "system"};
	snprintf(admin_cert, sizeof(admin_cert), "%s/a.pem", fixture.dir);
	snprintf(admin_key, sizeof(admin_key), "%s/a-key.pem", fixture.dir);
	snprintf(roots, sizeof(roots), "%s/roots.pem", fixture.dir);
	assert_ok(service_issue(fixture.app->ca, &order, &key, &record, &err));
	assert_ok(service_write(
	    fixture.app->ca, record, key, admin_cert, admin_key, &err));
	pem_put(&pem, "CERTIFICATE", BYTES(root->der, root->der_len));
	assert_ok(fs_write(roots, 0600, buf_bytes(&pem), &err));
}

static int begin(void **state)
{
	(void)state;
	curl_global_init(CURL_GLOBAL_DEFAULT);
	fixture_begin(&fixture);
	write_admin();
	if (sockets_open(fixture.config, &sockets, &err) != ERR_OK ||
	    server_open(fixture.app, sockets, &server, &err) != ERR_OK ||
	    maintain_open(fixture.app, &maintenance, &err) != ERR_OK)
		return 1;
	return 0;
}

static int end(void **state)
{
	(void)state;
	maintain_close(maintenance);
	server_close(server);
	sockets_close(sockets);
	fixture_end(&fixture);
	curl_global_cleanup();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_api_knows_callers_by_their_certificate),
	    cmocka_unit_test(a_change_goes_through_a_worker_and_back),
	    cmocka_unit_test(a_request_that_cannot_be_served_is_told_why),
	    cmocka_unit_test(
		a_body_past_its_bound_is_refused_however_it_is_announced),
	    cmocka_unit_test(
		a_body_behind_ocsp_by_get_is_dropped_and_then_cut_off),
	    cmocka_unit_test(headers_past_their_bound_are_refused),
	    cmocka_unit_test(who_waits_to_be_told_to_send_is_refused_before),
	    cmocka_unit_test(head_has_the_length_of_get_and_no_body),
	    cmocka_unit_test(a_connection_serves_many_requests),
	    cmocka_unit_test(documents_are_served_as_caches_want_them),
	    cmocka_unit_test(
		ocsp_by_get_survives_slashes_and_plus_signs_in_base64),
	    cmocka_unit_test(what_is_no_ocsp_request_gets_an_ocsp_error),
	    cmocka_unit_test(
		the_operations_listener_tells_health_readiness_and_numbers),
	    cmocka_unit_test(a_sender_who_never_finishes_is_cut_off),
	    cmocka_unit_test(a_reload_of_a_bad_file_changes_nothing),
	    cmocka_unit_test(
		a_check_wants_the_module_and_the_pin_file_to_be_there),
	    cmocka_unit_test(
		a_name_is_known_to_be_in_the_served_certificate_or_not),
	    cmocka_unit_test(a_new_certificate_is_served_without_a_restart),
	    cmocka_unit_test(
		a_key_that_waits_beside_its_place_is_taken_with_its_certificate),
	    cmocka_unit_test(many_clients_at_once_are_all_answered),
	    cmocka_unit_test(draining_refuses_what_is_new_and_tells_so),
	};
	return cmocka_run_group_tests(tests, begin, end);
}
