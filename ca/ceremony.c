// SPDX-License-Identifier: Apache-2.0
#include "ca/ceremony.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "ca/authority.h"
#include "ca/crl.h"
#include "ca/digest.h"
#include "ca/inside.h"
#include "ca/node.h"
#include "ca/notary.h"
#include "ca/responder.h"
#include "ca/storekey.h"
#include "store/audit.h"

#define YEAR (365 * INT64_C(86400))
/* The root's token may be away for long, and what it revokes is rare. */
#define ROOT_CRL_VALIDITY YEAR
#define VALIDITY_MAX (50 * YEAR)
#define ID_ROOT "root"
#define ID_ISSUING "issuing-1"
#define ID_SERVICES "services"
#define REQUESTER "ceremony"

struct ceremony_plan ceremony_default_plan(void)
{
	return (struct ceremony_plan){
	    .root_key = HSM_EC_P384,
	    .issuing_key = HSM_EC_P256,
	    .root_validity = 20 * YEAR,
	    .issuing_validity = 5 * YEAR,
	};
}

void ceremony_result_free(struct ceremony_result *result)
{
	if (result == NULL)
		return;
	free(result->root_pem);
	free(result->root_key_uri);
	free(result->wrap_key_uri);
	free(result->mac_key_uri);
	free(result);
}

/* A key pair in the token. */
struct pair {
	char *uri;
	struct buf spki;
};

enum { ROOT, ISSUING, SERVICES, CA_COUNT };

struct ceremony {
	struct store *store;
	struct hsm *root_hsm, *hsm;
	const struct config *config;
	const struct ceremony_plan *plan;
	uint8_t node;
	struct pair keys[CA_COUNT];
	struct pair responders[CA_COUNT];	/* none of the root */
	struct pair audit;
	char *wrap_uri, *mac_uri;
	struct issuer *issuers[CA_COUNT];
	struct certificate *records[CA_COUNT];
	struct buf made;	/* labels of what is in the token by now */
};

static void ceremony_free(struct ceremony *ceremony)
{
	for (size_t i = 0; i < CA_COUNT; i++) {
		free(ceremony->keys[i].uri);
		buf_free(&ceremony->keys[i].spki);
		free(ceremony->responders[i].uri);
		buf_free(&ceremony->responders[i].spki);
		issuer_free(ceremony->issuers[i]);
		certificate_free(ceremony->records[i]);
	}
	free(ceremony->audit.uri);
	buf_free(&ceremony->audit.spki);
	free(ceremony->wrap_uri);
	free(ceremony->mac_uri);
	buf_free(&ceremony->made);
}

static void tell(const struct ceremony *ceremony, const char *step)
{
	if (ceremony->plan->progress != NULL)
		ceremony->plan->progress(step, ceremony->plan->progress_arg);
}

static void note_made(struct ceremony *ceremony, const char *label)
{
	if (ceremony->made.len > 0)
		buf_put_str(&ceremony->made, ", ");
	buf_put_str(&ceremony->made, label);
}

static enum err_code make_pair(struct ceremony *ceremony, struct hsm *hsm,
    const char *label, enum hsm_key_type type, struct pair *pair,
    struct err *err)
{
	OWNED_STR(step) = mem_printf("making the key %s", label);
	enum err_code code;

	tell(ceremony, step);
	code = hsm_generate_pair(
	    hsm, label, type, &pair->uri, &pair->spki, err);
	if (code == ERR_OK)
		note_made(ceremony, label);
	return code;
}

static enum err_code make_secret(struct ceremony *ceremony,
    const char *label, enum hsm_secret_use use, char **uri_out,
    struct err *err)
{
	OWNED_STR(step) = mem_printf("making the key %s", label);
	enum err_code code;

	tell(ceremony, step);
	code = hsm_generate_secret(ceremony->hsm, label, use, uri_out, err);
	if (code == ERR_OK)
		note_made(ceremony, label);
	return code;
}

static enum err_code make_keys(struct ceremony *ceremony, struct err *err)
{
	const struct ceremony_plan *plan = ceremony->plan;
	const struct {
		struct hsm *hsm;
		const char *label;
		enum hsm_key_type type;
		struct pair *pair;
	} pairs[] = {
	    {ceremony->root_hsm, LABEL_ROOT, plan->root_key,
		&ceremony->keys[ROOT]},
	    {ceremony->hsm, LABEL_ISSUING, plan->issuing_key,
		&ceremony->keys[ISSUING]},
	    {ceremony->hsm, LABEL_SERVICES, plan->issuing_key,
		&ceremony->keys[SERVICES]},
	    {ceremony->hsm, LABEL_ISSUING_OCSP, HSM_EC_P256,
		&ceremony->responders[ISSUING]},
	    {ceremony->hsm, LABEL_SERVICES_OCSP, HSM_EC_P256,
		&ceremony->responders[SERVICES]},
	    {ceremony->hsm, LABEL_AUDIT, HSM_EC_P256, &ceremony->audit},
	};
	enum err_code code = ERR_OK;

	for (size_t i = 0; i < ARRAY_LEN(pairs) && code == ERR_OK; i++)
		code = make_pair(ceremony, pairs[i].hsm, pairs[i].label,
		    pairs[i].type, pairs[i].pair, err);
	if (code != ERR_OK ||
	    (code = make_secret(ceremony, LABEL_WRAP, HSM_USE_WRAP,
		 &ceremony->wrap_uri, err)) != ERR_OK)
		return code;
	return make_secret(
	    ceremony, LABEL_MAC, HSM_USE_MAC, &ceremony->mac_uri, err);
}

static void adopt_responder(struct issuer *issuer, struct pair *pair)
{
	if (pair->uri == NULL)
		return;
	struct buf spki = buf_give(&pair->spki);

	issuer->responder_uri = GIVE(pair->uri);
	issuer->responder_spki = spki.data;
	issuer->responder_spki_len = spki.len;
}

static enum err_code certify(struct ceremony *ceremony, struct err *err)
{
	static const struct {
		const char *id, *title;
		enum issuer_kind kind;
	} cas[CA_COUNT] = {
	    [ROOT] = {ID_ROOT, "Signet Root CA", ISSUER_ROOT},
	    [ISSUING] = {ID_ISSUING, "Signet Issuing CA", ISSUER_ISSUING},
	    [SERVICES] = {ID_SERVICES, "Signet Services CA", ISSUER_SERVICES},
	};
	const struct ceremony_plan *plan = ceremony->plan;
	enum err_code code = ERR_OK;

	tell(ceremony, "signing the certificates of the CAs");
	for (size_t i = 0; i < CA_COUNT && code == ERR_OK; i++) {
		const struct authority_order order = {
		    .id = cas[i].id, .kind = cas[i].kind,
		    .organization = plan->organization,
		    .title = cas[i].title,
		    .validity = i == ROOT ? plan->root_validity
					  : plan->issuing_validity,
		    .hsm = i == ROOT ? ceremony->root_hsm : ceremony->hsm,
		    .key_uri = ceremony->keys[i].uri,
		    .spki = buf_bytes(&ceremony->keys[i].spki),
		    .parent = i == ROOT ? NULL : ceremony->issuers[ROOT],
		    .public_url = ceremony->config->public_url,
		    .node = ceremony->node, .requester = REQUESTER};

		code = authority_certify(&order, &ceremony->issuers[i],
		    &ceremony->records[i], err);
		if (code == ERR_OK)
			adopt_responder(
			    ceremony->issuers[i], &ceremony->responders[i]);
	}
	return code;
}

static enum err_code add_crl(struct ceremony *ceremony, size_t which,
    struct batch *batch, struct err *err)
{
	OWNED(crl) crl = NULL;
	int64_t validity = which == ROOT ? ROOT_CRL_VALIDITY
					 : ceremony->config->crl.validity;

	return crl_build(ceremony->store, ceremony->issuers[which], validity,
	    NULL, batch, &crl, err);
}

static void audit_keys(
    const struct ceremony *ceremony, struct batch *batch)
{
	OWNED_STR(made) = buf_to_str(&ceremony->made);

	batch_audit(batch, &(struct audit_entry){.action = "ceremony.run",
	    .result = "granted", .actor = REQUESTER, .source = "local",
	    .object = "issuer:" ID_ROOT, .detail = made});
}

static enum err_code record(
    struct ceremony *ceremony, struct batch *batch, struct err *err)
{
	enum err_code code = ERR_OK;

	tell(ceremony, "signing the first CRLs");
	audit_keys(ceremony, batch);
	for (size_t i = 0; i < CA_COUNT && code == ERR_OK; i++) {
		certificate_put(batch, ceremony->records[i]);
		issuer_put(batch, ceremony->issuers[i]);
		issue_audit(batch, ceremony->records[i], "local", REQUESTER,
		    NULL);
		code = add_crl(ceremony, i, batch, err);
	}
	if (code != ERR_OK)
		return code;
	meta_put_text(batch, META_WRAP_KEY_URI, ceremony->wrap_uri);
	meta_put_text(batch, META_MAC_KEY_URI, ceremony->mac_uri);
	code = notary_record(batch, ceremony->audit.uri,
	    buf_bytes(&ceremony->audit.spki), err);
	if (code != ERR_OK)
		return code;
	tell(ceremony, "recording it all");
	return store_commit(ceremony->store, batch, err);
}

static enum err_code make_and_record(
    struct ceremony *ceremony, struct err *err)
{
	OWNED(batch) batch = batch_new();
	enum err_code code;

	code = node_get(ceremony->store, batch, &ceremony->node, err);
	if (code != ERR_OK ||
	    (code = make_keys(ceremony, err)) != ERR_OK ||
	    (code = certify(ceremony, err)) != ERR_OK)
		return code;
	tell(ceremony, "sealing the store");
	code = storekey_seal(
	    ceremony->store, ceremony->hsm, ceremony->wrap_uri, err);
	return code == ERR_OK ? record(ceremony, batch, err) : code;
}

/* The labels were free before, so what is to be removed is just these. */
static void tell_leftovers(struct ceremony *ceremony)
{
	OWNED_STR(made) = buf_to_str(&ceremony->made);
	OWNED_STR(step) = mem_printf("failed; remove these objects from the "
				     "token before trying again: %s", made);

	if (ceremony->made.len == 0)
		return;
	tell(ceremony, step);
	LOG(ERROR, "ceremony failed, its objects are left in the token",
	    LOG_STR("objects", made));
}

/* The authority stands; a server that starts makes up for what fails here. */
static void certify_responders(struct ceremony *ceremony)
{
	static const char *const ids[] = {ID_ISSUING, ID_SERVICES};
	OWNED(ca) ca = NULL;
	struct err err;
	enum err_code code;

	tell(ceremony, "issuing the OCSP responders' certificates");
	code = ca_open(
	    ceremony->store, ceremony->hsm, ceremony->config, &ca, &err);
	for (size_t i = 0; i < ARRAY_LEN(ids) && code == ERR_OK; i++)
		code = responder_renew(ca, ids[i], &err);
	if (code != ERR_OK)
		log_err(LOG_WARN, "OCSP responder certificates not made yet",
		    &err);
}

static struct ceremony_result *new_result(struct ceremony *ceremony)
{
	struct ceremony_result *result = mem_zalloc(sizeof(*result));
	const struct issuer *root = ceremony->issuers[ROOT];
	OWNED_BUF(pem);

	memcpy(result->root_fingerprint, root->fingerprint, 32);
	pem_put(&pem, "CERTIFICATE", BYTES(root->der, root->der_len));
	result->root_pem = buf_to_str(&pem);
	result->root_key_uri = mem_strdup(root->key_uri);
	digest_sha256(
	    buf_bytes(&ceremony->audit.spki), result->audit_fingerprint);
	result->wrap_key_uri = GIVE(ceremony->wrap_uri);
	result->mac_key_uri = GIVE(ceremony->mac_uri);
	return result;
}

static enum err_code check_plan(
    const struct ceremony_plan *plan, struct err *err)
{
	OWNED(names) names = names_new();

	if (plan->root_validity <= 0 || plan->root_validity > VALIDITY_MAX ||
	    plan->issuing_validity <= 0 ||
	    plan->issuing_validity > plan->root_validity)
		return err_refuse(err, ERR_BAD_FIELD,
		    "validity of the CAs: up to 50 years for the root, and for "
		    "those under it no longer than the root's");
	if (plan->organization == NULL)
		return ERR_OK;
	/* O has the syntax of a CN, and its bound (RFC 5280 A.1). */
	return names_set_cn(names, bytes_str(plan->organization), err);
}

static enum err_code check_store(struct store *store, struct err *err)
{
	uint64_t count;
	enum err_code code = store_count(store, TABLE_ISSUERS, &count, err);

	if (code == ERR_OK && count > 0)
		return err_refuse(err, ERR_EXISTS,
		    "the store has issuers already: its ceremony was held");
	return code;
}

enum err_code ceremony_run(struct store *store, struct hsm *root_hsm,
    struct hsm *hsm, const struct config *config,
    const struct ceremony_plan *plan, struct ceremony_result **result_out,
    struct err *err)
{
	struct ceremony ceremony = {.store = store, .root_hsm = root_hsm,
	    .hsm = hsm, .config = config, .plan = plan};
	enum err_code code;

	if ((code = check_plan(plan, err)) != ERR_OK ||
	    (code = check_store(store, err)) != ERR_OK)
		return code;
	code = make_and_record(&ceremony, err);
	if (code != ERR_OK) {
		tell_leftovers(&ceremony);
	} else {
		certify_responders(&ceremony);
		*result_out = new_result(&ceremony);
	}
	ceremony_free(&ceremony);
	return code;
}
