// SPDX-License-Identifier: Apache-2.0
/* Whom something is encrypted to: certificates, whose keys open it somewhere else. */
#ifndef CA_RECIPIENT_H
#define CA_RECIPIENT_H

#include <openssl/evp.h>
#include "base/err.h"
#include "base/secret.h"

#define RECIPIENTS_MAX 16
#define RECIPIENT_DER_MAX 8192		/* octets of a certificate */
#define RECIPIENT_BLOB_MAX ((size_t)64 << 10)
#define RECIPIENT_KEY_MAX 8192		/* octets of a private key as PEM */
#define RECIPIENT_WARN (30 * INT64_C(86400)) /* seconds before the end */

struct recipients;
struct recipients *recipients_new(void);
void recipients_free(struct recipients *recipients);
DEFINE_CLEANUP(recipients, recipients_free)

/*
 * Adds the certificate that PEM has, alone.  Its key must be of the types that
 * Signet takes (keycheck), with a use that allows encryption (RSA:
 * keyEncipherment; EC: keyAgreement; none said: any), and it must be valid at NOW.
 * *ENDS_OUT: when it ends, seconds.  Who issued it is not asked: whoever names it
 * trusts it.
 * Errors: ERR_BAD_KEY, ERR_BAD_FIELD, ERR_EXISTS when it is there already, or
 * another of its issuer and serial; ERR_TOO_LARGE beyond RECIPIENTS_MAX.
 */
MUST_CHECK enum err_code recipients_add(struct recipients *recipients,
    struct bytes pem, int64_t now, int64_t *ends_out, struct err *err);
/* As recipients_add, of DER that somebody else wrote: it is a certificate, and its
 * key is of the types; its time and use are not asked.  Errors: ERR_BAD_FIELD,
 * ERR_BAD_KEY, ERR_TOO_LARGE. */
MUST_CHECK enum err_code recipients_add_der(
    struct recipients *recipients, struct bytes der, struct err *err);

size_t recipients_count(const struct recipients *recipients);
struct bytes recipients_der(const struct recipients *recipients, size_t index);

/* Who one is, for people; all malloc'd but the times. */
struct recipient_info {
	char *subject, *issuer;	/* RFC 2253; "" where there is none */
	char *serial;		/* hex */
	char *key_id;		/* hex of subjectKeyIdentifier, or NULL */
	int64_t not_after;	/* seconds */
};
void recipient_info_end(struct recipient_info *info);
void recipients_describe(const struct recipients *recipients, size_t index,
    struct recipient_info *info_out);

/*
 * Appends SECRET, 32 octets, sealed to each of them: CMS AuthEnvelopedData (RFC
 * 5083) in DER, AES-256-GCM, by RSA-OAEP (RFC 3560, SHA-256) or ephemeral-static
 * ECDH (RFC 5753, SHA-256).  Errors: ERR_CRYPTO.
 */
MUST_CHECK enum err_code recipients_seal(const struct recipients *recipients,
    const struct secret *secret, struct buf *blob, struct err *err);
/*
 * Opens what recipients_seal made with KEY.
 * Errors: ERR_UNWRAP when KEY is none of theirs, naming them; ERR_CORRUPT when
 * it is, and BLOB does not open.
 */
MUST_CHECK enum err_code recipients_open(const struct recipients *recipients,
    struct bytes blob, EVP_PKEY *key, struct secret **secret_out,
    struct err *err);

/*
 * A private key from PEM, PASSPHRASE NULL where there is none.  Nobody is asked
 * at a terminal.  Errors: ERR_CONFIG, telling a missing passphrase from a wrong
 * one, and both from what is no key.
 */
MUST_CHECK enum err_code recipient_key(const struct secret *pem,
    const struct secret *passphrase, EVP_PKEY **key_out, struct err *err);

#endif
