// SPDX-License-Identifier: Apache-2.0
/*
 * A load of HTTPS requests over kept connections, for scripts/bench.
 *
 *   load URL CONNECTIONS SECONDS METHOD PATH CA CERT KEY [BODY | csr:CLUSTER-NAME]
 *
 * Each connection is a thread that sends and waits.  A body "csr:NAME" makes
 * each request ask for a certificate of its own: new keys and requests, made
 * before the clock starts.  Prints one JSON object; answers other than 2xx are
 * counted and the first is shown on standard error.
 */
#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/json.h"

#define ANSWER_MAX 65536
#define SAMPLES_MAX 4000000
#define CSRS_PER_SECOND 12000	/* made ahead, for each second of load */

struct plan {
	const char *host, *port, *method, *path, *body;
	const char *csr_name;		/* or NULL */
	SSL_CTX *tls;
	unsigned connections;
	double seconds;
	char **requests;		/* ready to send */
	size_t requests_count;
};

static struct plan plan;
static atomic_size_t next_request, answered, refused;
static atomic_bool stop, shown;
static uint32_t *samples;		/* microseconds */

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void die(const char *what)
{
	fprintf(stderr, "load: %s\n", what);
	exit(1);
}

/* --- requests --- */

static char *new_csr(const char *name)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509_REQ *request = X509_REQ_new();
	STACK_OF(X509_EXTENSION) *extensions = sk_X509_EXTENSION_new_null();
	char san[300], *text;
	BIO *bio = BIO_new(BIO_s_mem());

	snprintf(san, sizeof(san), "DNS:%s", name);
	X509_EXTENSION *extension =
	    X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, san);
	sk_X509_EXTENSION_push(extensions, extension);
	X509_REQ_set_pubkey(request, key);
	X509_REQ_add_extensions(request, extensions);
	X509_REQ_sign(request, key, EVP_sha256());
	PEM_write_bio_X509_REQ(bio, request);
	long len = BIO_get_mem_data(bio, &text);
	char *copy = mem_strndup(text, (size_t)len);
	BIO_free(bio);
	sk_X509_EXTENSION_pop_free(extensions, X509_EXTENSION_free);
	X509_REQ_free(request);
	EVP_PKEY_free(key);
	return copy;
}

static char *new_request(void)
{
	OWNED_BUF(body);

	if (plan.csr_name != NULL) {
		OWNED_JSON(json) = json_object();
		OWNED_STR(csr) = new_csr(plan.csr_name);
		json_object_set_new(json, "csr", json_string(csr));
		json_object_set_new(json, "profile", json_string("server"));
		json_put(&body, json);
	} else if (plan.body != NULL) {
		buf_put_str(&body, plan.body);
	}
	buf_put_u8(&body, 0);
	return mem_printf("%s %s HTTP/1.1\r\nHost: %s\r\n"
			  "Content-Type: application/json\r\n"
			  "Content-Length: %zu\r\n\r\n%s",
	    plan.method, plan.path, plan.host, body.len - 1,
	    (const char *)body.data);
}

static void *make_requests(void *arg)
{
	(void)arg;
	for (;;) {
		size_t i = atomic_fetch_add(&next_request, 1);
		if (i >= plan.requests_count)
			return NULL;
		plan.requests[i] = new_request();
	}
}

static void prepare(void)
{
	pthread_t threads[2];

	plan.requests_count = plan.csr_name == NULL
	    ? 1
	    : (size_t)(plan.seconds * CSRS_PER_SECOND);
	plan.requests =
	    mem_zalloc_array(plan.requests_count, sizeof(*plan.requests));
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		pthread_create(&threads[i], NULL, make_requests, NULL);
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		pthread_join(threads[i], NULL);
	atomic_store(&next_request, 0);
}

/* --- connections --- */

static SSL *open_connection(void)
{
	struct addrinfo *address, hints = {.ai_socktype = SOCK_STREAM};
	int one = 1;

	if (getaddrinfo(plan.host, plan.port, &hints, &address) != 0)
		die("address");
	int fd = socket(address->ai_family, SOCK_STREAM, 0);
	if (connect(fd, address->ai_addr, address->ai_addrlen) != 0)
		die("connect");
	freeaddrinfo(address);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	SSL *ssl = SSL_new(plan.tls);
	SSL_set_fd(ssl, fd);
	if (SSL_connect(ssl) != 1)
		die("TLS handshake");
	return ssl;
}

/* Reads one answer by its Content-Length; gives its status. */
static int read_answer(SSL *ssl, char *answer)
{
	size_t have = 0;

	for (;;) {
		int got =
		    SSL_read(ssl, answer + have, (int)(ANSWER_MAX - 1 - have));
		if (got <= 0)
			return 0;
		have += (size_t)got;
		answer[have] = '\0';
		const char *end = strstr(answer, "\r\n\r\n");
		if (end == NULL)
			continue;
		const char *length = strcasestr(answer, "\ncontent-length:");
		size_t body = length == NULL || length > end
		    ? 0
		    : strtoul(length + 16, NULL, 10);
		if (have >= (size_t)(end - answer) + 4 + body)
			return (int)strtol(answer + 9, NULL, 10);
	}
}

static void note(int status, const char *answer, double began)
{
	if (status < 200 || status > 299) {
		atomic_fetch_add(&refused, 1);
		if (!atomic_exchange(&shown, true))
			fprintf(stderr, "load: %.2000s\n", answer);
		return;
	}
	size_t i = atomic_fetch_add(&answered, 1);
	if (i < SAMPLES_MAX)
		samples[i] = (uint32_t)((now() - began) * 1e6);
}

static void *serve(void *arg)
{
	SSL *ssl = open_connection();
	char *answer = mem_zalloc(ANSWER_MAX);

	(void)arg;
	while (!atomic_load(&stop)) {
		size_t i = atomic_fetch_add(&next_request, 1);
		if (plan.csr_name == NULL)
			i = 0;
		else if (i >= plan.requests_count)
			break;
		double began = now();
		const char *request = plan.requests[i];
		answer[0] = '\0';
		if (SSL_write(ssl, request, (int)strlen(request)) <= 0)
			break;
		int status = read_answer(ssl, answer);
		note(status, answer, began);
		if (status == 0)
			break;
	}
	free(answer);
	SSL_free(ssl);
	return NULL;
}

static int by_size(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static void report(double seconds)
{
	size_t count = atomic_load(&answered);
	size_t kept = count < SAMPLES_MAX ? count : SAMPLES_MAX;

	qsort(samples, kept, sizeof(samples[0]), by_size);
	printf("{\"answered\": %zu, \"refused\": %zu, \"seconds\": %.3f, "
	       "\"p50_us\": %u, \"p99_us\": %u}\n",
	    count, atomic_load(&refused), seconds,
	    kept == 0 ? 0 : samples[kept / 2],
	    kept == 0 ? 0 : samples[kept * 99 / 100]);
}

static void open_tls(const char *ca, const char *cert, const char *key)
{
	plan.tls = SSL_CTX_new(TLS_client_method());
	/* One system call for what came together, not two for each record: the
	 * load competes with the server for the processors. */
	SSL_CTX_set_read_ahead(plan.tls, 1);
	SSL_CTX_set_verify(plan.tls, SSL_VERIFY_PEER, NULL);
	if (SSL_CTX_load_verify_file(plan.tls, ca) != 1)
		die("CA file");
	if (strcmp(cert, "-") == 0)
		return;
	if (SSL_CTX_use_certificate_chain_file(plan.tls, cert) != 1 ||
	    SSL_CTX_use_PrivateKey_file(plan.tls, key, SSL_FILETYPE_PEM) != 1)
		die("certificate and key");
}

int main(int argc, char **argv)
{
	if (argc < 9)
		die("usage: load HOST:PORT CONNECTIONS SECONDS METHOD PATH CA "
		    "CERT KEY [BODY|csr:NAME]");
	char *colon = strrchr(argv[1], ':');
	if (colon == NULL)
		die("HOST:PORT");
	*colon = '\0';
	plan.host = argv[1];
	plan.port = colon + 1;
	plan.connections = (unsigned)strtoul(argv[2], NULL, 10);
	plan.seconds = strtod(argv[3], NULL);
	plan.method = argv[4];
	plan.path = argv[5];
	if (argc > 9 && strncmp(argv[9], "csr:", 4) == 0)
		plan.csr_name = argv[9] + 4;
	else if (argc > 9)
		plan.body = argv[9];
	if (plan.connections < 1 || plan.connections > 1024)
		die("1 to 1024 connections");
	open_tls(argv[6], argv[7], argv[8]);
	samples = mem_zalloc_array(SAMPLES_MAX, sizeof(samples[0]));
	prepare();

	pthread_t *threads =
	    mem_zalloc_array(plan.connections, sizeof(*threads));
	double began = now();
	for (unsigned i = 0; i < plan.connections; i++)
		pthread_create(&threads[i], NULL, serve, NULL);
	struct timespec length = {.tv_sec = (time_t)plan.seconds};
	nanosleep(&length, NULL);
	atomic_store(&stop, true);
	for (unsigned i = 0; i < plan.connections; i++)
		pthread_join(threads[i], NULL);
	report(now() - began);
	return 0;
}
