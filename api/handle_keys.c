// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <openssl/evp.h>
#include "api/api.h"
#include "api/authn.h"
#include "api/body.h"
#include "api/metrics.h"
#include "api/trail.h"
#include "api/view.h"
#include "base/text.h"
#include "kms/datakey.h"

/* Readers who do not read hold secrets in locked memory; past this part of it no
 * more are made. */
#define SECRET_OCTETS_MAX (2 * 1024 * 1024)

static char *object_of(const struct exchange *x, const char *name)
{
	return mem_printf("key:%s/%s", x->params.cluster, name);
}

/* Before the token is asked; the commit requires it again. */
static enum err_code check_absent(
    const struct exchange *x, const char *name, struct err *err)
{
	OWNED(key_info) key = NULL;
	struct err absent = {0};
	enum err_code code =
	    keyring_get(x->app->ring, x->params.cluster, name, &key, &absent);
	if (code == ERR_NOT_FOUND)
		return ERR_OK;
	if (code == ERR_OK)
		return err_refuse(err, ERR_EXISTS,
		    "Cluster %s has or had a key %s", x->params.cluster, name);
	*err = absent;
	return code;
}

static enum err_code create(struct exchange *x, const char *name,
    struct key_info **key_out, struct err *err)
{
	OWNED(cluster) cluster = NULL;
	OWNED(batch) batch = batch_new();
	OWNED(key_info) key = NULL;
	OWNED_STR(object) = object_of(x, name);
	enum err_code code = api_active_cluster(x, &cluster, err);
	if (code == ERR_OK)
		code = check_absent(x, name, err);
	if (code == ERR_OK)
		code = keyring_create(x->app->ring, cluster->name, name,
		    batch, &key, err);
	if (code != ERR_OK)
		return code;
	cluster_require(batch, cluster);
	trail_add(x, batch,
	    &(struct audit_entry){.action = "key.create", .object = object});
	code = authn_commit(x, batch, err);
	if (code == ERR_OK)
		*key_out = GIVE(key);
	return code;
}

enum err_code handle_key_create(struct exchange *x, struct err *err)
{
	const char *name = NULL;
	const struct json_field fields[] = {
	    {"name", JSON_KIND_STR, true, 1, 63, &name},
	};
	OWNED_JSON(json) = NULL;
	OWNED(key_info) key = NULL;
	unsigned attempt = 0;
	enum err_code code =
	    body_read(x, fields, ARRAY_LEN(fields), &json, err);
	if (code == ERR_OK && !text_is_label(name))
		return err_refuse(err, ERR_BAD_FIELD,
		    "Field \"name\" is \"%s\"; wanted are 1 to 63 of a-z, 0-9 "
		    "and '-', a letter or digit at both ends",
		    err_quote_str(name));
	if (code != ERR_OK)
		return code;
	do
		code = create(x, name, &key, err);
	while (api_again(code, &attempt));
	if (code != ERR_OK)
		return code;
	OWNED_JSON(view) = view_key(key);
	reply_json(&x->reply, MHD_HTTP_CREATED, view);
	return ERR_OK;
}

enum err_code handle_key_list(struct exchange *x, struct err *err)
{
	struct page page;
	struct key_info *keys[PAGE_MAX];
	OWNED(cluster) cluster = NULL;
	size_t count = 0;
	enum err_code code = page_read(x, &page, err);
	if (code == ERR_OK)
		code = cluster_get(
		    x->app->store, x->params.cluster, &cluster, err);
	if (code == ERR_OK && page.cursor != NULL &&
	    !text_is_label(page.cursor))
		code = err_refuse(err, ERR_BAD_FIELD,
		    "cursor is none that this list gave as \"next\"");
	if (code == ERR_OK)
		code = keyring_list(x->app->ring, x->params.cluster,
		    page.cursor, page.limit, keys, &count, err);
	if (code != ERR_OK)
		return code;
	json_t *items = json_array();
	for (size_t i = 0; i < count; i++)
		json_array_append_new(items, view_key(keys[i]));
	OWNED_JSON(json) = view_list(
	    items, count == page.limit ? keys[count - 1]->name : NULL);
	reply_json(&x->reply, MHD_HTTP_OK, json);
	for (size_t i = 0; i < count; i++)
		key_info_free(keys[i]);
	return ERR_OK;
}

/* What is no label is the name of no key, and could not stand in the store. */
static enum err_code check_name(const struct exchange *x, struct err *err)
{
	if (text_is_label(x->params.item))
		return ERR_OK;
	return err_refuse(err, ERR_NOT_FOUND, "There is no key \"%s\"",
	    err_quote_str(x->params.item));
}

enum err_code handle_key_show(struct exchange *x, struct err *err)
{
	OWNED(key_info) key = NULL;
	OWNED(cluster) cluster = NULL;
	enum err_code code =
	    cluster_get(x->app->store, x->params.cluster, &cluster, err);
	if (code == ERR_OK)
		code = check_name(x, err);
	if (code == ERR_OK)
		code = keyring_get(x->app->ring, x->params.cluster,
		    x->params.item, &key, err);
	if (code != ERR_OK)
		return code;
	OWNED_JSON(view) = view_key(key);
	reply_json(&x->reply, MHD_HTTP_OK, view);
	return ERR_OK;
}

static enum err_code add_pair(struct context *context, const char *name,
    const json_t *value, struct err *err)
{
	if (!json_is_string(value))
		return err_refuse(err, ERR_BAD_FIELD,
		    "Field \"context\": the value of \"%s\" is to be a string",
		    err_quote_str(name));
	const char *text = json_string_value(value);
	if (memchr(text, '\0', json_string_length(value)) != NULL)
		return err_refuse(err, ERR_BAD_FIELD,
		    "Field \"context\": the value of \"%s\" holds a NUL",
		    err_quote_str(name));
	return context_add(context, name, text, err);
}

static enum err_code read_context(
    json_t *object, struct context *context, struct err *err)
{
	const char *name;
	json_t *value;
	json_object_foreach(object, name, value) {
		enum err_code code = add_pair(context, name, value, err);
		if (code != ERR_OK)
			return code;
	}
	return ERR_OK;
}

/* The key may be used: cluster active, room for what will be answered. */
static enum err_code check_use(const struct exchange *x,
    struct cluster **cluster_out, struct err *err)
{
	enum err_code code = api_active_cluster(x, cluster_out, err);
	if (code == ERR_OK)
		code = check_name(x, err);
	if (code == ERR_OK && secret_heap_used() > SECRET_OCTETS_MAX)
		code = err_fail(err, ERR_OVERLOADED,
		    "%zu octets of locked memory in use", secret_heap_used());
	return code;
}

/* Committed only while cluster and caller are as they were read: nothing is
 * answered that was used after a quarantine, retirement or revocation. */
static enum err_code try_commit_use(const struct exchange *x,
    const struct cluster *cluster, const struct audit_entry *entry,
    struct err *err)
{
	OWNED(batch) batch = batch_new();
	trail_add(x, batch, entry);
	cluster_require(batch, cluster);
	return authn_commit(x, batch, err);
}

static enum err_code commit_use(const struct exchange *x,
    struct cluster **cluster, const struct audit_entry *entry, struct err *err)
{
	unsigned tries = 0;
	enum err_code code = try_commit_use(x, *cluster, entry, err);
	while (api_again(code, &tries)) {
		cluster_free(GIVE(*cluster));
		code = api_active_cluster(x, cluster, err);
		if (code == ERR_OK)
			code = try_commit_use(x, *cluster, entry, err);
	}
	if (code != ERR_CONFLICT)
		return code;
	return err_fail(err, ERR_OVERLOADED,
	    "others changed the cluster %d times", API_ATTEMPTS);
}

static enum err_code record_use(const struct exchange *x,
    struct cluster **cluster, const char *action, uint32_t version,
    struct err *err)
{
	char rule[32];
	OWNED_STR(object) = object_of(x, x->params.item);
	snprintf(rule, sizeof(rule), "version %u", (unsigned)version);
	return commit_use(x, cluster,
	    &(struct audit_entry){
		.action = action, .object = object, .rule = rule},
	    err);
}

/*
 * Writes HEAD, the plaintext in base64 and TAIL into locked memory, and nowhere
 * else.  EVP_EncodeBlock also writes a NUL, on whose place TAIL begins.
 */
static void reply_plaintext(struct exchange *x, const struct secret *plaintext,
    const struct buf *head, const char *tail)
{
	struct bytes octets = secret_bytes(plaintext);
	size_t encoded = (octets.len + 2) / 3 * 4;
	struct secret *body =
	    secret_new(head->len + encoded + strlen(tail) + 1);
	uint8_t *at = secret_data(body);
	memcpy(at, head->data, head->len);
	EVP_EncodeBlock(at + head->len, octets.data, (int)octets.len);
	/* JSON may end in white space: it takes the last octet's place. */
	memcpy(at + head->len + encoded, tail, strlen(tail));
	at[head->len + encoded + strlen(tail)] = '\n';
	x->reply.status = MHD_HTTP_OK;
	x->reply.type = "application/json";
	x->reply.secret = body;
}

static void reply_data_key(struct exchange *x, const struct buf *ciphertext,
    const struct secret *plaintext, uint32_t version)
{
	OWNED_BUF(head);
	buf_printf(&head, "{\"version\":%u,\"ciphertext\":\"%.*s\"",
	    (unsigned)version, (int)ciphertext->len, ciphertext->data);
	if (plaintext != NULL) {
		buf_put_str(&head, ",\"plaintext\":\"");
		reply_plaintext(x, plaintext, &head, "\"}");
		return;
	}
	buf_put_str(&head, "}");
	x->reply.status = MHD_HTTP_OK;
	x->reply.type = "application/json";
	x->reply.body = buf_give(&head);
}

enum err_code handle_key_datakey(struct exchange *x, struct err *err)
{
	int64_t bits = 256;
	bool wanted = true;
	json_t *pairs = NULL;
	const struct json_field fields[] = {
	    {"bits", JSON_KIND_INT, false, 1, 65536, &bits},
	    {"context", JSON_KIND_OBJECT, false, 0, CONTEXT_PAIRS_MAX, &pairs},
	    {"plaintext", JSON_KIND_BOOL, false, 0, 0, &wanted},
	};
	OWNED_JSON(json) = NULL;
	OWNED(context) context = context_new();
	OWNED(cluster) cluster = NULL;
	OWNED(secret) plaintext = NULL;
	OWNED_BUF(ciphertext);
	uint32_t version = 0;
	enum err_code code =
	    body_read(x, fields, ARRAY_LEN(fields), &json, err);
	if (code == ERR_OK)
		code = read_context(pairs, context, err);
	if (code == ERR_OK)
		code = check_use(x, &cluster, err);
	const struct datakey_use use = {
	    x->params.cluster, x->params.item, context};
	if (code == ERR_OK)
		code = datakey_make(x->app->ring, &use, bits,
		    wanted ? &plaintext : NULL, &ciphertext, &version, err);
	if (code == ERR_OK)
		code = record_use(
		    x, &cluster, "key.datakey", version, err);
	if (code != ERR_OK)
		return code;
	metrics_count(METRIC_DATA_KEYS);
	reply_data_key(x, &ciphertext, plaintext, version);
	return ERR_OK;
}

enum err_code handle_key_unwrap(struct exchange *x, struct err *err)
{
	const char *ciphertext = NULL;
	json_t *pairs = NULL;
	const struct json_field fields[] = {
	    {"ciphertext", JSON_KIND_STR, true, 1, CIPHERTEXT_TEXT_MAX,
		&ciphertext},
	    {"context", JSON_KIND_OBJECT, false, 0, CONTEXT_PAIRS_MAX, &pairs},
	};
	OWNED_JSON(json) = NULL;
	OWNED(context) context = context_new();
	OWNED(cluster) cluster = NULL;
	OWNED(secret) plaintext = NULL;
	OWNED_BUF(head);
	uint32_t version = 0;
	enum err_code code =
	    body_read(x, fields, ARRAY_LEN(fields), &json, err);
	if (code == ERR_OK)
		code = read_context(pairs, context, err);
	if (code == ERR_OK)
		code = check_use(x, &cluster, err);
	const struct datakey_use use = {
	    x->params.cluster, x->params.item, context};
	if (code == ERR_OK)
		code = datakey_unwrap(x->app->ring, &use,
		    BYTES_STR(ciphertext), &plaintext, &version, err);
	if (code == ERR_OK)
		code = record_use(
		    x, &cluster, "key.unwrap", version, err);
	if (code != ERR_OK)
		return code;
	metrics_count(METRIC_UNWRAPS);
	buf_printf(&head, "{\"version\":%u,\"plaintext\":\"",
	    (unsigned)version);
	reply_plaintext(x, plaintext, &head, "\"}");
	return ERR_OK;
}
