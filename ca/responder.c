// SPDX-License-Identifier: Apache-2.0
#include "ca/responder.h"

#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "store/audit.h"

/* A label stays taken when a crash came between making the key and recording
 * it; then the next one is tried. */
#define LABELS_MAX 8
#define BACKDATE 60	/* seconds: relying parties' clocks may lag */
#define ISSUE_TRIES 3

bool responder_is_usable(const struct issuer *issuer, int64_t now)
{
	return issuer->responder != NULL && issuer->responder_der != NULL &&
	    now < issuer->responder_not_after;
}

bool responder_is_due(const struct issuer *issuer, int64_t now)
{
	if (issuer->signer == NULL || issuer->state == ISSUER_RETIRED)
		return false;
	if (!responder_is_usable(issuer, now))
		return true;
	/* None outlives its issuer: there, a new one would gain nothing. */
	return issuer->responder_not_after < issuer->not_after &&
	    now >= issuer->responder_not_after - RESPONDER_VALIDITY / 3;
}

/* Commits CHANGED in the place of the record it was made from. */
static enum err_code commit_issuer(struct ca *ca, const struct issuer *changed,
    const char *detail, struct err *err)
{
	OWNED(batch) batch = batch_new();
	OWNED_STR(object) = mem_printf("issuer:%s", changed->id);
	enum err_code code;

	issuer_put(batch, changed);
	batch_audit(batch, &(struct audit_entry){.action = "issuer.responder",
	    .result = "granted", .actor = "system", .source = "local",
	    .object = object, .detail = detail});
	if ((code = store_commit(ca_store(ca), batch, err)) != ERR_OK)
		return code;
	return ca_reload(ca, err);
}

static enum err_code generate(struct ca *ca, const struct issuer *issuer,
    char **uri_out, struct buf *spki, struct err *err)
{
	enum err_code code = ERR_OK;

	for (int n = 1; n <= LABELS_MAX; n++) {
		OWNED_STR(label) = n == 1
		    ? mem_printf("signet-%s-ocsp", issuer->id)
		    : mem_printf("signet-%s-ocsp-%d", issuer->id, n);

		code = hsm_generate_pair(
		    ca_hsm(ca), label, HSM_EC_P256, uri_out, spki, err);
		if (code != ERR_EXISTS)
			break;
	}
	return code;
}

static enum err_code make_key(
    struct ca *ca, const struct issuer *issuer, struct err *err)
{
	struct issuer changed = *issuer;
	OWNED_STR(uri) = NULL;
	OWNED_BUF(spki);
	enum err_code code;

	if ((code = generate(ca, issuer, &uri, &spki, err)) != ERR_OK)
		return code;
	changed.responder_uri = uri;
	changed.responder_spki = spki.data;
	changed.responder_spki_len = spki.len;
	return commit_issuer(ca, &changed, "responder key made", err);
}

static enum err_code build_request(const struct issuer *issuer,
    struct request **request_out, struct err *err)
{
	OWNED(request) request = mem_zalloc(sizeof(*request));
	OWNED_STR(cn) = mem_printf("%s OCSP responder", issuer->id);
	struct bytes spki = signer_spki(issuer->responder);
	enum err_code code;

	request->names = names_new();
	code = names_set_cn(request->names, bytes_str(cn), err);
	if (code != ERR_OK)
		return code;
	request->key_type = KEY_EC_P256;
	request->key = signer_public_key(issuer->responder);
	EVP_PKEY_up_ref(request->key);
	request->spki = mem_zalloc(spki.len);
	memcpy(request->spki, spki.data, spki.len);
	request->spki_len = spki.len;
	if (EVP_Digest(spki.data, spki.len, request->spki_hash, NULL,
		EVP_sha256(), NULL) != 1)
		return err_fail_crypto(err, "EVP_Digest");
	*request_out = GIVE(request);
	return ERR_OK;
}

static struct decision *decide(
    const struct issuer *issuer, const struct request *request, int64_t now)
{
	struct decision *decision = mem_zalloc(sizeof(*decision));

	decision->names = names_copy(request->names);
	decision->not_before = now - BACKDATE;
	if (decision->not_before < issuer->not_before)
		decision->not_before = issuer->not_before;
	decision->not_after = now + RESPONDER_VALIDITY - 1;
	if (decision->not_after > issuer->not_after)
		decision->not_after = issuer->not_after;
	decision->key_usage = USAGE_DIGITAL_SIGNATURE;
	decision->ext_usage = EKU_OCSP_SIGNING;
	decision->rule = mem_strdup("OCSP responder of its issuer");
	return decision;
}

/* Finds what a run that was cut short has issued, else issues. */
static enum err_code issue(struct ca *ca, const struct issue_order *order,
    struct certificate **certificate_out, struct err *err)
{
	enum err_code code = ERR_OK;

	for (int i = 0; i < ISSUE_TRIES; i++) {
		OWNED(batch) intent = batch_new();

		code = ca_find_repeat(ca, order, certificate_out, err);
		if (code != ERR_OK || *certificate_out != NULL)
			return code;
		code = ca_issue(ca, order, intent, certificate_out, err);
		if (code != ERR_CONFLICT)
			return code;
	}
	return code;
}

static enum err_code certify(
    struct ca *ca, const struct issuer *issuer, struct err *err)
{
	OWNED(request) request = NULL;
	OWNED(decision) decision = NULL;
	OWNED(certificate) certificate = NULL;
	struct issuer changed = *issuer;
	enum err_code code;

	if ((code = build_request(issuer, &request, err)) != ERR_OK)
		return code;
	decision = decide(issuer, request, clock_now());
	code = issue(ca, &(struct issue_order){.issuer = issuer->id,
	    .profile = RESPONDER_PROFILE, .request = request,
	    .decision = decision, .requester = "system", .source = "local"},
	    &certificate, err);
	if (code != ERR_OK)
		return code;
	changed.responder_der = certificate->der;
	changed.responder_der_len = certificate->der_len;
	changed.responder_not_after = certificate->not_after;
	return commit_issuer(ca, &changed, "responder certificate renewed",
	    err);
}

static enum err_code find_issuer(struct ca *ca, const char *id,
    struct issuer_set **set_out, const struct issuer **issuer_out,
    struct err *err)
{
	OWNED(issuer_set) set = ca_issuers(ca);

	*issuer_out = issuer_set_find(set, id);
	if (*issuer_out == NULL)
		return err_refuse(err, ERR_NOT_FOUND, "no issuer %s",
		    err_quote_str(id));
	*set_out = GIVE(set);
	return ERR_OK;
}

enum err_code responder_renew(struct ca *ca, const char *id, struct err *err)
{
	OWNED(issuer_set) before = NULL;
	OWNED(issuer_set) set = NULL;
	const struct issuer *issuer;
	enum err_code code;

	if ((code = find_issuer(ca, id, &before, &issuer, err)) != ERR_OK)
		return code;
	if (issuer->responder == NULL &&
	    (code = make_key(ca, issuer, err)) != ERR_OK)
		return code;
	if ((code = find_issuer(ca, id, &set, &issuer, err)) != ERR_OK)
		return code;
	if (issuer->responder == NULL)
		return err_fail(err, ERR_INTERNAL,
		    "%s: no responder key after making one", id);
	return certify(ca, issuer, err);
}
