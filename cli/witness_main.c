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
#include <stdlib.h>
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
#define FILE_MAX ((size_t)1 << 20)
#define DNS_PORT 53

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

/* What stands in the files that the command line names, read before all but the
 * resolver's files is out of reach. */
struct files {
	struct buf ca, certificate, key;
	struct err fault;	/* none: all could be read */
};

static void read_file(const char *path, struct buf *into, struct files *files)
{
	if (files->fault.code == ERR_OK && path != NULL &&
	    strcmp(path, "-") != 0)
		(void)!fs_read(path, FILE_MAX, into, &files->fault);
}

static void read_files(char **arguments, struct files *files)
{
	read_file(arguments[2], &files->ca, files);
	if (arguments[3] == NULL)
		return;
	read_file(arguments[3], &files->certificate, files);
	read_file(arguments[4], &files->key, files);
}

static void free_files(struct files *files)
{
	buf_free(&files->ca);
	buf_free(&files->certificate);
	buf_wipe(&files->key);
	buf_free(&files->key);
}

static void set_blob(CURL *curl, CURLoption option, const struct buf *from)
{
	struct curl_blob blob = {from->data, from->len, CURL_BLOB_NOCOPY};

	if (from->len > 0)
		curl_easy_setopt(curl, option, &blob);
}

static void set_security(
    CURL *curl, const char *url, const struct files *files)
{
	bool is_tls = text_has_prefix(url, "https://");

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
	/* Never those that the system trusts. */
	curl_easy_setopt(curl, CURLOPT_CAPATH, NULL);
	curl_easy_setopt(curl, CURLOPT_CAINFO, NULL);
	set_blob(curl, CURLOPT_CAINFO_BLOB, &files->ca);
	set_blob(curl, CURLOPT_SSLCERT_BLOB, &files->certificate);
	set_blob(curl, CURLOPT_SSLKEY_BLOB, &files->key);
	curl_easy_setopt(curl, CURLOPT_KEYPASSWD, "");
}

static CURL *open_curl(
    const char *url, const struct files *files, char error[CURL_ERROR_SIZE])
{
	CURL *curl = curl_easy_init();

	if (curl == NULL)
		abort();
	curl_easy_setopt(curl, CURLOPT_URL, url);
	curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, error);
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_TIMEOUT, (long)TELL_SECONDS);
	curl_easy_setopt(
	    curl, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_TIMEOUT_MS);
	/* Or it would wait for a resolver that has no answer, for minutes. */
	curl_easy_setopt(curl, CURLOPT_QUICK_EXIT, 1L);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_body);
	curl_easy_setopt(curl, CURLOPT_USERAGENT, "signetd");
	set_security(curl, url, files);
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
	if (result == CURLE_OK) {
		judge(op, status, buf_bytes(&body), answer);
		return;
	}
	say(answer, error[0] != '\0' ? error : curl_easy_strerror(result));
	/* The next one sees the certificates and the resolver's files of then. */
	answer->ends = 1;
}

/* False at the end of the server, or of what this process is good for. */
static bool serve_one(
    CURL *curl, const struct files *files, char error[CURL_ERROR_SIZE])
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
	if (files->fault.code == ERR_OK) {
		perform(curl, op, &lines, error, &answer);
	} else {
		say(&answer, files->fault.detail[0] != '\0'
			? files->fault.detail : files->fault.cause);
		answer.ends = 1;
	}
	return write(TELL_FD, &answer, sizeof(answer)) ==
		   (ssize_t)sizeof(answer) && !answer.ends;
}

static void serve(const char *url, const struct files *files)
{
	char error[CURL_ERROR_SIZE] = "";
	CURL *curl = open_curl(url, files, error);

	while (serve_one(curl, files, error))
		continue;
	curl_easy_cleanup(curl);
}

/* ---- What is given up ---- */

/* What the C library reads to find a host, and its own parts that do so. */
static const char *const visible[] = {
    "/etc/resolv.conf", "/etc/hosts", "/etc/host.conf", "/etc/nsswitch.conf",
    "/etc/gai.conf", "/etc/services", "/etc/protocols", "/etc/localtime",
    "/etc/ld.so.cache", "/etc/ssl/openssl.cnf", "/run/systemd/resolve",
    "/run/NetworkManager", "/run/resolvconf", "/run/nscd", "/lib", "/lib64",
    "/usr/lib", "/usr/lib64", "/usr/local/lib", "/usr/share/zoneinfo",
    "/dev/null", "/dev/urandom",
#ifdef __SANITIZE_ADDRESS__
    "/proc",
#endif
    NULL};

static uint16_t port_of(const char *url)
{
	CURLU *parts = curl_url();
	char *port = NULL;
	unsigned long number = 0;

	if (parts != NULL && curl_url_set(parts, CURLUPART_URL, url, 0) == 0 &&
	    curl_url_get(parts, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) == 0)
		number = strtoul(port, NULL, 10);
	curl_free(port);
	curl_url_cleanup(parts);
	return number > UINT16_MAX ? 0 : (uint16_t)number;
}

static enum err_code fence_in(const char *url, struct err *err)
{
	const uint16_t ports[] = {port_of(url), DNS_PORT, 0};
	const struct sandbox_view view = {visible, ports};
	enum err_code code = sandbox_drop(NULL, err);

	if (code == ERR_OK)
		code = sandbox_see(&view, err);
	return code == ERR_OK ? sandbox_enter(SANDBOX_INET, err) : code;
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

/* It ends when its server has told all, whoever asks the two to end. */
static void ignore_signals(void)
{
	signal(SIGPIPE, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	signal(SIGINT, SIG_IGN);
}

int main(int argc, char **argv)
{
	struct files files = {0};
	struct err err = {0};

	fs_open_standard();
	if (argc != 3 && argc != 5)
		return say_what_it_is(argc == 2 ? argv[1] : "");
	ignore_signals();
	log_open(STDERR_FILENO, "signet-witness", LOG_INFO);
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		return 1;
	read_files(argv, &files);
	if (fence_in(argv[1], &err) != ERR_OK) {
		log_err(LOG_ERROR, "cannot be fenced in", &err);
		return 1;
	}
	serve(argv[1], &files);
	free_files(&files);
	curl_global_cleanup();
	return 0;
}
