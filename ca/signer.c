// SPDX-License-Identifier: Apache-2.0
#include "ca/signer.h"

#include <openssl/err.h>
#include <openssl/x509.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "ca/der.h"

#define DIGEST_MAX 48
#define SHA1_SIZE 20
#define SCALAR_MAX 48			/* octets of r and of s, P-384 */
#define RSA_SIGNATURE_MAX 512		/* octets, RSA 4096 */

/* One way of signing.  An EC key is told by the octets that its SPKI begins
 * with, which name the curve and an uncompressed point; so explicit curve
 * parameters never get as far as a signature. */
struct scheme {
	enum hsm_mechanism mechanism;
	const char *digest;
	size_t digest_len;
	size_t scalar_len;	/* 0: RSA */
	struct bytes spki_begins;
	size_t spki_len;	/* 0: any */
	struct bytes algorithm;
};

static const uint8_t p256_begins[] = {0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a,
    0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce,
    0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00, 0x04};
static const uint8_t p384_begins[] = {0x30, 0x76, 0x30, 0x10, 0x06, 0x07, 0x2a,
    0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x05, 0x2b, 0x81, 0x04, 0x00,
    0x22, 0x03, 0x62, 0x00, 0x04};
/* AlgorithmIdentifiers: RFC 5758 3.2 (no parameters), RFC 4055 5 (NULL). */
static const uint8_t ecdsa_sha256[] = {
    0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02};
static const uint8_t ecdsa_sha384[] = {
    0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x03};
static const uint8_t rsa_sha256[] = {0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48,
    0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0b, 0x05, 0x00};
/* DigestInfo of SHA-256 up to the digest (RFC 8017 9.2, note 1). */
static const uint8_t sha256_info[] = {0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60,
    0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04, 0x20};

static const struct scheme schemes[] = {
    {HSM_ECDSA, "SHA256", 32, 32, {p256_begins, sizeof(p256_begins)}, 91,
	{ecdsa_sha256, sizeof(ecdsa_sha256)}},
    {HSM_ECDSA, "SHA384", 48, 48, {p384_begins, sizeof(p384_begins)}, 120,
	{ecdsa_sha384, sizeof(ecdsa_sha384)}},
    {HSM_RSA_PKCS1, "SHA256", 32, 0, {NULL, 0}, 0,
	{rsa_sha256, sizeof(rsa_sha256)}},
};

/* What one thread needs to digest and verify; made once, used by one at a
 * time. */
struct workspace {
	EVP_MD_CTX *digest;
	EVP_PKEY_CTX *verify;
	struct workspace *next;
};

struct signer {
	struct hsm *hsm;
	char *uri;
	const struct scheme *scheme;
	EVP_MD *digest;
	EVP_PKEY *key;
	struct buf spki;
	uint8_t key_id[SHA1_SIZE];
	pthread_mutex_t lock;
	struct workspace *idle;		/* under lock; as many as ever were
					 * in use at once */
};

static void workspace_free(struct workspace *space)
{
	if (space == NULL)
		return;
	EVP_MD_CTX_free(space->digest);
	EVP_PKEY_CTX_free(space->verify);
	free(space);
}
DEFINE_CLEANUP(workspace, workspace_free)

void signer_free(struct signer *signer)
{
	struct workspace *space;

	if (signer == NULL)
		return;
	while ((space = signer->idle) != NULL) {
		signer->idle = space->next;
		workspace_free(space);
	}
	pthread_mutex_destroy(&signer->lock);
	EVP_PKEY_free(signer->key);
	EVP_MD_free(signer->digest);
	buf_free(&signer->spki);
	free(signer->uri);
	free(signer);
}

static bool is_rsa_of_listed_size(EVP_PKEY *key)
{
	int bits = EVP_PKEY_get_bits(key);

	return EVP_PKEY_is_a(key, "RSA") &&
	    (bits == 2048 || bits == 3072 || bits == 4096);
}

static const struct scheme *scheme_find(struct bytes spki, EVP_PKEY *key)
{
	for (size_t i = 0; i < ARRAY_LEN(schemes); i++) {
		const struct scheme *scheme = &schemes[i];

		if (scheme->scalar_len == 0 && is_rsa_of_listed_size(key))
			return scheme;
		if (scheme->scalar_len > 0 && spki.len == scheme->spki_len &&
		    memcmp(spki.data, scheme->spki_begins.data,
			scheme->spki_begins.len) == 0)
			return scheme;
	}
	return NULL;
}

static enum err_code read_spki(struct signer *signer, struct err *err)
{
	const uint8_t *next = signer->spki.data, *point;
	X509_PUBKEY *public;
	unsigned len = 0;
	int point_len, ok = 0;

	public = d2i_X509_PUBKEY(NULL, &next, (long)signer->spki.len);
	if (public == NULL)
		return err_fail_crypto(err, "d2i_X509_PUBKEY");
	if (next == signer->spki.data + signer->spki.len &&
	    X509_PUBKEY_get0_param(NULL, &point, &point_len, NULL, public) == 1)
		ok = EVP_Digest(point, (size_t)point_len, signer->key_id, &len,
		    EVP_sha1(), NULL);
	signer->key = X509_PUBKEY_get(public);
	X509_PUBKEY_free(public);
	if (ok != 1 || signer->key == NULL)
		return err_fail_crypto(err, "public key of a signer");
	return ERR_OK;
}

static enum err_code workspace_new(
    struct signer *signer, struct workspace **space_out, struct err *err)
{
	OWNED(workspace) space = mem_zalloc(sizeof(*space));

	space->digest = EVP_MD_CTX_new();
	space->verify = EVP_PKEY_CTX_new(signer->key, NULL);
	if (space->digest == NULL || space->verify == NULL ||
	    EVP_PKEY_verify_init(space->verify) != 1 ||
	    EVP_PKEY_CTX_set_signature_md(space->verify, signer->digest) != 1)
		return err_fail_crypto(err, "preparing to verify");
	*space_out = GIVE(space);
	return ERR_OK;
}

static enum err_code workspace_take(
    struct signer *signer, struct workspace **space_out, struct err *err)
{
	struct workspace *space;

	pthread_mutex_lock(&signer->lock);
	space = signer->idle;
	if (space != NULL)
		signer->idle = space->next;
	pthread_mutex_unlock(&signer->lock);
	if (space == NULL)
		return workspace_new(signer, space_out, err);
	*space_out = space;
	return ERR_OK;
}

static void workspace_return(struct signer *signer, struct workspace *space)
{
	pthread_mutex_lock(&signer->lock);
	space->next = signer->idle;
	signer->idle = space;
	pthread_mutex_unlock(&signer->lock);
}

enum err_code signer_new(struct hsm *hsm, const char *uri, struct bytes spki,
    struct signer **signer_out, struct err *err)
{
	OWNED(signer) signer = mem_zalloc(sizeof(*signer));
	struct workspace *space;
	enum err_code code;

	pthread_mutex_init(&signer->lock, NULL);
	signer->hsm = hsm;
	signer->uri = mem_strdup(uri);
	buf_put_bytes(&signer->spki, spki);
	if ((code = read_spki(signer, err)) != ERR_OK)
		return code;
	signer->scheme = scheme_find(spki, signer->key);
	if (signer->scheme == NULL)
		return err_fail(err, ERR_HSM_KEY_UNSAFE,
		    "%s: %s key of %d bits is not one that signs here", uri,
		    EVP_PKEY_get0_type_name(signer->key),
		    EVP_PKEY_get_bits(signer->key));
	signer->digest = EVP_MD_fetch(NULL, signer->scheme->digest, NULL);
	if (signer->digest == NULL)
		return err_fail_crypto(err, "EVP_MD_fetch");
	if ((code = workspace_new(signer, &space, err)) != ERR_OK)
		return code;
	workspace_return(signer, space);
	*signer_out = GIVE(signer);
	return ERR_OK;
}

struct bytes signer_algorithm(const struct signer *signer)
{
	return signer->scheme->algorithm;
}

EVP_PKEY *signer_public_key(const struct signer *signer)
{
	return signer->key;
}

struct bytes signer_spki(const struct signer *signer)
{
	return buf_bytes(&signer->spki);
}

const uint8_t *signer_key_id(const struct signer *signer)
{
	return signer->key_id;
}

static enum err_code digest_tbs(struct signer *signer, struct workspace *space,
    struct bytes tbs, uint8_t *digest, struct err *err)
{
	if (EVP_DigestInit_ex2(space->digest, signer->digest, NULL) != 1 ||
	    EVP_DigestUpdate(space->digest, tbs.data, tbs.len) != 1 ||
	    EVP_DigestFinal_ex(space->digest, digest, NULL) != 1)
		return err_fail_crypto(err, "digesting what is to be signed");
	return ERR_OK;
}

/* ECDSA-Sig-Value (RFC 3279 2.2.3) from the token's r||s. */
static enum err_code ecdsa_to_der(const struct signer *signer,
    struct bytes raw, struct buf *out, struct err *err)
{
	size_t half = signer->scheme->scalar_len;
	OWNED_BUF(integers);

	if (raw.len != 2 * half)
		return err_fail(err, ERR_CORRUPT,
		    "%s: signature of %zu octets, %zu expected", signer->uri,
		    raw.len, 2 * half);
	buf_reserve(&integers, 2 * (SCALAR_MAX + 3));
	der_put_unsigned(&integers, BYTES(raw.data, half));
	der_put_unsigned(&integers, BYTES(raw.data + half, half));
	der_put(out, DER_SEQUENCE, buf_bytes(&integers));
	return ERR_OK;
}

static enum err_code sign_digest(struct signer *signer, struct bytes digest,
    struct buf *signature, struct err *err)
{
	uint8_t info[sizeof(sha256_info) + 32];
	OWNED_BUF(raw);
	enum err_code code;

	buf_reserve(&raw, RSA_SIGNATURE_MAX);
	if (signer->scheme->scalar_len == 0) {
		memcpy(info, sha256_info, sizeof(sha256_info));
		memcpy(info + sizeof(sha256_info), digest.data, digest.len);
		return hsm_sign(signer->hsm, signer->uri,
		    signer->scheme->mechanism, BYTES_OF(info), signature, err);
	}
	code = hsm_sign(signer->hsm, signer->uri, signer->scheme->mechanism,
	    digest, &raw, err);
	if (code != ERR_OK)
		return code;
	return ecdsa_to_der(signer, buf_bytes(&raw), signature, err);
}

static enum err_code verify(struct signer *signer, struct workspace *space,
    struct bytes digest, struct bytes signature, struct err *err)
{
	if (EVP_PKEY_verify(space->verify, signature.data, signature.len,
		digest.data, digest.len) == 1)
		return ERR_OK;
	ERR_clear_error();
	return err_fail(err, ERR_CORRUPT,
	    "%s: the token's signature does not verify", signer->uri);
}

static enum err_code sign_with(struct signer *signer, struct workspace *space,
    struct bytes tbs, struct buf *signature, struct err *err)
{
	uint8_t digest[DIGEST_MAX];
	struct bytes digested = BYTES(digest, signer->scheme->digest_len);
	enum err_code code;

	if ((code = digest_tbs(signer, space, tbs, digest, err)) != ERR_OK)
		return code;
	code = sign_digest(signer, digested, signature, err);
	if (code != ERR_OK)
		return code;
	return verify(signer, space, digested, buf_bytes(signature), err);
}

static enum err_code sign(struct signer *signer, struct bytes tbs,
    struct buf *signature, struct err *err)
{
	struct workspace *space;
	enum err_code code;

	if ((code = workspace_take(signer, &space, err)) != ERR_OK)
		return code;
	buf_reserve(signature, RSA_SIGNATURE_MAX);
	code = sign_with(signer, space, tbs, signature, err);
	workspace_return(signer, space);
	return code;
}

enum err_code signer_signature(struct signer *signer, struct bytes octets,
    struct buf *out, struct err *err)
{
	OWNED_BUF(signature);
	enum err_code code = sign(signer, octets, &signature, err);

	if (code == ERR_OK)
		buf_put_bytes(out, buf_bytes(&signature));
	return code;
}

static size_t seal_size(const struct signer *signer, size_t signature_len)
{
	return signer->scheme->algorithm.len +
	    der_header_size(signature_len + 1) + 1 + signature_len;
}

static void put_seal(
    const struct signer *signer, struct bytes signature, struct buf *out)
{
	buf_put_bytes(out, signer->scheme->algorithm);
	der_put_header(out, DER_BIT_STRING, signature.len + 1);
	buf_put_u8(out, 0);	/* unused bits */
	buf_put_bytes(out, signature);
}

enum err_code signer_seal(struct signer *signer, struct bytes tbs,
    struct buf *out, struct err *err)
{
	OWNED_BUF(signature);
	enum err_code code;

	if ((code = sign(signer, tbs, &signature, err)) != ERR_OK)
		return code;
	put_seal(signer, buf_bytes(&signature), out);
	return ERR_OK;
}

enum err_code signer_sign(struct signer *signer, struct bytes tbs,
    struct bytes extra, struct buf *out, struct err *err)
{
	OWNED_BUF(signature);
	enum err_code code;
	size_t len;

	if ((code = sign(signer, tbs, &signature, err)) != ERR_OK)
		return code;
	len = tbs.len + seal_size(signer, signature.len) + extra.len;
	buf_reserve(out, der_header_size(len) + len);
	der_put_header(out, DER_SEQUENCE, len);
	buf_put_bytes(out, tbs);
	put_seal(signer, buf_bytes(&signature), out);
	buf_put_bytes(out, extra);
	return ERR_OK;
}
