// SPDX-License-Identifier: Apache-2.0
#include "kms/context.h"

#include <stdlib.h>
#include <string.h>

#include "base/text.h"

struct pair {
	char *name, *value;
};

struct context {
	struct pair pairs[CONTEXT_PAIRS_MAX]; /* sorted by name */
	size_t count;
	size_t octets;
};

struct context *context_new(void)
{
	return mem_zalloc(sizeof(struct context));
}

void context_free(struct context *context)
{
	if (context == NULL)
		return;
	for (size_t i = 0; i < context->count; i++) {
		free(context->pairs[i].name);
		free(context->pairs[i].value);
	}
	free(context);
}

static enum err_code check_pair(const struct context *context, const char *name,
    const char *value, struct err *err)
{
	if (*name == '\0')
		return err_refuse(
		    err, ERR_BAD_FIELD, "context: a name is empty");
	if (!text_is_utf8(bytes_str(name)) || !text_is_utf8(bytes_str(value)))
		return err_refuse(err, ERR_BAD_FIELD,
		    "context: %s or its value is not UTF-8",
		    err_quote_str(name));
	if (context->count == CONTEXT_PAIRS_MAX)
		return err_refuse(err, ERR_BAD_FIELD,
		    "context: more than %d pairs", CONTEXT_PAIRS_MAX);
	if (strlen(name) + strlen(value) > CONTEXT_OCTETS_MAX - context->octets)
		return err_refuse(err, ERR_BAD_FIELD,
		    "context: more than %d octets of names and values",
		    CONTEXT_OCTETS_MAX);
	return ERR_OK;
}

enum err_code context_add(struct context *context, const char *name,
    const char *value, struct err *err)
{
	enum err_code code = check_pair(context, name, value, err);
	size_t at = context->count;

	if (code != ERR_OK)
		return code;
	while (at > 0 && strcmp(context->pairs[at - 1].name, name) > 0)
		at--;
	if (at > 0 && strcmp(context->pairs[at - 1].name, name) == 0)
		return err_refuse(err, ERR_BAD_FIELD,
		    "context: %s is given twice", err_quote_str(name));
	memmove(&context->pairs[at + 1], &context->pairs[at],
	    (context->count - at) * sizeof(context->pairs[0]));
	context->pairs[at] = (struct pair){mem_strdup(name), mem_strdup(value)};
	context->count++;
	context->octets += strlen(name) + strlen(value);
	return ERR_OK;
}

void context_write(const struct context *context, struct buf *out)
{
	size_t count = context == NULL ? 0 : context->count;

	buf_put_u32(out, (uint32_t)count);
	for (size_t i = 0; i < count; i++) {
		buf_put_lv_str(out, context->pairs[i].name);
		buf_put_lv_str(out, context->pairs[i].value);
	}
}
