// SPDX-License-Identifier: Apache-2.0
/* Copies of a store: to a file, from one, and as a stream for who keeps them in
 * another way; and the moving of a store to its place. */
#ifndef STORE_BACKUP_H
#define STORE_BACKUP_H

#include "store/store.h"

/* Is told how many octets of a copy there are so far; of how many, roughly, is
 * store_stats' USED.  NULL: nobody is. */
struct store_progress {
	void (*tell)(void *arg, uint64_t octets);
	void *arg;
};
/*
 * Writes a consistent copy into the new file PATH (mode 0600, must not exist),
 * syncs file and folder, and checks that it opens and its audit log verifies.
 * Writers go on meanwhile.  On failure nothing is left.
 * Errors: ERR_EXISTS, ERR_IO, ERR_STORE, ERR_CORRUPT.
 */
MUST_CHECK enum err_code store_backup(struct store *store, const char *path,
    const struct store_progress *progress, struct err *err);
/* Makes a new store folder DIR from a backup, having verified it.
 * Errors: ERR_NOT_FOUND, ERR_EXISTS, ERR_CONFIG, ERR_IO, ERR_STORE,
 * ERR_CORRUPT. */
MUST_CHECK enum err_code store_restore(const char *path, const char *dir,
    const struct store_progress *progress, struct err *err);

/* Takes the octets of a copy, in order. */
struct store_sink {
	enum err_code (*put)(void *arg, struct bytes octets, struct err *err);
	/* What was put is void: the copy begins anew. */
	enum err_code (*restart)(void *arg, struct err *err);
	void *arg;
};
/*
 * Gives SINK a consistent copy, as store_backup writes it, in constant memory; what
 * it is written to, and verified by, is the caller's.  Another thread reads the
 * store meanwhile.  Errors: ERR_IO, ERR_STORE, ERR_CORRUPT, those of SINK.
 */
MUST_CHECK enum err_code store_copy(
    struct store *store, const struct store_sink *sink, struct err *err);
/*
 * As store_restore, of a copy that FILL puts into the sink that it is given.  Its
 * octets are at once those of DIR's data, of mode 0600.  On failure, FILL's too,
 * nothing is left.  Errors: as store_restore, and those of FILL.
 */
typedef enum err_code store_fill(
    void *arg, const struct store_sink *sink, struct err *err);
MUST_CHECK enum err_code store_receive(
    const char *dir, store_fill *fill, void *arg, struct err *err);
/* The file of DIR's data, which store_open_copy takes while nobody writes to it;
 * malloc'd. */
char *store_data_path(const char *dir);

/*
 * Nobody uses the folder DIR and it has no store, or there is no such folder.  Leaves
 * nothing there.
 * Errors: ERR_EXISTS; ERR_CONFIG when a server has it; ERR_IO.
 */
MUST_CHECK enum err_code store_check_vacant(const char *dir, struct err *err);
/*
 * Moves the store in the folder FROM, which nobody has open, into the folder DIR
 * of the same file system, by one rename: at any moment DIR has it whole, or has
 * none.  FROM goes.  Errors: as store_check_vacant.
 */
MUST_CHECK enum err_code store_move(
    const char *from, const char *dir, struct err *err);
/* Removes the store in the folder FROM, and the folder. */
void store_remove(const char *from);

#endif
