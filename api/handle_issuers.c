// SPDX-License-Identifier: Apache-2.0
#include <string.h>
#include "api/api.h"
#include "api/authn.h"
#include "api/body.h"
#include "api/trail.h"
#include "api/view.h"
#include "base/text.h"

enum err_code handle_roots(struct exchange *x, struct err *err)
{
	(void)err;
	OWNED(issuer_set) issuers = ca_issuers(x->app->ca);
	json_t *items = json_array();
	for (size_t i = 0; i < issuer_set_count(issuers); i++) {
		const struct issuer *issuer = issuer_set_at(issuers, i);
		if (issuer->kind != ISSUER_ROOT ||
		    issuer->state == ISSUER_RETIRED)
			continue;
		OWNED_BUF(pem);
		pem_put(&pem, "CERTIFICATE",
		    BYTES(issuer->der, issuer->der_len));
		OWNED_STR(text) = buf_to_str(&pem);
		json_t *root = json_object();
		view_set_hex(
		    root, "fingerprint", BYTES_OF(issuer->fingerprint));
		view_set_text(root, "certificate", text);
		json_array_append_new(items, root);
	}
	OWNED_JSON(json) = view_list(items, NULL);
	reply_json(&x->reply, MHD_HTTP_OK, json);
	return ERR_OK;
}

static json_t *view_with_crl(
    const struct exchange *x, const struct issuer *issuer)
{
	OWNED(crl) crl = crl_current(x->app->publisher, issuer->id);
	return view_issuer(issuer, crl);
}

/* Issuers are few and in memory, in no order that a cursor could rely on: the
 * cursor is the id of the last one shown. */
static size_t first_after(const struct issuer_set *issuers, const char *cursor)
{
	for (size_t i = 0; cursor != NULL && i < issuer_set_count(issuers); i++)
		if (strcmp(issuer_set_at(issuers, i)->id, cursor) == 0)
			return i + 1;
	return 0;
}

enum err_code handle_issuer_list(struct exchange *x, struct err *err)
{
	struct page page;
	OWNED(issuer_set) issuers = ca_issuers(x->app->ca);
	enum err_code code = page_read(x, &page, err);
	if (code != ERR_OK)
		return code;
	json_t *items = json_array();
	size_t i = first_after(issuers, page.cursor);
	while (i < issuer_set_count(issuers) &&
	    json_array_size(items) < page.limit) {
		const struct issuer *issuer = issuer_set_at(issuers, i++);
		json_array_append_new(items, view_with_crl(x, issuer));
	}
	OWNED_JSON(json) = view_list(items,
	    i < issuer_set_count(issuers)
		? issuer_set_at(issuers, i - 1)->id : NULL);
	reply_json(&x->reply, MHD_HTTP_OK, json);
	return ERR_OK;
}

static enum err_code get(const struct exchange *x,
    const struct issuer_set *issuers, const struct issuer **issuer_out,
    struct err *err)
{
	*issuer_out = issuer_set_find(issuers, x->params.item);
	if (*issuer_out == NULL)
		return err_refuse(err, ERR_NOT_FOUND, "There is no issuer \"%s\"",
		    err_quote_str(x->params.item));
	return ERR_OK;
}

enum err_code handle_issuer_show(struct exchange *x, struct err *err)
{
	OWNED(issuer_set) issuers = ca_issuers(x->app->ca);
	const struct issuer *issuer = NULL;
	enum err_code code = get(x, issuers, &issuer, err);
	if (code != ERR_OK)
		return code;
	OWNED_JSON(json) = view_with_crl(x, issuer);
	reply_json(&x->reply, MHD_HTTP_OK, json);
	return ERR_OK;
}

/* The CRL's own audit entry says that it was made; this one, before it, who
 * asked for it. */
enum err_code handle_issuer_crl(struct exchange *x, struct err *err)
{
	OWNED_JSON(body) = NULL;
	OWNED(batch) batch = batch_new();
	OWNED(issuer_set) issuers = ca_issuers(x->app->ca);
	OWNED(crl) crl = NULL;
	const struct issuer *issuer = NULL;
	enum err_code code = body_read(x, NULL, 0, &body, err);
	if (code == ERR_OK)
		code = get(x, issuers, &issuer, err);
	if (code != ERR_OK)
		return code;
	OWNED_STR(object) = mem_printf("issuer:%s", issuer->id);
	trail_add(x, batch,
	    &(struct audit_entry){.action = "crl.request", .object = object});
	code = authn_commit(x, batch, err);
	if (code == ERR_OK)
		code = crl_publish(x->app->publisher, issuer->id, &crl, err);
	if (code != ERR_OK)
		return code;
	OWNED_JSON(json) = view_crl(crl);
	reply_json(&x->reply, MHD_HTTP_OK, json);
	return ERR_OK;
}
