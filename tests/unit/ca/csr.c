// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/ca/csr.h"

#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>

#include "ca/der.h"

#define TAG_SET 0x31

static const uint8_t oid_cn[] = {0x55, 0x04, 0x03};
static const uint8_t oid_san[] = {0x55, 0x1d, 0x11};
static const uint8_t oid_extension_request[] = {
    0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x0e};

void csr_wrap(struct buf *out, size_t start, uint8_t tag)
{
	size_t len = out->len - start, header = der_header_size(len);

	(void)buf_extend(out, header);
	memmove(out->data + start + header, out->data + start, len);
	out->len = start;
	der_put_header(out, tag, len);
	out->len += len;
}

struct csr *csr_new(void)
{
	struct csr *csr = mem_zalloc(sizeof(*csr));

	csr->key = EVP_EC_gen("P-256");
	csr->digest = "SHA256";
	csr_put_rdn(&csr->subject, BYTES_OF(oid_cn), 0x0c,
	    BYTES_STR("db1.example.net"));
	der_put(&csr->names, DER_CONTEXT_PRIMITIVE(2),
	    BYTES_STR("db1.example.net"));
	return csr;
}

void csr_free(struct csr *csr)
{
	if (csr == NULL)
		return;
	buf_free(&csr->subject);
	buf_free(&csr->names);
	buf_free(&csr->extensions);
	buf_free(&csr->attributes);
	buf_free(&csr->spki);
	buf_free(&csr->algorithm);
	EVP_PKEY_free(csr->key);
	free(csr);
}

void csr_put_rdn(struct buf *subject, struct bytes oid, uint8_t string_tag,
    struct bytes value)
{
	size_t start = subject->len;

	der_put(subject, DER_OID, oid);
	der_put(subject, string_tag, value);
	csr_wrap(subject, start, DER_SEQUENCE);
	csr_wrap(subject, start, TAG_SET);
}

void csr_put_extension(struct buf *extensions, struct bytes oid,
    bool critical, struct bytes value)
{
	size_t start = extensions->len;

	der_put(extensions, DER_OID, oid);
	if (critical)
		der_put(extensions, DER_BOOLEAN, BYTES("\xff", 1));
	der_put(extensions, DER_OCTET_STRING, value);
	csr_wrap(extensions, start, DER_SEQUENCE);
}

void csr_put_algorithm(
    struct buf *out, struct bytes oid, struct bytes parameters)
{
	size_t start = out->len;

	der_put(out, DER_OID, oid);
	buf_put_bytes(out, parameters);
	csr_wrap(out, start, DER_SEQUENCE);
}

static void put_spki(const struct csr *csr, struct buf *out)
{
	uint8_t *der = NULL;
	int len;

	if (csr->spki.len > 0) {
		buf_put_bytes(out, buf_bytes(&csr->spki));
		return;
	}
	len = i2d_PUBKEY(csr->key, &der);
	if (len <= 0)
		abort();
	buf_put(out, der, (size_t)len);
	OPENSSL_free(der);
}

static void put_attributes(const struct csr *csr, struct buf *out)
{
	size_t start = out->len, inner;

	if (csr->no_attributes)
		return;
	if (csr->names.len + csr->extensions.len > 0) {
		OWNED_BUF(san);

		der_put(&san, DER_SEQUENCE, buf_bytes(&csr->names));
		der_put(out, DER_OID, BYTES_OF(oid_extension_request));
		inner = out->len;
		if (csr->names.len > 0)
			csr_put_extension(
			    out, BYTES_OF(oid_san), false, buf_bytes(&san));
		buf_put_bytes(out, buf_bytes(&csr->extensions));
		csr_wrap(out, inner, DER_SEQUENCE);
		csr_wrap(out, inner, TAG_SET);
		csr_wrap(out, start, DER_SEQUENCE);
	}
	buf_put_bytes(out, buf_bytes(&csr->attributes));
	csr_wrap(out, start, DER_CONTEXT(0));
}

static EVP_MD_CTX *begin_signing(const struct csr *csr)
{
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	EVP_PKEY_CTX *how;

	if (EVP_DigestSignInit_ex(context, &how, csr->digest, NULL, NULL,
		csr->key, NULL) != 1)
		abort();
	if (csr->pss &&
	    (EVP_PKEY_CTX_set_rsa_padding(how, RSA_PKCS1_PSS_PADDING) != 1 ||
		EVP_PKEY_CTX_set_rsa_pss_saltlen(how,
		    RSA_PSS_SALTLEN_DIGEST) != 1))
		abort();
	return context;
}

/* OpenSSL tells the AlgorithmIdentifier, by signing something itself. */
static void put_algorithm(const struct csr *csr, struct buf *out)
{
	EVP_MD_CTX *context;
	X509_REQ *model;
	const X509_ALGOR *found;
	uint8_t *der = NULL;
	int len;

	if (csr->algorithm.len > 0) {
		buf_put_bytes(out, buf_bytes(&csr->algorithm));
		return;
	}
	context = begin_signing(csr);
	model = X509_REQ_new();
	if (X509_REQ_set_pubkey(model, csr->key) != 1 ||
	    X509_REQ_sign_ctx(model, context) <= 0)
		abort();
	X509_REQ_get0_signature(model, NULL, &found);
	len = i2d_X509_ALGOR(found, &der);
	if (len <= 0)
		abort();
	buf_put(out, der, (size_t)len);
	OPENSSL_free(der);
	X509_REQ_free(model);
	EVP_MD_CTX_free(context);
}

static void put_signature(
    const struct csr *csr, struct bytes info, struct buf *out)
{
	EVP_MD_CTX *context = begin_signing(csr);
	uint8_t signature[1024];
	size_t len = sizeof(signature);

	if (EVP_DigestSign(context, signature, &len, info.data, info.len) != 1)
		abort();
	if (csr->spoil)
		signature[len - 1] ^= 1;
	der_put_header(out, DER_BIT_STRING, len + 1);
	buf_put_u8(out, 0);
	buf_put(out, signature, len);
	EVP_MD_CTX_free(context);
}

void csr_write(const struct csr *csr, struct buf *der)
{
	size_t start = der->len;
	OWNED_BUF(info);

	der_put(&info, DER_INTEGER, BYTES(&csr->version, 1));
	der_put(&info, DER_SEQUENCE, buf_bytes(&csr->subject));
	put_spki(csr, &info);
	put_attributes(csr, &info);
	csr_wrap(&info, 0, DER_SEQUENCE);
	buf_put_bytes(der, buf_bytes(&info));
	put_algorithm(csr, der);
	put_signature(csr, buf_bytes(&info), der);
	csr_wrap(der, start, DER_SEQUENCE);
}
