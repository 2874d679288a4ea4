// SPDX-License-Identifier: Apache-2.0
#include "store/tally.h"

#include <stdlib.h>
#include <string.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#include "store/table.h"

#define FORMAT 1
#define SUM_SIZE 32

struct tally {
	EVP_MAC_CTX *mac; /* keyed once; each mark begins it anew */
	struct tally_count counts[TABLE_COUNT];
	struct {
		enum table table;
		uint8_t mark[SUM_SIZE];
		bool drop;
	} last; /* that was counted */
};

enum err_code tally_new(
    const struct seal *seal, struct tally **tally_out, struct err *err)
{
	OWNED(tally) tally = mem_zalloc(sizeof(*tally));
	struct bytes key = secret_bytes(seal_tally_key(seal));
	EVP_MAC *hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
	char digest[] = "SHA256";
	const OSSL_PARAM params[] = {
	    OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
	    OSSL_PARAM_construct_end(),
	};

	tally->mac = EVP_MAC_CTX_new(hmac);
	EVP_MAC_free(hmac);
	if (tally->mac == NULL ||
	    EVP_MAC_init(tally->mac, key.data, key.len, params) != 1)
		return err_fail_crypto(err, "HMAC of the store's tally");
	*tally_out = GIVE(tally);
	return ERR_OK;
}

void tally_free(struct tally *tally)
{
	if (tally == NULL)
		return;
	EVP_MAC_CTX_free(tally->mac);
	free(tally);
}

static bool update(struct tally *tally, struct bytes part)
{
	return part.len == 0 ||
	       EVP_MAC_update(tally->mac, part.data, part.len) == 1;
}

static void store_be(uint8_t *into, uint64_t value, unsigned size)
{
	for (unsigned i = 0; i < size; i++)
		into[i] = (uint8_t)(value >> (8 * (size - 1 - i)));
}

static enum err_code make_mark(struct tally *tally, const struct row *row,
    struct bytes stored, uint8_t mark[static SUM_SIZE], struct err *err)
{
	const char *name = table_name(row->table);
	bool sealed = table_rule(row->table) == TABLE_RULE_SEALED;
	uint8_t numbers[12];
	size_t len;

	store_be(numbers, row->revision, 8);
	store_be(numbers + 8, row->key.len, 4);
	if (EVP_MAC_init(tally->mac, NULL, 0, NULL) != 1 ||
	    !update(tally, BYTES(name, strlen(name) + 1)) ||
	    !update(tally, BYTES_OF(numbers)) || !update(tally, row->key) ||
	    !update(tally, sealed ? seal_head(stored) : stored) ||
	    !update(tally, sealed ? seal_tag(stored) : BYTES(NULL, 0)) ||
	    EVP_MAC_final(tally->mac, mark, &len, SUM_SIZE) != 1)
		return err_fail_crypto(err, "HMAC of the store's tally");
	return ERR_OK;
}

/* A subtraction adds the complement and one. */
static void add(uint8_t sum[static SUM_SIZE],
    const uint8_t mark[static SUM_SIZE], bool drop)
{
	unsigned carry = drop;

	for (unsigned i = 0; i < SUM_SIZE; i++) {
		unsigned octet = drop ? mark[i] ^ 0xffu : mark[i];

		carry += sum[i] + octet;
		sum[i] = (uint8_t)carry;
		carry >>= 8;
	}
}

static void count_last(struct tally *into, const struct tally *from)
{
	struct tally_count *it = &into->counts[from->last.table];

	add(it->sum, from->last.mark, from->last.drop);
	it->rows += from->last.drop ? UINT64_MAX : 1;
}

static enum err_code count(struct tally *tally, const struct row *row,
    struct bytes stored, bool drop, struct err *err)
{
	enum err_code code =
	    make_mark(tally, row, stored, tally->last.mark, err);

	if (code != ERR_OK)
		return code;
	tally->last.table = row->table;
	tally->last.drop = drop;
	count_last(tally, tally);
	return ERR_OK;
}

void tally_again(struct tally *into, const struct tally *from)
{
	count_last(into, from);
}

enum err_code tally_add(struct tally *tally, const struct row *row,
    struct bytes stored, struct err *err)
{
	return count(tally, row, stored, false, err);
}

enum err_code tally_drop(struct tally *tally, const struct row *row,
    struct bytes stored, struct err *err)
{
	return count(tally, row, stored, true, err);
}

void tally_copy(struct tally *into, const struct tally *from)
{
	memcpy(into->counts, from->counts, sizeof(into->counts));
}

void tally_clear(struct tally *tally, enum table table)
{
	tally->counts[table] = (struct tally_count){0};
}

struct tally_count tally_of(const struct tally *tally, enum table table)
{
	return tally->counts[table];
}

enum err_code tally_compare(const struct tally *found,
    const struct tally *recorded, enum table table, struct err *err)
{
	const struct tally_count *a = &found->counts[table];
	const struct tally_count *b = &recorded->counts[table];

	if (a->rows != b->rows)
		return err_fail(err, ERR_CORRUPT,
		    "%s: %llu rows where the tally has %llu: some are gone or "
		    "were added",
		    table_name(table), (unsigned long long)a->rows,
		    (unsigned long long)b->rows);
	if (memcmp(a->sum, b->sum, sizeof(a->sum)) != 0)
		return err_fail(err, ERR_CORRUPT,
		    "%s: of the %llu rows some are not those of the tally: "
		    "changed, or rolled back to what they were",
		    table_name(table), (unsigned long long)a->rows);
	return ERR_OK;
}

static bool is_used(const struct tally_count *count)
{
	static const uint8_t none[SUM_SIZE];

	return count->rows != 0 || memcmp(count->sum, none, SUM_SIZE) != 0;
}

void tally_write(const struct tally *tally, struct buf *out)
{
	buf_put_u8(out, FORMAT);
	for (unsigned i = 0; i < TABLE_COUNT; i++) {
		const struct tally_count *it = &tally->counts[i];

		if (!is_used(it))
			continue;
		buf_put_lv_str(out, table_name((enum table)i));
		buf_put_u64(out, it->rows);
		buf_put(out, it->sum, SUM_SIZE);
	}
}

bool tally_read(struct tally *tally, struct bytes octets)
{
	struct reader reader = reader_over(octets);

	memset(tally->counts, 0, sizeof(tally->counts));
	if (reader_u8(&reader) != FORMAT)
		return false;
	while (!reader.failed && reader.left > 0) {
		struct bytes name = reader_lv(&reader);
		enum table table;

		if (reader.failed || !table_find(name, &table))
			return false;
		tally->counts[table].rows = reader_u64(&reader);
		reader_copy(&reader, tally->counts[table].sum, SUM_SIZE);
	}
	return reader_done(&reader);
}
