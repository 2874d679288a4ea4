// SPDX-License-Identifier: Apache-2.0
#include "store/batch.h"

#include <stdlib.h>
#include <string.h>

/* Room for one more element of SIZE octets. */
static void *grow(void *array, size_t count, size_t *cap, size_t size)
{
	if (count < *cap)
		return array;
	*cap = *cap == 0 ? 8 : *cap * 2;
	return mem_resize(array, *cap, size);
}

struct batch *batch_new(void)
{
	return mem_zalloc(sizeof(struct batch));
}

void batch_free(struct batch *batch)
{
	if (batch == NULL)
		return;
	buf_free(&batch->octets);
	free(batch->changes);
	free(batch->requirements);
	free(batch->audits);
	free(batch);
}

void batch_reset(struct batch *batch)
{
	buf_reset(&batch->octets);
	batch->change_count = 0;
	batch->requirement_count = 0;
	batch->audit_count = 0;
}

bool batch_is_empty(const struct batch *batch)
{
	return batch->change_count == 0 && batch->requirement_count == 0 &&
	       batch->audit_count == 0;
}

struct bytes batch_octets(const struct batch *batch, struct span span)
{
	if (span.len == 0)
		return BYTES(NULL, 0);
	return BYTES(batch->octets.data + span.at, span.len);
}

static struct span keep(struct batch *batch, struct bytes octets)
{
	struct span span = {batch->octets.len, octets.len};

	buf_put_bytes(&batch->octets, octets);
	return span;
}

static struct span keep_key(struct batch *batch, struct bytes key)
{
	if (key.len == 0 || key.len > STORE_KEY_MAX)
		abort();
	return keep(batch, key);
}

/* The audit log and the store's own names have one writer: the store. */
static void check_owner(enum table table, struct bytes key)
{
	static const char *const own[] = {STORE_META_FORMAT, STORE_META_AUDIT,
	    STORE_META_SEAL, STORE_META_TALLY};

	if (table >= TABLE_COUNT || table == TABLE_AUDIT)
		abort();
	if (table != TABLE_META)
		return;
	for (size_t i = 0; i < ARRAY_LEN(own); i++)
		if (bytes_equal(key, bytes_str(own[i])))
			abort();
}

static void add_change(struct batch *batch, const struct change *change)
{
	batch->changes = grow(batch->changes, batch->change_count,
	    &batch->change_cap, sizeof(*batch->changes));
	batch->changes[batch->change_count++] = *change;
}

void batch_put(
    struct batch *batch, enum table table, struct bytes key, struct bytes value)
{
	struct change change = {.table = table, .is_put = true};

	check_owner(table, key);
	change.key = keep_key(batch, key);
	change.value = keep(batch, value);
	add_change(batch, &change);
}

void batch_delete(struct batch *batch, enum table table, struct bytes key)
{
	struct change change = {.table = table};

	check_owner(table, key);
	change.key = keep_key(batch, key);
	add_change(batch, &change);
}

void batch_require_absent(
    struct batch *batch, enum table table, struct bytes key)
{
	batch_require_revision(batch, table, key, 0);
}

void batch_require_revision(
    struct batch *batch, enum table table, struct bytes key, uint64_t revision)
{
	if (table >= TABLE_COUNT)
		abort();
	batch->requirements =
	    grow(batch->requirements, batch->requirement_count,
		&batch->requirement_cap, sizeof(*batch->requirements));
	batch->requirements[batch->requirement_count++] = (struct requirement){
	    .table = table,
	    .key = keep_key(batch, key),
	    .revision = revision,
	};
}

void batch_add_audit(struct batch *batch, size_t at, int64_t time_ms)
{
	batch->audits = grow(batch->audits, batch->audit_count,
	    &batch->audit_cap, sizeof(*batch->audits));
	batch->audits[batch->audit_count++] = (struct audit_body){
	    .texts = {at, batch->octets.len - at}, .time_ms = time_ms};
}

static int compare_key(
    const struct batch *batch, const struct change *a, const struct change *b)
{
	if (a->table != b->table)
		return a->table < b->table ? -1 : 1;
	return bytes_compare(
	    batch_octets(batch, a->key), batch_octets(batch, b->key));
}

/* Equal keys stand in the order in which they came: later ones lie further
 * on in the batch's octets. */
static int compare(const void *left, const void *right, void *arg)
{
	const struct change *a = left;
	const struct change *b = right;
	int order = compare_key(arg, a, b);

	if (order != 0)
		return order;
	return a->key.at < b->key.at ? -1 : 1;
}

void batch_settle(struct batch *batch)
{
	size_t kept = 0;

	if (batch->change_count < 2)
		return;
	qsort_r(batch->changes, batch->change_count, sizeof(*batch->changes),
	    compare, batch);
	for (size_t i = 1; i < batch->change_count; i++) {
		struct change *last = &batch->changes[kept];

		if (compare_key(batch, last, &batch->changes[i]) != 0)
			last = &batch->changes[++kept];
		*last = batch->changes[i];
	}
	batch->change_count = kept + 1;
}
