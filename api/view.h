// SPDX-License-Identifier: Apache-2.0
/* Our objects as JSON, in the shapes of doc/http-api.md. */
#ifndef API_VIEW_H
#define API_VIEW_H

#include "api/app.h"
#include "api/reply.h"
#include "ca/certificate.h"
#include "policies/approval.h"
#include "policies/cluster.h"
#include "policies/identity.h"
#include "policies/token.h"
#include "store/audit.h"

/* All return new references and never NULL. */
json_t *view_cluster(const struct cluster *cluster);
json_t *view_token(const struct token *token);
json_t *view_identity(const struct identity *identity, int64_t now);
/* COUNT: consents that hold now; RULE may be NULL. */
json_t *view_approval(const struct approval *approval,
    const struct approver_rule *rule, unsigned count, int64_t now);
/* With the PEM when it is wanted and known. */
json_t *view_certificate(
    const struct certificate *certificate, int64_t now, bool with_pem);
json_t *view_issuer(const struct issuer *issuer, const struct crl *crl);
json_t *view_crl(const struct crl *crl);
json_t *view_key(const struct key_info *key);
json_t *view_policy(const struct policy *policy, bool with_text);
struct role_view {
	const char *name, *description;
	permissions actions;
	bool needs_cluster;	/* of an identity that has it */
	bool is_builtin;
};
json_t *view_role(const struct role_view *role);

/* {"items": ITEMS, "next": NEXT}; takes ITEMS over; NEXT NULL: the last. */
json_t *view_list(json_t *items, const char *next);

/* The answer to who asked for a certificate: itself, chain and roots.  REPEATED:
 * it was made for the same request before. */
void view_issued(struct buf *out, const struct issuer_set *issuers,
    const struct certificate *certificate, bool repeated);

/* A JSON string; octets that are not UTF-8 are written as \xNN. */
json_t *view_text(const char *text);
/* Sets KEY of OBJECT: takes VALUE over.  _opt leaves NULL out. */
void view_set(json_t *object, const char *key, json_t *value);
void view_set_text(json_t *object, const char *key, const char *text);
void view_set_opt(json_t *object, const char *key, const char *text);
void view_set_time(json_t *object, const char *key, int64_t seconds);
void view_set_hex(json_t *object, const char *key, struct bytes octets);

#endif
