// SPDX-License-Identifier: Apache-2.0
/*
 * DER: what our reader takes, our writer writes octet by octet, and OpenSSL reads
 * to the same; a key that is accepted has one encoding.
 */
#include "tests/fuzz/fuzz.h"

#include <openssl/asn1.h>
#include <openssl/err.h>
#include <openssl/x509.h>

#include "ca/der.h"
#include "ca/keycheck.h"
#include "ca/tlv.h"
#include "hsm/spki.h"

#define DEPTH_MAX 8
#define TIME_GREATEST INT64_C(253402300799)	/* the end of 9999 */

static void must_agree(struct tlv tlv)
{
	const unsigned char *at = tlv.whole.data;
	long len;
	int tag, class;
	int flags = ASN1_get_object(
	    &at, &len, &tag, &class, (long)tlv.whole.len);

	must((flags & 0x80) == 0 && at == tlv.content.data);
	must((size_t)len == tlv.content.len);
	must(tag == (tlv.tag & 0x1f) && class == (tlv.tag & 0xc0));
}

/* Reads every element and writes it again. */
static void copy(struct bytes in, int depth, struct buf *out)
{
	struct tlv tlv;

	while (tlv_next(&in, &tlv)) {
		OWNED_BUF(content);

		must_agree(tlv);
		if ((tlv.tag & 0x20) != 0 && depth < DEPTH_MAX)
			copy(tlv.content, depth + 1, &content);
		else
			buf_put_bytes(&content, tlv.content);
		der_put(out, tlv.tag, buf_bytes(&content));
	}
	buf_put_bytes(out, in);	/* what is no element */
}

static void run_elements(struct bytes in)
{
	OWNED_BUF(out);
	char text[TLV_OID_TEXT_SIZE];
	struct bytes rest = in;
	struct tlv tlv;

	copy(in, 0, &out);
	must(bytes_equal(in, buf_bytes(&out)));
	if (tlv_take(&rest, DER_OID, &tlv))
		must(strlen(tlv_oid_text(&tlv, text)) < sizeof(text));
	ERR_clear_error();
}

static void run_integer(struct bytes content)
{
	struct bytes magnitude;
	OWNED_BUF(again);
	struct tlv tlv;

	if (!tlv_unsigned(content, &magnitude))
		return;
	der_put_unsigned(&again, magnitude);
	struct bytes in = buf_bytes(&again);
	must(tlv_take(&in, DER_INTEGER, &tlv) && in.len == 0);
	must(bytes_equal(tlv.content, content));
}

static void must_be_time(struct buf *der, int64_t seconds)
{
	const unsigned char *at = der->data + der_header_size(0);
	ASN1_TIME *theirs = ASN1_TIME_new();
	ASN1_TIME *ours = ASN1_TIME_set(NULL, (time_t)seconds);

	must(ASN1_STRING_set(theirs, at, (int)(der->len - 2)) == 1);
	theirs->type = der->data[0];
	must(ASN1_TIME_check(theirs) == 1);
	must(ASN1_TIME_compare(theirs, ours) == 0);
	ASN1_TIME_free(theirs);
	ASN1_TIME_free(ours);
}

static void run_time(struct bytes in)
{
	struct reader reader = reader_over(in);
	uint64_t seconds = reader_u64(&reader) % (uint64_t)(TIME_GREATEST + 1);
	OWNED_BUF(time);
	OWNED_BUF(generalized);

	der_put_time(&time, (int64_t)seconds);
	must_be_time(&time, (int64_t)seconds);
	der_put_generalized_time(&generalized, (int64_t)seconds);
	must_be_time(&generalized, (int64_t)seconds);
}

/* A key that is accepted is written by OpenSSL as it was sent. */
static bool is_key(struct bytes spki, struct err *err)
{
	enum key_type type;
	EVP_PKEY *key = NULL;
	unsigned char *der = NULL;
	enum err_code code = keycheck_decode(spki, &key, &type, err);
	int len;

	if (code != ERR_OK) {
		must_tell(code, err);
		return false;
	}
	len = i2d_PUBKEY(key, &der);
	must(len > 0 && bytes_equal(spki, BYTES(der, (size_t)len)));
	OPENSSL_free(der);
	EVP_PKEY_free(key);
	return true;
}

static void run_spki(struct bytes in)
{
	struct err err = {0};

	(void)is_key(in, &err);
}

/* What a token says its key is: if we believe it, so do those who check. */
static void run_point(struct bytes point)
{
	for (enum hsm_key_type type = HSM_EC_P256; type <= HSM_EC_P384; type++) {
		OWNED_BUF(spki);
		struct err err = {0};
		enum err_code code = spki_from_point(type, point, &spki, &err);

		if (code == ERR_OK)
			must(is_key(buf_bytes(&spki), &err));
		else
			must_tell(code, &err);
	}
}

static void run_modulus(struct bytes modulus)
{
	static const uint8_t exponent[] = {1, 0, 1};
	OWNED_BUF(spki);
	struct err err = {0};
	enum err_code code = spki_from_modulus(
	    HSM_RSA_2048, modulus, BYTES_OF(exponent), &spki, &err);

	if (code != ERR_OK)
		must_tell(code, &err);
	else
		(void)is_key(buf_bytes(&spki), &err);
}

static const struct fuzz_case cases[] = {
	{'e', run_elements},
	{'i', run_integer},
	{'t', run_time},
	{'s', run_spki},
	{'p', run_point},
	{'m', run_modulus},
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	return fuzz_pick(cases, ARRAY_LEN(cases), data, size);
}
