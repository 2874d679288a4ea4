// SPDX-License-Identifier: Apache-2.0
/* The names of a certificate: a subject CN and the SANs DNS, IP and URI. */
#ifndef POLICIES_NAMES_H
#define POLICIES_NAMES_H

#include "base/buf.h"
#include "base/err.h"
#include "base/net.h"

#define NAMES_MAX 100		/* SANs of one certificate */
#define NAME_DNS_MAX 253	/* octets, RFC 1035 2.3.4 */
#define NAME_CN_MAX 64		/* characters, RFC 5280 upper bound */
#define NAME_URI_MAX 512

enum name_kind { NAME_DNS, NAME_IP, NAME_URI };

struct name {
	enum name_kind kind;
	char *text;		/* DNS lower-case; IP as ip_format writes it */
	struct ip ip;		/* kind NAME_IP */
};

struct names {
	char *common_name;	/* UTF-8, or NULL */
	struct name *sans;	/* sorted by kind and text, no duplicates */
	size_t sans_count;
};

struct names *names_new(void);
void names_free(struct names *names);
DEFINE_CLEANUP(names, names_free)
struct names *names_copy(const struct names *names);

/*
 * Check, bring to normal form and add.  A DNS name is of LDH labels (RFC 1034
 * 3.5, underscores refused), at most a first label "*"; a CN is printable UTF-8
 * without control characters; a URI is absolute with a scheme and ASCII only.
 * Errors: ERR_BAD_FIELD naming the value and the rule.
 */
MUST_CHECK enum err_code names_set_cn(
    struct names *names, struct bytes cn, struct err *err);
MUST_CHECK enum err_code names_add(struct names *names, enum name_kind kind,
    struct bytes text, struct err *err);
MUST_CHECK enum err_code names_add_ip(
    struct names *names, struct bytes octets, struct err *err);

bool names_equal(const struct names *a, const struct names *b);
/* Every name of A, CN included, is one of B. */
bool names_within(const struct names *a, const struct names *b);
/* An unambiguous encoding, for digests and records; and back. */
void names_write(const struct names *names, struct buf *out);
MUST_CHECK bool names_read(struct reader *reader, struct names **names_out);
const char *name_kind_label(enum name_kind kind);	/* "DNS", "IP", "URI" */

#endif
