// SPDX-License-Identifier: Apache-2.0
#include "store/table.h"

static const struct {
	const char *name;
	enum table_rule rule;
} tables[] = {
#define TABLE(id, name, rule) {name, TABLE_RULE_##rule},
#include "store/tables.def"
#undef TABLE
};

const char *table_name(enum table table)
{
	return tables[table].name;
}

enum table_rule table_rule(enum table table)
{
	return tables[table].rule;
}

bool table_find(struct bytes name, enum table *table_out)
{
	for (unsigned i = 0; i < ARRAY_LEN(tables); i++) {
		if (!bytes_equal(name, bytes_str(tables[i].name)))
			continue;
		*table_out = (enum table)i;
		return true;
	}
	return false;
}
