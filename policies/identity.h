// SPDX-License-Identifier: Apache-2.0
/* Identities: people and programs that administer Signet by certificate.
 * The certificate's own record carries roles and cluster; this record keeps
 * the name and the history. */
#ifndef POLICIES_IDENTITY_H
#define POLICIES_IDENTITY_H

#include "policies/access.h"
#include "store/store.h"

#define IDENTITY_ID_SIZE 16
#define SERIAL_MAX 20			/* octets, RFC 5280 4.1.2.2 */

struct identity {
	uint8_t id[IDENTITY_ID_SIZE];
	char *name;
	uint32_t roles;
	char *cluster;			/* or NULL */
	uint8_t serial[SERIAL_MAX];	/* of its certificate */
	size_t serial_len;
	int64_t created;		/* seconds */
	uint64_t revision;
};
void identity_free(struct identity *identity);
DEFINE_CLEANUP(identity, identity_free)
void identity_create(struct batch *batch, const struct identity *identity);
MUST_CHECK enum err_code identity_list(struct store *store,
    const uint8_t *after, size_t limit, struct identity **identities,
    size_t *count_out, struct err *err);

#endif
