// SPDX-License-Identifier: Apache-2.0
#include "ca/node.h"

#include <openssl/rand.h>

#define META_NODE "ca-node"
#define RECORD_VERSION 1
#define NODE_MAX 0x7f

enum err_code node_get(struct store *store, struct batch *batch,
    uint8_t *node_out, struct err *err)
{
	struct bytes name = bytes_str(META_NODE);
	OWNED_BUF(value);
	enum err_code code;
	uint8_t octet;
	bool found;

	code = store_find(store, TABLE_META, name, &value, NULL, &found, err);
	if (code != ERR_OK)
		return code;
	if (found) {
		if (value.len != 2 || value.data[0] != RECORD_VERSION ||
		    value.data[1] == 0 || value.data[1] > NODE_MAX)
			return err_fail(err, ERR_CORRUPT,
			    "record of the node does not decode");
		*node_out = value.data[1];
		return ERR_OK;
	}
	if (RAND_bytes(&octet, 1) != 1)
		return err_fail_crypto(err, "drawing the node");
	*node_out = (uint8_t)(1 + octet % NODE_MAX);
	buf_put_u8(&value, RECORD_VERSION);
	buf_put_u8(&value, *node_out);
	batch_put(batch, TABLE_META, name, buf_bytes(&value));
	batch_require_absent(batch, TABLE_META, name);
	return ERR_OK;
}
