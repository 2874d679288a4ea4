// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/cli/server.h"

#include <arpa/inet.h>
#include <openssl/ec.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define REQUEST_MAX 65536

struct server {
	int listener;
	char url[64];
	SSL_CTX *ctx;
	pthread_t thread;
	serve *answer;
	void *arg;
	atomic_bool stopping;
	atomic_uint requests;
};

static size_t length_in(const char *head)
{
	const char *line = strcasestr(head, "\r\ncontent-length:");

	return line == NULL ? 0 : strtoul(line + 17, NULL, 10);
}

/* Head and body, or false when the peer goes. */
static bool read_request(SSL *ssl, struct request *request)
{
	OWNED_BUF(text);
	char *end = NULL;

	buf_reserve(&text, REQUEST_MAX + 1);
	while (text.len < REQUEST_MAX) {
		int len = SSL_read(
		    ssl, text.data + text.len, (int)(REQUEST_MAX - text.len));
		if (len <= 0)
			return false;
		text.len += (size_t)len;
		text.data[text.len] = '\0';
		end = strstr((char *)text.data, "\r\n\r\n");
		if (end == NULL)
			continue;
		size_t head = (size_t)(end - (char *)text.data);
		request->head = mem_strndup((char *)text.data, head);
		if (text.len >= head + 4 + length_in(request->head))
			break;
		free(request->head);
		request->head = NULL;
	}
	if (request->head == NULL)
		return false;
	const char *space = strchr(request->head, ' ');
	size_t target = (size_t)(space - request->head) + 1;
	target += strcspn(space + 1, " ");
	request->target = mem_strndup(request->head, target);
	request->body = mem_strdup(end + 4);
	return true;
}

static void converse(struct server *server, SSL *ssl)
{
	struct request request = {0};
	struct reply reply = {
	    .status = 200, .type = "application/json", .header = ""};

	if (SSL_accept(ssl) == 1 && read_request(ssl, &request)) {
		server->answer(&request, &reply, server->arg);
		server->requests++;
	}
	if (request.target != NULL && reply.status != 0) {
		OWNED_BUF(text);
		buf_printf(&text,
		    "HTTP/1.1 %d Status\r\nContent-Type: %s\r\n%s"
		    "Content-Length: %zu\r\nConnection: close\r\n\r\n",
		    reply.status, reply.type, reply.header, reply.body.len);
		buf_put_bytes(&text, buf_bytes(&reply.body));
		(void)SSL_write(ssl, text.data, (int)text.len);
		(void)SSL_shutdown(ssl);
	}
	buf_free(&reply.body);
	free(request.target);
	free(request.head);
	free(request.body);
}

static void *run(void *arg)
{
	struct server *server = arg;

	for (;;) {
		int fd = accept(server->listener, NULL, NULL);
		if (fd < 0 || server->stopping) {
			if (fd >= 0)
				close(fd);
			return NULL;
		}
		SSL *ssl = SSL_new(server->ctx);
		SSL_set_fd(ssl, fd);
		converse(server, ssl);
		SSL_free(ssl);
		close(fd);
	}
}

static int take_any(int ok, X509_STORE_CTX *ctx)
{
	(void)ok;
	(void)ctx;
	return 1;
}

static SSL_CTX *make_ctx(const struct authority *authority, const char *name)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *cert = authority_sign(authority, key, name);

	SSL_CTX_use_certificate(ctx, cert);
	SSL_CTX_use_PrivateKey(ctx, key);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, take_any);
	X509_free(cert);
	EVP_PKEY_free(key);
	return ctx;
}

struct server *server_start(const struct authority *authority,
    const char *name, serve *answer, void *arg)
{
	struct server *server = mem_zalloc(sizeof(*server));
	struct sockaddr_in address = {
	    .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(address);

	signal(SIGPIPE, SIG_IGN);
	server->ctx = make_ctx(authority, name);
	server->answer = answer;
	server->arg = arg;
	server->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (bind(server->listener, (struct sockaddr *)&address, len) != 0 ||
	    listen(server->listener, 16) != 0 ||
	    getsockname(
		server->listener, (struct sockaddr *)&address, &len) != 0 ||
	    pthread_create(&server->thread, NULL, run, server) != 0)
		abort();
	snprintf(server->url, sizeof(server->url), "https://127.0.0.1:%d",
	    ntohs(address.sin_port));
	return server;
}

void server_stop(struct server *server)
{
	server->stopping = true;
	shutdown(server->listener, SHUT_RDWR);
	pthread_join(server->thread, NULL);
	close(server->listener);
	SSL_CTX_free(server->ctx);
	free(server);
}

const char *server_url(const struct server *server)
{
	return server->url;
}

unsigned server_requests(const struct server *server)
{
	return server->requests;
}
