// SPDX-License-Identifier: Apache-2.0
#include "policies/locate.h"

#include <stdlib.h>
#include <string.h>
#include <yaml.h>

/* Loads TEXT whole; the caller deletes the document when true. */
static bool load(struct bytes text, yaml_document_t *document)
{
	yaml_parser_t parser;
	bool loaded;

	if (yaml_parser_initialize(&parser) == 0)
		return false;
	yaml_parser_set_input_string(&parser, text.data, text.len);
	loaded = yaml_parser_load(&parser, document) != 0;
	yaml_parser_delete(&parser);
	return loaded;
}

static bool scalar_is(const yaml_node_t *node, struct bytes text)
{
	return node != NULL && node->type == YAML_SCALAR_NODE &&
	    bytes_equal(BYTES(node->data.scalar.value, node->data.scalar.length),
		text);
}

static yaml_node_pair_t *find_pair(
    yaml_document_t *document, const yaml_node_t *node, struct bytes key)
{
	yaml_node_pair_t *pair = node->data.mapping.pairs.start;

	for (; pair < node->data.mapping.pairs.top; pair++) {
		if (scalar_is(yaml_document_get_node(document, pair->key), key))
			return pair;
	}
	return NULL;
}

/* One step of PATH down from NODE; NULL when there is no such child. */
static yaml_node_t *step(
    yaml_document_t *document, const yaml_node_t *node, const char **path)
{
	const yaml_node_pair_t *pair;
	struct bytes key;

	if (**path == '[') {
		char *end;
		unsigned long index = strtoul(*path + 1, &end, 10);

		*path = *end == ']' ? end + 1 : end;
		if (node->type != YAML_SEQUENCE_NODE ||
		    index >= (size_t)(node->data.sequence.items.top -
				node->data.sequence.items.start))
			return NULL;
		return yaml_document_get_node(
		    document, node->data.sequence.items.start[index]);
	}
	*path += **path == '.';
	key = BYTES(*path, strcspn(*path, ".["));
	*path += key.len;
	pair = node->type == YAML_MAPPING_NODE
		? find_pair(document, node, key) : NULL;
	return pair == NULL ? NULL
			    : yaml_document_get_node(document, pair->value);
}

size_t locate_line(struct bytes text, const char *path)
{
	yaml_document_t document;
	yaml_node_t *node;
	size_t line = 0;

	if (!load(text, &document))
		return 0;
	node = yaml_document_get_root_node(&document);
	while (node != NULL) {
		line = node->start_mark.line + 1;
		if (*path == '\0')
			break;
		node = step(&document, node, &path);
	}
	yaml_document_delete(&document);
	return line;
}

/* The line of the first repeated key of one mapping, 0 when there is none. */
static size_t repeated_in(yaml_document_t *document, const yaml_node_t *node)
{
	yaml_node_pair_t *pair = node->data.mapping.pairs.start;

	for (; pair < node->data.mapping.pairs.top; pair++) {
		const yaml_node_t *key =
		    yaml_document_get_node(document, pair->key);

		if (key == NULL || key->type != YAML_SCALAR_NODE)
			continue;
		if (find_pair(document, node, BYTES(key->data.scalar.value,
			key->data.scalar.length)) != pair)
			return key->start_mark.line + 1;
	}
	return 0;
}

size_t locate_repeated_key(struct bytes text)
{
	yaml_document_t document;
	const yaml_node_t *node;
	size_t line = 0;

	if (!load(text, &document))
		return 0;
	for (int i = 1; line == 0; i++) {
		node = yaml_document_get_node(&document, i);
		if (node == NULL)
			break;
		if (node->type == YAML_MAPPING_NODE)
			line = repeated_in(&document, node);
	}
	yaml_document_delete(&document);
	return line;
}
