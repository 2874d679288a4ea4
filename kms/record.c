// SPDX-License-Identifier: Apache-2.0
#include "kms/record.h"

#include <string.h>

#define KEY_RECORD_FORMAT 1
#define KEK_RECORD_FORMAT 1

static bool state_known(uint8_t state)
{
	return state >= KEK_ENABLED && state <= KEK_DESTROYED;
}

void key_record_write(const struct key_info *info, struct buf *out)
{
	buf_put_u8(out, KEY_RECORD_FORMAT);
	buf_put(out, info->id, sizeof(info->id));
	buf_put_u32(out, info->version);
	buf_put_i64(out, info->created);
}

/* The row's key is two texts, each closed by one zero octet. */
static bool row_names(struct bytes row_key, struct key_info *info)
{
	struct reader reader = reader_over(row_key);
	char **const names[] = {&info->cluster, &info->name};

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		const uint8_t *end = reader.left == 0
					 ? NULL
					 : memchr(reader.next, 0, reader.left);
		if (end == NULL || end == reader.next)
			return false;
		size_t len = (size_t)(end - reader.next);
		*names[i] = mem_strndup((const char *)reader.next, len);
		(void)reader_take(&reader, len + 1);
	}
	return reader_done(&reader);
}

bool key_record_read(
    struct bytes row_key, struct bytes value, struct key_info **info_out)
{
	OWNED(key_info) info = mem_zalloc(sizeof(*info));
	struct reader reader = reader_over(value);
	uint8_t format = reader_u8(&reader);

	reader_copy(&reader, info->id, sizeof(info->id));
	info->version = reader_u32(&reader);
	info->created = reader_i64(&reader);
	if (!reader_done(&reader) || format != KEY_RECORD_FORMAT ||
	    info->version == 0 || !row_names(row_key, info))
		return false;
	*info_out = GIVE(info);
	return true;
}

void kek_record_write(const struct kek_record *record, struct buf *out)
{
	buf_put_u8(out, KEK_RECORD_FORMAT);
	buf_put(out, record->key_id, sizeof(record->key_id));
	buf_put_u32(out, record->version);
	buf_put_u8(out, (uint8_t)record->state);
	buf_put_i64(out, record->created);
	buf_put_lv(out, BYTES(record->blob, record->blob_len));
	buf_put(out, record->mac, sizeof(record->mac));
}

bool kek_record_read(struct bytes value, struct kek_record *out)
{
	struct reader reader = reader_over(value);
	uint8_t format = reader_u8(&reader);

	reader_copy(&reader, out->key_id, sizeof(out->key_id));
	out->version = reader_u32(&reader);
	uint8_t state = reader_u8(&reader);
	out->created = reader_i64(&reader);
	struct bytes blob = reader_lv(&reader);
	reader_copy(&reader, out->mac, sizeof(out->mac));
	if (!reader_done(&reader) || format != KEK_RECORD_FORMAT ||
	    !state_known(state) || blob.len == 0 ||
	    blob.len > sizeof(out->blob))
		return false;
	out->state = (enum kek_state)state;
	out->blob_len = blob.len;
	memcpy(out->blob, blob.data, blob.len);
	return true;
}

struct key key_row(const char *cluster, const char *name)
{
	struct key key = KEY_INIT;

	key_add_text(&key, cluster);
	key_add_text(&key, name);
	return key;
}

struct key kek_row(const uint8_t key_id[static KEY_ID_SIZE], uint32_t version)
{
	struct key key = KEY_INIT;

	key_add_octets(&key, BYTES(key_id, KEY_ID_SIZE));
	key_add_u32(&key, version);
	return key;
}

void kek_record_mac_input(const struct kek_record *record,
    const struct key_info *info, struct buf *out)
{
	buf_put_lv_str(out, "signet kek record 1");
	buf_put_lv_str(out, info->cluster);
	buf_put_lv_str(out, info->name);
	buf_put(out, record->key_id, sizeof(record->key_id));
	buf_put_u32(out, record->version);
	buf_put_u8(out, (uint8_t)record->state);
	buf_put_i64(out, record->created);
	buf_put_lv(out, BYTES(record->blob, record->blob_len));
}
