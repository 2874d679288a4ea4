// SPDX-License-Identifier: Apache-2.0
/* Reading the records of one kind (identities, tokens, approvals, clusters): one
 * by its key, or a page of them in the order of their keys. */
#ifndef POLICIES_ROW_H
#define POLICIES_ROW_H

#include "store/store.h"

/* A SLOT is where the pointer to an object of the kind stands. */
struct row_kind {
	const char *name;	/* of one, in messages: "identity" */
	enum table table;
	size_t id_size;		/* octets of its key; 0: a name and a zero octet */
	/* Total: an object in *SLOT, with its revision, or false. */
	bool (*read)(struct bytes key, struct bytes record, uint64_t revision,
	    void *slot);
	void (*drop)(void *slot);
};

/* TYPE_row, the kind of what TYPE_read reads by a key of ID_SIZE octets. */
#define DEFINE_ROW_KIND(type, of_table, of_id_size)                            \
	static bool type##_row_read(struct bytes key, struct bytes record,     \
	    uint64_t revision, void *slot)                                     \
	{                                                                      \
		struct type **read = slot;                                     \
                                                                               \
		if (!type##_read(key.data, record, read))                      \
			return false;                                          \
		(*read)->revision = revision;                                  \
		return true;                                                   \
	}                                                                      \
	static void type##_row_drop(void *slot)                                \
	{                                                                      \
		type##_free(*(struct type **)slot);                            \
	}                                                                      \
	static const struct row_kind type##_row = {                            \
	    .name = #type,                                                     \
	    .table = (of_table),                                               \
	    .id_size = (of_id_size),                                           \
	    .read = type##_row_read,                                           \
	    .drop = type##_row_drop,                                           \
	}

/* The one under KEY, of the kind's size; *FOUND_OUT says whether there is one,
 * without which *SLOT is left as it is.
 * Errors: ERR_CORRUPT, those of store_find. */
MUST_CHECK enum err_code row_find(struct store *store,
    const struct row_kind *kind, struct bytes key, void *slot, bool *found_out,
    struct err *err);
/* As row_find of an id; that there is none is ERR_NOT_FOUND. */
MUST_CHECK enum err_code row_get(struct store *store,
    const struct row_kind *kind, const uint8_t *id, void *slot,
    struct err *err);

/* What a page is asked for and what it gets. */
struct row_page {
	struct bytes after;	/* the key before the first; empty: from the start */
	size_t limit;
	void *slots;		/* LIMIT of them, one behind the other */
	size_t count;		/* how many were filled; none on an error */
};

/* Fills PAGE; the revision of what it reads is 0.
 * Errors: ERR_CORRUPT, those of scan_next. */
MUST_CHECK enum err_code row_list(struct store *store,
    const struct row_kind *kind, struct row_page *page, struct err *err);

#endif
