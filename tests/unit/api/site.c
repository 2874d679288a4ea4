// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/api/site.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>

#include "api/maintain.h"
#include "base/fs.h"
#include "ca/ceremony.h"

struct fixture site;
struct server *site_server;
static struct sockets *sockets;
static struct maintenance *maintenance;
static struct err err;
static char admin_cert[128], admin_key[128], roots[128];

static size_t keep(char *data, size_t size, size_t count, void *arg)
{
	buf_put(arg, data, size * count);
	return size * count;
}

static struct curl_slist *headers_of(const struct site_call *call)
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

static void set_identity(CURL *curl, const struct site_call *call)
{
	curl_easy_setopt(curl, CURLOPT_CAINFO, roots);
	if (!call->as_admin)
		return;
	curl_easy_setopt(curl, CURLOPT_SSLCERT, admin_cert);
	curl_easy_setopt(curl, CURLOPT_SSLKEY, admin_key);
}

void site_perform(
    CURL *curl, const struct site_call *call, struct site_answer *answer)
{
	bool api = strcmp(call->listener, "api") == 0;
	OWNED_STR(url) =
	    mem_printf("%s://127.0.0.1:%u%s", api ? "https" : "http",
		(unsigned)server_port(site_server, call->listener), call->path);
	struct curl_slist *headers = headers_of(call);
	*answer = (struct site_answer){0};
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

struct site_answer site_send(const struct site_call *call)
{
	struct site_answer answer;
	CURL *curl = curl_easy_init();
	site_perform(curl, call, &answer);
	curl_easy_cleanup(curl);
	return answer;
}

void site_answer_free(struct site_answer *answer)
{
	buf_free(&answer->body);
	buf_free(&answer->headers);
}

bool site_has(const struct buf *buf, const char *text)
{
	return buf->len > 0 &&
	       memmem(buf->data, buf->len, text, strlen(text)) != NULL;
}

void site_expect(const struct site_call *call, long status, const char *text)
{
	struct site_answer answer = site_send(call);
	if (answer.status != status ||
	    (!site_has(&answer.body, text) &&
		!site_has(&answer.headers, text) && *text != '\0'))
		fail_msg("%s: %ld, wanted %ld with \"%s\": %.*s%.*s",
		    call->path, answer.status, status, text,
		    (int)answer.headers.len, answer.headers.data,
		    (int)answer.body.len, answer.body.data);
	site_answer_free(&answer);
}

int site_connect(const char *listener)
{
	struct sockaddr_in address = {
	    .sin_family = AF_INET,
	    .sin_port = htons(server_port(site_server, listener)),
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 ||
	    connect(fd, (const struct sockaddr *)&address, sizeof(address)))
		abort();
	return fd;
}

static void write_admin(void)
{
	OWNED(names) names = names_new();
	OWNED(secret) key = NULL;
	OWNED(certificate) record = NULL;
	OWNED(issuer_set) issuers = ca_issuers(site.app->ca);
	const struct issuer *root = issuer_set_find(issuers, "root");
	OWNED_BUF(pem);
	assert_ok(names_set_cn(names, BYTES_STR("admin"), &err));
	fixture_identity(&site, (uint8_t[IDENTITY_ID_SIZE]){1}, "admin");
	const struct service_order order = {.profile = PROFILE_IDENTITY,
	    .names = names,
	    .roles = ROLE_ALL_HUMAN,
	    .identity = (uint8_t[IDENTITY_ID_SIZE]){1},
	    .ttl = 3600,
	    .requester = "system"};
	snprintf(admin_cert, sizeof(admin_cert), "%s/a.pem", site.dir);
	snprintf(admin_key, sizeof(admin_key), "%s/a-key.pem", site.dir);
	snprintf(roots, sizeof(roots), "%s/roots.pem", site.dir);
	assert_ok(service_issue(site.app->ca, &order, &key, &record, &err));
	assert_ok(service_write(
	    site.app->ca, record, key, admin_cert, admin_key, &err));
	pem_put(&pem, "CERTIFICATE", BYTES(root->der, root->der_len));
	assert_ok(fs_write(roots, 0600, buf_bytes(&pem), &err));
}

int site_begin(void **state)
{
	(void)state;
	curl_global_init(CURL_GLOBAL_DEFAULT);
	fixture_begin(&site);
	write_admin();
	if (sockets_open(site.config, &sockets, &err) != ERR_OK ||
	    server_open(site.app, sockets, &site_server, &err) != ERR_OK ||
	    maintain_open(site.app, &maintenance, &err) != ERR_OK)
		return 1;
	return 0;
}

int site_end(void **state)
{
	(void)state;
	maintain_close(maintenance);
	server_close(site_server);
	sockets_close(sockets);
	fixture_end(&site);
	curl_global_cleanup();
	return 0;
}
