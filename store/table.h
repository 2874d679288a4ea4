// SPDX-License-Identifier: Apache-2.0
/* What store/tables.def says of a table. */
#ifndef STORE_TABLE_H
#define STORE_TABLE_H

#include "store/store.h"

enum table_rule { TABLE_RULE_SEALED, TABLE_RULE_COUNTED, TABLE_RULE_PLAIN };

const char *table_name(enum table table);
enum table_rule table_rule(enum table table);
/* The table of that name; false when there is none. */
MUST_CHECK bool table_find(struct bytes name, enum table *table_out);

#endif
