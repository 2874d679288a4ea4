// SPDX-License-Identifier: Apache-2.0
/*
 * signet-witness URL CA [CERTIFICATE KEY]: started by signetd, once for each
 * witness of the audit log that is an HTTP endpoint, so that the server itself has
 * no HTTP client, no resolver and no second TLS library (base/tell.h).  Ends with
 * it.  CA is "-" where URL is plain HTTP.
 */
#include "config.h"

#include <curl/curl.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/json.h"
#include "base/log.h"
#include "base/sandbox.h"
#include "base/tell.h"
#include "base/text.h"

#define ANSWER_MAX ((size_t)64 * 1024)
#define CONNECT_TIMEOUT_MS 5000

/* Statuses of RFC 9110. */
enum { OK = 200, CREATED = 201, NO_CONTENT = 204, NOT_FOUND = 404,
	BAD_METHOD = 405, NOT_IMPLEMENTED = 501 };

static bool read_all(void *into, size_t len)
{
	uint8_t *at = into;

	while (len > 0) {
		ssize_t got = read(TELL_FD, at, len);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return false;
		at += got;
		len -= (size_t)got;
	}
	return true;
}

static size_t take_body(char *data, size_t size, size_t count, void *arg)
{
	struct buf *body = arg;

	if (size * count > ANSWER_MAX - body->len)
		return 0;
	buf_put(body, data, size * count);
	return size * count;
}

static void set_security(CURL *curl, char **arguments)
{
	bool is_tls = text_has_prefix(arguments[1], "https://");

	curl_easy_setopt(
	    curl, CURLOPT_PROTOCOLS_STR, is_tls ? "https" : "http");
	curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
	/* Whatever the environment or a user's files say. */
	curl_easy_setopt(curl, CURLOPT_PROXY, "");
	curl_easy_setopt(curl, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
	curl_easy_setopt(
	    curl, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 1L);
	curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 2L);
	curl_easy_setopt(curl, CURLOPT_CAPATH, NULL);
	curl_easy_setopt(curl, CURLOPT_CAINFO, arguments[2]);
	if (arguments[3] == NULL)
		return;
	curl_easy_setopt(curl, CURLOPT_SSLCERT, arguments[3]);
	curl_easy_setopt(curl, CURLOPT_SSLKEY, arguments[4]);
	curl_easy_setopt(curl, CURLOPT_KEYPASSWD, "");
}

static CURL *open_curl(char **arguments, char error[CURL_ERROR_SIZE])
{
	CURL *curl = curl_easy_init();

	if (curl == NULL)
		abort();
	curl_easy_setopt(curl, CURLOPT_URL, arguments[1]);
	curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, error);
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_TIMEOUT, (long)TELL_SECONDS);
	curl_easy_setopt(
	    curl, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_TIMEOUT_MS);
	/* Or it would wait for a resolver that has no answer, for minutes. */
	curl_easy_setopt(curl, CURLOPT_QUICK_EXIT, 1L);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_body);
	curl_easy_setopt(curl, CURLOPT_USERAGENT, "signetd");
	set_security(curl, arguments);
	return curl;
}

static void say(struct tell_answer *answer, const char *why)
{
	snprintf(answer->why, sizeof(answer->why), "%s", err_quote_str(why));
}

/* {"sequence": N, "checkpoint": M, "leaf": HEX}, the last if it likes. */
static void take_position(struct bytes body, struct tell_answer *answer)
{
	OWNED_JSON(json) = NULL;
	struct err err = {0};

	if (json_parse(body, &json, &err) != ERR_OK) {
		say(answer, "it answers with something that is not JSON");
		return;
	}
	const json_t *sequence = json_object_get(json, "sequence");
	const json_t *checkpoint = json_object_get(json, "checkpoint");
	const char *leaf = json_string_value(json_object_get(json, "leaf"));
	if (!json_is_integer(sequence) || json_integer_value(sequence) < 0 ||
	    !json_is_integer(checkpoint) || json_integer_value(checkpoint) < 0 ||
	    (leaf != NULL && !hex_parse(leaf, answer->leaf, 32))) {
		say(answer, "it does not tell what it has");
		return;
	}
	answer->entries = (uint64_t)json_integer_value(sequence);
	answer->checkpoint = (uint64_t)json_integer_value(checkpoint);
	answer->has_leaf = leaf != NULL;
	answer->knows = 1;
	answer->taken = 1;
}

static void judge(char op, long status, struct bytes body,
    struct tell_answer *answer)
{
	char text[48];

	snprintf(text, sizeof(text), "it answers with status %ld", status);
	if (op == TELL_ASK && status == OK)
		take_position(body, answer);
	else if (op == TELL_ASK)
		/* One that cannot be asked has what it was told. */
		answer->taken = status == NOT_FOUND || status == BAD_METHOD ||
				status == NOT_IMPLEMENTED;
	else
		answer->taken = status == OK || status == CREATED ||
				status == NO_CONTENT;
	if (!answer->taken && answer->why[0] == '\0')
		say(answer, text);
}

static void perform(CURL *curl, char op, const struct buf *lines,
    const char *error, struct tell_answer *answer)
{
	OWNED_BUF(body);
	struct curl_slist *headers = curl_slist_append(
	    curl_slist_append(NULL, "Content-Type: application/x-ndjson"),
	    "Expect:");
	long status = 0;
	CURLcode result;

	if (op == TELL_ASK) {
		curl_easy_setopt(curl, CURLOPT_HTTPGET, 1L);
	} else {
		curl_easy_setopt(curl, CURLOPT_POST, 1L);
		curl_easy_setopt(curl, CURLOPT_POSTFIELDS, lines->data);
		curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE,
		    (curl_off_t)lines->len);
	}
	curl_easy_setopt(
	    curl, CURLOPT_HTTPHEADER, op == TELL_ASK ? NULL : headers);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, &body);
	result = curl_easy_perform(curl);
	curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
	curl_slist_free_all(headers);
	if (result != CURLE_OK)
		say(answer, error[0] != '\0' ? error
					     : curl_easy_strerror(result));
	else
		judge(op, status, buf_bytes(&body), answer);
}

/* False at the end of the server. */
static bool serve_one(CURL *curl, char error[CURL_ERROR_SIZE])
{
	struct tell_answer answer;
	OWNED_BUF(lines);
	char op;
	uint32_t len;

	if (!read_all(&op, 1) || !read_all(&len, sizeof(len)) ||
	    len > TELL_MAX || (len > 0 && !read_all(buf_extend(&lines, len), len)))
		return false;
	memset(&answer, 0, sizeof(answer));
	error[0] = '\0';
	perform(curl, op, &lines, error, &answer);
	return write(TELL_FD, &answer, sizeof(answer)) ==
	       (ssize_t)sizeof(answer);
}

static const char help[] =
    "signet-witness URL CA [CERTIFICATE KEY]\n\n"
    "Started by signetd for each HTTP endpoint that witnesses its audit log.\n";

static int say_what_it_is(const char *option)
{
	if (strcmp(option, "--version") == 0)
		return printf("signet-witness %s\n", PACKAGE_VERSION) < 0;
	fputs(help, strcmp(option, "--help") == 0 ? stdout : stderr);
	return strcmp(option, "--help") == 0 ? 0 : 2;
}

int main(int argc, char **argv)
{
	char error[CURL_ERROR_SIZE] = "";
	struct err err = {0};

	fs_open_standard();
	if (argc != 3 && argc != 5)
		return say_what_it_is(argc == 2 ? argv[1] : "");
	signal(SIGPIPE, SIG_IGN);
	log_open(STDERR_FILENO, "signet-witness", LOG_INFO);
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		return 1;
	if (sandbox_drop(NULL, &err) != ERR_OK ||
	    sandbox_enter(SANDBOX_INET, &err) != ERR_OK) {
		log_err(LOG_ERROR, "cannot be fenced in", &err);
		return 1;
	}
	CURL *curl = open_curl(argv, error);
	while (serve_one(curl, error))
		continue;
	curl_easy_cleanup(curl);
	curl_global_cleanup();
	return 0;
}
