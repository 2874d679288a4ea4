// SPDX-License-Identifier: Apache-2.0
#include "ca/manifest.h"

#include <stdlib.h>
#include <string.h>

#include "ca/ceremony.h"
#include "ca/notary.h"
#include "ca/storekey.h"
#include "store/audit.h"

#define RECORD_VERSION 1

void manifest_end(struct manifest *manifest)
{
	free(manifest->log);
	for (size_t i = 0; i < manifest->keys_count; i++)
		free(manifest->keys[i]);
	*manifest = (struct manifest){0};
}

/* NULL where the store does not record it. */
static enum err_code find_text(struct store *store, const char *name,
    char **text_out, struct err *err)
{
	enum err_code code = meta_get_text(store, name, text_out, err);

	if (code != ERR_NOT_FOUND)
		return code;
	err_clear(err);
	*text_out = NULL;
	return ERR_OK;
}

static bool has_key(const struct manifest *manifest, const char *uri)
{
	for (size_t i = 0; i < manifest->keys_count; i++)
		if (strcmp(manifest->keys[i], uri) == 0)
			return true;
	return false;
}

/* Owns URI, which may be NULL. */
static void add_key(struct manifest *manifest, char *uri)
{
	if (uri == NULL || has_key(manifest, uri) ||
	    manifest->keys_count == MANIFEST_KEYS_MAX)
		free(uri);
	else
		manifest->keys[manifest->keys_count++] = uri;
}

static enum err_code find_keys(
    struct store *store, struct manifest *manifest, struct err *err)
{
	static const char *const names[] = {
	    META_WRAP_KEY_URI, META_MAC_KEY_URI, META_AUDIT_KEY_URI};
	char *uri = NULL;
	enum err_code code = storekey_root(store, &uri, err);

	if (code == ERR_OK)
		add_key(manifest, uri);
	for (size_t i = 0; code == ERR_OK && i < ARRAY_LEN(names); i++) {
		uri = NULL;
		code = find_text(store, names[i], &uri, err);
		if (code == ERR_OK)
			add_key(manifest, uri);
	}
	return code;
}

enum err_code manifest_of(struct store *store, int64_t created,
    struct manifest *manifest_out, struct err *err)
{
	OWNED_MANIFEST(manifest);
	struct audit_head head;
	enum err_code code;

	if ((code = store_format(store, &manifest.store_format, err)) !=
		ERR_OK ||
	    (code = audit_head(store, &head, err)) != ERR_OK ||
	    (code = find_text(store, META_AUDIT_LOG, &manifest.log, err)) !=
		ERR_OK ||
	    (code = find_keys(store, &manifest, err)) != ERR_OK)
		return code;
	if (manifest.log == NULL)
		manifest.log = mem_strdup("");
	manifest.created = created;
	manifest.entries = head.sequence;
	memcpy(manifest.root, head.hash, sizeof(manifest.root));
	*manifest_out = manifest;
	manifest = (struct manifest){0};
	return ERR_OK;
}

void manifest_write(const struct manifest *manifest, struct buf *out)
{
	buf_put_u8(out, RECORD_VERSION);
	buf_put_i64(out, manifest->created);
	buf_put_u32(out, manifest->store_format);
	buf_put_lv_str(out, manifest->log);
	buf_put_u64(out, manifest->entries);
	buf_put(out, manifest->root, sizeof(manifest->root));
	buf_put_u8(out, (uint8_t)manifest->keys_count);
	for (size_t i = 0; i < manifest->keys_count; i++)
		buf_put_lv_str(out, manifest->keys[i]);
}

static bool read_record(struct reader *in, struct manifest *manifest)
{
	uint8_t version = reader_u8(in);

	manifest->created = reader_i64(in);
	manifest->store_format = reader_u32(in);
	manifest->log = reader_lv_str(in);
	manifest->entries = reader_u64(in);
	reader_copy(in, manifest->root, sizeof(manifest->root));
	uint8_t count = reader_u8(in);
	if (version != RECORD_VERSION || count > MANIFEST_KEYS_MAX)
		return false;
	for (size_t i = 0; i < count && !in->failed; i++) {
		char *uri = reader_lv_str(in);

		if (uri != NULL)
			manifest->keys[manifest->keys_count++] = uri;
	}
	return reader_done(in);
}

static bool is_time(int64_t seconds)
{
	return seconds >= 0 && seconds <= INT64_C(253402300799);
}

bool manifest_read(struct bytes record, struct manifest *manifest_out)
{
	OWNED_MANIFEST(manifest);
	struct reader in = reader_over(record);

	if (record.len > MANIFEST_MAX || !read_record(&in, &manifest) ||
	    !is_time(manifest.created) || manifest.entries > INT64_MAX)
		return false;
	*manifest_out = manifest;
	manifest = (struct manifest){0};
	return true;
}
