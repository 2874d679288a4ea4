// SPDX-License-Identifier: Apache-2.0
/* Reading DER (X.690 10) from outside, one element at a time: strict, without
 * allocation, never past the end. */
#ifndef CA_TLV_H
#define CA_TLV_H

#include "base/buf.h"

struct tlv {
	uint8_t tag;
	struct bytes content;
	struct bytes whole;	/* with its header */
};

/*
 * Takes the next element off IN; all views borrow from IN.  False at the end of
 * IN, and for what DER forbids or Signet never meets: tag numbers above 30,
 * indefinite and needlessly long lengths, content that is cut short.
 */
MUST_CHECK bool tlv_next(struct bytes *in, struct tlv *out);
/* As tlv_next, only when the element has TAG. */
MUST_CHECK bool tlv_take(struct bytes *in, uint8_t tag, struct tlv *out);
/* The tag that comes next; 0 at the end. */
uint8_t tlv_peek(struct bytes in);

/* The magnitude of a non-negative INTEGER without its sign octet; false for a
 * negative one or one that is not of the shortest form (X.690 8.3.2). */
MUST_CHECK bool tlv_unsigned(struct bytes content, struct bytes *out);

/* An object identifier for people: "2.5.29.30 (nameConstraints)". */
#define TLV_OID_TEXT_SIZE 160
const char *tlv_oid_text(
    const struct tlv *oid, char text[static TLV_OID_TEXT_SIZE]);

#endif
