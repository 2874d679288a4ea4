// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>
#include <string.h>
#include "api/api.h"
#include "api/body.h"
#include "api/view.h"

struct listing {
	json_t *items;
	uint64_t last;		/* sequence of the last item */
};

static bool add_entry(const struct audit_entry *entry,
    const uint8_t head[static 32], void *arg)
{
	struct listing *listing = arg;
	json_array_append_new(listing->items, view_audit(entry, head));
	listing->last = entry->sequence;
	return true;
}

/* The cursor is the sequence of the last entry shown. */
static enum err_code read_cursor(
    const char *text, uint64_t *last_out, struct err *err)
{
	*last_out = 0;
	if (text == NULL)
		return ERR_OK;
	size_t len = strspn(text, "0123456789");
	if (len == 0 || len > 18 || text[len] != '\0')
		return err_refuse(err, ERR_BAD_FIELD,
		    "cursor is none that this list gave as \"next\"");
	*last_out = strtoull(text, NULL, 10);
	return ERR_OK;
}

enum err_code handle_audit_list(struct exchange *x, struct err *err)
{
	struct page page;
	struct listing listing = {0};
	enum err_code code = page_read(x, &page, err);
	if (code == ERR_OK)
		code = read_cursor(page.cursor, &listing.last, err);
	if (code != ERR_OK)
		return code;
	listing.items = json_array();
	code = audit_read(x->app->store, listing.last + 1, page.limit,
	    add_entry, &listing, err);
	OWNED_STR(next) = mem_printf("%llu", (unsigned long long)listing.last);
	OWNED_JSON(json) = view_list(listing.items,
	    json_array_size(listing.items) == page.limit ? next : NULL);
	if (code == ERR_OK)
		reply_json(&x->reply, MHD_HTTP_OK, json);
	return code;
}

enum err_code handle_audit_checkpoint(struct exchange *x, struct err *err)
{
	struct audit_head head;
	enum err_code code = audit_head(x->app->store, &head, err);
	if (code != ERR_OK)
		return code;
	OWNED_JSON(json) = json_object();
	view_set(json, "sequence", json_integer((json_int_t)head.sequence));
	view_set_hex(json, "head", BYTES_OF(head.hash));
	reply_json(&x->reply, MHD_HTTP_OK, json);
	return ERR_OK;
}
