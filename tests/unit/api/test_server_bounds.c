// SPDX-License-Identifier: Apache-2.0
/* Goal: what is too long, too slow or announced wrongly is refused, and whoever
 * sends it is cut off. */
#include "harness.h"
#include "fixture.h"
#include <errno.h>
#include <sys/socket.h>
#include "api/server.h"
#include "tests/unit/api/site.h"

static void a_body_past_its_bound_is_refused_however_it_is_announced(
    void **state)
{
	char *body = mem_zalloc(70 * 1024);
	(void)state;
	memset(body, ' ', 70 * 1024 - 1);
	site_expect(&(struct site_call){.listener = "api",
			.path = "/api/v1/clusters",
			.body = body,
			.as_admin = true},
	    413, "65536");
	site_expect(&(struct site_call){.listener = "api",
			.path = "/api/v1/clusters",
			.body = body,
			.header = "Transfer-Encoding: chunked",
			.as_admin = true},
	    413, "65536");
	site_expect(&(struct site_call){.listener = "api",
			.path = "/api/v1/roots",
			.method = "GET",
			.body = "x"},
	    413, "no body");
	site_expect(&(struct site_call){.listener = "public",
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
	site_expect(
	    &(struct site_call){
		.listener = "api", .path = "/api/v1/roots", .header = header},
	    413, "16384");
}

/* Nothing of the body is sent: an answer can only come before it. */
static void who_waits_to_be_told_to_send_is_refused_before(void **state)
{
	static const char request[] =
	    "POST /ocsp HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\n"
	    "Content-Type: application/ocsp-request\r\n"
	    "Expect: 100-continue\r\n\r\n";
	OWNED_FD(fd) = site_connect("public");
	OWNED_BUF(answer);
	char part[512];
	ssize_t got;
	(void)state;
	assert_int_equal(
	    send(fd, request, strlen(request), MSG_NOSIGNAL), strlen(request));
	while ((got = recv(fd, part, sizeof(part), 0)) > 0)
		buf_put(&answer, part, (size_t)got);
	assert_true(site_has(&answer, "HTTP/1.1 413 "));
	assert_true(site_has(&answer, "Connection: close"));
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
	int64_t usual = atomic_load(&site.app->request_timeout_ms);
	(void)state;
	atomic_store(&site.app->request_timeout_ms, 500);
	OWNED_FD(line) = site_connect("public");
	trickle(line, "GET /");
	OWNED_FD(headers) = site_connect("public");
	trickle(headers, "GET /ca/root.cer HTTP/1.1\r\nHost: x\r\nX-A: ");
	OWNED_FD(body) = site_connect("public");
	trickle(body,
	    "POST /ocsp HTTP/1.1\r\nHost: x\r\nContent-Length: 4000\r\n"
	    "Content-Type: application/ocsp-request\r\n\r\n");
	OWNED_FD(tls) = site_connect("api");
	trickle(tls, "\x16\x03\x01\x02");
	atomic_store(&site.app->request_timeout_ms, usual);
}

/* What stands in the path is no room for what comes in the body. */
static void a_body_behind_ocsp_by_get_is_dropped_and_then_cut_off(void **state)
{
	static const char begin[] = "GET /ocsp/MAMKAQE= HTTP/1.1\r\nHost: x\r\n"
				    "Transfer-Encoding: chunked\r\n\r\n";
	static const char head[] = "4000\r\n";
	static char chunk[sizeof(head) - 1 + 0x4000 + 2];
	bool cut = false;
	(void)state;
	memset(chunk, 'a', sizeof(chunk));
	memcpy(chunk, head, sizeof(head) - 1);
	memcpy(chunk + sizeof(chunk) - 2, "\r\n", 2);
	OWNED_FD(fd) = site_connect("public");
	assert_true(send(fd, begin, strlen(begin), MSG_NOSIGNAL) > 0);
	for (unsigned i = 0; i < 4096 && !cut; i++)
		cut = send(fd, chunk, sizeof(chunk), MSG_NOSIGNAL) < 0;
	assert_true(cut);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(
		a_body_past_its_bound_is_refused_however_it_is_announced),
	    cmocka_unit_test(
		a_body_behind_ocsp_by_get_is_dropped_and_then_cut_off),
	    cmocka_unit_test(headers_past_their_bound_are_refused),
	    cmocka_unit_test(who_waits_to_be_told_to_send_is_refused_before),
	    cmocka_unit_test(a_sender_who_never_finishes_is_cut_off),
	};
	return cmocka_run_group_tests(tests, site_begin, site_end);
}
