// SPDX-License-Identifier: Apache-2.0
#include "cli/bundle.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509_vfy.h>

#include "cli/csr.h"

#define CERTS_MAX 16

static void free_certs(STACK_OF(X509) * *certs)
{
	sk_X509_pop_free(*certs, X509_free);
}
#define OWNED_CERTS(name) \
	__attribute__((cleanup(free_certs))) STACK_OF(X509) *name

/* The certificates of PEM; NULL for more than a bundle has, or when what stands
 * between them is not PEM. */
static STACK_OF(X509) *read_certs(struct bytes pem)
{
	OWNED_CERTS(certs) = sk_X509_new_null();
	BIO *bio = BIO_new_mem_buf(pem.data, (int)pem.len);
	X509 *cert;

	while (sk_X509_num(certs) <= CERTS_MAX &&
	       (cert = PEM_read_bio_X509(bio, NULL, NULL, NULL)) != NULL)
		sk_X509_push(certs, cert);
	BIO_free(bio);
	/* The end is reported as a missing first line. */
	unsigned long last = ERR_peek_last_error();
	bool ended = ERR_GET_LIB(last) == ERR_LIB_PEM &&
		     ERR_GET_REASON(last) == PEM_R_NO_START_LINE;
	ERR_clear_error();
	return ended && sk_X509_num(certs) <= CERTS_MAX ? GIVE(certs) : NULL;
}

static const char *why_not_valid(
    X509 *cert, STACK_OF(X509) *chain, STACK_OF(X509) *roots)
{
	X509_STORE_CTX *ctx = X509_STORE_CTX_new();
	X509_STORE *store = X509_STORE_new();
	const char *why = "out of memory";

	if (ctx != NULL && store != NULL &&
	    X509_STORE_CTX_init(ctx, store, cert, chain) == 1) {
		X509_STORE_CTX_set0_trusted_stack(ctx, roots);
		X509_STORE_CTX_set_flags(ctx, X509_V_FLAG_NO_CHECK_TIME);
		why = X509_verify_cert(ctx) == 1
			  ? NULL
			  : X509_verify_cert_error_string(
				X509_STORE_CTX_get_error(ctx));
	}
	X509_STORE_CTX_free(ctx);
	X509_STORE_free(store);
	ERR_clear_error();
	return why;
}

enum err_code bundle_check(const struct bundle *bundle, struct err *err)
{
	OWNED_CERTS(cert) = read_certs(bundle->cert);
	OWNED_CERTS(chain) = read_certs(bundle->chain);
	OWNED_CERTS(roots) = read_certs(bundle->ca);

	if (cert == NULL || sk_X509_num(cert) != 1 ||
	    !csr_key_fits(bundle->key_pem, bundle->cert))
		return err_fail(err, ERR_INTERNAL,
		    "the answer's certificate is none, or not that of the key");
	if (chain == NULL)
		return err_fail(err, ERR_INTERNAL,
		    "the answer's chain is not a list of certificates");
	if (roots == NULL || sk_X509_num(roots) == 0)
		return err_fail(err, ERR_INTERNAL,
		    "the answer's ca is not a list of certificates");
	const char *why =
	    why_not_valid(sk_X509_value(cert, 0), chain, roots);
	if (why != NULL)
		return err_fail(err, ERR_INTERNAL,
		    "the answer's certificate does not lead to its roots: %s",
		    why);
	return ERR_OK;
}
