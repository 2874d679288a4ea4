// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>
#include <string.h>
#include "api/api.h"
#include "api/approvals.h"
#include "api/authn.h"
#include "api/body.h"
#include "api/metrics.h"
#include "api/trail.h"
#include "api/view.h"
#include "base/clock.h"
#include "base/text.h"
#include "policies/meet.h"
#include "policies/overlap.h"

#define REASON_CESSATION_OF_OPERATION 5	/* RFC 5280 5.3.1 */
#define WARNINGS_MAX 16
#define RETIRE_PAGE 100		/* certificates or tokens of one commit */
/* Valid certificates are counted to this bound. */
#define COUNT_PAGES_MAX 100

/* "shared" and absence mean the CA that new clusters get. */
static enum err_code choose_issuer(
    const struct exchange *x, const char *wanted, char **id_out, struct err *err)
{
	OWNED(issuer_set) issuers = ca_issuers(x->app->ca);
	const struct issuer *issuer;
	if (wanted == NULL || strcmp(wanted, "shared") == 0)
		issuer = issuer_set_default(issuers);
	else
		issuer = issuer_set_find(issuers, wanted);
	if (issuer == NULL || issuer->kind != ISSUER_ISSUING ||
	    issuer->state != ISSUER_ACTIVE)
		return err_refuse(err, ERR_BAD_FIELD,
		    "Field \"issuer\": \"%s\" is no active issuing CA; wanted "
		    "is \"shared\" or the id of one",
		    wanted == NULL ? "shared" : err_quote_str(wanted));
	*id_out = mem_strdup(issuer->id);
	return ERR_OK;
}

static enum err_code check_policy(
    const struct exchange *x, const char *name, struct err *err)
{
	OWNED(policy_set) policies = app_policies(x->app);
	const struct policy *policy = NULL;
	return policy_set_get(policies, name, &policy, err);
}

static enum err_code commit_new(
    const struct exchange *x, const struct cluster *cluster, struct err *err)
{
	OWNED(batch) batch = batch_new();
	OWNED_STR(object) = mem_printf("cluster:%s", cluster->name);
	cluster_create(batch, cluster);
	trail_add(x, batch,
	    &(struct audit_entry){
		.action = "cluster.create",
		.cluster = cluster->name,
		.object = object,
		.rule = cluster->policy,
	    });
	enum err_code code = authn_commit(x, batch, err);
	if (code == ERR_CONFLICT)
		return err_refuse(err, ERR_EXISTS,
		    "There is or was a cluster %s; names are not used again",
		    cluster->name);
	return code;
}

static enum err_code parse_cluster(const struct exchange *x,
    struct cluster **cluster_out, struct err *err)
{
	const char *name = NULL, *policy = NULL, *issuer = NULL;
	json_t *dns = NULL, *ip = NULL, *from = NULL;
	const struct json_field fields[] = {
	    {"name", JSON_KIND_STR, true, 1, 63, &name},
	    {"policy", JSON_KIND_STR, true, 1, 63, &policy},
	    {"dns", JSON_KIND_ARRAY, false, 0, CLUSTER_PATTERNS_MAX, &dns},
	    {"ip", JSON_KIND_ARRAY, false, 0, CLUSTER_PATTERNS_MAX, &ip},
	    {"from", JSON_KIND_ARRAY, false, 0, CLUSTER_PATTERNS_MAX, &from},
	    {"issuer", JSON_KIND_STR, false, 1, 63, &issuer},
	};
	OWNED_JSON(json) = NULL;
	OWNED_TEXTS(patterns);
	OWNED_TEXTS(ranges);
	OWNED_TEXTS(sources);
	OWNED_STR(issuer_id) = NULL;
	enum err_code code;
	if ((code = body_read(x, fields, ARRAY_LEN(fields), &json, err)) !=
		ERR_OK ||
	    (code = body_texts(dns, "dns", CLUSTER_PATTERNS_MAX, &patterns,
		 err)) != ERR_OK ||
	    (code = body_texts(ip, "ip", CLUSTER_PATTERNS_MAX, &ranges,
		 err)) != ERR_OK ||
	    (code = body_texts(from, "from", CLUSTER_PATTERNS_MAX, &sources,
		 err)) != ERR_OK ||
	    (code = check_policy(x, policy, err)) != ERR_OK ||
	    (code = choose_issuer(x, issuer, &issuer_id, err)) != ERR_OK)
		return code;
	const struct cluster_request request = {
	    .name = name,
	    .policy = policy,
	    .issuer = issuer_id,
	    .dns = patterns.items,
	    .dns_count = patterns.count,
	    .ips = ranges.items,
	    .ips_count = ranges.count,
	    .from = sources.items,
	    .from_count = sources.count,
	};
	return cluster_parse(&request, cluster_out, err);
}

static void add_warning(const char *text, void *arg)
{
	json_array_append_new(arg, view_text(text));
}

static enum err_code check_names(
    const struct exchange *x, const struct cluster *cluster, struct err *err)
{
	OWNED(policy_set) policies = app_policies(x->app);
	return meet_check(x->app->store, policies, cluster, err);
}

/* Clusters that share hosts are made on purpose, sometimes. */
enum err_code handle_cluster_create(struct exchange *x, struct err *err)
{
	OWNED(cluster) cluster = NULL;
	OWNED_JSON(warnings) = json_array();
	enum err_code code = parse_cluster(x, &cluster, err);
	if (code == ERR_OK)
		code = check_names(x, cluster, err);
	if (code == ERR_OK)
		code = overlap_find(x->app->store, cluster, WARNINGS_MAX,
		    add_warning, warnings, err);
	if (code == ERR_OK)
		code = commit_new(x, cluster, err);
	if (code != ERR_OK)
		return code;
	OWNED_JSON(json) = view_cluster(cluster);
	if (json_array_size(warnings) > 0)
		json_object_set(json, "warnings", warnings);
	reply_json(&x->reply, MHD_HTTP_CREATED, json);
	return ERR_OK;
}

/* A caller bound to a cluster sees a list of that one. */
static enum err_code list_own(struct exchange *x, struct err *err)
{
	OWNED(cluster) cluster = NULL;
	enum err_code code =
	    cluster_get(x->app->store, x->caller.cluster, &cluster, err);
	if (code != ERR_OK)
		return code;
	json_t *items = json_array();
	json_array_append_new(items, view_cluster(cluster));
	OWNED_JSON(json) = view_list(items, NULL);
	reply_json(&x->reply, MHD_HTTP_OK, json);
	return ERR_OK;
}

enum err_code handle_cluster_list(struct exchange *x, struct err *err)
{
	struct page page;
	size_t count = 0;
	enum err_code code = page_read(x, &page, err);
	if (code != ERR_OK)
		return code;
	if (x->caller.cluster != NULL)
		return list_own(x, err);
	struct cluster *clusters[PAGE_MAX];
	code = cluster_list(x->app->store, page.cursor, page.limit, clusters,
	    &count, err);
	if (code != ERR_OK)
		return code;
	json_t *items = json_array();
	for (size_t i = 0; i < count; i++)
		json_array_append_new(items, view_cluster(clusters[i]));
	OWNED_JSON(json) = view_list(items,
	    count == page.limit ? clusters[count - 1]->name : NULL);
	reply_json(&x->reply, MHD_HTTP_OK, json);
	for (size_t i = 0; i < count; i++)
		cluster_free(clusters[i]);
	return ERR_OK;
}

/* One page of the cluster's valid certificates; each is the caller's. */
static enum err_code valid_page(const struct exchange *x, struct buf *cursor,
    struct certificate **page, size_t *count_out, struct err *err)
{
	OWNED_BUF(next);
	const struct certificate_query query = {
	    .cluster = x->params.cluster,
	    .state = CERTIFICATE_VALID,
	    .after = buf_bytes(cursor),
	    .limit = RETIRE_PAGE,
	};
	enum err_code code = certificate_list(
	    x->app->store, &query, page, count_out, &next, err);
	buf_reset(cursor);
	buf_put_bytes(cursor, buf_bytes(&next));
	return code;
}

static void free_page(struct certificate **page, size_t count)
{
	for (size_t i = 0; i < count; i++)
		certificate_free(page[i]);
}

static enum err_code count_certificates(
    const struct exchange *x, json_int_t *count_out, struct err *err)
{
	struct certificate *page[RETIRE_PAGE];
	int64_t now = clock_now();
	OWNED_BUF(cursor);
	*count_out = 0;
	for (unsigned pages = 0; pages < COUNT_PAGES_MAX; pages++) {
		size_t count = 0;
		enum err_code code = valid_page(x, &cursor, page, &count, err);
		if (code != ERR_OK)
			return code;
		for (size_t i = 0; i < count; i++)
			*count_out += page[i]->not_after >= now;
		free_page(page, count);
		if (cursor.len == 0)
			break;
	}
	return ERR_OK;
}

static enum err_code count_keys(
    const struct exchange *x, json_int_t *count_out, struct err *err)
{
	struct key_info *page[RETIRE_PAGE];
	OWNED_STR(after) = NULL;
	size_t count = RETIRE_PAGE;
	*count_out = 0;
	for (unsigned i = 0; count == RETIRE_PAGE && i < COUNT_PAGES_MAX; i++) {
		enum err_code code = keyring_list(x->app->ring,
		    x->params.cluster, after, RETIRE_PAGE, page, &count, err);
		if (code != ERR_OK)
			return code;
		*count_out += (json_int_t)count;
		free(after);
		after = count == 0 ? NULL : mem_strdup(page[count - 1]->name);
		for (size_t k = 0; k < count; k++)
			key_info_free(page[k]);
	}
	return ERR_OK;
}

enum err_code handle_cluster_show(struct exchange *x, struct err *err)
{
	OWNED(cluster) cluster = NULL;
	json_int_t certificates = 0, keys = 0;
	enum err_code code =
	    cluster_get(x->app->store, x->params.cluster, &cluster, err);
	if (code == ERR_OK)
		code = count_certificates(x, &certificates, err);
	if (code == ERR_OK)
		code = count_keys(x, &keys, err);
	if (code != ERR_OK)
		return code;
	OWNED_JSON(json) = view_cluster(cluster);
	view_set(json, "certificates", json_integer(certificates));
	view_set(json, "keys", json_integer(keys));
	reply_json(&x->reply, MHD_HTTP_OK, json);
	return ERR_OK;
}

/* Sets the state first: from its commit on no intent of this cluster can be
 * committed, so that what follows meets everything there is. */
static enum err_code set_retired(struct exchange *x, struct err *err)
{
	OWNED(cluster) cluster = NULL;
	OWNED(batch) batch = batch_new();
	OWNED_STR(object) = mem_printf("cluster:%s", x->params.cluster);
	enum err_code code =
	    cluster_get(x->app->store, x->params.cluster, &cluster, err);
	if (code != ERR_OK || cluster->state == CLUSTER_RETIRED)
		return code;
	cluster_retire(batch, cluster);
	trail_add(x, batch,
	    &(struct audit_entry){
		.action = "cluster.retire", .object = object});
	return authn_commit(x, batch, err);
}

static void add_token_revocation(const struct exchange *x, struct batch *batch,
    const struct token *token)
{
	char id[2 * TOKEN_ID_SIZE + 1];
	OWNED_STR(object) = mem_printf(
	    "token:%s", hex_write(token->id, TOKEN_ID_SIZE, id));
	token_revoke(batch, token);
	trail_add(x, batch,
	    &(struct audit_entry){.action = "token.revoke",
		.object = object,
		.rule = "cluster.retire"});
}

/* The next page of tokens after ID; *more_out is false behind the last. */
static enum err_code revoke_token_page(
    struct exchange *x, uint8_t *id, bool *more_out, struct err *err)
{
	struct token *page[RETIRE_PAGE];
	OWNED(batch) batch = batch_new();
	size_t count = 0;
	enum err_code code = token_list(x->app->store, x->params.cluster,
	    *more_out ? id : NULL, RETIRE_PAGE, page, &count, err);
	if (code != ERR_OK)
		return code;
	for (size_t i = 0; i < count; i++) {
		if (!page[i]->revoked)
			add_token_revocation(x, batch, page[i]);
		memcpy(id, page[i]->id, TOKEN_ID_SIZE);
		token_free(page[i]);
	}
	*more_out = count == RETIRE_PAGE;
	if (batch_is_empty(batch))
		return ERR_OK;
	return authn_commit(x, batch, err);
}

static enum err_code revoke_tokens(struct exchange *x, struct err *err)
{
	uint8_t id[TOKEN_ID_SIZE];
	bool more = false;
	enum err_code code;
	do
		code = revoke_token_page(x, id, &more, err);
	while (code == ERR_OK && more);
	return code;
}

static enum err_code add_revocation(struct exchange *x, struct batch *batch,
    const struct certificate *record, struct err *err)
{
	OWNED_STR(serial) = serial_format(&record->serial);
	OWNED_STR(object) = mem_printf("serial:%s", serial);
	enum err_code code = ca_revoke(x->app->ca, batch, record,
	    REASON_CESSATION_OF_OPERATION, err);
	if (code != ERR_OK)
		return code;
	trail_add(x, batch,
	    &(struct audit_entry){.action = "certificate.revoke",
		.object = object,
		.rule = "cluster.retire",
		.detail = reason_name(REASON_CESSATION_OF_OPERATION)});
	return ERR_OK;
}

static bool is_own(
    const struct exchange *x, const struct certificate *record)
{
	return x->certificate != NULL &&
	    bytes_equal(serial_bytes(&record->serial),
		serial_bytes(&x->certificate->serial));
}

static void tell_revoked(
    const struct exchange *x, const struct certificate *record)
{
	ca_revoked(x->app->ca, record->issuer);
	metrics_count(METRIC_REVOCATIONS);
}

static enum err_code revoke_page(struct exchange *x,
    struct certificate *const *page, size_t count, struct err *err)
{
	OWNED(batch) batch = batch_new();
	enum err_code code = ERR_OK;
	for (size_t i = 0; code == ERR_OK && i < count; i++)
		if (!is_own(x, page[i]))
			code = add_revocation(x, batch, page[i], err);
	if (code != ERR_OK || batch_is_empty(batch))
		return code;
	code = authn_commit(x, batch, err);
	if (code != ERR_OK)
		return code;
	for (size_t i = 0; i < count; i++)
		if (!is_own(x, page[i]))
			tell_revoked(x, page[i]);
	return ERR_OK;
}

/* Behind all others: what it holds ends its authority. */
static enum err_code revoke_own(struct exchange *x, struct err *err)
{
	OWNED(batch) batch = batch_new();
	const struct certificate *own = x->certificate;
	if (own == NULL || own->cluster == NULL ||
	    strcmp(own->cluster, x->params.cluster) != 0)
		return ERR_OK;
	enum err_code code = add_revocation(x, batch, own, err);
	if (code == ERR_OK)
		code = authn_commit(x, batch, err);
	if (code == ERR_OK)
		tell_revoked(x, own);
	return code;
}

/* Ends: every page that is not the last moves the cursor forward. */
static enum err_code revoke_certificates(struct exchange *x, struct err *err)
{
	struct certificate *page[RETIRE_PAGE];
	OWNED_BUF(cursor);
	enum err_code code;
	do {
		size_t count = 0;
		code = valid_page(x, &cursor, page, &count, err);
		if (code == ERR_OK)
			code = revoke_page(x, page, count, err);
		free_page(page, count);
	} while (code == ERR_OK && cursor.len > 0);
	return code;
}

/* Each step can be done again, so that a retirement that was cut short is
 * completed by asking once more. */
static enum err_code retire(struct exchange *x, struct err *err)
{
	enum err_code code = set_retired(x, err);
	if (code == ERR_OK)
		code = revoke_tokens(x, err);
	if (code == ERR_OK)
		code = revoke_certificates(x, err);
	if (code == ERR_OK)
		code = revoke_own(x, err);
	return code;
}

/* What goes on with a retirement that was cut short was consented to before. */
enum err_code judge_cluster_retire(
    struct exchange *x, bool *needed_out, struct err *err)
{
	OWNED(cluster) cluster = NULL;
	enum err_code code =
	    cluster_get(x->app->store, x->params.cluster, &cluster, err);
	if (code == ERR_OK)
		*needed_out = cluster->state != CLUSTER_RETIRED;
	return code;
}

enum err_code handle_cluster_retire(struct exchange *x, struct err *err)
{
	OWNED(cluster) cluster = NULL;
	enum err_code code;
	unsigned attempt = 0;
	do
		code = retire(x, err);
	while (api_again(code, &attempt));
	if (code != ERR_OK)
		return code;
	code = cluster_get(x->app->store, x->params.cluster, &cluster, err);
	if (code != ERR_OK)
		return code;
	OWNED_JSON(json) = view_cluster(cluster);
	reply_json(&x->reply, MHD_HTTP_OK, json);
	return ERR_OK;
}
