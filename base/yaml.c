// SPDX-License-Identifier: Apache-2.0
#include "base/yaml.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/fs.h"
#include "base/yaml_scan.h"

/*
 * Two passes.  The first is yaml_scan's, which refuses every wrong shape with
 * the exact line, where libcyaml reports a line early or lets it pass.  The
 * second is libcyaml's, which fills the structs; only values can be wrong by
 * then.
 */

#define KEY_SIZE 256

/* What libcyaml says: a message, then a backtrace from the inside out. */
struct complaint {
	char message[KEY_SIZE];
	char key[KEY_SIZE];
	unsigned line;
};

static void read_backtrace(struct complaint *complaint, const char *text)
{
	const char *name = strchr(text, '\'');
	const char *end = strstr(text, "' (line: ");
	bool entry = strncmp(text, "  in sequence", 13) == 0;
	bool first = complaint->key[0] == '\0';
	char inner[KEY_SIZE];

	if (name == NULL || end == NULL || end <= name)
		return;
	name++;
	if (complaint->line == 0)
		complaint->line = (unsigned)strtoul(end + 9, NULL, 10);
	memcpy(inner, complaint->key, sizeof(inner));
	snprintf(complaint->key, KEY_SIZE, "%s%.*s%s%s%.200s",
	    entry ? "[" : "", (int)(end - name), name, entry ? "]" : "",
	    first || inner[0] == '[' ? "" : ".", inner);
}

PRINTF_LIKE(3, 0)
static void hear(
    cyaml_log_t level, void *context, const char *fmt, va_list args)
{
	struct complaint *complaint = context;
	char text[KEY_SIZE];

	if (level < CYAML_LOG_ERROR)
		return;
	vsnprintf(text, sizeof(text), fmt, args);
	text[strcspn(text, "\n")] = '\0';
	if (strncmp(text, "  in ", 5) == 0)
		read_backtrace(complaint, text);
	else if (complaint->message[0] == '\0')
		memcpy(complaint->message, text, sizeof(text));
}

static void *allocate(void *context, void *mem, size_t size)
{
	(void)context;
	if (size > 0)
		return mem_resize(mem, size, 1);
	free(mem);
	return NULL;
}

static enum err_code fill(const char *name, struct bytes text,
    const cyaml_schema_value_t *schema, void **data_out, struct err *err)
{
	struct complaint complaint = {.line = 0};
	const cyaml_config_t config = {
	    .log_fn = hear,
	    .log_ctx = &complaint,
	    .mem_fn = allocate,
	    .log_level = CYAML_LOG_ERROR,
	};
	const char *message = complaint.message;
	cyaml_data_t *data = NULL;
	cyaml_err_t got = cyaml_load_data(
	    text.data, text.len, &config, schema, &data, NULL);

	if (got == CYAML_OK && data != NULL) {
		*data_out = data;
		return ERR_OK;
	}
	if (strncmp(message, "Load: ", 6) == 0)
		message += 6;
	return err_refuse(err, ERR_CONFIG, "%s:%u: %s%s%s", name,
	    complaint.line, complaint.key,
	    complaint.key[0] == '\0' ? "" : ": ",
	    err_quote_str(message[0] == '\0' ? cyaml_strerror(got) : message));
}

enum err_code yaml_parse(const char *name, struct bytes text,
    const cyaml_schema_value_t *schema, void **data_out, struct err *err)
{
	enum err_code code = yaml_scan_check(name, text, schema, err);

	return code == ERR_OK ? fill(name, text, schema, data_out, err) : code;
}

enum err_code yaml_load(const char *path, const cyaml_schema_value_t *schema,
    void **data_out, struct err *err)
{
	OWNED_BUF(text);
	enum err_code code = fs_read(path, YAML_MAX_SIZE, &text, err);

	if (code == ERR_TOO_LARGE)
		return err_refuse(err, ERR_CONFIG,
		    "%s:1: longer than %zu octets", path, YAML_MAX_SIZE);
	if (code != ERR_OK)
		return code;
	return yaml_parse(path, buf_bytes(&text), schema, data_out, err);
}

void yaml_release(const cyaml_schema_value_t *schema, void *data)
{
	const cyaml_config_t config = {.mem_fn = allocate};

	if (data != NULL)
		cyaml_free(&config, schema, data, 0);
}

unsigned yaml_line_of(
    struct bytes text, const cyaml_schema_value_t *schema, const char *key)
{
	return yaml_scan_line_of(text, schema, key);
}
