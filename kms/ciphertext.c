// SPDX-License-Identifier: Apache-2.0
#include "kms/ciphertext.h"

#include <stdio.h>
#include <string.h>

#include "base/text.h"

#define FORMAT 1
#define IV_SIZE 12
#define TAG_SIZE 16

void ciphertext_write(const struct ciphertext *parts, struct buf *out)
{
	OWNED_BUF(raw);

	buf_put_u8(&raw, FORMAT);
	buf_put(&raw, parts->key_id, sizeof(parts->key_id));
	buf_put_u32(&raw, parts->version);
	buf_put_bytes(&raw, parts->sealed);
	buf_printf(out, "signet:v%u:", parts->version);
	base64_put(out, buf_bytes(&raw));
}

static bool parse_raw(struct bytes raw, struct ciphertext *parts)
{
	struct reader reader = reader_over(raw);
	uint8_t format = reader_u8(&reader);

	reader_copy(&reader, parts->key_id, sizeof(parts->key_id));
	parts->version = reader_u32(&reader);
	parts->sealed = reader_take(&reader, reader.left);
	return reader_done(&reader) && format == FORMAT &&
	    parts->version != 0 && parts->sealed.len > IV_SIZE + TAG_SIZE;
}

bool ciphertext_parse(
    struct bytes text, struct buf *raw, struct ciphertext *parts_out)
{
	static const char begin[] = "signet:v";
	const size_t begin_len = sizeof(begin) - 1;
	char version[16];
	int len;

	if (text.len > CIPHERTEXT_TEXT_MAX || text.len <= begin_len ||
	    memcmp(text.data, begin, begin_len) != 0)
		return false;
	text = BYTES(text.data + begin_len, text.len - begin_len);
	const uint8_t *colon = memchr(text.data, ':', text.len);
	if (colon == NULL)
		return false;
	size_t digits = (size_t)(colon - text.data);
	if (!base64_parse(
		BYTES(colon + 1, text.len - digits - 1), raw) ||
	    !parse_raw(buf_bytes(raw), parts_out))
		return false;
	/* The number in clear must be the one inside, digit for digit. */
	len = snprintf(version, sizeof(version), "%u", parts_out->version);
	return bytes_equal(
	    BYTES(text.data, digits), BYTES(version, (size_t)len));
}
