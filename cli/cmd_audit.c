// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/call.h"
#include "cli/commands.h"
#include "cli/exit.h"
#include "cli/session.h"

static const struct column columns[] = {
    {"NAME", "name"}, /* with --names alone */
    {"NO", "sequence"},
    {"TIME", "time"},
    {"ACTION", "action"},
    {"RESULT", "result"},
    {"ACTOR", "actor"},
    {"CLUSTER", "cluster"},
    {"OBJECT", "object"},
    {"FROM", "source"},
    {"RULE", "rule"},
    {"DETAIL", "detail"},
    {0},
};

const struct option_spec audit_list_options[] = {
    {"limit", "N", "the oldest ones, as many at most [all]", false, false},
    {"last", "N", "the newest ones, as many at most", false, false},
    {"action", "ACTION", "this alone; ending in a dot, all that begin so",
	false, false},
    {"actor", "ACTOR", "by them, as serial:01…", false, false},
    {"cluster", "NAME", "of this cluster", false, false},
    {"result", "RESULT", "granted, refused or failed", false, false},
    {"since", "TIME", "not older, as 2026-11-24T09:45:00Z", false, false},
    {"until", "TIME", "older", false, false},
    {"name", "NAME", "that tell of this name, private or not", false, false},
    {"names", NULL, "tell private names, where an alias stands for one",
	false, false},
    {0},
};

struct listing {
	const struct options *options;
	uint64_t left;
	bool any;
	char *next; /* NULL: from the start */
	uint64_t keep; /* of the newest, no more are held */
};

#define LAST_MAX 100000	/* held in memory */

/* *COUNT_OUT stays where the option is absent. */
static enum err_code read_count(const struct options *options,
    const char *name, uint64_t most, uint64_t *count_out, struct err *err)
{
	const char *text = options_get(options, name);
	char *end;

	if (text == NULL)
		return ERR_OK;
	errno = 0;
	*count_out = strtoull(text, &end, 10);
	if (errno != 0 || *text < '0' || *text > '9' || *end != '\0' ||
	    *count_out == 0)
		return err_refuse(err, ERR_USAGE,
		    "--%s %s is not a number of entries", name,
		    err_quote_str(text));
	if (*count_out > most)
		return err_refuse(err, ERR_USAGE,
		    "--%s %s: %llu entries at most", name,
		    err_quote_str(text), (unsigned long long)most);
	return ERR_OK;
}

static enum err_code check_result(
    const struct options *options, struct err *err)
{
	static const char *const results[] = {"granted", "refused", "failed"};
	const char *text = options_get(options, "result");
	bool known = text == NULL;

	for (size_t i = 0; !known && i < ARRAY_LEN(results); i++)
		known = strcmp(text, results[i]) == 0;
	if (known)
		return ERR_OK;
	return err_refuse(err, ERR_USAGE,
	    "--result %s is not granted, refused or failed",
	    err_quote_str(text));
}

static enum err_code read_counts(
    struct listing *listing, uint64_t *last_out, struct err *err)
{
	const struct options *options = listing->options;
	enum err_code code;

	listing->left = UINT64_MAX;
	*last_out = 0;
	if (options_has(options, "limit") && options_has(options, "last"))
		return err_refuse(err, ERR_USAGE,
		    "--limit is of the oldest entries, --last of the newest: "
		    "give one of them");
	code = read_count(options, "limit", UINT64_MAX, &listing->left, err);
	return code == ERR_OK
	    ? read_count(options, "last", LAST_MAX, last_out, err) : code;
}

static char *page_path(const struct listing *listing)
{
	static const char *const filters[] = {
	    "action", "actor", "cluster", "result", "since", "until", "name"};
	OWNED_BUF(path);

	buf_printf(&path, "/audit?limit=%llu",
	    listing->left < 1000 ? (unsigned long long)listing->left : 1000);
	for (size_t i = 0; i < ARRAY_LEN(filters); i++) {
		const char *value = options_get(listing->options, filters[i]);

		if (value == NULL)
			continue;
		buf_printf(&path, "&%s=", filters[i]);
		url_put(&path, value);
	}
	if (options_has(listing->options, "names"))
		buf_put_str(&path, "&names=true");
	if (listing->next != NULL) {
		buf_put_str(&path, "&cursor=");
		url_put(&path, listing->next);
	}
	return buf_to_str(&path);
}

static void print_json(struct listing *listing, const json_t *items)
{
	size_t index;
	json_t *item;

	json_array_foreach(items, index, item)
	{
		OWNED_BUF(line);

		buf_put_str(&line, listing->any ? ",\n" : "");
		json_put(&line, item);
		fwrite(line.data, 1, line.len, stdout);
		listing->any = true;
	}
}

static void print_items(struct listing *listing, json_t *items)
{
	if (session_wants_json(listing->options)) {
		print_json(listing, items);
	} else if (json_array_size(items) > 0) {
		output_list(items,
		    options_has(listing->options, "names") ? columns
							   : columns + 1,
		    "", false);
		listing->any = true;
	}
}

/* The next page; listing->next is NULL behind the last. */
static enum err_code fetch_page(struct listing *listing,
    struct client *client, json_t **items_out, struct err *err)
{
	OWNED_STR(path) = page_path(listing);
	OWNED_JSON(answer) = NULL;
	const char *next;
	enum err_code code =
	    client_call(client, "GET", path, NULL, &answer, err);

	if (code != ERR_OK)
		return code;
	*items_out = json_incref(json_object_get(answer, "items"));
	next = json_string_value(json_object_get(answer, "next"));
	free(GIVE(listing->next));
	if (json_array_size(*items_out) > listing->left)
		return err_fail(
		    err, ERR_INTERNAL, "the server gives more than asked for");
	listing->left -= json_array_size(*items_out);
	if (next != NULL && listing->left > 0)
		listing->next = mem_strdup(next);
	return ERR_OK;
}

/* A page is printed when it comes: a log may be longer than memory. */
static enum err_code print_page(
    struct listing *listing, struct client *client, struct err *err)
{
	OWNED_JSON(items) = NULL;
	enum err_code code = fetch_page(listing, client, &items, err);

	if (code == ERR_OK)
		print_items(listing, items);
	return code;
}

static enum err_code print_pages(
    struct listing *listing, struct client *client, struct err *err)
{
	enum err_code code;

	do
		code = print_page(listing, client, err);
	while (code == ERR_OK && listing->next != NULL);
	return code;
}

/* ---- The newest ---- */

static uint64_t sequence_of(const json_t *entry)
{
	json_int_t number =
	    json_integer_value(json_object_get(entry, "sequence"));

	return number < 0 ? 0 : (uint64_t)number;
}

/* Adds to FOUND what fits of the entries behind START up to END. */
static enum err_code collect(struct listing *listing, struct client *client,
    uint64_t start, uint64_t end, json_t *found, struct err *err)
{
	free(GIVE(listing->next));
	listing->next = mem_printf("%llu", (unsigned long long)start);
	while (listing->next != NULL) {
		OWNED_JSON(items) = NULL;
		size_t index;
		json_t *item;
		enum err_code code = fetch_page(listing, client, &items, err);

		if (code != ERR_OK)
			return code;
		json_array_foreach(items, index, item)
		{
			if (sequence_of(item) > end)
				return ERR_OK;
			json_array_append(found, item);
			if (json_array_size(found) > listing->keep)
				json_array_remove(found, 0);
		}
		if (listing->next != NULL &&
		    strtoull(listing->next, NULL, 10) >= end)
			return ERR_OK;
	}
	return ERR_OK;
}

/* From the end, by stretches that grow, for the API goes forward: of those that
 * fit, the last COUNT. */
static enum err_code collect_last(struct listing *listing,
    struct client *client, uint64_t count, json_t *found, struct err *err)
{
	OWNED_JSON(head) = NULL;
	enum err_code code = client_call(
	    client, "GET", "/audit/checkpoint", NULL, &head, err);
	uint64_t end = code == ERR_OK ? sequence_of(head) : 0;
	uint64_t width = count;

	listing->keep = count;
	while (code == ERR_OK && end > 0 && json_array_size(found) < count) {
		OWNED_JSON(older) = json_array();
		uint64_t start = end > width ? end - width : 0;

		code = collect(listing, client, start, end, older, err);
		json_array_extend(older, found);
		json_array_clear(found);
		json_array_extend(found, older);
		end = start;
		width *= 4;
	}
	while (json_array_size(found) > count)
		json_array_remove(found, 0);
	return code;
}

static enum err_code print_last(struct listing *listing,
    struct client *client, uint64_t count, struct err *err)
{
	OWNED_JSON(found) = json_array();
	enum err_code code = collect_last(listing, client, count, found, err);

	if (code == ERR_OK)
		print_items(listing, found);
	return code;
}

int audit_list_run(const struct options *options)
{
	struct listing listing = {.options = options};
	OWNED(client) client = NULL;
	uint64_t last;
	struct err err = {0};
	enum err_code code;

	if ((code = check_result(options, &err)) == ERR_OK &&
	    (code = read_counts(&listing, &last, &err)) == ERR_OK)
		code = session_open(options, &client, &err);
	if (code != ERR_OK)
		return session_end(options, code, &err);
	if (session_wants_json(options))
		fputs("{\"items\": [\n", stdout);
	code = last > 0 ? print_last(&listing, client, last, &err)
			: print_pages(&listing, client, &err);
	free(listing.next);
	if (code == ERR_OK && session_wants_json(options))
		fputs("\n]}\n", stdout);
	else if (code == ERR_OK && !listing.any)
		fputs("no entries\n", stderr);
	return session_end(options, code, &err);
}
