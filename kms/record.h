// SPDX-License-Identifier: Apache-2.0
/* The records behind a key: its name (table KEYS) and its versions (KEKS). */
#ifndef KMS_RECORD_H
#define KMS_RECORD_H

#include "kms/keyring.h"
#include "store/key.h"

#define KEK_BLOB_MAX 64 /* octets; RFC 3394 of 32 is 40 */
#define KEK_MAC_SIZE 32

/* One version of a KEK as the store holds it. */
struct kek_record {
	uint8_t key_id[KEY_ID_SIZE];
	uint32_t version;
	enum kek_state state;
	int64_t created; /* seconds */
	size_t blob_len;
	uint8_t blob[KEK_BLOB_MAX];
	uint8_t mac[KEK_MAC_SIZE];
};

void key_record_write(const struct key_info *info, struct buf *out);
/* Cluster and name come from the key of the row, which the MAC of each version
 * binds; the state is that of the active version and is not set.  False for
 * octets that no version of this program wrote. */
MUST_CHECK bool key_record_read(
    struct bytes row_key, struct bytes value, struct key_info **info_out);

void kek_record_write(const struct kek_record *record, struct buf *out);
MUST_CHECK bool kek_record_read(struct bytes value, struct kek_record *out);

struct key key_row(const char *cluster, const char *name);
struct key kek_row(const uint8_t key_id[static KEY_ID_SIZE], uint32_t version);

/* What the MAC covers: cluster, name, and all of the record but the MAC. */
void kek_record_mac_input(const struct kek_record *record,
    const struct key_info *info, struct buf *out);

#endif
