// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/ca/issuing.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdio.h>

#include "store/audit.h"

static struct err err;

enum err_code issuing_try(struct fixture *fixture,
    const struct fixture_order *order, struct certificate **out)
{
	OWNED(batch) intent = batch_new();

	*out = NULL;
	return ca_issue(fixture->ca, &order->order, intent, out, &err);
}

static bool keep_last(const struct audit_entry *entry,
    const uint8_t head[static 32], void *arg)
{
	struct issuing_entry *last = arg;

	(void)head;
	snprintf(last->action, sizeof(last->action), "%s", entry->action);
	snprintf(last->result, sizeof(last->result), "%s", entry->result);
	snprintf(last->object, sizeof(last->object), "%s",
	    entry->object == NULL ? "" : entry->object);
	return true;
}

struct issuing_entry issuing_last(struct fixture *fixture)
{
	struct issuing_entry last = {"", "", ""};
	struct audit_head head;

	assert_int_equal(audit_head(fixture->store, &head, &err), ERR_OK);
	assert_int_equal(audit_read(fixture->store, head.sequence, 1,
	    keep_last, &last, &err), ERR_OK);
	return last;
}

void issuing_token(
    struct fixture *fixture, struct token **token_out, uint32_t uses)
{
	OWNED(batch) batch = batch_new();
	OWNED(secret) text = NULL;
	OWNED(token) token = NULL;

	assert_int_equal(token_create(batch, &(struct token_request){
	    .cluster = FIXTURE_CLUSTER, .creator = "test", .uses = uses},
	    &token, &text, &err), ERR_OK);
	assert_int_equal(store_commit(fixture->store, batch, &err), ERR_OK);
	assert_int_equal(token_get(fixture->store, FIXTURE_CLUSTER, token->id,
	    token_out, &err), ERR_OK);
}

uint32_t issuing_token_spent(struct fixture *fixture, const struct token *token)
{
	OWNED(token) now = NULL;

	assert_int_equal(token_get(fixture->store, FIXTURE_CLUSTER, token->id,
	    &now, &err), ERR_OK);
	return now->spent;
}
