// SPDX-License-Identifier: Apache-2.0
#include "cli/tokencheck.h"

#include "base/clock.h"
#include "ca/ceremony.h"
#include "ca/issuer.h"
#include "ca/notary.h"

/* No DER begins so. */
#define TEXT "signet restore: is this the key that the store names?\n"

static enum err_code judge(
    enum err_code code, const char *what, const char *uri, struct err *err)
{
	if (code == ERR_CORRUPT) {
		err_clear(err);
		return err_refuse(err, ERR_CONFIG,
		    "the token's key of %s, %s, is not the one that the backup "
		    "was made with: nothing was restored",
		    what, uri);
	}
	if (code == ERR_HSM_REFUSED || code == ERR_NOT_FOUND) {
		err_clear(err);
		return err_refuse(err, ERR_CONFIG,
		    "the token has no key of %s, %s: nothing was restored",
		    what, uri);
	}
	return code;
}

static enum err_code check_signer(
    struct signer *signer, const char *what, const char *uri, struct err *err)
{
	OWNED_BUF(signature);
	enum err_code code;

	if (signer == NULL)
		return ERR_OK;
	code = signer_signature(signer, BYTES_STR(TEXT), &signature, err);
	return judge(code, what, uri, err);
}

static enum err_code check_issuer(
    const struct issuer *issuer, int64_t now, struct err *err)
{
	OWNED_STR(name) = mem_printf("issuer %s", issuer->id);
	OWNED_STR(responder) =
	    mem_printf("the OCSP responder of %s", issuer->id);
	enum err_code code =
	    check_signer(issuer->signer, name, issuer->key_uri, err);

	/* One that has expired is replaced at the next start. */
	if (code != ERR_OK || now >= issuer->responder_not_after)
		return code;
	return check_signer(
	    issuer->responder, responder, issuer->responder_uri, err);
}

static enum err_code check_issuers(
    struct store *store, struct hsm *hsm, struct err *err)
{
	OWNED(issuer_set) set = NULL;
	enum err_code code = issuer_set_load(store, hsm, &set, err);
	int64_t now = clock_now();

	for (size_t i = 0; code == ERR_OK && i < issuer_set_count(set); i++)
		code = check_issuer(issuer_set_at(set, i), now, err);
	return code;
}

/* The root KEK has opened the store's key, where the store is sealed. */
static enum err_code check_secret(struct store *store, struct hsm *hsm,
    const char *name, const char *what, struct err *err)
{
	OWNED_STR(uri) = NULL;
	enum err_code code = meta_get_text(store, name, &uri, err);

	if (code == ERR_OK)
		code = judge(hsm_check_key(hsm, uri, err), what, uri, err);
	return code;
}

static enum err_code check_notary(
    struct store *store, struct hsm *hsm, struct err *err)
{
	OWNED(notary) notary = NULL;
	OWNED_BUF(note);
	struct audit_head head;
	enum err_code code = notary_open(store, hsm, &notary, err);

	/* A store from before there was one. */
	if (code == ERR_NOT_FOUND) {
		err_clear(err);
		return ERR_OK;
	}
	if (code != ERR_OK || (code = audit_head(store, &head, err)) != ERR_OK)
		return code;
	return judge(notary_sign(notary, &head, &note, err), "the audit log",
	    "\"" LABEL_AUDIT "\"", err);
}

enum err_code tokencheck(struct store *store, struct hsm *hsm, struct err *err)
{
	enum err_code code = check_issuers(store, hsm, err);

	if (code == ERR_OK)
		code = check_secret(
		    store, hsm, META_WRAP_KEY_URI, "the root KEK", err);
	if (code == ERR_OK)
		code = check_secret(
		    store, hsm, META_MAC_KEY_URI, "the MACs of KEKs", err);
	return code == ERR_OK ? check_notary(store, hsm, err) : code;
}
