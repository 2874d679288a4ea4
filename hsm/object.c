// SPDX-License-Identifier: Apache-2.0
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "hsm/object.h"
#include "hsm/rule.h"

void object_skip(struct reader *reader)
{
	for (int i = 0; i < 5; i++)	/* uri, label, kind, key type, id */
		(void)reader_lv(reader);
	(void)reader_u32(reader);
	(void)reader_u32(reader);
}

bool object_parse(struct reader *reader, struct hsm_object *object)
{
	struct bytes id;

	object->uri = reader_lv_str(reader);
	object->label = reader_lv_str(reader);
	object->kind = reader_lv_str(reader);
	object->key_type = reader_lv_str(reader);
	id = reader_lv(reader);
	object->attributes = reader_u32(reader);
	object->unknown = reader_u32(reader);
	if (reader->failed || id.len > sizeof(object->id))
		return false;
	if (id.len > 0)
		memcpy(object->id, id.data, id.len);
	object->id_len = id.len;
	return true;
}

void object_clear(struct hsm_object *object)
{
	free(object->uri);
	free(object->label);
	free(object->kind);
	free(object->key_type);
}

void hsm_object_list_free(struct hsm_object_list *list)
{
	if (list == NULL)
		return;
	for (size_t i = 0; i < list->count; i++)
		object_clear(&list->objects[i]);
	free(list->objects);
	free(list);
}

const char *hsm_object_unsafe(const struct hsm_object *object)
{
	return rule_broken(
	    object->kind, object->attributes, object->unknown);
}
