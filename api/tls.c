// SPDX-License-Identifier: Apache-2.0
#include "api/tls.h"

#include <errno.h>
#include <gnutls/x509.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/fs.h"
#include "base/secret.h"

#define FILE_MAX (64 * 1024)
#define CHAIN_MAX 8
#define PEER_CERTIFICATE_MAX (16 * 1024)

struct tls_credentials {
	atomic_uint references;
	gnutls_certificate_credentials_t gnutls;
	struct tls_validity validity;
};

/* Invariant: current is never NULL after tls_open; lock guards the pointer, and
 * reloading serialises those who may rename the key. */
struct tls {
	char *certificate, *key, *next_key;
	pthread_mutex_t lock, reloading;
	struct tls_credentials *current;
};

void tls_end(struct tls_credentials *credentials)
{
	if (credentials == NULL ||
	    atomic_fetch_sub(&credentials->references, 1) != 1)
		return;
	gnutls_certificate_free_credentials(credentials->gnutls);
	free(credentials);
}

static enum err_code read_validity(
    struct tls_credentials *credentials, struct err *err)
{
	gnutls_x509_crt_t *chain = NULL;
	unsigned count = 0;
	int rv = gnutls_certificate_get_x509_crt(
	    credentials->gnutls, 0, &chain, &count);
	if (rv < 0 || count == 0)
		return err_fail(err, ERR_CRYPTO, "server certificate: %s",
		    gnutls_strerror(rv));
	credentials->validity = (struct tls_validity){
	    gnutls_x509_crt_get_activation_time(chain[0]),
	    gnutls_x509_crt_get_expiration_time(chain[0]),
	};
	for (unsigned i = 0; i < count; i++)
		gnutls_x509_crt_deinit(chain[i]);
	gnutls_free(chain);
	return ERR_OK;
}

/* One try with one key file. */
static enum err_code load_pair(const char *certificate, const char *key,
    struct tls_credentials *credentials, struct err *err)
{
	OWNED_BUF(chain);
	OWNED(secret) secret = NULL;
	enum err_code code = fs_read(certificate, FILE_MAX, &chain, err);
	if (code == ERR_NOT_FOUND)
		return err_refuse(
		    err, ERR_CONFIG, "%s does not exist", certificate);
	if (code != ERR_OK)
		return code;
	code = secret_from_file(key, FILE_MAX, &secret, err);
	if (code != ERR_OK)
		return code;
	gnutls_datum_t chain_datum = {chain.data, (unsigned)chain.len};
	gnutls_datum_t key_datum = {
	    secret_data(secret), (unsigned)secret_len(secret)};
	int rv = gnutls_certificate_set_x509_key_mem2(credentials->gnutls,
	    &chain_datum, &key_datum, GNUTLS_X509_FMT_PEM, NULL, 0);
	if (rv < 0)
		return err_refuse(err, ERR_CONFIG,
		    "%s and %s cannot serve TLS: %s", certificate, key,
		    gnutls_strerror(rv));
	return read_validity(credentials, err);
}

static struct tls_credentials *credentials_new(void)
{
	struct tls_credentials *credentials =
	    mem_zalloc(sizeof(*credentials));
	if (gnutls_certificate_allocate_credentials(&credentials->gnutls) < 0)
		abort();
	atomic_store(&credentials->references, 1);
	return credentials;
}

static enum err_code load_with(struct tls *tls, const char *key,
    struct tls_credentials **credentials_out, struct err *err)
{
	struct tls_credentials *credentials = credentials_new();
	enum err_code code =
	    load_pair(tls->certificate, key, credentials, err);
	if (code != ERR_OK) {
		tls_end(credentials);
		return code;
	}
	*credentials_out = credentials;
	return ERR_OK;
}

static enum err_code load(struct tls *tls,
    struct tls_credentials **credentials_out, struct err *err)
{
	enum err_code code = load_with(tls, tls->key, credentials_out, err);
	if (code == ERR_OK || !fs_exists(tls->next_key))
		return code;
	struct err ignored = {0};
	if (load_with(tls, tls->next_key, credentials_out, &ignored) != ERR_OK)
		return code;
	/* The certificate was replaced and its key was not: finish that. */
	if (rename(tls->next_key, tls->key) != 0) {
		tls_end(GIVE(*credentials_out));
		return err_fail(err, ERR_IO, "%s: %s", tls->next_key,
		    strerror(errno));
	}
	err_clear(err);
	return ERR_OK;
}

enum err_code tls_open(const char *certificate, const char *key,
    struct tls **tls_out, struct err *err)
{
	OWNED(tls) tls = mem_zalloc(sizeof(*tls));
	tls->certificate = mem_strdup(certificate);
	tls->key = mem_strdup(key);
	tls->next_key = mem_printf("%s.next", key);
	pthread_mutex_init(&tls->lock, NULL);
	pthread_mutex_init(&tls->reloading, NULL);
	enum err_code code = load(tls, &tls->current, err);
	if (code != ERR_OK)
		return code;
	*tls_out = GIVE(tls);
	return ERR_OK;
}

void tls_close(struct tls *tls)
{
	if (tls == NULL)
		return;
	tls_end(tls->current);
	pthread_mutex_destroy(&tls->lock);
	pthread_mutex_destroy(&tls->reloading);
	free(tls->certificate);
	free(tls->key);
	free(tls->next_key);
	free(tls);
}

static void swap_in(struct tls *tls, struct tls_credentials *fresh)
{
	pthread_mutex_lock(&tls->lock);
	struct tls_credentials *old = tls->current;
	tls->current = fresh;
	pthread_mutex_unlock(&tls->lock);
	tls_end(old);
}

static enum err_code reload_locked(struct tls *tls, struct err *err)
{
	struct tls_credentials *fresh = NULL;
	enum err_code code = load(tls, &fresh, err);
	if (code != ERR_OK)
		return code;
	swap_in(tls, fresh);
	return ERR_OK;
}

enum err_code tls_reload(struct tls *tls, struct err *err)
{
	pthread_mutex_lock(&tls->reloading);
	enum err_code code = reload_locked(tls, err);
	pthread_mutex_unlock(&tls->reloading);
	return code;
}

static struct tls_credentials *current_ref(struct tls *tls)
{
	pthread_mutex_lock(&tls->lock);
	struct tls_credentials *credentials = tls->current;
	atomic_fetch_add(&credentials->references, 1);
	pthread_mutex_unlock(&tls->lock);
	return credentials;
}

struct tls_validity tls_validity(struct tls *tls)
{
	struct tls_credentials *credentials = current_ref(tls);
	struct tls_validity validity = credentials->validity;
	tls_end(credentials);
	return validity;
}

static bool leaf_carries(
    const struct tls_credentials *credentials, const char *name)
{
	gnutls_x509_crt_t *chain = NULL;
	unsigned count = 0;
	if (gnutls_certificate_get_x509_crt(
		credentials->gnutls, 0, &chain, &count) < 0)
		return false;
	bool carried =
	    count > 0 && gnutls_x509_crt_check_hostname(chain[0], name) != 0;
	for (unsigned i = 0; i < count; i++)
		gnutls_x509_crt_deinit(chain[i]);
	gnutls_free(chain);
	return carried;
}

bool tls_carries(struct tls *tls, const char *name)
{
	struct tls_credentials *credentials = current_ref(tls);
	bool carried = leaf_carries(credentials, name);
	tls_end(credentials);
	return carried;
}

struct tls_credentials *tls_begin(struct tls *tls, gnutls_session_t session)
{
	struct tls_credentials *credentials = current_ref(tls);
	if (gnutls_credentials_set(
		session, GNUTLS_CRD_CERTIFICATE, credentials->gnutls) < 0) {
		tls_end(credentials);
		return NULL;
	}
	gnutls_certificate_server_set_request(session, GNUTLS_CERT_REQUEST);
	return credentials;
}

struct bytes tls_peer_certificate(gnutls_session_t session)
{
	unsigned count = 0;
	const gnutls_datum_t *chain =
	    gnutls_certificate_get_peers(session, &count);
	if (chain == NULL || count == 0 || count > CHAIN_MAX ||
	    chain[0].size > PEER_CERTIFICATE_MAX)
		return (struct bytes){0};
	return BYTES(chain[0].data, chain[0].size);
}
