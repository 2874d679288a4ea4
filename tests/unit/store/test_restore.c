// SPDX-License-Identifier: Apache-2.0
/* Goal: what was backed up comes back whole, and only where no store is; and so
 * a store moves. */
#include "fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "store/backup.h"
#include "tests/unit/store/copy.h"

static enum err_code fill_half(
    void *arg, const struct store_sink *sink, struct err *err)
{
	enum err_code code = sink->put(sink->arg, BYTES_STR("half"), err);

	(void)arg;
	return code == ERR_OK ? err_refuse(err, ERR_UNWRAP, "no more") : code;
}

static void what_is_not_received_whole_leaves_nothing(void **state)
{
	struct fixture *f = *state;
	OWNED_STR(dir) = fixture_path(f, "received");

	assert_int_equal(
	    store_receive(dir, fill_half, NULL, &f->err), ERR_UNWRAP);
	assert_false(fs_exists(dir));
}

static void what_was_restored_is_what_was_backed_up(void **state)
{
	struct fixture *f = *state;
	struct stat st;

	assert_put(f->store, "a", "1");
	assert_put(f->store, "a", "2");
	assert_audit(f->store, "one");
	assert_int_equal(copy_take(f, "copy"), ERR_OK);
	assert_put(f->store, "a", "later");
	copy_restore(f, "copy");
	assert_int_equal(stat(f->path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	assert_int_equal(assert_value(f->store, "a", "2"), 2);
	assert_int_equal(assert_verifies(f->store), 1);
	assert_audit(f->store, "two");
	assert_int_equal(assert_verifies(f->store), 2);
}

static void restoring_into_an_empty_folder_succeeds(void **state)
{
	struct fixture *f = *state;
	OWNED_STR(dir) = fixture_path(f, "restored");

	assert_int_equal(copy_take(f, "copy"), ERR_OK);
	assert_int_equal(mkdir(dir, 0700), 0);
	copy_restore(f, "copy");
}

static void restoring_never_replaces_a_store(void **state)
{
	struct fixture *f = *state;
	OWNED_STR(path) = fixture_path(f, "copy");

	assert_int_equal(copy_take(f, "copy"), ERR_OK);
	assert_put(f->store, "a", "1");
	fixture_close(f);
	assert_int_equal(store_restore(path, f->path, NULL, &f->err), ERR_EXISTS);
	assert_int_equal(fixture_open(f, 0), ERR_OK);
	assert_value(f->store, "a", "1");
}

static void restoring_into_a_folder_open_to_others_is_refused(void **state)
{
	struct fixture *f = *state;
	OWNED_STR(path) = fixture_path(f, "copy");
	OWNED_STR(dir) = fixture_path(f, "restored");

	assert_int_equal(copy_take(f, "copy"), ERR_OK);
	assert_int_equal(mkdir(dir, 0700), 0);
	assert_int_equal(chmod(dir, 0755), 0);
	assert_int_equal(store_restore(path, dir, NULL, &f->err), ERR_CONFIG);
	assert_int_equal(copy_files(dir), 0);
}

static void restoring_from_nothing_is_not_found(void **state)
{
	struct fixture *f = *state;
	OWNED_STR(path) = fixture_path(f, "copy");
	OWNED_STR(dir) = fixture_path(f, "restored");

	assert_int_equal(store_restore(path, dir, NULL, &f->err), ERR_NOT_FOUND);
	assert_false(fs_exists(dir));
}

static void a_store_moves_whole_and_only_where_none_is(void **state)
{
	struct fixture *f = *state;
	OWNED_STR(copy) = fixture_path(f, "copy");
	OWNED_STR(staged) = fixture_path(f, "staged");
	OWNED_STR(moved) = fixture_path(f, "moved");

	assert_audit(f->store, "a");
	assert_int_equal(copy_take(f, "copy"), ERR_OK);
	assert_int_equal(store_restore(copy, staged, NULL, &f->err), ERR_OK);
	/* The fixture's has a store, and is in use besides. */
	assert_int_equal(store_check_vacant(f->path, &f->err), ERR_EXISTS);
	assert_int_equal(store_move(staged, f->path, &f->err), ERR_EXISTS);
	assert_true(fs_exists(staged));
	assert_int_equal(store_check_vacant(moved, &f->err), ERR_OK);
	assert_false(fs_exists(moved));
	assert_int_equal(mkdir(moved, 0700), 0);
	assert_int_equal(store_check_vacant(moved, &f->err), ERR_OK);
	/* Not even the file that a claim locks. */
	assert_int_equal(rmdir(moved), 0);
	assert_int_equal(store_move(staged, moved, &f->err), ERR_OK);
	assert_false(fs_exists(staged));
	assert_int_equal(store_check_vacant(moved, &f->err), ERR_EXISTS);
	fixture_close(f);
	free(f->path);
	f->path = mem_strdup(moved);
	assert_int_equal(fixture_open(f, 0), ERR_OK);
}

static void a_move_that_fails_leaves_no_folder(void **state)
{
	struct fixture *f = *state;
	OWNED_STR(none) = fixture_path(f, "none");
	OWNED_STR(moved) = fixture_path(f, "moved");

	assert_int_equal(store_move(none, moved, &f->err), ERR_IO);
	assert_false(fs_exists(moved));
}

static void a_folder_that_a_server_has_is_not_vacant(void **state)
{
	struct fixture *f = *state;
	OWNED_STR(data) = mem_printf("%s/data.mdb", f->path);

	assert_audit(f->store, "a");
	assert_int_equal(unlink(data), 0);
	assert_int_equal(store_check_vacant(f->path, &f->err), ERR_CONFIG);
}

struct told {
	struct audit_entry entry;
	uint8_t leaf[32];
	char texts[9][64];
};

static const char *keep_text(char *room, const char *text)
{
	if (text == NULL)
		return NULL;
	snprintf(room, 64, "%s", text);
	return room;
}

static bool keep_told(const struct audit_entry *entry,
    const uint8_t leaf[static 32], void *arg)
{
	struct told *told = arg;
	const char **to = &told->entry.action;
	const char *const *from = &entry->action;

	told->entry = *entry;
	for (size_t i = 0; i < 9; i++)
		to[i] = keep_text(told->texts[i], from[i]);
	memcpy(told->leaf, leaf, 32);
	return false;
}

static void an_entry_told_again_is_the_one_that_it_was(void **state)
{
	struct fixture *f = *state;
	OWNED(batch) batch = batch_new();
	struct told was, is;
	struct audit_head before, after;

	assert_audit(f->store, "a");
	assert_int_equal(copy_take(f, "copy"), ERR_OK);
	assert_audit(f->store, "b");
	assert_int_equal(audit_head(f->store, &before, &f->err), ERR_OK);
	assert_int_equal(audit_read(f->store, before.sequence, 1, keep_told,
	    &was, &f->err), ERR_OK);
	copy_restore(f, "copy");
	batch_audit_again(batch, &was.entry);
	assert_int_equal(store_commit(f->store, batch, &f->err), ERR_OK);
	assert_int_equal(audit_read(f->store, before.sequence, 1, keep_told,
	    &is, &f->err), ERR_OK);
	assert_memory_equal(is.leaf, was.leaf, 32);
	assert_int_equal(audit_verify(f->store, &after, &f->err), ERR_OK);
	assert_memory_equal(after.hash, before.hash, 32);
}

/* A backup cut at any page, and at odd places, is refused and leaves nothing.
 */
static void restoring_from_a_cut_backup_is_refused(void **state)
{
	struct fixture *f = *state;
	OWNED_STR(path) = fixture_path(f, "copy");
	OWNED_STR(dir) = fixture_path(f, "restored");
	struct stat st;

	assert_audit(f->store, "a");
	assert_int_equal(copy_take(f, "copy"), ERR_OK);
	assert_int_equal(stat(path, &st), 0);
	for (off_t len = st.st_size - 1; len > 0; len -= 2048) {
		assert_int_equal(truncate(path, len), 0);
		assert_int_not_equal(store_restore(path, dir, NULL, &f->err), ERR_OK);
		assert_false(fs_exists(dir));
	}
}

static void restoring_from_something_else_is_refused(void **state)
{
	struct fixture *f = *state;
	OWNED_STR(path) = fixture_path(f, "copy");
	OWNED_STR(dir) = fixture_path(f, "restored");
	uint8_t junk[20000];

	memset(junk, 0xa5, sizeof(junk));
	assert_int_equal(fs_write(path, 0600, BYTES_OF(junk), &f->err), ERR_OK);
	assert_int_equal(store_restore(path, dir, NULL, &f->err), ERR_CORRUPT);
	assert_false(fs_exists(dir));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(what_is_not_received_whole_leaves_nothing),
	    TEST(what_was_restored_is_what_was_backed_up),
	    TEST(restoring_into_an_empty_folder_succeeds),
	    TEST(restoring_never_replaces_a_store),
	    TEST(restoring_into_a_folder_open_to_others_is_refused),
	    TEST(restoring_from_nothing_is_not_found),
	    TEST(restoring_from_a_cut_backup_is_refused),
	    TEST(a_store_moves_whole_and_only_where_none_is),
	    TEST(a_move_that_fails_leaves_no_folder),
	    TEST(a_folder_that_a_server_has_is_not_vacant),
	    TEST(an_entry_told_again_is_the_one_that_it_was),
	    TEST(restoring_from_something_else_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
