// SPDX-License-Identifier: Apache-2.0
/* Writing DER (X.690) into a buffer, for what OpenSSL cannot build with a key
 * that lives elsewhere, or not for a million entries. */
#ifndef CA_DER_H
#define CA_DER_H

#include "base/buf.h"

/* Identifier octets; context tags by DER_CONTEXT(n), constructed. */
enum {
	DER_BOOLEAN = 0x01,
	DER_INTEGER = 0x02,
	DER_BIT_STRING = 0x03,
	DER_OCTET_STRING = 0x04,
	DER_NULL = 0x05,
	DER_OID = 0x06,
	DER_ENUMERATED = 0x0a,
	DER_UTC_TIME = 0x17,
	DER_GENERALIZED_TIME = 0x18,
	DER_SEQUENCE = 0x30,
};
#define DER_CONTEXT(n) (0xa0 | (n))		/* constructed */
#define DER_CONTEXT_PRIMITIVE(n) (0x80 | (n))

/* tag, length, content */
void der_put(struct buf *out, uint8_t tag, struct bytes content);
/* Tag and length of a content of LEN octets that the caller writes next. */
void der_put_header(struct buf *out, uint8_t tag, size_t len);
size_t der_header_size(size_t content_len);
/* A non-negative INTEGER from big-endian octets; leading zeros are dropped,
 * a zero octet is added where the top bit is set. */
void der_put_unsigned(struct buf *out, struct bytes magnitude);
void der_put_u64(struct buf *out, uint64_t value);
/* UTCTime to 2049, GeneralizedTime from 2050 (RFC 5280 4.1.2.5).  Both abort
 * outside 1970 to 9999: callers bound what comes from outside. */
void der_put_time(struct buf *out, int64_t seconds);
void der_put_generalized_time(struct buf *out, int64_t seconds);

#endif
