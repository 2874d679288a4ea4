// SPDX-License-Identifier: Apache-2.0
/* How identities stand in the store: version 3; versions 1 and 2 are read. */
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "policies/record.h"

/* Version 1 was written for the first admin alone: roles as bits, and the serial
 * of the one certificate, which lasted a year. */
#define VERSION_1 1
#define V1_ROLE_KMS (1u << 5)
#define V1_ROLES 0x3fu
#define V1_TTL (365 * INT64_C(86400))
/* Version 2 had one code for each, so that its use and the enrolment were one. */
#define VERSION_2 2

void identity_write(const struct identity *identity, struct buf *out)
{
	buf_put_u8(out, IDENTITY_RECORD_VERSION);
	buf_put_u8(out, (uint8_t)identity->kind);
	buf_put_lv_str(out, identity->name);
	record_put_texts(out, identity->roles, identity->roles_count);
	buf_put_lv_str(out, identity->cluster);
	record_put_ranges(out, identity->ranges, identity->ranges_count);
	buf_put(out, identity->hash, sizeof(identity->hash));
	buf_put_i64(out, identity->ttl);
	buf_put_i64(out, identity->code_expires);
	buf_put_i64(out, identity->created);
	buf_put_i64(out, identity->expires);
	buf_put_i64(out, identity->code_used);
	buf_put_i64(out, identity->enrolled);
	buf_put_i64(out, identity->revoked);
	buf_put_lv(out, BYTES(identity->serial, identity->serial_len));
	buf_put_lv_str(out, identity->creator);
}

static void read_serial(struct reader *reader, struct identity *identity)
{
	struct bytes serial = reader_lv(reader);

	if (serial.len > SERIAL_MAX) {
		reader->failed = true;
		return;
	}
	if (serial.len > 0)
		memcpy(identity->serial, serial.data, serial.len);
	identity->serial_len = serial.len;
}

/* An empty name of a cluster stands for none. */
static void read_cluster(struct reader *reader, struct identity *identity)
{
	OWNED_STR(cluster) = reader_lv_str(reader);

	if (cluster == NULL || cluster[0] == '\0')
		return;
	if (!text_is_label(cluster))
		reader->failed = true;
	identity->cluster = GIVE(cluster);
}

static void add_role(struct identity *identity, uint32_t role)
{
	identity->roles[identity->roles_count++] =
	    mem_strdup(role_name((enum role)role));
}

/* The role of programs was one of people too, who were bound to no cluster. */
static void take_roles(struct identity *identity, uint32_t roles)
{
	identity->roles =
	    mem_zalloc_array(IDENTITY_ROLES_MAX, sizeof(*identity->roles));
	for (uint32_t bit = 1; bit <= V1_ROLE_KMS; bit <<= 1) {
		if ((roles & bit) == 0)
			continue;
		if (bit == V1_ROLE_KMS && identity->cluster == NULL)
			add_role(identity, ROLE_KEY_USER);
		else
			add_role(identity, bit);
	}
}

static bool read_v1(struct reader *reader, struct identity *identity)
{
	uint32_t roles;

	identity->kind = IDENTITY_CERTIFICATE;
	identity->name = reader_lv_str(reader);
	roles = reader_u32(reader);
	read_cluster(reader, identity);
	read_serial(reader, identity);
	identity->created = reader_i64(reader);
	identity->enrolled = identity->created;
	identity->code_used = identity->created;
	identity->ttl = V1_TTL;
	identity->creator = mem_strdup("");
	take_roles(identity, roles & V1_ROLES);
	return (roles & ~V1_ROLES) == 0 && identity->serial_len > 0;
}

static void read_newer(
    struct reader *reader, uint8_t version, struct identity *identity)
{
	identity->kind = (enum identity_kind)reader_u8(reader);
	identity->name = reader_lv_str(reader);
	identity->roles = record_read_texts(
	    reader, IDENTITY_ROLES_MAX, &identity->roles_count);
	read_cluster(reader, identity);
	identity->ranges = record_read_ranges(
	    reader, IDENTITY_RANGES_MAX, &identity->ranges_count);
	reader_copy(reader, identity->hash, sizeof(identity->hash));
	identity->ttl = reader_i64(reader);
	identity->code_expires = reader_i64(reader);
	identity->created = reader_i64(reader);
	identity->expires = reader_i64(reader);
	if (version != VERSION_2)
		identity->code_used = reader_i64(reader);
	identity->enrolled = reader_i64(reader);
	if (version == VERSION_2)
		identity->code_used = identity->enrolled;
	identity->revoked = reader_i64(reader);
	read_serial(reader, identity);
	identity->creator = reader_lv_str(reader);
}

static bool is_sound(const struct identity *identity)
{
	for (size_t i = 0; i < identity->roles_count; i++) {
		if (!text_is_label(identity->roles[i]))
			return false;
	}
	switch (identity->kind) {
	case IDENTITY_CERTIFICATE:
		return identity->ttl > 0 && identity->ttl <= IDENTITY_TTL_MAX;
	case IDENTITY_TOKEN:
		/* Never one that lasts for ever, or of no cluster. */
		return identity->expires > 0 && identity->cluster != NULL &&
		    identity->ttl == 0;
	}
	return false;
}

bool identity_read(const uint8_t id[static IDENTITY_ID_SIZE],
    struct bytes record, struct identity **identity_out)
{
	OWNED(identity) identity = mem_zalloc(sizeof(*identity));
	struct reader reader = reader_over(record);
	uint8_t version = reader_u8(&reader);
	bool known = true;

	memcpy(identity->id, id, IDENTITY_ID_SIZE);
	switch (version) {
	case VERSION_1:
		known = read_v1(&reader, identity);
		break;
	case VERSION_2:
	case IDENTITY_RECORD_VERSION:
		read_newer(&reader, version, identity);
		break;
	default:
		known = false;
	}
	if (!known || !reader_done(&reader) || !is_sound(identity))
		return false;
	*identity_out = GIVE(identity);
	return true;
}
