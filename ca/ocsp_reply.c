// SPDX-License-Identifier: Apache-2.0
#include "ca/ocsp_reply.h"

#include "ca/der.h"

#define KEY_ID_SIZE 20		/* SHA-1 of the responder's key */

/* Up to its content of octets: id-pkix-ocsp-basic. */
static const uint8_t oid_basic[] = {
    0x06, 0x09, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x30, 0x01, 0x01};
static const uint8_t oid_nonce[] = {
    0x06, 0x09, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x30, 0x01, 0x02};

static size_t element_size(size_t content_len)
{
	return der_header_size(content_len) + content_len;
}

void ocsp_reply_write_error(enum ocsp_result result, struct buf *out)
{
	uint8_t octet = (uint8_t)result;

	der_put_header(out, DER_SEQUENCE, element_size(1));
	der_put(out, DER_ENUMERATED, BYTES(&octet, 1));
}

/* CertStatus, implicit tags: good [0] NULL, revoked [1] RevokedInfo,
 * unknown [2] NULL. */
static void put_status(const struct ocsp_status *status, struct buf *out)
{
	static const uint8_t good[] = {DER_CONTEXT_PRIMITIVE(0), 0};
	static const uint8_t unknown[] = {DER_CONTEXT_PRIMITIVE(2), 0};
	OWNED_BUF(info);

	switch (status->kind) {
	case OCSP_GOOD:
		buf_put(out, good, sizeof(good));
		return;
	case OCSP_UNKNOWN:
		buf_put(out, unknown, sizeof(unknown));
		return;
	case OCSP_REVOKED:
		break;
	}
	der_put_generalized_time(&info, status->revoked);
	if (status->reason != 0) {
		der_put_header(&info, DER_CONTEXT(0), element_size(1));
		der_put(&info, DER_ENUMERATED, BYTES(&status->reason, 1));
	}
	der_put(out, DER_CONTEXT(1), buf_bytes(&info));
}

static void put_single(
    const struct ocsp_reply *reply, size_t index, struct buf *out)
{
	OWNED_BUF(body);
	OWNED_BUF(next_update);

	buf_put_bytes(&body, reply->request->items[index].cert_id);
	put_status(&reply->statuses[index], &body);
	der_put_generalized_time(&body, reply->this_update);
	der_put_generalized_time(&next_update, reply->next_update);
	der_put(&body, DER_CONTEXT(0), buf_bytes(&next_update));
	der_put(out, DER_SEQUENCE, buf_bytes(&body));
}

static void put_nonce(struct bytes nonce, struct buf *out)
{
	size_t value = element_size(nonce.len);
	size_t extension = sizeof(oid_nonce) + element_size(value);

	der_put_header(
	    out, DER_CONTEXT(1), element_size(element_size(extension)));
	der_put_header(out, DER_SEQUENCE, element_size(extension));
	der_put_header(out, DER_SEQUENCE, extension);
	buf_put(out, oid_nonce, sizeof(oid_nonce));
	der_put_header(out, DER_OCTET_STRING, value);
	der_put(out, DER_OCTET_STRING, nonce);
}

/* ResponseData; ResponderID byKey [2]. */
static void put_data(const struct ocsp_reply *reply, struct buf *out)
{
	const uint8_t *key_id = signer_key_id(reply->issuer->responder);
	OWNED_BUF(body);
	OWNED_BUF(list);

	der_put_header(&body, DER_CONTEXT(2), element_size(KEY_ID_SIZE));
	der_put(&body, DER_OCTET_STRING, BYTES(key_id, KEY_ID_SIZE));
	der_put_generalized_time(&body, reply->this_update); /* producedAt */
	for (size_t i = 0; i < reply->request->count; i++)
		put_single(reply, i, &list);
	der_put(&body, DER_SEQUENCE, buf_bytes(&list));
	if (reply->request->nonce.len > 0)
		put_nonce(reply->request->nonce, &body);
	der_put(out, DER_SEQUENCE, buf_bytes(&body));
}

static void put_certificates(const struct issuer *issuer, struct buf *out)
{
	der_put_header(
	    out, DER_CONTEXT(0), element_size(issuer->responder_der_len));
	der_put(out, DER_SEQUENCE,
	    BYTES(issuer->responder_der, issuer->responder_der_len));
}

/* OCSPResponse { successful, [0] { id-pkix-ocsp-basic, OCTET STRING } } */
static void put_response(struct bytes basic, struct buf *out)
{
	static const uint8_t successful[] = {DER_ENUMERATED, 1, 0};
	size_t bytes = sizeof(oid_basic) + element_size(basic.len);
	size_t len = sizeof(successful) + element_size(element_size(bytes));

	buf_reserve(out, element_size(len));
	der_put_header(out, DER_SEQUENCE, len);
	buf_put(out, successful, sizeof(successful));
	der_put_header(out, DER_CONTEXT(0), element_size(bytes));
	der_put_header(out, DER_SEQUENCE, bytes);
	buf_put(out, oid_basic, sizeof(oid_basic));
	der_put(out, DER_OCTET_STRING, basic);
}

enum err_code ocsp_reply_sign(
    const struct ocsp_reply *reply, struct buf *out, struct err *err)
{
	OWNED_BUF(data);
	OWNED_BUF(certificates);
	OWNED_BUF(basic);
	enum err_code code;

	put_data(reply, &data);
	put_certificates(reply->issuer, &certificates);
	code = signer_sign(reply->issuer->responder, buf_bytes(&data),
	    buf_bytes(&certificates), &basic, err);
	if (code != ERR_OK)
		return code;
	put_response(buf_bytes(&basic), out);
	return ERR_OK;
}
