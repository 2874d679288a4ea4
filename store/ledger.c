// SPDX-License-Identifier: Apache-2.0
#include "store/ledger.h"

#include <stdlib.h>
#include <string.h>

#include "store/merkle.h"

#define ENTRY_FORMAT 2
#define ENTRY_FORMAT_V1 1
#define HEAD_FORMAT 2
/* Format, sequence and time. */
#define ENTRY_HEADER 17

struct ledger {
	struct merkle tree;
	int64_t time_ms;
	struct hasher *hasher;
	struct buf scratch;
};

enum err_code ledger_new(struct ledger **ledger_out, struct err *err)
{
	OWNED(ledger) ledger = mem_zalloc(sizeof(*ledger));
	enum err_code code = hasher_new(&ledger->hasher, err);

	if (code == ERR_OK)
		*ledger_out = GIVE(ledger);
	return code;
}

void ledger_free(struct ledger *ledger)
{
	if (ledger == NULL)
		return;
	hasher_free(ledger->hasher);
	buf_free(&ledger->scratch);
	free(ledger);
}

/* ---- the head ---- */

enum err_code ledger_resume(
    struct ledger *ledger, struct bytes head, struct err *err)
{
	struct reader reader = reader_over(head);

	ledger->tree.size = 0;
	ledger->time_ms = 0;
	if (head.len == 0)
		return ERR_OK;
	if (reader_u8(&reader) != HEAD_FORMAT)
		return err_fail(err, ERR_CORRUPT, "audit head: unknown format");
	ledger->tree.size = reader_u64(&reader);
	ledger->time_ms = reader_i64(&reader);
	for (unsigned level = 0; level < MERKLE_LEVELS; level++)
		if (ledger->tree.size >> level & 1)
			reader_copy(
			    &reader, ledger->tree.edge[level], MERKLE_SIZE);
	if (!reader_done(&reader))
		return err_fail(err, ERR_CORRUPT, "audit head: malformed");
	return ERR_OK;
}

void ledger_write_head(const struct ledger *ledger, struct buf *out)
{
	buf_put_u8(out, HEAD_FORMAT);
	buf_put_u64(out, ledger->tree.size);
	buf_put_i64(out, ledger->time_ms);
	for (unsigned level = 0; level < MERKLE_LEVELS; level++)
		if (ledger->tree.size >> level & 1)
			buf_put(out, ledger->tree.edge[level], MERKLE_SIZE);
}

uint64_t ledger_size(const struct ledger *ledger)
{
	return ledger->tree.size;
}

int64_t ledger_time_ms(const struct ledger *ledger)
{
	return ledger->time_ms;
}

void ledger_head(const struct ledger *ledger, struct audit_head *head_out)
{
	head_out->sequence = ledger->tree.size;
	merkle_root(&ledger->tree, ledger->hasher, head_out->hash);
}

bool ledger_equal(const struct ledger *a, const struct ledger *b)
{
	if (a->tree.size != b->tree.size || a->time_ms != b->time_ms)
		return false;
	for (unsigned level = 0; level < MERKLE_LEVELS; level++)
		if (a->tree.size >> level & 1 &&
		    memcmp(a->tree.edge[level], b->tree.edge[level],
			MERKLE_SIZE) != 0)
			return false;
	return true;
}

/* ---- writing and following ---- */

void ledger_append(struct ledger *ledger, struct bytes body, int64_t now_ms,
    struct buf *record)
{
	uint8_t leaf[MERKLE_SIZE], done[MERKLE_LEVELS][MERKLE_SIZE];
	unsigned count;

	if (now_ms > ledger->time_ms)
		ledger->time_ms = now_ms;
	buf_reset(record);
	buf_put_u8(record, ENTRY_FORMAT);
	buf_put_u64(record, ledger->tree.size + 1);
	buf_put_i64(record, ledger->time_ms);
	buf_put_bytes(record, body);
	merkle_leaf(ledger->hasher, buf_bytes(record), leaf);
	count = merkle_add(&ledger->tree, ledger->hasher, leaf, done);
	if (count == 0)
		buf_put(record, leaf, MERKLE_SIZE);
	else
		buf_put(record, done, count * MERKLE_SIZE);
}

/* The place of an entry behind what was followed so far. */
static enum err_code check_place(const struct ledger *ledger,
    const struct audit_entry *entry, struct err *err)
{
	unsigned long long want = ledger->tree.size + 1;

	if (entry->sequence != want)
		return err_fail(err, ERR_CORRUPT,
		    "audit entry %llu is out of order: in its place stands "
		    "entry %llu",
		    want, (unsigned long long)entry->sequence);
	if (entry->time_ms < ledger->time_ms)
		return err_fail(err, ERR_CORRUPT,
		    "audit entry %llu is older than the one before it", want);
	return ERR_OK;
}

static enum err_code fail_changed(
    const struct ledger *ledger, struct err *err)
{
	return err_fail(err, ERR_CORRUPT,
	    "audit entry %llu is changed: its hash does not match",
	    (unsigned long long)ledger->tree.size + 1);
}

enum err_code ledger_follow(
    struct ledger *ledger, struct bytes record, struct err *err)
{
	uint8_t leaf[MERKLE_SIZE], done[MERKLE_LEVELS][MERKLE_SIZE];
	struct merkle grown = ledger->tree;
	struct ledger_record it;
	struct bytes want = BYTES_OF(leaf);
	enum err_code code;
	unsigned count;

	if (!ledger_parse(record, &it))
		return err_fail(err, ERR_CORRUPT,
		    "audit entry %llu is malformed",
		    (unsigned long long)ledger->tree.size + 1);
	if ((code = check_place(ledger, &it.entry, err)) != ERR_OK)
		return code;
	merkle_leaf(ledger->hasher, it.octets, leaf);
	count = merkle_add(&grown, ledger->hasher, leaf, done);
	if (count > 0)
		want = BYTES(done, count * MERKLE_SIZE);
	if (!bytes_equal(it.hashes, want))
		return fail_changed(ledger, err);
	ledger->tree = grown;
	ledger->time_ms = it.entry.time_ms;
	return ERR_OK;
}

enum err_code ledger_follow_entry(struct ledger *ledger,
    const struct audit_entry *entry, const uint8_t *leaf, struct err *err)
{
	uint8_t own[MERKLE_SIZE], done[MERKLE_LEVELS][MERKLE_SIZE];
	enum err_code code = check_place(ledger, entry, err);

	if (code != ERR_OK)
		return code;
	buf_reset(&ledger->scratch);
	ledger_write_entry(&ledger->scratch, entry);
	merkle_leaf(ledger->hasher, buf_bytes(&ledger->scratch), own);
	if (leaf != NULL && memcmp(leaf, own, MERKLE_SIZE) != 0)
		return fail_changed(ledger, err);
	(void)merkle_add(&ledger->tree, ledger->hasher, own, done);
	ledger->time_ms = entry->time_ms;
	return ERR_OK;
}

/* ---- octets ---- */

/* The texts in the order in which they are written. */
#define TEXTS(entry)                                                           \
	{                                                                      \
		&(entry)->action, &(entry)->result, &(entry)->actor,           \
		    &(entry)->source, &(entry)->cluster, &(entry)->object,     \
		    &(entry)->rule, &(entry)->request_id, &(entry)->detail,    \
	}

void ledger_write_body(struct buf *out, const struct audit_entry *entry)
{
	const char *const *const texts[] = TEXTS(entry);

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		if (*texts[i] != NULL)
			buf_put_str(out, *texts[i]);
		buf_put_u8(out, 0);
	}
}

void ledger_write_entry(struct buf *out, const struct audit_entry *entry)
{
	buf_put_u8(out, ENTRY_FORMAT);
	buf_put_u64(out, entry->sequence);
	buf_put_i64(out, entry->time_ms);
	ledger_write_body(out, entry);
}

/* A text with its zero octet; an empty one is read as none. */
static const char *take_text(struct reader *reader)
{
	const uint8_t *end =
	    reader->left == 0 ? NULL : memchr(reader->next, 0, reader->left);
	const char *text = (const char *)reader->next;

	if (end == NULL) {
		reader->failed = true;
		return NULL;
	}
	(void)reader_take(reader, (size_t)(end - reader->next) + 1);
	return *text == '\0' ? NULL : text;
}

static bool parse(struct bytes record, uint8_t format, size_t hashes,
    struct ledger_record *out)
{
	const char **const texts[] = TEXTS(&out->entry);
	struct reader reader;

	if (record.len < hashes)
		return false;
	out->octets = BYTES(record.data, record.len - hashes);
	out->hashes = BYTES(record.data + out->octets.len, hashes);
	reader = reader_over(out->octets);
	if (reader_u8(&reader) != format)
		return false;
	out->entry.sequence = reader_u64(&reader);
	out->entry.time_ms = reader_i64(&reader);
	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		*texts[i] = take_text(&reader);
	return reader_done(&reader);
}

bool ledger_parse(struct bytes record, struct ledger_record *record_out)
{
	struct reader reader = reader_over(record);
	unsigned levels;
	uint64_t sequence;

	(void)reader_u8(&reader);
	sequence = reader_u64(&reader);
	if (reader.failed || sequence == 0)
		return false;
	levels = (unsigned)__builtin_ctzll(sequence);
	return parse(record, ENTRY_FORMAT,
	    (levels == 0 ? 1 : levels) * MERKLE_SIZE, record_out);
}

const uint8_t *ledger_node(const struct ledger_record *record, unsigned level)
{
	if (record->entry.sequence & 1 || level == 0 ||
	    level * MERKLE_SIZE > record->hashes.len)
		return NULL;
	return record->hashes.data + (level - 1) * MERKLE_SIZE;
}

bool ledger_follow_v1(struct ledger *ledger, struct bytes record,
    uint8_t head[static 32], struct ledger_record *record_out)
{
	uint8_t leaf[MERKLE_SIZE];

	if (!parse(record, ENTRY_FORMAT_V1, MERKLE_SIZE, record_out) ||
	    record_out->entry.sequence != ledger->tree.size + 1 ||
	    record_out->entry.time_ms < ledger->time_ms)
		return false;
	merkle_leaf(ledger->hasher, record_out->octets, leaf);
	merkle_node(ledger->hasher, head, leaf, head);
	record_out->octets = BYTES(record_out->octets.data + ENTRY_HEADER,
	    record_out->octets.len - ENTRY_HEADER);
	return memcmp(head, record_out->hashes.data, MERKLE_SIZE) == 0;
}
