// SPDX-License-Identifier: Apache-2.0
#include "ca/ceremony.h"

#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "ca/digest.h"
#include "ca/softkey.h"

#define ISSUER_ID "services"
#define BACKDATE 60	/* seconds: clocks of peers may lag */

static const struct {
	const char *profile;
	uint32_t ext_usage;
} profiles[] = {
	{PROFILE_API_SERVER, EKU_SERVER_AUTH},
	{PROFILE_IDENTITY, EKU_CLIENT_AUTH},
};

static uint32_t usage_of(const char *profile)
{
	for (size_t i = 0; i < ARRAY_LEN(profiles); i++) {
		if (strcmp(profiles[i].profile, profile) == 0)
			return profiles[i].ext_usage;
	}
	return 0;
}

/* What request_parse would have made of a request for KEY, which it takes. */
static enum err_code new_request(EVP_PKEY *key, const struct names *names,
    struct request **request_out, struct err *err)
{
	OWNED(request) request = mem_zalloc(sizeof(*request));
	uint8_t *der = NULL;
	int len;

	request->key = key;
	request->key_type = KEY_EC_P256;
	request->names = names_copy(names);
	len = i2d_PUBKEY(key, &der);
	if (len <= 0)
		return err_fail_crypto(err, "encoding a public key");
	request->spki = mem_zalloc((size_t)len);
	request->spki_len = (size_t)len;
	memcpy(request->spki, der, (size_t)len);
	OPENSSL_free(der);
	digest_sha256(
	    BYTES(request->spki, request->spki_len), request->spki_hash);
	*request_out = GIVE(request);
	return ERR_OK;
}

static struct decision *decide(const struct service_order *order,
    const struct issuer *issuer, int64_t now)
{
	struct decision *decision = mem_zalloc(sizeof(*decision));

	decision->names = names_copy(order->names);
	decision->not_before = now - BACKDATE;
	decision->not_after = now + order->ttl - 1;
	if (decision->not_after > issuer->not_after)
		decision->not_after = issuer->not_after;
	if (order->until != 0 && decision->not_after > order->until)
		decision->not_after = order->until;
	decision->key_usage = USAGE_DIGITAL_SIGNATURE;
	decision->ext_usage = usage_of(order->profile);
	decision->rule = mem_printf("service profile %s", order->profile);
	return decision;
}

static enum err_code find_issuer(const struct issuer_set *set,
    const struct service_order *order, const struct issuer **issuer_out,
    struct err *err)
{
	if (usage_of(order->profile) == 0)
		return err_refuse(err, ERR_BAD_FIELD,
		    "there is no service profile \"%s\"",
		    err_quote_str(order->profile));
	if (order->ttl <= 0)
		return err_refuse(err, ERR_BAD_FIELD,
		    "validity of a certificate must be positive");
	*issuer_out = issuer_set_find(set, ISSUER_ID);
	if (*issuer_out == NULL)
		return err_refuse(err, ERR_NOT_FOUND,
		    "there is no issuer \"" ISSUER_ID "\"");
	return ERR_OK;
}

enum err_code service_certify(struct ca *ca, const struct service_order *order,
    const struct request *request, struct batch *intent,
    struct certificate **certificate_out, struct err *err)
{
	OWNED(issuer_set) set = ca_issuers(ca);
	OWNED(decision) decision = NULL;
	const struct issuer *issuer = NULL;
	OWNED_STR(name) = mem_strdup(
	    order->cluster == NULL ? "" : order->cluster);
	const struct cluster cluster = {.name = name};
	enum err_code code = find_issuer(set, order, &issuer, err);

	if (code != ERR_OK)
		return code;
	decision = decide(order, issuer, clock_now());
	const struct issue_order whole = {
	    .cluster = order->cluster == NULL ? NULL : &cluster,
	    .issuer = ISSUER_ID, .profile = order->profile,
	    .request = request, .decision = decision,
	    .requester = order->requester,
	    .source = order->source == NULL ? "local" : order->source,
	    .request_id = order->request_id,
	    .roles = order->roles, .identity = order->identity,
	    .token_id = order->code};
	if (intent == NULL)
		return ca_find_repeat(ca, &whole, certificate_out, err);
	return ca_issue(ca, &whole, intent, certificate_out, err);
}

enum err_code service_issue(struct ca *ca, const struct service_order *order,
    struct secret **key_pem_out, struct certificate **certificate_out,
    struct err *err)
{
	OWNED(issuer_set) set = ca_issuers(ca);
	const struct issuer *issuer = NULL;
	OWNED(request) request = NULL;
	OWNED(batch) intent = batch_new();
	OWNED(secret) pem = NULL;
	EVP_PKEY *key;
	enum err_code code;

	if ((code = find_issuer(set, order, &issuer, err)) != ERR_OK ||
	    (code = softkey_new(&key, &pem, err)) != ERR_OK ||
	    (code = new_request(key, order->names, &request, err)) != ERR_OK ||
	    (code = service_certify(ca, order, request, intent,
		 certificate_out, err)) != ERR_OK)
		return code;
	*key_pem_out = GIVE(pem);
	return ERR_OK;
}
