// SPDX-License-Identifier: Apache-2.0
/* Text encodings, and the syntax of the names that people give to things. */
#ifndef BASE_TEXT_H
#define BASE_TEXT_H

#include "base/buf.h"

/* Lower-case hex into TEXT (2 * LEN + 1 octets); returns TEXT. */
char *hex_write(const void *data, size_t len, char *text);
char *hex_new(const void *data, size_t len);	/* malloc'd */
/* Exactly 2 * LEN hex digits of either case. */
MUST_CHECK bool hex_parse(const char *text, void *data, size_t len);
/* Any even number of hex digits, at most 2 * MAX; colons between octets are
 * accepted, as openssl prints serials. */
MUST_CHECK bool hex_parse_any(const char *text, size_t max, struct buf *out);

/* RFC 4648; strict: no white space, canonical padding, no stray bits. */
void base64_put(struct buf *out, struct bytes data);
MUST_CHECK bool base64_parse(struct bytes text, struct buf *out);
void base64url_put(struct buf *out, struct bytes data);		/* no padding */
MUST_CHECK bool base64url_parse(struct bytes text, struct buf *out);

/* A name of a cluster, key, profile or policy: 1 to 63 of a-z, 0-9 and '-',
 * beginning and ending with a letter or digit (an RFC 1123 label). */
MUST_CHECK bool text_is_label(const char *text);
/* A host name as RFC 1123 has it, either case, at most 253 octets, without a
 * final dot, wildcard or underscore. */
MUST_CHECK bool text_is_host_name(const char *text);
MUST_CHECK bool text_is_utf8(struct bytes text);
/* Octets of the character that TEXT begins with; 0 when it is empty or does not
 * begin with one (RFC 3629: overlong forms and surrogates are none). */
MUST_CHECK size_t text_utf8_next(struct bytes text);
MUST_CHECK bool text_has_prefix(const char *text, const char *prefix);
MUST_CHECK bool text_has_suffix(const char *text, const char *suffix);

/* WORDS end with NULL. */
bool text_is_one_of(const char *text, const char *const *words);

#endif
