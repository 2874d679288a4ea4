// SPDX-License-Identifier: Apache-2.0
/* Objects of the token: found by attributes, read, and named by URI. */
#ifndef HSM_ITEM_H
#define HSM_ITEM_H

#include "hsm/hsm.h"
#include "hsm/template.h"
#include "hsm/token.h"

#define ITEM_ID_MAX 255
#define ITEM_LABEL_MAX 255

struct item {
	CK_OBJECT_HANDLE handle;
	CK_OBJECT_CLASS class;
	CK_KEY_TYPE key_type; /* of keys */
	char type_text[32]; /* "ec-p256", "rsa-3072", "aes-256"; or empty */
	unsigned bits; /* of the field, modulus or secret; 0 unknown */
	uint8_t id[ITEM_ID_MAX];
	size_t id_len;
	char label[ITEM_LABEL_MAX + 1]; /* cut at a NUL */
	uint32_t attributes; /* HSM_ATTR_* */
	uint32_t unknown;
};

/* Handles that fit, at most MAX; *count_out may be MAX where there are more. */
MUST_CHECK enum wire_status item_find(struct token *token, struct template *wanted,
    CK_OBJECT_HANDLE *handles, size_t max, size_t *count_out,
    struct fault *fault);
MUST_CHECK enum wire_status item_read(struct token *token, CK_OBJECT_HANDLE handle,
    struct item *item_out, struct fault *fault);
/* One attribute of at most MAX octets; *len_out 0 when the object has none. */
MUST_CHECK enum wire_status item_attribute(struct token *token, CK_OBJECT_HANDLE handle,
    CK_ATTRIBUTE *attribute, struct fault *fault);

const char *item_kind(const struct item *item);
/* rule_broken of OBJECT. */
const char *item_unsafe(const struct item *item);
/* pkcs11:token=…;id=…;object=…;type=…; malloc'd. */
char *item_uri(const struct token *token, const struct item *item);
/* As hsm/wire.h says. */
void item_write(
    const struct token *token, const struct item *item, struct buf *out);

#endif
