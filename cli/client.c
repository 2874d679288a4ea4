// SPDX-License-Identifier: Apache-2.0
#include "cli/client.h"

#include <stdlib.h>
#include <string.h>
#include <curl/curl.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "base/text.h"

#define HTTP_ACCEPTED 202	/* RFC 9110 15.3.3 */
#define HTTP_TOO_MANY 429	/* RFC 6585 4 */
#define HTTP_UNAVAILABLE 503	/* RFC 9110 15.6.4 */
#define ANSWER_MAX ((size_t)16 * 1024 * 1024)
#define ANSWER_USUAL ((size_t)16 * 1024)
#define PAGES_MAX 10000
#define TIMEOUT_MS 30000
#define CONNECT_TIMEOUT_MS 10000

struct client {
	CURL *curl;
	char *base; /* URL without a trailing slash */
	struct curl_slist *headers; /* sent with every call */
	int64_t retry_after; /* of the last answer */
	char error[CURL_ERROR_SIZE];
};

/* An answer while it arrives. */
struct answer {
	struct buf body;
	bool too_large;
};

static size_t take_body(char *data, size_t size, size_t count, void *arg)
{
	struct answer *answer = arg;
	size_t len = size * count;

	if (len > ANSWER_MAX - answer->body.len) {
		answer->too_large = true;
		return 0;
	}
	buf_put(&answer->body, data, len);
	return len;
}

static enum err_code curl_failed(
    const struct client *client, CURLcode result, struct err *err)
{
	const char *why = client->error[0] != '\0' ? client->error
						   : curl_easy_strerror(result);

	if (result == CURLE_PEER_FAILED_VERIFICATION)
		return err_refuse(err, ERR_POLICY,
		    "%s is not the server it should be: %s", client->base, why);
	if (result == CURLE_SSL_CERTPROBLEM ||
	    result == CURLE_SSL_CACERT_BADFILE)
		return err_refuse(err, ERR_CONFIG, "%s", why);
	return err_fail(
	    err, ERR_UNREACHABLE, "no answer from %s: %s", client->base, why);
}

static void add_header(struct client *client, const char *line)
{
	struct curl_slist *more = curl_slist_append(client->headers, line);

	if (more == NULL)
		abort();
	client->headers = more;
}

static void add_token(struct client *client, const struct secret *token)
{
	OWNED_BUF(line);
	struct bytes text = secret_bytes(token);

	buf_reserve(&line, text.len + 32);
	buf_printf(&line, "Authorization: Bearer ");
	buf_put_bytes(&line, text);
	buf_put_u8(&line, 0);
	add_header(client, (const char *)line.data);
	OPENSSL_cleanse(line.data, line.len);
}

static void set_common(struct client *client, int64_t timeout_ms)
{
	CURL *curl = client->curl;

	curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, client->error);
	/* No CURLOPT_NOSIGNAL: libcurl then shields us from SIGPIPE. */
	curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "https");
	curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(
	    curl, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	curl_easy_setopt(
	    curl, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_TIMEOUT_MS);
	curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS,
	    (long)(timeout_ms == 0 ? TIMEOUT_MS : timeout_ms));
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_body);
	curl_easy_setopt(curl, CURLOPT_USERAGENT, "signet");
	/* The server is one that was named or pinned, never reached through
	 * whatever proxy the environment names. */
	curl_easy_setopt(curl, CURLOPT_PROXY, "");
}

static void set_trust(
    struct client *client, const struct client_options *options)
{
	struct curl_blob blob = {
	    .len = options->ca_pem.len, .flags = CURL_BLOB_COPY};

	/* The system's own store of roots is never asked. */
	curl_easy_setopt(client->curl, CURLOPT_CAPATH, NULL);
	if (options->ca_file != NULL)
		curl_easy_setopt(
		    client->curl, CURLOPT_CAINFO, options->ca_file);
	else {
		/* libcurl's type is not const, but it copies. */
		memcpy(&blob.data, &options->ca_pem.data, sizeof(blob.data));
		curl_easy_setopt(client->curl, CURLOPT_CAINFO_BLOB, &blob);
	}
}

static enum err_code check_options(
    const struct client_options *options, struct err *err)
{
	if (options->url == NULL || !text_has_prefix(options->url, "https://"))
		return err_refuse(err, ERR_USAGE,
		    "URL %s does not begin with https://",
		    options->url == NULL ? "(none)"
					 : err_quote_str(options->url));
	if (options->ca_file == NULL && options->ca_pem.len == 0)
		return err_refuse(err, ERR_USAGE,
		    "no root to trust: name it with --ca or --config");
	return ERR_OK;
}

static struct client *client_new(const char *url, int64_t timeout_ms)
{
	struct client *client = mem_zalloc(sizeof(*client));
	size_t len = strlen(url);

	while (len > 0 && url[len - 1] == '/')
		len--;
	client->base = mem_strndup(url, len);
	client->curl = curl_easy_init();
	if (client->curl == NULL)
		abort();
	set_common(client, timeout_ms);
	add_header(client, "Content-Type: application/json");
	add_header(client, "Expect:");
	return client;
}

enum err_code client_open(const struct client_options *options,
    struct client **client_out, struct err *err)
{
	enum err_code code = check_options(options, err);

	if (code != ERR_OK)
		return code;
	struct client *client = client_new(options->url, options->timeout_ms);
	set_trust(client, options);
	if (options->cert_file != NULL) {
		curl_easy_setopt(
		    client->curl, CURLOPT_SSLCERT, options->cert_file);
		curl_easy_setopt(
		    client->curl, CURLOPT_SSLKEY, options->key_file);
		/* Keeps OpenSSL from asking at the terminal. */
		curl_easy_setopt(client->curl, CURLOPT_KEYPASSWD, "");
	}
	if (options->token != NULL)
		add_token(client, options->token);
	*client_out = client;
	return ERR_OK;
}

void client_close(struct client *client)
{
	if (client == NULL)
		return;
	for (struct curl_slist *h = client->headers; h != NULL; h = h->next)
		OPENSSL_cleanse(h->data, strlen(h->data));
	curl_slist_free_all(client->headers);
	curl_easy_cleanup(client->curl);
	free(client->base);
	free(client);
}

/* The code behind a slug; ERR_OK for none that a server can mean: these tell
 * what is wrong on this side. */
static enum err_code code_of(const char *slug)
{
	enum err_code code = slug == NULL ? ERR_OK : err_from_slug(slug);

	return code == ERR_USAGE || code == ERR_CONFIG ? ERR_OK : code;
}

/* Turns a problem+json answer into the error that the server had. */
static enum err_code server_said(
    long status, const json_t *problem, struct err *err)
{
	const char *slug = json_string_value(json_object_get(problem, "code"));
	const char *detail =
	    json_string_value(json_object_get(problem, "detail"));
	const char *request =
	    json_string_value(json_object_get(problem, "request_id"));
	enum err_code code = code_of(slug);

	if (code == ERR_OK)
		return err_fail(err,
		    status >= 500 ? ERR_UNREACHABLE : ERR_INTERNAL,
		    "the server answered with status %ld", status);
	if (err_is_refusal(code))
		return err_refuse(err, code, "%s (request %s)",
		    detail == NULL ? "no reason given" : detail,
		    request == NULL ? "unknown" : request);
	return err_fail(err, code, "%s (request %s)",
	    detail == NULL || *detail == '\0' ? "see the server's log" : detail,
	    request == NULL ? "unknown" : request);
}

/* Whoever asked comes again with the same request. */
static enum err_code awaiting(const json_t *approval, struct err *err)
{
	const char *id = json_string_value(json_object_get(approval, "id"));
	const char *until =
	    json_string_value(json_object_get(approval, "expires"));
	json_int_t missing =
	    json_integer_value(json_object_get(approval, "needed")) -
	    json_integer_value(json_object_get(approval, "approvals"));

	return err_refuse(err, ERR_AWAITING,
	    "%s wants %d more approval%s; then give the same command again, "
	    "before %s", id == NULL ? "request" : err_quote_str(id),
	    (int)missing, missing == 1 ? "" : "s",
	    until == NULL ? "it expires" : err_quote_str(until));
}

/* libcurl reads both forms, seconds and a date. */
static int64_t retry_after_of(CURL *curl, long status)
{
	curl_off_t seconds = 0;

	if ((status != HTTP_TOO_MANY && status != HTTP_UNAVAILABLE) ||
	    curl_easy_getinfo(curl, CURLINFO_RETRY_AFTER, &seconds) !=
		CURLE_OK || seconds < 0)
		return 0;
	return (int64_t)seconds;
}

int64_t client_retry_after(const struct client *client)
{
	return client->retry_after;
}

/* Sends, and leaves status and body. */
static enum err_code exchange(struct client *client, const char *method,
    const char *path, const struct buf *body, struct answer *answer,
    long *status_out, struct err *err)
{
	OWNED_STR(url) = mem_printf("%s/api/v1%s", client->base, path);
	CURL *curl = client->curl;

	client->error[0] = '\0';
	client->retry_after = 0;
	curl_easy_setopt(curl, CURLOPT_URL, url);
	curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method);
	curl_easy_setopt(curl, CURLOPT_HTTPHEADER, client->headers);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, answer);
	if (body != NULL) {
		curl_easy_setopt(
		    curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body->len);
		curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body->data);
	} else {
		curl_easy_setopt(curl, CURLOPT_POSTFIELDS, NULL);
		curl_easy_setopt(curl, CURLOPT_HTTPGET, 1L);
		curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method);
	}
	CURLcode result = curl_easy_perform(curl);
	if (answer->too_large)
		return err_fail(err, ERR_INTERNAL,
		    "the answer is longer than %zu octets", ANSWER_MAX);
	if (result != CURLE_OK)
		return curl_failed(client, result, err);
	curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, status_out);
	client->retry_after = retry_after_of(curl, *status_out);
	return ERR_OK;
}

/* Plaintext keys come through here: the buffer is wiped. */
static void answer_wipe(struct answer *answer)
{
	buf_wipe(&answer->body);
}

enum err_code client_call(struct client *client, const char *method,
    const char *path, const json_t *body, json_t **answer_out, struct err *err)
{
	__attribute__((cleanup(answer_wipe))) struct answer answer = {
	    BUF_INIT, false};
	OWNED_BUF(text);
	OWNED_JSON(json) = NULL;
	long status = 0;
	enum err_code code;

	/* Room for a data key at once, so that no growth leaves it behind. */
	buf_reserve(&answer.body, ANSWER_USUAL);
	if (body != NULL)
		json_put(&text, body);
	if ((code = exchange(client, method, path, body == NULL ? NULL : &text,
		 &answer, &status, err)) != ERR_OK)
		return code;
	struct err parse_err = {0};
	if (answer.body.len > 0 &&
	    json_parse(buf_bytes(&answer.body), &json, &parse_err) != ERR_OK)
		json = NULL;
	if (status < 200 || status > 299)
		return server_said(status, json, err);
	if (json == NULL)
		return err_fail(err, ERR_INTERNAL,
		    "%s answered with something that is not JSON",
		    client->base);
	code = status == HTTP_ACCEPTED ? awaiting(json, err) : ERR_OK;
	if (answer_out != NULL)
		*answer_out = GIVE(json);
	return code;
}

/* One page appended to ITEMS; *next is the cursor of the one behind it. */
static enum err_code take_page(struct client *client, const char *path,
    json_t *items, char **next, struct err *err)
{
	OWNED_BUF(url);
	OWNED_JSON(page) = NULL;
	enum err_code code;

	buf_put_str(&url, path);
	if (*next != NULL) {
		buf_put_str(&url, strchr(path, '?') == NULL ? "?" : "&");
		buf_put_str(&url, "cursor=");
		url_put(&url, *next);
	}
	OWNED_STR(text) = buf_to_str(&url);
	free(*next);
	*next = NULL;
	if ((code = client_call(client, "GET", text, NULL, &page, err)) !=
	    ERR_OK)
		return code;
	if (json_array_extend(items, json_object_get(page, "items")) != 0)
		return err_fail(err, ERR_INTERNAL, "%s answered without a list",
		    client->base);
	const char *cursor = json_string_value(json_object_get(page, "next"));
	if (cursor != NULL)
		*next = mem_strdup(cursor);
	return ERR_OK;
}

enum err_code client_list(struct client *client, const char *path,
    json_t **items_out, struct err *err)
{
	OWNED_JSON(items) = json_array();
	OWNED_STR(next) = NULL;

	for (size_t page = 0; page < PAGES_MAX; page++) {
		enum err_code code = take_page(client, path, items, &next, err);
		if (code != ERR_OK)
			return code;
		if (next == NULL) {
			*items_out = GIVE(items);
			return ERR_OK;
		}
	}
	return err_fail(err, ERR_INTERNAL, "the list does not end");
}

/*
 * Takes the first certificate of TEXT when its DER has FINGERPRINT.  It is
 * written anew: what else stands in TEXT is not pinned.
 */
static bool take_pinned(
    const char *text, const uint8_t *fingerprint, struct buf *pem)
{
	uint8_t digest[EVP_MAX_MD_SIZE];
	unsigned digest_len = 0;
	BIO *bio = BIO_new_mem_buf(text, -1);
	X509 *cert = PEM_read_bio_X509(bio, NULL, NULL, NULL);
	bool fits = cert != NULL &&
		    X509_digest(cert, EVP_sha256(), digest, &digest_len) == 1 &&
		    digest_len == 32 &&
		    CRYPTO_memcmp(digest, fingerprint, 32) == 0;
	BIO *out = BIO_new(BIO_s_mem());
	char *written = NULL;

	if (fits && PEM_write_bio_X509(out, cert) == 1) {
		long len = BIO_get_mem_data(out, &written);
		buf_put(pem, written, (size_t)len);
	}
	X509_free(cert);
	BIO_free(out);
	BIO_free(bio);
	ERR_clear_error();
	return written != NULL;
}

enum err_code client_fetch_root(const char *url,
    const uint8_t fingerprint[static 32], struct buf *pem, struct err *err)
{
	struct client_options check = {.url = url, .ca_file = "-"};
	OWNED_JSON(answer) = NULL;
	json_t *item;
	size_t index;
	enum err_code code;

	if ((code = check_options(&check, err)) != ERR_OK)
		return code;
	OWNED(client) client = client_new(url, 0);
	/* Nothing secret is sent, and what comes is believed only by its hash.
	 */
	curl_easy_setopt(client->curl, CURLOPT_SSL_VERIFYPEER, 0L);
	curl_easy_setopt(client->curl, CURLOPT_SSL_VERIFYHOST, 0L);
	if ((code = client_call(client, "GET", "/roots", NULL, &answer, err)) !=
	    ERR_OK)
		return code;
	json_array_foreach(json_object_get(answer, "items"), index, item)
	{
		const char *text =
		    json_string_value(json_object_get(item, "certificate"));
		if (text != NULL && take_pinned(text, fingerprint, pem))
			return ERR_OK;
	}
	return err_refuse(err, ERR_POLICY,
	    "no root of %s has the fingerprint given: wrong server, or wrong "
	    "fingerprint",
	    err_quote_str(url));
}

void url_put(struct buf *url, const char *text)
{
	for (; *text != '\0'; text++) {
		unsigned char c = (unsigned char)*text;
		if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
		    (c >= '0' && c <= '9') || strchr("-._~", c) != NULL)
			buf_put_u8(url, c);
		else
			buf_printf(url, "%%%02X", c);
	}
}
