// SPDX-License-Identifier: Apache-2.0
#include "store/audit_json.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"

static void set(json_t *object, const char *key, json_t *value)
{
	if (value == NULL || json_object_set_new(object, key, value) != 0)
		abort();
}

/* What an older version let in may be no UTF-8; its hash tells. */
static json_t *text(const char *value)
{
	json_t *json = json_string(value);

	return json != NULL ? json : json_string(err_quote_str(value));
}

static void set_text(json_t *object, const char *key, const char *value)
{
	if (value != NULL)
		set(object, key, text(value));
}

json_t *audit_to_json(
    const struct audit_entry *entry, const uint8_t leaf[static 32])
{
	char time[CLOCK_TEXT_SIZE], hex[65];
	json_t *json = json_object();

	set(json, "sequence", json_integer((json_int_t)entry->sequence));
	set_text(json, "time", clock_format_ms(entry->time_ms, time));
	set_text(json, "action", entry->action);
	set_text(json, "result", entry->result);
	set_text(json, "actor", entry->actor);
	set_text(json, "source", entry->source);
	set_text(json, "cluster", entry->cluster);
	set_text(json, "object", entry->object);
	set_text(json, "rule", entry->rule);
	set_text(json, "request_id", entry->request_id);
	set_text(json, "detail", entry->detail);
	set_text(json, "leaf", hex_write(leaf, 32, hex));
	return json;
}

#define TEXT_MAX 65536

enum err_code audit_from_json(json_t *json, struct audit_entry *entry_out,
    uint8_t leaf_out[static 32], struct err *err)
{
	struct audit_entry entry = {0};
	const char *time = NULL, *leaf = NULL;
	int64_t sequence = 0;
	const struct json_field fields[] = {
	    {"sequence", JSON_KIND_INT, true, 1, INT64_MAX, &sequence},
	    {"time", JSON_KIND_STR, true, 1, 64, &time},
	    {"action", JSON_KIND_STR, false, 1, TEXT_MAX, &entry.action},
	    {"result", JSON_KIND_STR, false, 1, TEXT_MAX, &entry.result},
	    {"actor", JSON_KIND_STR, false, 1, TEXT_MAX, &entry.actor},
	    {"source", JSON_KIND_STR, false, 1, TEXT_MAX, &entry.source},
	    {"cluster", JSON_KIND_STR, false, 1, TEXT_MAX, &entry.cluster},
	    {"object", JSON_KIND_STR, false, 1, TEXT_MAX, &entry.object},
	    {"rule", JSON_KIND_STR, false, 1, TEXT_MAX, &entry.rule},
	    {"request_id", JSON_KIND_STR, false, 1, TEXT_MAX,
		&entry.request_id},
	    {"detail", JSON_KIND_STR, false, 1, TEXT_MAX, &entry.detail},
	    {"leaf", JSON_KIND_STR, true, 64, 64, &leaf},
	};
	enum err_code code = json_read(json, fields, ARRAY_LEN(fields), err);

	if (code != ERR_OK)
		return code;
	if (!clock_parse_ms(time, strlen(time), &entry.time_ms))
		return err_refuse(err, ERR_BAD_FIELD,
		    "time is none with milliseconds");
	if (!hex_parse(leaf, leaf_out, 32))
		return err_refuse(err, ERR_BAD_FIELD, "leaf is no hash");
	entry.sequence = (uint64_t)sequence;
	*entry_out = entry;
	return ERR_OK;
}

json_t *audit_checkpoint_json(struct bytes note)
{
	json_t *json = json_object();

	set(json, "checkpoint",
	    json_stringn((const char *)note.data, note.len));
	return json;
}
