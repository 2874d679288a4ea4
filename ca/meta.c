// SPDX-License-Identifier: Apache-2.0
#include "ca/ceremony.h"

#define RECORD_VERSION 1

void meta_put_text(struct batch *batch, const char *name, const char *text)
{
	OWNED_BUF(value);

	buf_put_u8(&value, RECORD_VERSION);
	buf_put_lv_str(&value, text);
	batch_put(batch, TABLE_META, bytes_str(name), buf_bytes(&value));
}

enum err_code meta_get_text(struct store *store, const char *name,
    char **text_out, struct err *err)
{
	OWNED_STR(text) = NULL;
	OWNED_BUF(value);
	struct reader in;
	enum err_code code;
	uint8_t version;
	bool found;

	code = store_find(store, TABLE_META, bytes_str(name), &value, NULL,
	    &found, err);
	if (code != ERR_OK)
		return code;
	if (!found)
		return err_refuse(err, ERR_NOT_FOUND,
		    "\"%s\" is not recorded: signet init has not run here",
		    name);
	in = reader_over(buf_bytes(&value));
	version = reader_u8(&in);
	text = reader_lv_str(&in);
	if (!reader_done(&in) || version != RECORD_VERSION)
		return err_fail(err, ERR_CORRUPT, "record %s does not decode",
		    name);
	*text_out = GIVE(text);
	return ERR_OK;
}
