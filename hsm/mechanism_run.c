// SPDX-License-Identifier: Apache-2.0
#include "config.h"

#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "base/text.h"
#include "hsm/once.h"
#include "hsm/spawn.h"
#include "hsm/wire.h"

#define PATIENCE_MS 30000

/* "CKM_AES_GCM (data keys)", from the rest of a line behind "missing". */
static void note_missing(char *rest, struct buf *missing)
{
	const char *name = strsep(&rest, "\t");

	buf_printf(missing, "%s%s (%s)", missing->len > 0 ? ", " : "", name,
	    rest == NULL ? "" : rest);
}

static bool parse(struct bytes text, struct buf *missing)
{
	OWNED_STR(copy) = mem_strndup((const char *)text.data, text.len);
	char *cursor = copy;
	char *line;
	bool ended = false;

	while ((line = strsep(&cursor, "\n")) != NULL)
		if (text_has_prefix(line, "missing\t"))
			note_missing(line + strlen("missing\t"), missing);
		else
			ended = ended || text_has_prefix(line, "checked\t");
	return ended;
}

enum err_code hsm_missing_mechanisms(
    const struct hsm_options *options, struct buf *missing, struct err *err)
{
	const char *const arguments[] = {"--mechanisms", "--module",
	    options->module, "--token", options->token, "--pin-file",
	    options->pin_file, NULL};
	OWNED_BUF(text);
	int status = 0;
	char ended[32];
	enum err_code code =
	    once_run(options, arguments, PATIENCE_MS, &text, &status, err);

	if (code != ERR_OK || parse(buf_bytes(&text), missing))
		return code;
	struct bytes said = once_last_line(buf_bytes(&text));
	int len = said.len < 280 ? (int)said.len : 280;

	if (WIFEXITED(status) && WEXITSTATUS(status) == WIRE_CONFIG)
		return err_refuse(
		    err, ERR_CONFIG, "%.*s", len, (const char *)said.data);
	return err_fail(err, ERR_HSM_UNAVAILABLE,
	    "worker could not ask for mechanisms: %s: %.*s",
	    spawn_status_text(status, ended), len,
	    len > 0 ? (const char *)said.data : "");
}
