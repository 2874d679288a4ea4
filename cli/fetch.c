// SPDX-License-Identifier: Apache-2.0
#include "cli/fetch.h"

#include <stdlib.h>
#include <curl/curl.h>

#include "base/text.h"

#define BODY_MAX ((size_t)64 * 1024 * 1024)
#define TIMEOUT_MS 10000

static size_t take_body(char *data, size_t size, size_t count, void *arg)
{
	struct buf *body = arg;
	size_t len = size * count;

	if (len > BODY_MAX - body->len)
		return 0;
	buf_put(body, data, len);
	return len;
}

static void set_body(
    CURL *curl, const struct fetch *fetch, struct curl_slist **headers)
{
	OWNED_STR(line) = mem_printf("Content-Type: %s", fetch->type);

	*headers = curl_slist_append(*headers, line);
	curl_easy_setopt(curl, CURLOPT_HTTPHEADER, *headers);
	curl_easy_setopt(curl, CURLOPT_POST, 1L);
	curl_easy_setopt(curl, CURLOPT_POSTFIELDS, fetch->body.data);
	curl_easy_setopt(
	    curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)fetch->body.len);
}

enum err_code fetch_run(const struct fetch *fetch, long *status_out,
    struct buf *body, struct err *err)
{
	struct curl_slist *headers = NULL;
	CURL *curl = curl_easy_init();
	CURLcode result;

	if (curl == NULL)
		abort();
	curl_easy_setopt(curl, CURLOPT_URL, fetch->url);
	curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http");
	curl_easy_setopt(curl, CURLOPT_PROXY, "");
	curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)TIMEOUT_MS);
	curl_easy_setopt(curl, CURLOPT_USERAGENT, "signet");
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_body);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, body);
	if (fetch->type != NULL)
		set_body(curl, fetch, &headers);
	result = curl_easy_perform(curl);
	curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, status_out);
	curl_slist_free_all(headers);
	curl_easy_cleanup(curl);
	if (result == CURLE_OK)
		return ERR_OK;
	return err_fail(err, ERR_UNREACHABLE, "no answer from %s: %s",
	    fetch->url, curl_easy_strerror(result));
}

char *fetch_url(const char *listener)
{
	if (text_has_prefix(listener, "0.0.0.0:"))
		return mem_printf("http://127.0.0.1:%s", listener + 8);
	if (text_has_prefix(listener, "[::]:"))
		return mem_printf("http://[::1]:%s", listener + 5);
	return mem_printf("http://%s", listener);
}
