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
    {"limit", "N", "as many at most [all]", false, false},
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
};

static enum err_code read_limit(struct listing *listing, struct err *err)
{
	const char *text = options_get(listing->options, "limit");
	char *end;

	listing->left = UINT64_MAX;
	if (text == NULL)
		return ERR_OK;
	errno = 0;
	listing->left = strtoull(text, &end, 10);
	if (errno != 0 || *text < '0' || *text > '9' || *end != '\0' ||
	    listing->left == 0)
		return err_refuse(err, ERR_USAGE,
		    "--limit %s is not a number of entries",
		    err_quote_str(text));
	return ERR_OK;
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

/* A page is printed when it comes: a log may be longer than memory. */
static enum err_code print_page(
    struct listing *listing, struct client *client, struct err *err)
{
	OWNED_STR(path) = page_path(listing);
	OWNED_JSON(answer) = NULL;
	json_t *items;
	const char *next;
	enum err_code code =
	    client_call(client, "GET", path, NULL, &answer, err);

	if (code != ERR_OK)
		return code;
	items = json_object_get(answer, "items");
	next = json_string_value(json_object_get(answer, "next"));
	if (session_wants_json(listing->options)) {
		print_json(listing, items);
	} else if (json_array_size(items) > 0) {
		output_list(items,
		    options_has(listing->options, "names") ? columns
							   : columns + 1,
		    "", false);
		listing->any = true;
	}
	free(GIVE(listing->next));
	if (json_array_size(items) > listing->left)
		return err_fail(
		    err, ERR_INTERNAL, "the server gives more than asked for");
	listing->left -= json_array_size(items);
	if (next != NULL && listing->left > 0)
		listing->next = mem_strdup(next);
	return ERR_OK;
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

int audit_list_run(const struct options *options)
{
	struct listing listing = {.options = options};
	OWNED(client) client = NULL;
	struct err err = {0};
	enum err_code code;

	if ((code = read_limit(&listing, &err)) == ERR_OK)
		code = session_open(options, &client, &err);
	if (code != ERR_OK)
		return session_end(options, code, &err);
	if (session_wants_json(options))
		fputs("{\"items\": [\n", stdout);
	code = print_pages(&listing, client, &err);
	free(listing.next);
	if (code == ERR_OK && session_wants_json(options))
		fputs("\n]}\n", stdout);
	else if (code == ERR_OK && !listing.any)
		fputs("no entries\n", stderr);
	return session_end(options, code, &err);
}
