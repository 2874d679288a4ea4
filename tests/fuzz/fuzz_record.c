// SPDX-License-Identifier: Apache-2.0
/*
 * Records of the store: whatever octets come, the answer is one sound object or
 * none, and an object has one encoding: what is read and written again is the
 * same, or, where the record is of an older version, stays the same from then on.
 */
#include "tests/fuzz/fuzz.h"

#include "ca/certificate.h"
#include "ca/crl.h"
#include "kms/record.h"
#include "policies/names.h"
#include "policies/record.h"
#include "store/alias.h"
#include "store/checkpoint.h"
#include "store/ledger.h"

static const uint8_t id[16] = {1, 2, 3};

static void must_equal(struct bytes record, const struct buf *again)
{
	must(bytes_equal(record, buf_bytes(again)));
}

/* Of records that begin with their version. */
static void must_last(struct bytes record, const struct buf *again,
    void (*run)(struct bytes record))
{
	if (again->data[0] == record.data[0])
		must_equal(record, again);
	else
		run(buf_bytes(again));
}

static void run_names(struct bytes record)
{
	struct reader reader = reader_over(record);
	OWNED(names) names = NULL;
	OWNED_BUF(again);

	if (!names_read(&reader, &names) || !reader_done(&reader))
		return;
	must(names->sans_count <= NAMES_MAX);
	names_write(names, &again);
	must_equal(record, &again);
}

static void run_cluster(struct bytes record)
{
	OWNED(cluster) cluster = NULL;
	OWNED_BUF(again);

	if (!cluster_read("orders", record, &cluster))
		return;
	cluster_write(cluster, &again);
	must_last(record, &again, run_cluster);
}

static void run_token(struct bytes record)
{
	OWNED(token) token = NULL;
	OWNED_BUF(again);

	if (!token_read(id, record, &token))
		return;
	must(token->spent <= token->uses);
	token_write(token, &again);
	must_last(record, &again, run_token);
}

static void run_identity(struct bytes record)
{
	OWNED(identity) identity = NULL;
	OWNED_BUF(again);

	if (!identity_read(id, record, &identity))
		return;
	identity_write(identity, &again);
	must_last(record, &again, run_identity);
}

static void run_approval(struct bytes record)
{
	OWNED(approval) approval = NULL;
	OWNED_BUF(again);

	if (!approval_read(id, record, &approval))
		return;
	must(approval->decisions_count <= APPROVAL_DECISIONS_MAX);
	approval_write(approval, &again);
	must_equal(record, &again);
}

static void run_certificate(struct bytes record)
{
	const struct serial serial = {.octets = {1, 2, 3}, .len = 3};
	OWNED(certificate) certificate = NULL;
	OWNED_BUF(again);
	struct err err = {0};
	enum err_code code =
	    certificate_read(&serial, record, &certificate, &err);

	if (code != ERR_OK) {
		must(code == ERR_CORRUPT);
		must_tell(code, &err);
		return;
	}
	certificate_write(certificate, &again);
	must_last(record, &again, run_certificate);
}

/* The row's key first, as long as the first octet says. */
static void run_revocation(struct bytes record)
{
	struct reader reader = reader_over(record);
	struct bytes key = reader_take(&reader, reader_u8(&reader));
	struct revocation row;

	if (!revocation_read(
		key, 2, BYTES(reader.next, reader.left), &row))
		return;
	must(row.serial.len == key.len - 2 && reader.left == 18);
}

static void run_crl(struct bytes record)
{
	OWNED(crl) crl = NULL;
	OWNED_BUF(row);
	struct err err = {0};
	enum err_code code;

	buf_put_bytes(&row, record);
	code = crl_read("issuing-1", &row, &crl, &err);
	if (code != ERR_OK) {
		must(code == ERR_CORRUPT);
		must_tell(code, &err);
		return;
	}
	must_equal(record, &crl->row);
	must(crl->der + crl->der_len == crl->row.data + crl->row.len);
	must(strlen(crl->etag) == 66);
}

static void run_key(struct bytes record)
{
	const struct key row = key_row("orders", "main");
	OWNED(key_info) info = NULL;
	OWNED_BUF(again);

	if (!key_record_read(key_bytes(&row), record, &info))
		return;
	must(strcmp(info->cluster, "orders") == 0);
	must(strcmp(info->name, "main") == 0);
	key_record_write(info, &again);
	must_last(record, &again, run_key);
}

/* The key of such a row, which names cluster and key. */
static void run_key_row(struct bytes row)
{
	static const uint8_t value[29] = {1, [20] = 1, [28] = 1};
	OWNED(key_info) info = NULL;
	struct key again;

	if (row.len > STORE_KEY_MAX ||
	    !key_record_read(row, BYTES_OF(value), &info))
		return;
	again = key_row(info->cluster, info->name);
	must(bytes_equal(row, key_bytes(&again)));
}

static void run_kek(struct bytes record)
{
	struct kek_record kek;
	OWNED_BUF(again);

	if (!kek_record_read(record, &kek))
		return;
	must(kek.blob_len <= KEK_BLOB_MAX);
	kek_record_write(&kek, &again);
	must_last(record, &again, run_kek);
}

static void run_audit(struct bytes record)
{
	struct ledger_record read;
	OWNED_BUF(again);

	if (!ledger_parse(record, &read))
		return;
	must(ledger_node(&read, 0) == NULL);
	must(read.octets.len + read.hashes.len == record.len);
	ledger_write_entry(&again, &read.entry);
	must_equal(read.octets, &again);
}

static void run_audit_head(struct bytes record)
{
	OWNED(ledger) ledger = NULL;
	OWNED_BUF(again);
	struct err err = {0};
	enum err_code code;

	must(ledger_new(&ledger, &err) == ERR_OK);
	/* An empty one is that of a log without entries. */
	code = ledger_resume(ledger, record, &err);
	if (code != ERR_OK)
		must_tell(code, &err);
	if (code != ERR_OK || record.len == 0)
		return;
	ledger_write_head(ledger, &again);
	must_equal(record, &again);
}

static void run_alias(struct bytes row)
{
	OWNED_STR(name) = NULL;
	OWNED_BUF(again);

	if (!alias_read(row, &name))
		return;
	must(name[0] != '\0' && strlen(name) <= ALIAS_NAME_MAX);
	alias_write(name, &again);
	must_equal(row, &again);
}

static void run_checkpoint(struct bytes note)
{
	struct checkpoint checkpoint;
	struct bytes text;
	OWNED_BUF(again);

	if (!checkpoint_parse(note, &checkpoint, &text))
		return;
	must(strlen(checkpoint.origin) <= CHECKPOINT_ORIGIN_MAX);
	checkpoint_put_text(&again, &checkpoint);
	must_equal(text, &again);
}

static const struct fuzz_case cases[] = {
	{'n', run_names},
	{'s', run_alias},
	{'c', run_cluster},
	{'t', run_token},
	{'i', run_identity},
	{'d', run_approval},
	{'x', run_certificate},
	{'r', run_revocation},
	{'l', run_crl},
	{'k', run_key},
	{'w', run_key_row},
	{'v', run_kek},
	{'a', run_audit},
	{'h', run_audit_head},
	{'p', run_checkpoint},
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	return fuzz_pick(cases, ARRAY_LEN(cases), data, size);
}
