// SPDX-License-Identifier: Apache-2.0
/* The first ceremony: keys, root, issuing and services CA, and the first admin. */
#ifndef CA_CEREMONY_H
#define CA_CEREMONY_H

#include "ca/ca.h"

struct ceremony_plan {
	const char *organization;	/* O of every CA's subject */
	enum hsm_key_type root_key, issuing_key;
	int64_t root_validity, issuing_validity; /* seconds */
	/* Called before each step, for people; may be NULL. */
	void (*progress)(const char *step, void *arg);
	void *progress_arg;
};
/* P-384 root for 20 years, P-256 issuing for 5. */
struct ceremony_plan ceremony_default_plan(void);

struct ceremony_result {
	uint8_t root_fingerprint[32];	/* SHA-256 of the root's DER */
	uint8_t audit_fingerprint[32];	/* SHA-256 of the notary's SPKI */
	char *root_pem;
	char *root_key_uri;
	char *wrap_key_uri, *mac_key_uri; /* KMS: root KEK and MAC key */
};
void ceremony_result_free(struct ceremony_result *result);
DEFINE_CLEANUP(ceremony_result, ceremony_result_free)

/* Labels of the token objects that it makes. */
#define LABEL_ROOT "signet-root"
#define LABEL_ISSUING "signet-issuing-1"
#define LABEL_ISSUING_OCSP "signet-issuing-1-ocsp"
#define LABEL_SERVICES "signet-services"
#define LABEL_SERVICES_OCSP "signet-services-ocsp"
#define LABEL_WRAP "signet-kms-root"
#define LABEL_MAC "signet-kms-mac"

/*
 * Runs the ceremony: root key and self-signed root by ROOT_HSM; issuing CA,
 * services CA, OCSP responder keys, notary, root KEK and MAC key by HSM (both may be the
 * same); issuers, first CRLs (the root's too) and key URIs into STORE, with
 * audit entries.  The store, empty of issuers and opened for writing by no other
 * thread, is sealed before anything is put into it.  All keys are made first,
 * then all is recorded in one commit; when it fails before, the log names the
 * objects that it has made in the token.  The responders' certificates come
 * last; the server makes up for them where that fails.
 * Errors: ERR_EXISTS when it is not, or labels are in use in the token;
 * ERR_BAD_FIELD for the plan.
 */
MUST_CHECK enum err_code ceremony_run(struct store *store, struct hsm *root_hsm,
    struct hsm *hsm, const struct config *config,
    const struct ceremony_plan *plan, struct ceremony_result **result_out,
    struct err *err);

/*
 * Makes a software key of P-256 and its certificate by the services CA: the TLS
 * certificate of the API listener (ROLES 0, server authentication, NAMES), or
 * an identity (client authentication).  KEY_PEM is PKCS#8.  The certificate
 * does not outlive the services CA.
 * Errors: ERR_BAD_FIELD, ERR_NOT_FOUND without a services CA, those of ca_issue.
 */
struct service_order {
	const char *profile;		/* "api-server", "identity" */
	const struct names *names;
	uint32_t roles;			/* ROLE_* */
	const char *cluster;		/* identity bound to it, or NULL */
	int64_t ttl;			/* seconds */
	int64_t until;			/* seconds; not to be outlived; 0: none */
	const char *requester;
	const uint8_t *identity;	/* that it is of, or NULL */
	const char *source, *request_id; /* for the audit log, or NULL */
	const uint8_t *code;		/* head of the hash of IDENTITY's code that is
					 * spent with the intent; NULL: none */
};
MUST_CHECK enum err_code service_issue(struct ca *ca,
    const struct service_order *order, struct secret **key_pem_out,
    struct certificate **certificate_out, struct err *err);

/*
 * As service_issue for the key of REQUEST, which somebody else holds.  INTENT is
 * what the caller wants in the commit of the intent.  With INTENT NULL nothing is
 * issued: *certificate_out is what the same request got within the window of
 * repeats, or NULL.
 * Errors: as service_issue(); ERR_CONFLICT as ca_issue().
 */
MUST_CHECK enum err_code service_certify(struct ca *ca,
    const struct service_order *order, const struct request *request,
    struct batch *intent, struct certificate **certificate_out,
    struct err *err);

/*
 * Issues the certificate of the API listener for the names in CONFIG and writes
 * it, its chain with the root, and its key to the two files there, each whole.
 * At first by the ceremony's caller, then by the server before its end.
 * *renew_after_out may be NULL.
 * Errors: ERR_CONFIG naming one that is neither DNS name nor address; those
 * of service_issue(); ERR_IO.
 */
MUST_CHECK enum err_code service_server(struct ca *ca,
    const struct config *config, int64_t *renew_after_out, struct err *err);
/* Certificate and key of a service as two files: leaf, issuers, root; PKCS#8.
 * The key is written as KEY_PATH.next first: a loader takes it where only it
 * fits the certificate, so that a stop at any moment leaves a pair. */
MUST_CHECK enum err_code service_write(struct ca *ca,
    const struct certificate *certificate, const struct secret *key_pem,
    const char *cert_path, const char *key_path, struct err *err);

#define PROFILE_API_SERVER "api-server"
#define PROFILE_IDENTITY "identity"

/* Names in table META under which the KMS key URIs are kept. */
#define META_WRAP_KEY_URI "kms-wrap-key-uri"
#define META_MAC_KEY_URI "kms-mac-key-uri"
void meta_put_text(struct batch *batch, const char *name, const char *text);
/* Errors: ERR_NOT_FOUND, ERR_STORE, ERR_CORRUPT. */
MUST_CHECK enum err_code meta_get_text(struct store *store, const char *name,
    char **text_out, struct err *err);

#endif
