// SPDX-License-Identifier: Apache-2.0
#include "ca/possession.h"

#include <openssl/err.h>
#include <openssl/rsa.h>

#include "ca/der.h"
#include "ca/digest.h"
#include "ca/tlv.h"

#define OID(...) {__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__})

enum scheme { SCHEME_ECDSA, SCHEME_PKCS1, SCHEME_PSS };

static const struct algorithm {
	enum scheme scheme;
	enum digest digest;	/* of PSS: told by its parameters */
	uint8_t oid[9];
	size_t oid_len;
} algorithms[] = {
	{SCHEME_ECDSA, DIGEST_SHA256,
	    OID(0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02)},
	{SCHEME_ECDSA, DIGEST_SHA384,
	    OID(0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x03)},
	{SCHEME_ECDSA, DIGEST_SHA512,
	    OID(0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x04)},
	{SCHEME_PKCS1, DIGEST_SHA256,
	    OID(0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0b)},
	{SCHEME_PKCS1, DIGEST_SHA384,
	    OID(0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0c)},
	{SCHEME_PKCS1, DIGEST_SHA512,
	    OID(0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0d)},
	{SCHEME_PSS, DIGEST_SHA256,
	    OID(0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0a)},
};

static const struct {
	enum digest digest;
	uint8_t last;	/* octet of 2.16.840.1.101.3.4.2.n */
} pss_digests[] = {
	{DIGEST_SHA256, 1},
	{DIGEST_SHA384, 2},
	{DIGEST_SHA512, 3},
};

static void cleanup_context(EVP_PKEY_CTX **context)
{
	EVP_PKEY_CTX_free(*context);
}

static bool is_null_or_absent(struct bytes parameters)
{
	static const uint8_t null[] = {DER_NULL, 0};

	return parameters.len == 0 ||
	    bytes_equal(parameters, BYTES_OF(null));
}

/* HashAlgorithm: an AlgorithmIdentifier of a SHA-2 digest. */
static bool read_digest(struct bytes content, enum digest *digest_out)
{
	static const uint8_t sha2[] = {
	    0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02};
	struct tlv oid;

	if (!tlv_take(&content, DER_OID, &oid) ||
	    oid.content.len != sizeof(sha2) + 1 ||
	    !bytes_equal(BYTES(oid.content.data, sizeof(sha2)),
		BYTES_OF(sha2)) ||
	    !is_null_or_absent(content))
		return false;
	for (size_t i = 0; i < ARRAY_LEN(pss_digests); i++) {
		if (oid.content.data[sizeof(sha2)] == pss_digests[i].last) {
			*digest_out = pss_digests[i].digest;
			return true;
		}
	}
	return false;
}

/* The content of [n] EXPLICIT, whose one element must have TAG. */
static bool take_tagged(
    struct bytes *in, unsigned n, uint8_t tag, struct tlv *out)
{
	struct tlv wrapper;

	return tlv_take(in, (uint8_t)DER_CONTEXT(n), &wrapper) &&
	    tlv_take(&wrapper.content, tag, out) && wrapper.content.len == 0;
}

static bool read_mgf1(struct bytes content, enum digest *digest_out)
{
	static const uint8_t mgf1[] = {
	    0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x08};
	struct tlv oid, hash;

	return tlv_take(&content, DER_OID, &oid) &&
	    bytes_equal(oid.content, BYTES_OF(mgf1)) &&
	    tlv_take(&content, DER_SEQUENCE, &hash) && content.len == 0 &&
	    read_digest(hash.content, digest_out);
}

/* RSASSA-PSS-params (RFC 4055 3.1): every default of it is SHA-1, so all but
 * the trailer field must be there. */
static bool read_pss(struct bytes parameters, enum digest *digest_out)
{
	struct tlv sequence, hash, mask, salt;
	struct bytes salt_len, *in = &sequence.content;
	enum digest mask_digest;

	if (!tlv_take(&parameters, DER_SEQUENCE, &sequence) ||
	    parameters.len > 0 || !take_tagged(in, 0, DER_SEQUENCE, &hash) ||
	    !take_tagged(in, 1, DER_SEQUENCE, &mask) ||
	    !take_tagged(in, 2, DER_INTEGER, &salt) || in->len > 0)
		return false;
	return read_digest(hash.content, digest_out) &&
	    read_mgf1(mask.content, &mask_digest) &&
	    mask_digest == *digest_out &&
	    tlv_unsigned(salt.content, &salt_len) && salt_len.len == 1 &&
	    salt_len.data[0] == EVP_MD_get_size(digest_md(*digest_out));
}

static const struct algorithm *find_algorithm(struct bytes oid)
{
	for (size_t i = 0; i < ARRAY_LEN(algorithms); i++) {
		if (bytes_equal(oid,
			BYTES(algorithms[i].oid, algorithms[i].oid_len)))
			return &algorithms[i];
	}
	return NULL;
}

static enum err_code read_algorithm(EVP_PKEY *key, struct bytes content,
    struct algorithm *algorithm_out, struct err *err)
{
	char text[TLV_OID_TEXT_SIZE];
	const struct algorithm *found;
	struct tlv oid;

	if (!tlv_take(&content, DER_OID, &oid))
		return err_refuse(err, ERR_BAD_CSR,
		    "signature has no algorithm (RFC 2986 4.2)");
	found = find_algorithm(oid.content);
	if (found == NULL)
		return err_refuse(err, ERR_BAD_CSR,
		    "signature algorithm %s is not accepted; sign with ECDSA "
		    "or RSA, and SHA-256, SHA-384 or SHA-512",
		    tlv_oid_text(&oid, text));
	if ((found->scheme == SCHEME_ECDSA) != EVP_PKEY_is_a(key, "EC"))
		return err_refuse(err, ERR_BAD_CSR,
		    "signature algorithm %s does not fit the public key",
		    tlv_oid_text(&oid, text));
	*algorithm_out = *found;
	if (found->scheme == SCHEME_PSS) {
		if (!read_pss(content, &algorithm_out->digest))
			return err_refuse(err, ERR_BAD_CSR,
			    "parameters of RSASSA-PSS are not accepted; use "
			    "SHA-256, SHA-384 or SHA-512, for MGF1 too, and a "
			    "salt as long as the digest (RFC 4055 3.1)");
	} else if (found->scheme == SCHEME_ECDSA ? content.len > 0
						 : !is_null_or_absent(content)) {
		return err_refuse(err, ERR_BAD_CSR,
		    "signature algorithm %s has parameters",
		    tlv_oid_text(&oid, text));
	}
	return ERR_OK;
}

static bool set_padding(
    EVP_PKEY_CTX *context, const struct algorithm *algorithm)
{
	const EVP_MD *md = digest_md(algorithm->digest);

	if (algorithm->scheme == SCHEME_ECDSA)
		return true;
	if (algorithm->scheme == SCHEME_PKCS1)
		return EVP_PKEY_CTX_set_rsa_padding(context,
			   RSA_PKCS1_PADDING) == 1 &&
		    EVP_PKEY_CTX_set_signature_md(context, md) == 1;
	return EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PSS_PADDING) ==
	    1 &&
	    EVP_PKEY_CTX_set_signature_md(context, md) == 1 &&
	    EVP_PKEY_CTX_set_rsa_mgf1_md(context, md) == 1 &&
	    EVP_PKEY_CTX_set_rsa_pss_saltlen(context,
		RSA_PSS_SALTLEN_DIGEST) == 1;
}

enum err_code possession_check(EVP_PKEY *key, struct bytes algorithm,
    struct bytes data, struct bytes signature, struct err *err)
{
	__attribute__((cleanup(cleanup_context))) EVP_PKEY_CTX *context = NULL;
	uint8_t digest[DIGEST_SIZE_MAX];
	struct algorithm how;
	enum err_code code;
	size_t len;

	if ((code = read_algorithm(key, algorithm, &how, err)) != ERR_OK)
		return code;
	len = digest_compute(how.digest, data, digest);
	context = EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL);
	if (context == NULL || EVP_PKEY_verify_init(context) != 1 ||
	    !set_padding(context, &how))
		return err_fail_crypto(err, "preparing to verify a request");
	if (EVP_PKEY_verify(context, signature.data, signature.len, digest,
		len) != 1) {
		ERR_clear_error();
		return err_refuse(err, ERR_BAD_CSR,
		    "signature does not verify with the public key of the "
		    "request: it is not proof of possession (RFC 2986 4.2)");
	}
	return ERR_OK;
}
