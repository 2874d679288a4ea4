// SPDX-License-Identifier: Apache-2.0
#include "config.h"

#include "hsm/durable.h"

#include <fcntl.h>
#include <ftw.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/log.h"

#define CONFIG_MAX (64 * 1024)
#define SYSTEM_CONFIG "/etc/softhsm/softhsm2.conf"

static int sync_one(
    const char *path, const struct stat *st, int type, struct FTW *where)
{
	OWNED_FD(fd) = -1;

	(void)st;
	(void)where;
	if (type != FTW_F && type != FTW_D)
		return 0;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	/* Another worker may have destroyed an object meanwhile. */
	if (fd < 0)
		return 0;
	return fsync(fd) == 0 ? 0 : -1;
}

/* The value of "directories.tokendir = VALUE"; malloc'd, NULL without one. */
static char *token_dir(const char *text)
{
	static const char key[] = "directories.tokendir";

	for (const char *line = text; line != NULL && *line != '\0';
	     line = strchr(line, '\n')) {
		line += strspn(line, "\n");
		line += strspn(line, " \t");
		if (strncmp(line, key, strlen(key)) != 0)
			continue;
		const char *value = line + strlen(key);
		value += strspn(value, " \t");
		if (*value != '=')
			continue;
		value++;
		value += strspn(value, " \t");
		size_t len = strcspn(value, "\r\n");
		while (len > 0 &&
		       (value[len - 1] == ' ' || value[len - 1] == '\t'))
			len--;
		return len > 0 ? mem_strndup(value, len) : NULL;
	}
	return NULL;
}

bool durable_softhsm(void)
{
	const char *config = getenv("SOFTHSM2_CONF");
	struct err err = {0};
	OWNED_BUF(content);
	OWNED_STR(text) = NULL;
	OWNED_STR(dir) = NULL;

	if (config == NULL)
		config = SYSTEM_CONFIG;
	if (fs_read(config, CONFIG_MAX, &content, &err) == ERR_OK) {
		text = buf_to_str(&content);
		dir = token_dir(text);
	}
	if (dir == NULL) {
		LOG(WARN,
		    "SoftHSM's token directory is not known, the new key "
		    "is not synced",
		    LOG_STR("config", config));
		return true;
	}
	return nftw(dir, sync_one, 16, FTW_PHYS) == 0;
}
