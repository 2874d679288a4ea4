// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/ca/record.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <string.h>

static struct err err;

char *record_text(const char *text)
{
	return text == NULL ? NULL : mem_strdup(text);
}

struct certificate *record_new(uint8_t n)
{
	struct certificate *record = mem_zalloc(sizeof(*record));

	memset(record->serial.octets, n, 18);
	record->serial.octets[0] = 1;
	record->serial.len = 18;
	record->state = CERTIFICATE_VALID;
	record->issuer = record_text("issuing-1");
	record->cluster = record_text("db1");
	record->profile = record_text("peer");
	record->policy = record_text("etcd");
	record->requester = record_text("token:4c");
	record->roles = ROLE_NODE;
	record->not_before = RECORD_NOW;
	record->not_after = RECORD_NOW + 86399;
	record->created = RECORD_NOW + 60;
	record->renew_after = RECORD_NOW + 57600;
	memset(record->spki_hash, 0xaa, 32);
	memset(record->tbs_hash, 0xbb, 32);
	memset(record->token_id, 0xcc, TOKEN_ID_SIZE);
	record->names = names_new();
	assert_int_equal(names_set_cn(record->names, BYTES_STR("a.example"),
	    &err), ERR_OK);
	assert_int_equal(names_add(record->names, NAME_DNS,
	    BYTES_STR("a.example"), &err), ERR_OK);
	record->der_len = 4;
	record->der = mem_zalloc(4);
	memcpy(record->der, "\x30\x02\x05\x00", 4);
	return record;
}

void record_commit(struct fixture *fixture, const struct certificate *record)
{
	OWNED(batch) batch = batch_new();

	certificate_put(batch, record);
	assert_int_equal(store_commit(fixture->store, batch, &err), ERR_OK);
}
