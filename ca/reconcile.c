// SPDX-License-Identifier: Apache-2.0
#include "ca/inside.h"

#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "store/audit.h"

#define SETTLED_AT_ONCE 256
#define CONFLICTS_MAX 16

static bool is_set(const uint8_t id[static TOKEN_ID_SIZE])
{
	static const uint8_t none[TOKEN_ID_SIZE];

	return memcmp(id, none, sizeof(none)) != 0;
}

static void keep_serial(struct batch *batch, const struct certificate *intent)
{
	struct certificate record = *intent;
	int64_t now = clock_now();

	record.state = CERTIFICATE_UNRESOLVED;
	/* A clock set back must not date it before it was intended. */
	record.revoked = now < intent->created ? intent->created : now;
	record.reason = 0;
	record.der = NULL;
	record.der_len = 0;
	record.revision = 0;
	certificate_put(batch, &record);
}

/* What was spent with the intent, and nothing came of it, is good again; but for a
 * code in whose place another was drawn since. */
static enum err_code refund(struct store *store, struct batch *batch,
    const struct certificate *intent, struct err *err)
{
	OWNED(identity) identity = NULL;

	if (!is_set(intent->token_id))
		return ERR_OK;
	if (!is_set(intent->identity))
		return token_refund(store, batch, intent->token_id, err);
	enum err_code code =
	    identity_find(store, intent->identity, &identity, err);
	if (code == ERR_OK && identity != NULL &&
	    identity_spent(identity, intent->token_id))
		identity_unenroll(batch, identity);
	return code;
}

enum err_code settle_intent(struct store *store, struct batch *batch,
    const struct certificate *intent, bool keep, const char *reason,
    struct err *err)
{
	OWNED_STR(serial) = serial_format(&intent->serial);
	OWNED_STR(object) = mem_printf("serial:%s", serial);
	OWNED_STR(terms) = issue_terms(intent);
	OWNED_STR(detail) = mem_printf("%s; %s", terms, reason);

	if (keep)
		keep_serial(batch, intent);
	intent_delete(batch, &intent->serial);
	batch_audit(batch, &(struct audit_entry){
	    .action = keep ? "certificate.unresolved" : "certificate.issue",
	    .result = "failed", .actor = intent->requester, .source = "local",
	    .cluster = intent->cluster, .object = object, .detail = detail});
	return refund(store, batch, intent, err);
}

/* A few intents on their way into one batch. */
struct page {
	struct certificate *intents[SETTLED_AT_ONCE];
	size_t count;
};

static void page_clear(struct page *page)
{
	while (page->count > 0)
		certificate_free(page->intents[--page->count]);
}

/* A refund reads its token or identity from the store, so that two for the same one must not
 * share a batch. */
static bool holds_token_of(
    const struct page *page, const struct certificate *intent)
{
	if (!is_set(intent->token_id))
		return false;
	for (size_t i = 0; i < page->count; i++) {
		if (memcmp(page->intents[i]->token_id, intent->token_id,
			sizeof(intent->token_id)) == 0)
			return true;
	}
	return false;
}

static enum err_code read_page(struct store *store, uint8_t node,
    struct page *page, struct err *err)
{
	OWNED(scan) scan = NULL;
	enum err_code code = scan_open(store, TABLE_INTENTS, BYTES(&node, 1),
	    BYTES(NULL, 0), &scan, err);

	while (code == ERR_OK && page->count < SETTLED_AT_ONCE) {
		OWNED(certificate) intent = NULL;
		struct bytes key, value;
		struct serial serial;
		bool more;

		code = scan_next(scan, &key, &value, &more, err);
		if (code != ERR_OK || !more)
			return code;
		if (!serial_read(key, &serial))
			return err_fail(err, ERR_CORRUPT,
			    "key of an intent is no serial");
		code = certificate_read(&serial, value, &intent, err);
		if (code == ERR_OK && holds_token_of(page, intent))
			return ERR_OK;	/* the next page begins with it */
		if (code == ERR_OK)
			page->intents[page->count++] = GIVE(intent);
	}
	return code;
}

static enum err_code settle_page(
    struct store *store, const struct page *page, struct err *err)
{
	OWNED(batch) batch = batch_new();
	enum err_code code = ERR_OK;

	for (size_t i = 0; i < page->count && code == ERR_OK; i++)
		code = settle_intent(store, batch, page->intents[i], true,
		    "the server stopped before the outcome was known", err);
	return code == ERR_OK ? store_commit(store, batch, err) : code;
}

enum err_code reconcile(struct store *store, uint8_t node,
    uint64_t *settled_out, struct err *err)
{
	unsigned conflicts = 0;

	*settled_out = 0;
	for (;;) {
		struct page page = {.count = 0};
		enum err_code code = read_page(store, node, &page, err);
		size_t count = page.count;

		if (code == ERR_OK && count > 0)
			code = settle_page(store, &page, err);
		page_clear(&page);
		if (code == ERR_CONFLICT && ++conflicts < CONFLICTS_MAX)
			continue;
		if (code != ERR_OK || count == 0)
			return code;
		*settled_out += count;
		conflicts = 0;
	}
}
