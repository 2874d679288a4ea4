// SPDX-License-Identifier: Apache-2.0
#include "cli/node.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/text.h"
#include "cli/bundle.h"
#include "cli/client.h"
#include "cli/csr.h"
#include "cli/outdir.h"

#define TOKEN_MAX 256
#define SANS_MAX 100

static const char *text_of(const json_t *object, const char *field)
{
	return json_string_value(json_object_get(object, field));
}

int64_t node_time(const json_t *state, const char *field)
{
	const char *text = text_of(state, field);
	int64_t seconds;

	return text != NULL && clock_parse(text, &seconds) ? seconds : 0;
}

static enum err_code write_csr(const struct secret *key, const char *cn,
    const json_t *sans, struct buf *csr, struct err *err)
{
	const char *list[SANS_MAX];
	struct csr_names names = {.cn = cn, .sans = list};

	names.sans_count = json_array_size(sans);
	if (names.sans_count > SANS_MAX)
		return err_refuse(err, ERR_USAGE,
		    "%zu names: at most %d go into one certificate",
		    names.sans_count, SANS_MAX);
	for (size_t i = 0; i < names.sans_count; i++) {
		list[i] = json_string_value(json_array_get(sans, i));
		if (list[i] == NULL)
			return err_refuse(err, ERR_CONFIG,
			    "agent.json: \"sans\" is not a list of text");
	}
	return csr_write(key, &names, csr, err);
}

static void note_look(json_t *state)
{
	char text[CLOCK_TEXT_SIZE];

	json_object_set_new(
	    state, "looked", json_string(clock_format(clock_now(), text)));
}

/* Takes the answer to a request into DIR, and its times into STATE. */
static enum err_code accept(const char *dir, const json_t *answer,
    const struct secret *key, json_t *state, struct err *err)
{
	static const char *const copied[] = {
	    "serial", "not_before", "not_after", "renew_after"};
	const char *cert = text_of(answer, "certificate");
	const char *chain = text_of(answer, "chain");
	const char *ca = text_of(answer, "ca");
	enum err_code code;

	/* Without its times nothing would tell when to renew. */
	if (cert == NULL || chain == NULL || ca == NULL ||
	    node_time(answer, "renew_after") == 0 ||
	    node_time(answer, "not_after") == 0)
		return err_fail(err, ERR_INTERNAL,
		    "the server's answer lacks a part of a certificate");
	struct bundle bundle = {.key_pem = key,
	    .cert = bytes_str(cert),
	    .chain = bytes_str(chain),
	    .ca = bytes_str(ca)};
	if ((code = bundle_check(&bundle, err)) != ERR_OK ||
	    (code = outdir_switch(dir, &bundle, err)) != ERR_OK)
		return code;
	json_object_set_new(state, "reload", json_true());
	for (size_t i = 0; i < ARRAY_LEN(copied); i++)
		json_object_set(
		    state, copied[i], json_object_get(answer, copied[i]));
	note_look(state);
	if ((code = outdir_write_state(dir, state, err)) != ERR_OK)
		return code;
	outdir_drop_pending(dir);
	return ERR_OK;
}

static enum err_code parse_fingerprint(
    const char *text, uint8_t digest[static 32], struct err *err)
{
	OWNED_BUF(octets);

	if (text_has_prefix(text, "sha256:"))
		text += strlen("sha256:");
	if (!hex_parse_any(text, 32, &octets) || octets.len != 32)
		return err_refuse(err, ERR_USAGE,
		    "--fingerprint is \"sha256:\" and 64 hex digits, as "
		    "'signet init' prints it");
	memcpy(digest, octets.data, 32);
	return ERR_OK;
}

/* The cluster that the token is for: the server knows, the node need not. */
static enum err_code ask_cluster(
    struct client *client, json_t *state, struct err *err)
{
	OWNED_JSON(self) = NULL;
	enum err_code code =
	    client_call(client, "GET", "/self", NULL, &self, err);

	if (code != ERR_OK)
		return code;
	if (text_of(self, "cluster") == NULL)
		return err_fail(err, ERR_INTERNAL,
		    "the server does not say which cluster the token is for");
	json_object_set(state, "cluster", json_object_get(self, "cluster"));
	return ERR_OK;
}

static enum err_code request_first(struct client *client,
    const struct node_order *order, const struct secret *key, json_t *state,
    struct err *err)
{
	OWNED_JSON(body) = json_object();
	OWNED_JSON(answer) = NULL;
	OWNED_BUF(csr);
	OWNED_BUF(path);
	enum err_code code;

	if ((code = write_csr(key, order->cn, order->sans, &csr, err)) !=
		ERR_OK ||
	    (code = ask_cluster(client, state, err)) != ERR_OK)
		return code;
	OWNED_STR(csr_text) = buf_to_str(&csr);
	json_object_set_new(body, "csr", json_string(csr_text));
	json_object_set_new(body, "profile", json_string(order->profile));
	buf_put_str(&path, "/clusters/");
	url_put(&path, text_of(state, "cluster"));
	buf_put_str(&path, "/certificates");
	OWNED_STR(path_text) = buf_to_str(&path);
	if ((code = client_call(
		 client, "POST", path_text, body, &answer, err)) != ERR_OK)
		return code;
	return accept(order->dir, answer, key, state, err);
}

static json_t *first_state(const struct node_order *order)
{
	json_t *state = json_object();

	json_object_set_new(state, "version", json_integer(1));
	json_object_set_new(state, "url", json_string(order->url));
	json_object_set_new(
	    state, "fingerprint", json_string(order->fingerprint));
	json_object_set_new(state, "profile", json_string(order->profile));
	json_object_set_new(state, "key_type", json_string(order->key_type));
	if (order->cn != NULL)
		json_object_set_new(state, "cn", json_string(order->cn));
	json_object_set(state, "sans", order->sans);
	return state;
}

/* Both were enrolled by the same command. */
static bool same_order(const json_t *held, const json_t *asked)
{
	static const char *const asked_for[] = {
	    "url", "fingerprint", "profile", "key_type", "cn", "sans"};

	for (size_t i = 0; i < ARRAY_LEN(asked_for); i++) {
		const json_t *a = json_object_get(held, asked_for[i]);
		const json_t *b = json_object_get(asked, asked_for[i]);
		if (a != b && !json_equal(a, b))
			return false;
	}
	return true;
}

/* As whoever holds what is in DIR. */
static enum err_code ask_self(
    const char *dir, const char *url, struct err *err)
{
	OWNED_STR(ca) = fs_join(dir, "ca.pem");
	OWNED_STR(cert) = fs_join(dir, "fullchain.pem");
	OWNED_STR(key) = fs_join(dir, "key.pem");
	OWNED(client) client = NULL;
	struct client_options options = {.url = url,
	    .ca_file = ca,
	    .cert_file = cert,
	    .key_file = key};
	enum err_code code = client_open(&options, &client, err);

	return code == ERR_OK
	    ? client_call(client, "GET", "/self", NULL, NULL, err) : code;
}

/* The server says that it does not take the certificate held any more; when it
 * says nothing, that is not known. */
static bool is_refused(const char *dir, const struct node_order *order)
{
	struct err why = {0};

	return ask_self(dir, order->url, &why) == ERR_UNAUTHENTICATED;
}

enum err_code node_look(const char *dir, json_t *state, struct err *err)
{
	const char *url = text_of(state, "url");
	enum err_code code;

	if (url == NULL)
		return err_refuse(err, ERR_CONFIG,
		    "%s/agent.json lacks url: enrol again", dir);
	code = ask_self(dir, url, err);
	if (code == ERR_UNAUTHENTICATED) {
		err_clear(err);
		return err_refuse(err, ERR_UNAUTHENTICATED,
		    "the server does not take the certificate in %s any more: "
		    "it was revoked, or the server knows it no longer", dir);
	}
	if (code != ERR_OK)
		return code;
	note_look(state);
	return outdir_write_state(dir, state, err);
}

/*
 * What is enrolled in the folder already and still good: the same, which makes
 * the command safe to repeat, or something else, which it must not replace.
 * A certificate that was revoked is good for nothing.
 */
static enum err_code find_enrolled(const struct node_order *order,
    const json_t *asked, json_t **state_out, struct err *err)
{
	OWNED_JSON(held) = NULL;
	struct err absent = {0};

	if (outdir_read_state(order->dir, &held, &absent) != ERR_OK ||
	    node_time(held, "not_after") <= clock_now() ||
	    is_refused(order->dir, order))
		return ERR_OK;
	if (!same_order(held, asked))
		return err_refuse(err, ERR_EXISTS,
		    "%s holds a valid certificate of another enrolment: renew "
		    "it with 'signet-agent ensure', or name another folder",
		    order->dir);
	*state_out = GIVE(held);
	return ERR_OK;
}

/* *ASKED_OUT: the server may have done it, whatever came back. */
static enum err_code enroll_anew(const struct node_order *order,
    json_t *state, bool *asked_out, struct err *err)
{
	uint8_t fingerprint[32];
	OWNED_BUF(root);
	OWNED(secret) token = NULL;
	OWNED(secret) key = NULL;
	OWNED(client) client = NULL;
	enum err_code code;

	if ((code = parse_fingerprint(order->fingerprint, fingerprint, err)) !=
		ERR_OK ||
	    (code = secret_from_file(
		 order->token_file, TOKEN_MAX, &token, err)) != ERR_OK ||
	    (code = outdir_make(order->dir, err)) != ERR_OK ||
	    (code = outdir_pending_key(
		 order->dir, order->key_type, &key, err)) != ERR_OK ||
	    (code = client_fetch_root(order->url, fingerprint, &root, err)) !=
		ERR_OK)
		return code;
	const struct client_options options = {
	    .url = order->url, .ca_pem = buf_bytes(&root), .token = token};
	if ((code = client_open(&options, &client, err)) != ERR_OK)
		return code;
	*asked_out = true;
	return request_first(client, order, key, state, err);
}

/* After a refusal no certificate of the new key can be waiting. */
static enum err_code enroll_cleanly(
    const struct node_order *order, json_t *state, struct err *err)
{
	bool had_dir = fs_exists(order->dir);
	bool had_key = outdir_has_pending(order->dir);
	bool asked = false;
	enum err_code code = enroll_anew(order, state, &asked, err);

	if (code == ERR_OK || (asked && !err_is_refusal(code)))
		return code;
	if (!had_key)
		outdir_drop_pending(order->dir);
	if (!had_dir)
		(void)rmdir(order->dir);
	return code;
}

enum err_code node_enroll(const struct node_order *order, json_t **state_out,
    bool *fresh_out, struct err *err)
{
	OWNED_JSON(state) = first_state(order);
	enum err_code code;

	*fresh_out = false;
	if ((code = find_enrolled(order, state, state_out, err)) != ERR_OK ||
	    *state_out != NULL)
		return code;
	if ((code = enroll_cleanly(order, state, err)) != ERR_OK)
		return code;
	*state_out = GIVE(state);
	*fresh_out = true;
	return ERR_OK;
}

static enum err_code request_next(struct client *client, const char *dir,
    const struct secret *key, json_t *state, struct err *err)
{
	OWNED_JSON(body) = json_object();
	OWNED_JSON(answer) = NULL;
	OWNED_BUF(csr);
	OWNED_BUF(path);
	enum err_code code;

	if ((code = write_csr(key, text_of(state, "cn"),
		 json_object_get(state, "sans"), &csr, err)) != ERR_OK)
		return code;
	OWNED_STR(csr_text) = buf_to_str(&csr);
	json_object_set_new(body, "csr", json_string(csr_text));
	buf_put_str(&path, "/clusters/");
	url_put(&path, text_of(state, "cluster"));
	buf_put_str(&path, "/certificates/renew");
	OWNED_STR(path_text) = buf_to_str(&path);
	if ((code = client_call(
		 client, "POST", path_text, body, &answer, err)) != ERR_OK)
		return code;
	return accept(dir, answer, key, state, err);
}

enum err_code node_renew(
    const char *dir, json_t *state, int64_t *pause_out, struct err *err)
{
	OWNED_STR(ca) = fs_join(dir, "ca.pem");
	OWNED_STR(cert) = fs_join(dir, "fullchain.pem");
	OWNED_STR(held) = fs_join(dir, "key.pem");
	OWNED(secret) key = NULL;
	OWNED(client) client = NULL;
	enum err_code code;

	*pause_out = 0;
	if (text_of(state, "url") == NULL ||
	    text_of(state, "cluster") == NULL ||
	    text_of(state, "key_type") == NULL)
		return err_refuse(err, ERR_CONFIG,
		    "%s/agent.json lacks url, cluster or key_type: enrol again",
		    dir);
	struct client_options options = {.url = text_of(state, "url"),
	    .ca_file = ca,
	    .cert_file = cert,
	    .key_file = held};
	if ((code = outdir_pending_key(
		 dir, text_of(state, "key_type"), &key, err)) != ERR_OK ||
	    (code = client_open(&options, &client, err)) != ERR_OK)
		return code;
	code = request_next(client, dir, key, state, err);
	*pause_out = client_retry_after(client);
	return code;
}
