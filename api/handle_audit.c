// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>
#include <string.h>
#include "api/api.h"
#include "api/body.h"
#include "api/view.h"
#include "base/clock.h"
#include "base/text.h"
#include "ca/digest.h"
#include "ca/notary.h"
#include "ca/pem.h"
#include "store/alias.h"
#include "store/audit_json.h"

/* Entries that one page looks at: a filter that fits nothing ends too. */
#define LOOKED_AT_MAX 20000
#define NUMBER_DIGITS 18

struct listing {
	/* What an entry must have; NULL: anything. */
	const char *action, *actor, *cluster, *result;
	const char *name;	/* that it tells of */
	const char *quoted;	/* as it stands where it is not private */
	int64_t until_ms;	/* INT64_MAX: any */
	bool reveal;		/* private names */
	json_t *items;
	size_t limit;
	uint64_t last;		/* sequence of the last entry looked at */
	bool ended;		/* by until */
};

static bool fits(const char *want, const char *have)
{
	return want == NULL || (have != NULL && strcmp(want, have) == 0);
}

/* "certificate." fits all actions that begin so. */
static bool fits_action(const char *want, const char *have)
{
	if (want != NULL && have != NULL && text_has_suffix(want, "."))
		return text_has_prefix(have, want);
	return fits(want, have);
}

/* Of an alias it is seen later whether it is the name's: not while the log is
 * being read. */
static bool may_tell_of(
    const struct listing *listing, const struct audit_entry *entry)
{
	return listing->name == NULL || alias_in(entry->detail) != NULL ||
	    (entry->detail != NULL &&
		strstr(entry->detail, listing->quoted) != NULL);
}

static bool add_entry(const struct audit_entry *entry,
    const uint8_t leaf[static 32], void *arg)
{
	struct listing *listing = arg;
	listing->ended = entry->time_ms >= listing->until_ms;
	if (listing->ended)
		return false;
	listing->last = entry->sequence;
	if (fits_action(listing->action, entry->action) &&
	    fits(listing->actor, entry->actor) &&
	    fits(listing->cluster, entry->cluster) &&
	    fits(listing->result, entry->result) &&
	    may_tell_of(listing, entry))
		json_array_append_new(
		    listing->items, audit_to_json(entry, leaf));
	return json_array_size(listing->items) < listing->limit;
}

static bool parse_number(const char *text, uint64_t *value_out)
{
	size_t len = strspn(text, "0123456789");
	if (len == 0 || len > NUMBER_DIGITS || text[len] != '\0')
		return false;
	*value_out = strtoull(text, NULL, 10);
	return true;
}

/* A time in the query, with or without milliseconds; absent: unchanged. */
static enum err_code read_time(const struct exchange *x, const char *name,
    int64_t *time_ms_out, struct err *err)
{
	const char *text = target_query(&x->target, name);
	int64_t seconds;
	if (text == NULL || clock_parse_ms(text, strlen(text), time_ms_out))
		return ERR_OK;
	if (!clock_parse(text, &seconds))
		return err_refuse(err, ERR_BAD_FIELD,
		    "%s is \"%s\"; wanted is a time such as "
		    "2026-11-24T09:45:00Z", name, err_quote_str(text));
	*time_ms_out = seconds * 1000;
	return ERR_OK;
}

/*
 * Is ITEM, which fits all else, of the name that is asked for?  An alias is told
 * by its row, or, where a restored backup has none, by the key of today.
 */
static enum err_code settle_name(const struct exchange *x,
    const struct listing *listing, json_t *item, bool *keep_out,
    struct err *err)
{
	const char *detail =
	    json_string_value(json_object_get(item, "detail"));
	const char *alias = alias_in(detail);
	char own[ALIAS_TEXT_SIZE];
	OWNED_STR(name) = NULL;
	*keep_out = true;
	if (alias == NULL)
		return ERR_OK;
	enum err_code code = alias_find(x->app->store, alias, &name, err);
	if (code != ERR_OK)
		return code;
	if (name == NULL && listing->name != NULL &&
	    alias_make(x->app->store, listing->name, own) &&
	    strncmp(alias, own, strlen(own)) == 0)
		name = mem_strdup(listing->name);
	/* What looks like an alias may be part of a name that was asked for. */
	if (listing->name != NULL)
		*keep_out = fits(listing->name, name) ||
			    strstr(detail, listing->quoted) != NULL;
	if (listing->reveal && name != NULL)
		view_set_text(item, "name", name);
	return ERR_OK;
}

static enum err_code settle_names(const struct exchange *x,
    const struct listing *listing, struct err *err)
{
	if (listing->name == NULL && !listing->reveal)
		return ERR_OK;
	for (size_t i = json_array_size(listing->items); i > 0; i--) {
		bool keep = true;
		enum err_code code = settle_name(x, listing,
		    json_array_get(listing->items, i - 1), &keep, err);
		if (code != ERR_OK)
			return code;
		if (!keep)
			json_array_remove(listing->items, i - 1);
	}
	return ERR_OK;
}

static enum err_code read_reveal(
    const struct exchange *x, bool *reveal_out, struct err *err)
{
	const char *text = target_query(&x->target, "names");
	*reveal_out = text != NULL && strcmp(text, "true") == 0;
	if (text == NULL || *reveal_out || strcmp(text, "false") == 0)
		return ERR_OK;
	return err_refuse(err, ERR_BAD_FIELD,
	    "names is \"%s\"; wanted is true or false", err_quote_str(text));
}

/* The cursor is the sequence of the last entry looked at. */
static enum err_code read_start(const struct exchange *x,
    const struct page *page, uint64_t *last_out, struct err *err)
{
	int64_t since_ms = INT64_MIN;
	uint64_t first;
	enum err_code code = read_time(x, "since", &since_ms, err);
	*last_out = 0;
	if (code != ERR_OK)
		return code;
	if (page->cursor != NULL && !parse_number(page->cursor, last_out))
		return err_refuse(err, ERR_BAD_FIELD,
		    "cursor is none that this list gave as \"next\"");
	if (since_ms == INT64_MIN)
		return ERR_OK;
	code = audit_find_time(x->app->store, since_ms, &first, err);
	if (code == ERR_OK && first - 1 > *last_out)
		*last_out = first - 1;
	return code;
}

enum err_code handle_audit_list(struct exchange *x, struct err *err)
{
	struct page page;
	struct listing listing = {
	    .action = target_query(&x->target, "action"),
	    .actor = target_query(&x->target, "actor"),
	    .cluster = target_query(&x->target, "cluster"),
	    .result = target_query(&x->target, "result"),
	    .name = target_query(&x->target, "name"),
	    .until_ms = INT64_MAX,
	};
	OWNED_STR(quoted) = mem_printf("\"%s\"", err_quote_str(listing.name));
	listing.quoted = quoted;
	enum err_code code = page_read(x, &page, err);
	if (code == ERR_OK)
		code = read_time(x, "until", &listing.until_ms, err);
	if (code == ERR_OK)
		code = read_reveal(x, &listing.reveal, err);
	if (code == ERR_OK)
		code = read_start(x, &page, &listing.last, err);
	if (code != ERR_OK)
		return code;
	uint64_t start = listing.last;
	OWNED_JSON(items) = json_array();
	listing.items = items;
	listing.limit = page.limit;
	code = audit_read(x->app->store, start + 1, LOOKED_AT_MAX, add_entry,
	    &listing, err);
	if (code != ERR_OK)
		return code;
	bool more = json_array_size(items) == page.limit ||
	    listing.last - start == LOOKED_AT_MAX;
	code = settle_names(x, &listing, err);
	if (code != ERR_OK)
		return code;
	x->revealed = listing.reveal;
	OWNED_STR(next) = mem_printf("%llu", (unsigned long long)listing.last);
	OWNED_JSON(json) = view_list(
	    json_incref(items), more && !listing.ended ? next : NULL);
	reply_json(&x->reply, MHD_HTTP_OK, json);
	return ERR_OK;
}

static enum err_code add_key(
    const struct exchange *x, json_t *json, struct err *err)
{
	uint8_t digest[32];
	OWNED_BUF(spki);
	OWNED_BUF(pem);
	enum err_code code = notary_find_key(x->app->store, &spki, err);
	if (code == ERR_NOT_FOUND) {
		err_clear(err);
		return ERR_OK;
	}
	if (code != ERR_OK)
		return code;
	digest_sha256(buf_bytes(&spki), digest);
	pem_put(&pem, "PUBLIC KEY", buf_bytes(&spki));
	OWNED_STR(text) = buf_to_str(&pem);
	view_set_text(json, "key", text);
	view_set_hex(json, "key_fingerprint", BYTES_OF(digest));
	return ERR_OK;
}

static enum err_code add_checkpoint(
    const struct exchange *x, json_t *json, struct err *err)
{
	OWNED_BUF(note);
	bool found;
	enum err_code code =
	    checkpoint_last(x->app->store, &note, &found, err);
	if (code != ERR_OK || !found)
		return code;
	OWNED_STR(text) = buf_to_str(&note);
	view_set_text(json, "checkpoint", text);
	return ERR_OK;
}

/* The head is that of now, the checkpoint the last that was signed. */
enum err_code handle_audit_checkpoint(struct exchange *x, struct err *err)
{
	struct audit_head head;
	OWNED_JSON(json) = json_object();
	enum err_code code = audit_head(x->app->store, &head, err);
	if (code != ERR_OK)
		return code;
	view_set(json, "sequence", json_integer((json_int_t)head.sequence));
	view_set_hex(json, "head", BYTES_OF(head.hash));
	if ((code = add_checkpoint(x, json, err)) != ERR_OK ||
	    (code = add_key(x, json, err)) != ERR_OK)
		return code;
	reply_json(&x->reply, MHD_HTTP_OK, json);
	return ERR_OK;
}

/* ---- Proofs ---- */

static enum err_code read_number(const struct exchange *x, const char *name,
    uint64_t *value_out, struct err *err)
{
	const char *text = target_query(&x->target, name);
	if (text != NULL && parse_number(text, value_out))
		return ERR_OK;
	return err_refuse(err, ERR_BAD_FIELD,
	    "%s is wanted, a number of entries", name);
}

static json_t *view_proof(const struct merkle_proof *proof)
{
	json_t *array = json_array();
	for (unsigned i = 0; i < proof->count; i++) {
		char text[2 * MERKLE_SIZE + 1];
		json_array_append_new(array,
		    json_string(
			hex_write(proof->hashes[i], MERKLE_SIZE, text)));
	}
	return array;
}

static enum err_code add_root(const struct exchange *x, json_t *json,
    const char *name, uint64_t size, struct err *err)
{
	uint8_t root[MERKLE_SIZE];
	enum err_code code = audit_root(x->app->store, size, root, err);
	if (code == ERR_OK)
		view_set_hex(json, name, BYTES_OF(root));
	return code;
}

static bool take_leaf(const struct audit_entry *entry,
    const uint8_t leaf[static 32], void *arg)
{
	(void)entry;
	view_set_hex(arg, "leaf", BYTES(leaf, MERKLE_SIZE));
	return false;
}

static void set_number(json_t *json, const char *key, uint64_t value)
{
	view_set(json, key, json_integer((json_int_t)value));
}

enum err_code handle_audit_inclusion(struct exchange *x, struct err *err)
{
	struct store *store = x->app->store;
	struct merkle_proof proof;
	uint64_t sequence, size;
	OWNED_JSON(json) = json_object();
	enum err_code code;
	if ((code = read_number(x, "sequence", &sequence, err)) != ERR_OK ||
	    (code = read_number(x, "size", &size, err)) != ERR_OK ||
	    (code = audit_prove_inclusion(
		 store, sequence, size, &proof, err)) != ERR_OK)
		return code;
	set_number(json, "sequence", sequence);
	set_number(json, "size", size);
	if ((code = audit_read(store, sequence, 1, take_leaf, json, err)) !=
		ERR_OK ||
	    (code = add_root(x, json, "root", size, err)) != ERR_OK)
		return code;
	view_set(json, "proof", view_proof(&proof));
	reply_json(&x->reply, MHD_HTTP_OK, json);
	return ERR_OK;
}

enum err_code handle_audit_consistency(struct exchange *x, struct err *err)
{
	struct merkle_proof proof;
	uint64_t from, to;
	OWNED_JSON(json) = json_object();
	enum err_code code;
	if ((code = read_number(x, "from", &from, err)) != ERR_OK ||
	    (code = read_number(x, "to", &to, err)) != ERR_OK ||
	    (code = audit_prove_consistency(
		 x->app->store, from, to, &proof, err)) != ERR_OK)
		return code;
	set_number(json, "from", from);
	set_number(json, "to", to);
	if ((code = add_root(x, json, "from_root", from, err)) != ERR_OK ||
	    (code = add_root(x, json, "to_root", to, err)) != ERR_OK)
		return code;
	view_set(json, "proof", view_proof(&proof));
	reply_json(&x->reply, MHD_HTTP_OK, json);
	return ERR_OK;
}
