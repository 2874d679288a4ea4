// SPDX-License-Identifier: Apache-2.0
#include "cli/setup.h"
#include "cli/folder.h"

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>

#include "base/fs.h"
#include "base/secret.h"
#include "base/text.h"
#include "config.h"

#define POLICY_MAX 65536
#define PIN_OCTETS 16

static bool folder_is_empty(const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *entry;
	bool empty = true;

	if (dir == NULL)
		return false;
	while ((entry = readdir(dir)) != NULL)
		if (strcmp(entry->d_name, ".") != 0 &&
		    strcmp(entry->d_name, "..") != 0)
			empty = false;
	closedir(dir);
	return empty;
}

static bool is_at(int fd, const char *path)
{
	struct stat held, there;

	return fstat(fd, &held) == 0 && stat(path, &there) == 0 &&
	       held.st_ino == there.st_ino && held.st_dev == there.st_dev;
}

enum err_code setup_lock(const char *dir, int *lock_out, struct err *err)
{
	OWNED_FD(fd) = -1;
	enum err_code code = folder_make("--dir", dir, 0700, err);

	if (code != ERR_OK)
		return code;
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return err_fail(err, ERR_IO, "%s: %m", dir);
	/* Whoever failed in it may have removed it, and a third made it anew. */
	if (flock(fd, LOCK_EX | LOCK_NB) != 0 || !is_at(fd, dir))
		return err_refuse(err, ERR_EXISTS,
		    "another signet init works in %s", dir);
	if (!folder_is_empty(dir))
		return err_refuse(err, ERR_EXISTS,
		    "%s is not an empty folder: choose another, or remove it",
		    dir);
	*lock_out = fd;
	fd = -1;
	return ERR_OK;
}

static enum err_code make_folder(const char *dir, struct err *err)
{
	static const char *const below[] = {"tls", "admin", "policies"};
	enum err_code code;

	for (size_t i = 0; i < ARRAY_LEN(below); i++) {
		OWNED_STR(path) = fs_join(dir, below[i]);
		if ((code = fs_mkdir(path, 0700, err)) != ERR_OK)
			return code;
	}
	return ERR_OK;
}

/* Where the policies come from: SIGNET_DATADIR, else where they were installed.
 */
static char *policies_source(void)
{
	const char *dir = getenv("SIGNET_DATADIR");

	return fs_join(dir == NULL ? SIGNET_DATADIR : dir, "policies");
}

static enum err_code copy_policies(const char *dir, struct err *err)
{
	OWNED_STR(from) = policies_source();
	DIR *source = opendir(from);
	struct dirent *entry;
	enum err_code code = ERR_OK;

	if (source == NULL)
		return err_fail(err, ERR_IO,
		    "policies of %s: %m (install Signet, or set "
		    "SIGNET_DATADIR)",
		    from);
	while (code == ERR_OK && (entry = readdir(source)) != NULL) {
		if (!text_has_suffix(entry->d_name, ".yaml"))
			continue;
		OWNED_STR(path) = fs_join(from, entry->d_name);
		OWNED_STR(to) =
		    mem_printf("%s/policies/%s", dir, entry->d_name);
		code = fs_copy(path, to, 0644, POLICY_MAX, err);
	}
	closedir(source);
	return code;
}

static enum err_code write_pin(
    const char *dir, const char *name, struct err *err)
{
	OWNED_STR(path) = fs_join(dir, name);
	OWNED(secret) octets = secret_new(PIN_OCTETS);
	OWNED(secret) text = secret_new(2 * PIN_OCTETS + 1);

	if (RAND_priv_bytes(secret_data(octets), PIN_OCTETS) != 1)
		return err_fail_crypto(err, "drawing a PIN");
	hex_write(secret_data(octets), PIN_OCTETS, (char *)secret_data(text));
	return fs_write(
	    path, 0600, BYTES(secret_data(text), 2 * PIN_OCTETS), err);
}

/* A private SoftHSM: its configuration, an empty token folder, two PINs. */
static enum err_code make_softhsm(const char *dir, struct err *err)
{
	OWNED_STR(tokens) = fs_join(dir, "tokens");
	OWNED_STR(conf) = fs_join(dir, "softhsm2.conf");
	OWNED_STR(text) = mem_printf("directories.tokendir = %s\n"
				     "objectstore.backend = file\n"
				     "log.level = ERROR\n",
	    tokens);
	enum err_code code;

	if ((code = fs_mkdir(tokens, 0700, err)) != ERR_OK ||
	    (code = fs_write(conf, 0600, bytes_str(text), err)) != ERR_OK ||
	    (code = write_pin(dir, "pin", err)) != ERR_OK)
		return code;
	return write_pin(dir, "so-pin", err);
}

/* The content of a double-quoted YAML scalar. */
static void put_quoted(struct buf *out, const char *value)
{
	buf_put_u8(out, '"');
	for (; *value != '\0'; value++)
		if ((unsigned char)*value < 0x20)
			buf_printf(out, "\\x%02x", (unsigned char)*value);
		else if (*value == '"' || *value == '\\')
			buf_printf(out, "\\%c", *value);
		else
			buf_put_u8(out, (uint8_t)*value);
	buf_put_str(out, "\"\n");
}

static void put_yaml(struct buf *out, const char *key, const char *value)
{
	buf_printf(out, "%s: ", key);
	put_quoted(out, value);
}

static void put_item(struct buf *out, const char *value)
{
	buf_put_str(out, "    - ");
	put_quoted(out, value);
}

/* A label becomes the URI that selects by it (RFC 7512). */
static char *token_uri(const char *token)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyz"
				    "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~";
	OWNED_BUF(uri);

	if (text_has_prefix(token, "pkcs11:"))
		return mem_strdup(token);
	buf_put_str(&uri, "pkcs11:token=");
	for (; *token != '\0'; token++)
		if (strchr(plain, *token) != NULL)
			buf_put_u8(&uri, (uint8_t)*token);
		else
			buf_printf(&uri, "%%%02X", (unsigned char)*token);
	return buf_to_str(&uri);
}

/* The host of HOST:PORT, without the brackets of an IPv6 address. */
static char *host_of(const char *listener)
{
	const char *colon = strrchr(listener, ':');

	if (colon == NULL)
		return mem_strdup(listener);
	if (*listener == '[' && colon > listener + 1)
		return mem_strndup(
		    listener + 1, (size_t)(colon - listener) - 2);
	return mem_strndup(listener, (size_t)(colon - listener));
}

static void add_once(const char **list, size_t *count, const char *text)
{
	for (size_t i = 0; i < *count; i++)
		if (strcmp(text, list[i]) == 0)
			return;
	list[(*count)++] = text;
}

/* Names of the API's certificate: this machine, where it listens, and what the
 * caller adds. */
static void put_tls_names(struct buf *out, const struct setup *setup)
{
	const char *names[SETUP_NAMES_MAX + 4] = {"localhost", "127.0.0.1"};
	char hostname[256] = "";
	OWNED_STR(host) = host_of(setup->api);
	size_t count = 2;

	if (strcmp(host, "0.0.0.0") != 0 && strcmp(host, "::") != 0)
		add_once(names, &count, host);
	if (gethostname(hostname, sizeof(hostname) - 1) == 0 &&
	    text_is_host_name(hostname))
		add_once(names, &count, hostname);
	for (size_t i = 0; i < setup->names_count; i++)
		add_once(names, &count, setup->names[i]);
	buf_put_str(out, "tls:\n  names:\n");
	for (size_t i = 0; i < count; i++)
		put_item(out, names[i]);
}

static void put_environment(struct buf *out, const struct setup *setup)
{
	const char *conf = getenv("SOFTHSM2_CONF");
	OWNED_STR(own) =
	    setup->dev
		? mem_printf("SOFTHSM2_CONF=%s/softhsm2.conf", setup->dir)
	    : conf == NULL ? NULL
			   : mem_printf("SOFTHSM2_CONF=%s", conf);

	if (own == NULL)
		return;
	buf_put_str(out, "  environment:\n");
	put_item(out, own);
}

static enum err_code write_draft(const struct setup *setup, struct err *err)
{
	OWNED_BUF(text);
	OWNED_STR(path) = fs_join(setup->dir, SETUP_DRAFT);
	OWNED_STR(token) = token_uri(setup->dev ? "signet" : setup->token);
	OWNED_STR(root) = setup->root_token == NULL
			      ? mem_strdup(token)
			      : token_uri(setup->root_token);
	OWNED_STR(url) = setup->public_url == NULL
			     ? mem_printf("http://%s", setup->public)
			     : mem_strdup(setup->public_url);

	buf_put_str(&text, "# Written by signet init.  signet.yaml(5) tells of "
			   "every key.\nlisten:\n");
	put_yaml(&text, "  api", setup->api);
	put_yaml(&text, "  public", setup->public);
	put_yaml(&text, "  ops", setup->ops);
	put_yaml(&text, "public_url", url);
	put_tls_names(&text, setup);
	buf_put_str(&text, "hsm:\n");
	put_yaml(&text, "  module", setup->module);
	put_yaml(&text, "  token", token);
	put_yaml(&text, "  root_token", root);
	put_yaml(&text, "  pin_file", setup->dev ? "pin" : setup->pin_file);
	put_environment(&text, setup);
	return fs_write(path, 0600, buf_bytes(&text), err);
}

enum err_code setup_folder(const struct setup *setup, struct err *err)
{
	enum err_code code;

	if ((code = make_folder(setup->dir, err)) != ERR_OK ||
	    (code = copy_policies(setup->dir, err)) != ERR_OK)
		return code;
	if (setup->dev && (code = make_softhsm(setup->dir, err)) != ERR_OK)
		return code;
	return write_draft(setup, err);
}

enum err_code setup_finish(const char *dir, struct err *err)
{
	OWNED_STR(draft) = fs_join(dir, SETUP_DRAFT);
	OWNED_STR(path) = fs_join(dir, SETUP_CONFIG);

	if (rename(draft, path) != 0)
		return err_fail(
		    err, ERR_IO, "renaming %s: %m", draft);
	return fs_sync_dir(dir, err);
}

static int remove_below(
    const char *path, const struct stat *status, int kind, struct FTW *walk)
{
	(void)status;
	(void)kind;
	return walk->level == 0 ? 0 : remove(path);
}

void setup_remove(const char *dir, bool folder_too)
{
	(void)nftw(dir, remove_below, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
	if (folder_too)
		(void)rmdir(dir);
}
