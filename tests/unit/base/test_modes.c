// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/base/harness.h"

#include <ftw.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/modes.h"

/* An instance's folder with a file of each kind, as signet init leaves it. */
struct place {
	char *dir;
	struct config *config;
};

static const struct {
	const char *name;
	mode_t mode;
	const char *text;	/* NULL: a folder */
} parts[] = {
    {"tls", 0700, NULL},
    {"store", 0700, NULL},
    {"policies", 0700, NULL},
    {"tokens", 0700, NULL},
    {"tls/server.pem", 0644, "-"},
    {"tls/server-key.pem", 0600, "-"},
    {"policies/etcd.yaml", 0644, "-"},
    {"policies/notes.txt", 0666, "-"},	/* nobody reads it */
    {"module.so", 0644, "-"},
    {"pin", 0600, "1234"},
};

static char *put(const char *dir, const char *name, const char *text)
{
	char *path = fs_join(dir, name);
	struct err err;

	assert_ok(fs_write(path, 0600, bytes_str(text), &err));
	return path;
}

static void write_config(struct place *place)
{
	OWNED_STR(conf) = mem_printf(
	    "# of SoftHSM\nlog.level = ERROR\n  directories.tokendir = %s/tokens\n",
	    place->dir);
	OWNED_STR(conf_path) = put(place->dir, "softhsm2.conf", conf);
	OWNED_STR(text) = mem_printf("public_url: http://pki.example\n"
	    "hsm:\n  module: %s/module.so\n  token: pkcs11:token=t\n"
	    "  pin_file: pin\n  environment:\n    - SOFTHSM2_CONF=%s\n",
	    place->dir, conf_path);
	OWNED_STR(path) = put(place->dir, "signet.yaml", text);
	struct err err;

	assert_ok(config_load(path, &place->config, &err));
}

static int make_place(void **state)
{
	char template[] = "/tmp/signet-modes-XXXXXX";
	struct place *place = mem_zalloc(sizeof(*place));
	struct err err;

	assert_non_null(mkdtemp(template));
	place->dir = mem_printf("%s/i", template);
	assert_ok(fs_mkdir(place->dir, 0700, &err));
	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		OWNED_STR(path) = fs_join(place->dir, parts[i].name);
		if (parts[i].text == NULL)
			assert_ok(fs_mkdir(path, parts[i].mode, &err));
		else
			assert_ok(fs_write(path, parts[i].mode,
			    bytes_str(parts[i].text), &err));
	}
	write_config(place);
	*state = place;
	return 0;
}

static int drop(const char *path, const struct stat *st, int kind, struct FTW *at)
{
	(void)st, (void)kind, (void)at;
	return remove(path);
}

static int drop_place(void **state)
{
	struct place *place = *state;
	OWNED_STR(top) = fs_dirname(place->dir);

	nftw(top, drop, 16, FTW_DEPTH | FTW_PHYS);
	config_free(place->config);
	free(place->dir);
	free(place);
	return 0;
}

#define PLACE_TEST(test)                                                       \
	cmocka_unit_test_setup_teardown(test, make_place, drop_place)

static void modes_as_init_makes_them_are_accepted(void **state)
{
	struct place *place = *state;
	struct err err;

	assert_ok(modes_check_config(place->config, &err));
}

static const struct {
	const char *name;
	mode_t mode;
	const char *mend;	/* NULL: is accepted */
} table[] = {
    {"signet.yaml", 0644, NULL},
    {"signet.yaml", 0664, "chmod go-w"},
    {"signet.yaml", 0602, "chmod go-w"},
    {"tls/server.pem", 0444, NULL},
    {"tls/server.pem", 0646, "chmod go-w"},
    {"tls/server-key.pem", 0640, NULL},
    {"tls/server-key.pem", 0644, "chmod 600"},
    {"tls/server-key.pem", 0660, "chmod 600"},
    {"pin", 0400, NULL},
    {"pin", 0440, NULL},
    {"pin", 0604, "chmod 600"},
    {"pin", 0620, "chmod 600"},
    {"pin", 0602, "chmod 600"},
    {"store", 0750, "chmod 700"},
    {"store", 0701, "chmod 700"},
    {"store", 0770, "chmod 700"},
    {"policies", 0755, NULL},
    {"policies", 0775, "chmod go-w"},
    {"policies", 0757, "chmod go-w"},
    {"policies/etcd.yaml", 0600, NULL},
    {"policies/etcd.yaml", 0664, "chmod go-w"},
    {"policies/etcd.yaml", 0646, "chmod go-w"},
    {"module.so", 0755, NULL},
    {"module.so", 0775, "chmod go-w"},
    {"module.so", 0757, "chmod go-w"},
    {"softhsm2.conf", 0644, NULL},
    {"softhsm2.conf", 0664, "chmod go-w"},
    {"softhsm2.conf", 0646, "chmod go-w"},
    {"tokens", 0770, NULL},
    {"tokens", 0701, "chmod o-rwx"},
    {"tokens", 0707, "chmod o-rwx"},
    {"tls", 0707, "chmod o-w"},	/* a folder above */
    {"", 0757, "chmod o-w"},
    {"..", 0707, "chmod o-w"},
    {"..", 01777, NULL},		/* sticky, as /tmp */
    {"..", 0770, NULL},			/* our own group */
};

static void check_row(struct place *place, size_t i)
{
	OWNED_STR(joined) = fs_join(place->dir, table[i].name);
	OWNED_STR(path) = realpath(joined, NULL);
	struct stat before;
	struct err err = {0};

	assert_non_null(path);
	assert_int_equal(stat(path, &before), 0);
	assert_int_equal(chmod(path, table[i].mode), 0);
	if (table[i].mend == NULL) {
		assert_ok(modes_check_config(place->config, &err));
	} else {
		OWNED_STR(mode) = mem_printf("mode %04o", table[i].mode);
		OWNED_STR(mend) = mem_printf("%s %s", table[i].mend, path);
		assert_refused(modes_check_config(place->config, &err),
		    ERR_CONFIG, mend);
		assert_non_null(strstr(err.detail, mode));
	}
	assert_int_equal(chmod(path, before.st_mode & 07777), 0);
}

static void modes_too_open_are_refused_with_path_mode_and_remedy(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(table); i++)
		check_row(*state, i);
}

static void as_root_a_folder_above_of_a_foreign_group_is_refused(void **state)
{
	struct place *place = *state;
	struct err err;

	if (geteuid() != 0)
		skip();	/* who else may give away a folder */
	assert_int_equal(chmod(place->dir, 0770), 0);
	assert_int_equal(chown(place->dir, 0, 54321), 0);
	assert_refused(modes_check_config(place->config, &err), ERR_CONFIG,
	    "chmod g-w");
	assert_int_equal(chmod(place->dir, 0750), 0);
	assert_ok(modes_check_config(place->config, &err));
}

static void as_root_a_file_of_another_user_is_refused(void **state)
{
	struct place *place = *state;
	OWNED_STR(pin) = fs_join(place->dir, "pin");
	struct err err;

	if (geteuid() != 0)
		skip();
	assert_int_equal(chown(pin, 54321, 0), 0);
	assert_refused(modes_check_config(place->config, &err), ERR_CONFIG,
	    "belongs to user 54321");
	assert_non_null(strstr(err.detail, pin));
	assert_int_equal(chown(pin, 0, 0), 0);
	assert_ok(modes_check_config(place->config, &err));
}

static void what_a_link_points_to_is_judged(void **state)
{
	struct place *place = *state;
	OWNED_STR(pin) = fs_join(place->dir, "pin");
	OWNED_STR(other) = fs_join(place->dir, "tokens/pin");
	struct err err;

	assert_int_equal(rename(pin, other), 0);
	assert_int_equal(symlink(other, pin), 0);
	assert_ok(modes_check_config(place->config, &err));
	assert_int_equal(chmod(other, 0644), 0);
	assert_refused(modes_check_config(place->config, &err), ERR_CONFIG,
	    "chmod 600");
}

static void who_can_replace_a_link_on_the_way_is_judged(void **state)
{
	struct place *place = *state;
	OWNED_STR(open) = fs_join(place->dir, "open");
	OWNED_STR(pin) = fs_join(place->dir, "pin");
	OWNED_STR(other) = fs_join(place->dir, "tokens/pin");
	OWNED_STR(link) = fs_join(open, "pin");
	struct err err;

	/* pin -> open/pin -> ../tokens/pin */
	assert_ok(fs_mkdir(open, 0700, &err));
	assert_int_equal(rename(pin, other), 0);
	assert_int_equal(symlink("../tokens/pin", link), 0);
	assert_int_equal(symlink("open/pin", pin), 0);
	assert_ok(modes_check_path(pin, MODES_SECRET, &err));
	assert_int_equal(chmod(open, 0707), 0);
	assert_refused(modes_check_path(pin, MODES_SECRET, &err), ERR_CONFIG,
	    "chmod o-w");
	assert_non_null(strstr(err.detail, open));
	assert_refused(modes_check_path(link, MODES_SECRET, &err), ERR_CONFIG,
	    "chmod o-w");
	assert_ok(modes_check_path(other, MODES_SECRET, &err));
}

static void links_that_lead_round_are_no_file(void **state)
{
	struct place *place = *state;
	OWNED_STR(path) = fs_join(place->dir, "round");
	struct err err;

	assert_int_equal(symlink("round", path), 0);
	assert_int_equal(modes_check_path(path, MODES_SECRET, &err), ERR_IO);
}

static void as_root_a_folder_above_of_another_user_is_refused(void **state)
{
	struct place *place = *state;
	struct err err;

	if (geteuid() != 0)
		skip();
	assert_int_equal(chown(place->dir, 54321, 0), 0);
	assert_refused(modes_check_config(place->config, &err), ERR_CONFIG,
	    "belongs to user 54321");
	/* Who owns a sticky folder is not bound by that. */
	assert_int_equal(chmod(place->dir, 01755), 0);
	assert_refused(modes_check_config(place->config, &err), ERR_CONFIG,
	    "belongs to user 54321");
	assert_int_equal(chown(place->dir, 0, 0), 0);
	assert_ok(modes_check_config(place->config, &err));
}

static void absence_is_named_for_a_path_and_left_to_others_for_a_configuration(
    void **state)
{
	struct place *place = *state;
	OWNED_STR(pin) = fs_join(place->dir, "pin");
	struct err err;

	assert_int_equal(unlink(pin), 0);
	assert_ok(modes_check_config(place->config, &err));
	assert_int_equal(modes_check_path(pin, MODES_SECRET, &err),
	    ERR_NOT_FOUND);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    PLACE_TEST(modes_as_init_makes_them_are_accepted),
	    PLACE_TEST(modes_too_open_are_refused_with_path_mode_and_remedy),
	    PLACE_TEST(as_root_a_folder_above_of_a_foreign_group_is_refused),
	    PLACE_TEST(as_root_a_file_of_another_user_is_refused),
	    PLACE_TEST(what_a_link_points_to_is_judged),
	    PLACE_TEST(who_can_replace_a_link_on_the_way_is_judged),
	    PLACE_TEST(links_that_lead_round_are_no_file),
	    PLACE_TEST(as_root_a_folder_above_of_another_user_is_refused),
	    PLACE_TEST(
		absence_is_named_for_a_path_and_left_to_others_for_a_configuration),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
