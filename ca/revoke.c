// SPDX-License-Identifier: Apache-2.0
#include <string.h>

#include "base/clock.h"
#include "ca/ca.h"

/* RFC 5280 5.3.1.  A reason is usable when a revocation by it is for good:
 * certificateHold could be lifted, removeFromCRL lifts it. */
static const struct {
	uint8_t reason;
	bool usable;
	const char *name;
} reasons[] = {
    {0, true, "unspecified"},
    {1, true, "keyCompromise"},
    {2, true, "cACompromise"},
    {3, true, "affiliationChanged"},
    {4, true, "superseded"},
    {5, true, "cessationOfOperation"},
    {6, false, "certificateHold"},
    {8, false, "removeFromCRL"},
    {9, true, "privilegeWithdrawn"},
    {10, true, "aACompromise"},
};

bool reason_parse(const char *name, uint8_t *reason_out)
{
	for (size_t i = 0; i < ARRAY_LEN(reasons); i++) {
		if (strcmp(reasons[i].name, name) != 0)
			continue;
		if (reasons[i].usable)
			*reason_out = reasons[i].reason;
		return reasons[i].usable;
	}
	return false;
}

const char *reason_name(uint8_t reason)
{
	for (size_t i = 0; i < ARRAY_LEN(reasons); i++)
		if (reasons[i].reason == reason)
			return reasons[i].name;
	return "unknown";
}

/* A revocation is told by the CRL alone where no responder speaks for the
 * issuer; without the issuer's key it would be acknowledged and never told. */
static enum err_code check_told(
    struct ca *ca, const struct certificate *record, struct err *err)
{
	OWNED(issuer_set) set = ca_issuers(ca);
	const struct issuer *issuer = issuer_set_find(set, record->issuer);

	if (issuer == NULL || issuer->signer != NULL)
		return ERR_OK;
	return err_refuse(err, ERR_POLICY,
	    "what issuer %s has signed is revoked where its key is",
	    record->issuer);
}

enum err_code ca_revoke(struct ca *ca, struct batch *batch,
    const struct certificate *record, uint8_t reason, struct err *err)
{
	struct certificate revoked = *record;
	char when[CLOCK_TEXT_SIZE];
	int64_t now = clock_now();

	if (record->state == CERTIFICATE_UNRESOLVED)
		return err_refuse(err, ERR_CONFLICT,
		    "revoked already since %s: its issuance was never completed",
		    clock_format(record->revoked, when));
	if (record->state != CERTIFICATE_VALID)
		return err_refuse(err, ERR_CONFLICT,
		    "revoked already on %s, reason %s",
		    clock_format(record->revoked, when),
		    reason_name(record->reason));
	if (check_told(ca, record, err) != ERR_OK)
		return err->code;
	revoked.state = CERTIFICATE_REVOKED;
	revoked.reason = reason;
	/* A clock set back must not date it before it was issued. */
	revoked.revoked = now < record->created ? record->created : now;
	certificate_put(batch, &revoked);
	return ERR_OK;
}
