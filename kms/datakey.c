// SPDX-License-Identifier: Apache-2.0
#include "kms/datakey.h"

#include <string.h>

#include "kms/record.h"

/* One text for all that does not fit: which part it was tells an attacker more
 * than an honest caller. */
static enum err_code refuse_ciphertext(struct err *err)
{
	return err_refuse(err, ERR_UNWRAP,
	    "the ciphertext was not made by this key with this context, or "
	    "was changed");
}

/* What the seal binds (AAD): where the data key belongs, and the context. */
static void write_aad(const struct key_info *info, uint32_t version,
    const struct context *context, struct buf *out)
{
	buf_put_lv_str(out, "signet data key 1");
	buf_put_lv_str(out, info->cluster);
	buf_put(out, info->id, sizeof(info->id));
	buf_put_u32(out, version);
	context_write(context, out);
}

static bool bits_allowed(int64_t bits)
{
	return bits == 128 || bits == 256 || bits == 384 || bits == 512;
}

enum err_code datakey_make(struct keyring *ring, const struct datakey_use *use,
    int64_t bits, struct secret **plaintext_out, struct buf *ciphertext_text,
    uint32_t *version_out, struct err *err)
{
	OWNED(key_info) info = NULL;
	OWNED_BUF(aad);
	OWNED_BUF(sealed);
	struct kek_record record;
	enum err_code code;

	if (!bits_allowed(bits))
		return err_refuse(err, ERR_BAD_FIELD,
		    "bits: %lld is not 128, 256, 384 or 512", (long long)bits);
	if ((code = keyring_lookup(
		 ring, use->cluster, use->name, &info, err)) != ERR_OK ||
	    (code = keyring_kek(ring, info, 0, &record, err)) != ERR_OK)
		return code;
	write_aad(info, record.version, use->context, &aad);
	struct hsm_kek kek = {
	    keyring_root(ring), BYTES(record.blob, record.blob_len)};
	if ((code = hsm_data_key(keyring_hsm(ring), &kek, buf_bytes(&aad),
		 (size_t)bits / 8, plaintext_out, &sealed, err)) != ERR_OK)
		return code;
	struct ciphertext parts = {
	    .version = record.version, .sealed = buf_bytes(&sealed)};
	memcpy(parts.key_id, info->id, KEY_ID_SIZE);
	ciphertext_write(&parts, ciphertext_text);
	*version_out = record.version;
	return ERR_OK;
}

enum err_code datakey_unwrap(struct keyring *ring,
    const struct datakey_use *use, struct bytes ciphertext_text,
    struct secret **plaintext_out, uint32_t *version_out, struct err *err)
{
	OWNED(key_info) info = NULL;
	OWNED_BUF(raw);
	OWNED_BUF(aad);
	struct ciphertext parts;
	struct kek_record record;
	enum err_code code;

	if ((code = keyring_lookup(
		 ring, use->cluster, use->name, &info, err)) != ERR_OK)
		return code;
	if (!ciphertext_parse(ciphertext_text, &raw, &parts) ||
	    memcmp(parts.key_id, info->id, KEY_ID_SIZE) != 0)
		return refuse_ciphertext(err);
	code = keyring_kek(ring, info, parts.version, &record, err);
	if (code == ERR_NOT_FOUND) {
		err_clear(err);
		return refuse_ciphertext(err);
	}
	if (code != ERR_OK)
		return code;
	write_aad(info, record.version, use->context, &aad);
	struct hsm_kek kek = {
	    keyring_root(ring), BYTES(record.blob, record.blob_len)};
	code = hsm_open_sealed(keyring_hsm(ring), &kek, buf_bytes(&aad),
	    parts.sealed, plaintext_out, err);
	if (code == ERR_UNWRAP) {
		err_clear(err);
		return refuse_ciphertext(err);
	}
	if (code == ERR_OK)
		*version_out = record.version;
	return code;
}
