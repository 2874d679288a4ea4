// SPDX-License-Identifier: Apache-2.0
#include "hsm/quirks.h"

#include <string.h>

#include "base/own.h"
#include "hsm/durable.h"

/* The first row that fits is taken; the last fits every token that keeps to
 * PKCS#11 2.40. */
static const struct quirks table[] = {
    {
	.manufacturer = "SoftHSM project",
	.model = "SoftHSM v2",
	.key_wrap = CKM_AES_KEY_WRAP,
	.allowed_mechanisms = true,
	.unwrap_template = true,
	.copyable = true,
	/* 2.6.1 refuses to copy what is not modifiable; tried all the same,
	 * for a version that allows it signs at half the cost again */
	.copies = true,
	.general_error_is_bad_tag = true,
	.make_durable = durable_softhsm,
    },
    {
	.key_wrap = CKM_AES_KEY_WRAP,
	.allowed_mechanisms = true,
	.unwrap_template = true,
	.copyable = true,
	.copies = true,
    },
};

/* A field of CK_TOKEN_INFO: padded by blanks, without a NUL. */
static bool field_is(
    const unsigned char *field, size_t size, const char *text, bool whole)
{
	size_t len = size;

	if (text == NULL)
		return true;
	while (len > 0 && field[len - 1] == ' ')
		len--;
	if (len < strlen(text) || (whole && len != strlen(text)))
		return false;
	return memcmp(field, text, strlen(text)) == 0;
}

const struct quirks *quirks_of(const CK_TOKEN_INFO *info)
{
	size_t i = 0;

	while (i + 1 < ARRAY_LEN(table) &&
	       !(field_is(info->manufacturerID, sizeof(info->manufacturerID),
		     table[i].manufacturer, true) &&
		   field_is(info->model, sizeof(info->model), table[i].model,
		       false)))
		i++;
	return &table[i];
}
