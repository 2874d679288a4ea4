// SPDX-License-Identifier: Apache-2.0
#include "hsm/examine.h"

#include <unistd.h>

#include "hsm/attack.h"

static enum selftest_result result_of(enum outcome outcome)
{
	switch (outcome) {
	case OUTCOME_NONE:
		return SELFTEST_NOT_APPLICABLE;
	case OUTCOME_HELD:
		return SELFTEST_SAFE;
	case OUTCOME_UNKNOWN:
		return SELFTEST_UNKNOWN;
	case OUTCOME_BROKE:
		return SELFTEST_VULNERABLE;
	}
	return SELFTEST_UNKNOWN;
}

/* Where there is nothing to try it with on Signet's keys, it cannot harm them.
 */
static enum selftest_own own_of(enum outcome outcome)
{
	switch (outcome) {
	case OUTCOME_NONE:
	case OUTCOME_HELD:
		return SELFTEST_PROTECTED;
	case OUTCOME_UNKNOWN:
		return SELFTEST_OWN_UNKNOWN;
	case OUTCOME_BROKE:
		return SELFTEST_EXPOSED;
	}
	return SELFTEST_OWN_UNKNOWN;
}

/* One line is one write, which the driver's own output cannot tear.  A tab or
 * the like in a key's label would. */
static void put_line(int fd, struct buf *line)
{
	for (size_t i = 0; i < line->len; i++)
		if (line->data[i] < ' ' && line->data[i] != '\t')
			line->data[i] = '?';
	buf_put_u8(line, '\n');
	/* Whoever reads finds the end missing. */
	if (write(fd, line->data, line->len) < 0)
		line->len = 0;
	buf_reset(line);
}

static void examine(struct lab *lab, enum attack_id id, int fd)
{
	const struct attack *attack = &attacks[id];
	struct trial trial = {.lab = lab};
	enum outcome plain = OUTCOME_UNKNOWN, ours = OUTCOME_NONE;
	OWNED_BUF(line);

	buf_printf(&line, "selftest\ttry\t%s", selftest_name(id));
	put_line(fd, &line);
	if (lab_renew(lab))
		plain = attack->plain(&trial);
	if (attack->ours != NULL)
		ours = attack->ours(&trial);
	for (char *c = trial.detail; *c != '\0'; c++)
		if (*c == '\t')
			*c = '?';
	buf_printf(&line, "selftest\tfound\t%s\t%s\t%s\t%s", selftest_name(id),
	    selftest_result_name(
		result_of(ours == OUTCOME_BROKE ? OUTCOME_BROKE : plain)),
	    selftest_own_name(
		attack->ours == NULL ? SELFTEST_NOT_RELIED_ON : own_of(ours)),
	    trial.detail);
	put_line(fd, &line);
}

static int trimmed(const unsigned char *field, int size)
{
	while (size > 0 && field[size - 1] == ' ')
		size--;
	return size;
}

static void put_token(const struct lab *lab, int fd)
{
	const CK_TOKEN_INFO *info = token_info(lab->token);
	OWNED_BUF(line);

	buf_printf(&line, "selftest\ttoken\t%.*s %.*s\t%zu",
	    trimmed(info->manufacturerID, sizeof(info->manufacturerID)),
	    (const char *)info->manufacturerID,
	    trimmed(info->model, sizeof(info->model)),
	    (const char *)info->model, lab->key_count);
	put_line(fd, &line);
}

enum wire_status examine_run(struct token *token, int fd, struct fault *fault)
{
	OWNED(lab) lab = NULL;
	OWNED_BUF(line);
	enum wire_status status = lab_open(token, &lab, fault);

	if (status != WIRE_OK)
		return status;
	(void)lab_sweep(lab); /* of a run that was killed */
	put_token(lab, fd);
	for (enum attack_id id = 0; id < ATTACK_COUNT; id++)
		examine(lab, id, fd);
	buf_printf(&line, "selftest\tend\t%zu", lab_sweep(lab));
	put_line(fd, &line);
	return WIRE_OK;
}
