// SPDX-License-Identifier: Apache-2.0
#include "store/chain.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#define ENTRY_FORMAT 1
#define HEAD_FORMAT 1
#define HASH_SIZE 32

struct chain {
	uint64_t sequence;
	int64_t time_ms;
	uint8_t head[HASH_SIZE];
	EVP_MD *sha256; /* fetched once: a fetch costs more than a hash */
	EVP_MD_CTX *ctx;
};

enum err_code chain_new(struct chain **chain_out, struct err *err)
{
	OWNED(chain) chain = mem_zalloc(sizeof(*chain));

	chain->sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
	chain->ctx = EVP_MD_CTX_new();
	if (chain->sha256 == NULL || chain->ctx == NULL)
		return err_fail_crypto(err, "SHA-256 of the audit chain");
	*chain_out = GIVE(chain);
	return ERR_OK;
}

void chain_free(struct chain *chain)
{
	if (chain == NULL)
		return;
	EVP_MD_CTX_free(chain->ctx);
	EVP_MD_free(chain->sha256);
	free(chain);
}

enum err_code chain_resume(
    struct chain *chain, struct bytes head, struct err *err)
{
	struct reader reader = reader_over(head);

	chain->sequence = 0;
	chain->time_ms = 0;
	memset(chain->head, 0, HASH_SIZE);
	if (head.len == 0)
		return ERR_OK;
	if (reader_u8(&reader) != HEAD_FORMAT)
		return err_fail(err, ERR_CORRUPT, "audit head: unknown format");
	chain->sequence = reader_u64(&reader);
	chain->time_ms = reader_i64(&reader);
	reader_copy(&reader, chain->head, HASH_SIZE);
	if (!reader_done(&reader))
		return err_fail(err, ERR_CORRUPT, "audit head: malformed");
	return ERR_OK;
}

void chain_write_head(const struct chain *chain, struct buf *out)
{
	buf_put_u8(out, HEAD_FORMAT);
	buf_put_u64(out, chain->sequence);
	buf_put_i64(out, chain->time_ms);
	buf_put(out, chain->head, HASH_SIZE);
}

void chain_head(const struct chain *chain, struct audit_head *head_out)
{
	head_out->sequence = chain->sequence;
	memcpy(head_out->hash, chain->head, HASH_SIZE);
}

int64_t chain_time_ms(const struct chain *chain)
{
	return chain->time_ms;
}

/* HASH = SHA-256(PREFIX || A || B); may overwrite what it reads. */
static bool hash_parts(struct chain *chain, uint8_t prefix, struct bytes a,
    struct bytes b, uint8_t hash[static HASH_SIZE])
{
	return EVP_DigestInit_ex2(chain->ctx, chain->sha256, NULL) == 1 &&
	       EVP_DigestUpdate(chain->ctx, &prefix, 1) == 1 &&
	       EVP_DigestUpdate(chain->ctx, a.data, a.len) == 1 &&
	       EVP_DigestUpdate(chain->ctx, b.data, b.len) == 1 &&
	       EVP_DigestFinal_ex(chain->ctx, hash, NULL) == 1;
}

/* Moves head(n-1) to head(n) over ENTRY. */
static enum err_code advance(
    struct chain *chain, struct bytes entry, struct err *err)
{
	uint8_t leaf[HASH_SIZE];

	if (!hash_parts(chain, 0x00, entry, BYTES(NULL, 0), leaf) ||
	    !hash_parts(chain, 0x01, BYTES_OF(chain->head), BYTES_OF(leaf),
		chain->head))
		return err_fail_crypto(err, "SHA-256 of the audit chain");
	return ERR_OK;
}

enum err_code chain_append(struct chain *chain, struct bytes body,
    int64_t now_ms, struct buf *record, struct err *err)
{
	enum err_code code;

	chain->sequence++;
	if (now_ms > chain->time_ms)
		chain->time_ms = now_ms;
	buf_reset(record);
	buf_put_u8(record, ENTRY_FORMAT);
	buf_put_u64(record, chain->sequence);
	buf_put_i64(record, chain->time_ms);
	buf_put_bytes(record, body);
	code = advance(chain, buf_bytes(record), err);
	if (code == ERR_OK)
		buf_put(record, chain->head, HASH_SIZE);
	return code;
}

enum err_code chain_follow(
    struct chain *chain, struct bytes record, struct err *err)
{
	unsigned long long want = chain->sequence + 1;
	struct audit_entry entry;
	const uint8_t *head;
	enum err_code code;

	if (!chain_parse(record, &entry, &head))
		return err_fail(
		    err, ERR_CORRUPT, "audit entry %llu is malformed", want);
	if (entry.sequence != want)
		return err_fail(err, ERR_CORRUPT,
		    "audit entry %llu is out of order: in its place stands "
		    "entry %llu",
		    want, (unsigned long long)entry.sequence);
	if (entry.time_ms < chain->time_ms)
		return err_fail(err, ERR_CORRUPT,
		    "audit entry %llu is older than the one before it", want);
	code = advance(chain, BYTES(record.data, record.len - HASH_SIZE), err);
	if (code != ERR_OK)
		return code;
	if (memcmp(chain->head, head, HASH_SIZE) != 0)
		return err_fail(err, ERR_CORRUPT,
		    "audit entry %llu is changed: its chain hash does not "
		    "match",
		    want);
	chain->sequence = entry.sequence;
	chain->time_ms = entry.time_ms;
	return ERR_OK;
}

/* The texts in the order in which they are written. */
#define TEXTS(entry)                                                           \
	{                                                                      \
		&(entry)->action, &(entry)->result, &(entry)->actor,           \
		    &(entry)->source, &(entry)->cluster, &(entry)->object,     \
		    &(entry)->rule, &(entry)->request_id, &(entry)->detail,    \
	}

void chain_write_body(struct buf *out, const struct audit_entry *entry)
{
	const char *const *const texts[] = TEXTS(entry);

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		if (*texts[i] != NULL)
			buf_put_str(out, *texts[i]);
		buf_put_u8(out, 0);
	}
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

bool chain_parse(
    struct bytes record, struct audit_entry *entry, const uint8_t **head_out)
{
	const char **const texts[] = TEXTS(entry);
	struct reader reader;

	if (record.len < HASH_SIZE)
		return false;
	reader = reader_over(BYTES(record.data, record.len - HASH_SIZE));
	if (reader_u8(&reader) != ENTRY_FORMAT)
		return false;
	entry->sequence = reader_u64(&reader);
	entry->time_ms = reader_i64(&reader);
	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		*texts[i] = take_text(&reader);
	*head_out = record.data + record.len - HASH_SIZE;
	return reader_done(&reader);
}
