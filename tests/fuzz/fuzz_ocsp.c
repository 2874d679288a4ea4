// SPDX-License-Identifier: Apache-2.0
/*
 * Reading OCSP requests: never past the end, and what is accepted OpenSSL accepts
 * too, with the same certificates asked for.
 */
#include "tests/fuzz/fuzz.h"

#include "ca/der.h"
#include "ca/ocsp_request.h"
#include "ca/tlv.h"

#include <openssl/err.h>
#include <openssl/ocsp.h>

static void compare_item(const struct ocsp_item *ours, OCSP_CERTID *theirs)
{
	ASN1_OCTET_STRING *name_hash, *key_hash;
	ASN1_INTEGER *serial;
	const uint8_t *octets;
	size_t len;

	must(OCSP_id_get0_info(
		 &name_hash, NULL, &key_hash, &serial, theirs) == 1);
	must(bytes_equal(ours->issuer_name_hash,
	    BYTES(ASN1_STRING_get0_data(name_hash),
		(size_t)ASN1_STRING_length(name_hash))));
	must(bytes_equal(ours->issuer_key_hash,
	    BYTES(ASN1_STRING_get0_data(key_hash),
		(size_t)ASN1_STRING_length(key_hash))));
	octets = ASN1_STRING_get0_data(serial);
	len = (size_t)ASN1_STRING_length(serial);
	must(bytes_equal(serial_bytes(&ours->serial), BYTES(octets, len)));
}

/* A requestor's name or a signature, which are passed over unread: what is in
 * them OpenSSL alone minds. */
static bool has_unread_part(struct bytes der)
{
	struct tlv outer, tbs, version;

	must(tlv_take(&der, DER_SEQUENCE, &outer) &&
	    tlv_take(&outer.content, DER_SEQUENCE, &tbs));
	if (tlv_peek(tbs.content) == DER_CONTEXT(0))
		must(tlv_next(&tbs.content, &version));
	return outer.content.len > 0 ||
	    tlv_peek(tbs.content) == DER_CONTEXT(1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ocsp_request request;
	const uint8_t *next = data;
	OCSP_REQUEST *theirs;

	if (!ocsp_request_read(BYTES(data, size), &request))
		return 0;
	theirs = d2i_OCSP_REQUEST(NULL, &next, (long)size);
	ERR_clear_error();
	if (theirs == NULL && has_unread_part(BYTES(data, size)))
		return 0;
	must(theirs != NULL && next == data + size);
	must(OCSP_request_onereq_count(theirs) == (int)request.count);
	for (size_t i = 0; i < request.count; i++)
		compare_item(&request.items[i],
		    OCSP_onereq_get0_id(
			OCSP_request_onereq_get0(theirs, (int)i)));
	OCSP_REQUEST_free(theirs);
	return 0;
}
