// SPDX-License-Identifier: Apache-2.0
/* Words and lines of the self-test, for the worker and for who started it. */
#include "hsm/selftest.h"

#include <stdlib.h>
#include <string.h>

static const struct {
	const char *name;
	const char *tries;
	const char *means;
	const char *own;
} texts[ATTACK_COUNT] = {
#define ATTACK(id, name, tries, means, own)                                    \
	[ATTACK_##id] = {name, tries, means, own},
#include "hsm/attack.def"
#undef ATTACK
};

static const char *const results[] = {
    [SELFTEST_SAFE] = "safe",
    [SELFTEST_VULNERABLE] = "vulnerable",
    [SELFTEST_NOT_APPLICABLE] = "not-applicable",
    [SELFTEST_UNKNOWN] = "unknown",
};

static const char *const owns[] = {
    [SELFTEST_PROTECTED] = "protected",
    [SELFTEST_EXPOSED] = "exposed",
    [SELFTEST_NOT_RELIED_ON] = "not-relied-on",
    [SELFTEST_OWN_UNKNOWN] = "unknown",
};

const char *selftest_name(enum attack_id id)
{
	return texts[id].name;
}

const char *selftest_tries(enum attack_id id)
{
	return texts[id].tries;
}

const char *selftest_means(enum attack_id id)
{
	return texts[id].means;
}

const char *selftest_own_why(enum attack_id id)
{
	return texts[id].own;
}

const char *selftest_result_name(enum selftest_result result)
{
	return results[result];
}

const char *selftest_own_name(enum selftest_own own)
{
	return owns[own];
}

/* 0 for a word that is not of WORDS. */
static unsigned word_of(
    const char *const *words, size_t count, const char *text)
{
	for (unsigned i = 1; i < count; i++)
		if (text != NULL && strcmp(text, words[i]) == 0)
			return i;
	return 0;
}

static bool attack_of(const char *name, enum attack_id *id_out)
{
	for (enum attack_id id = 0; id < ATTACK_COUNT; id++)
		if (name != NULL && strcmp(name, texts[id].name) == 0) {
			*id_out = id;
			return true;
		}
	return false;
}

static bool number_of(const char *text, unsigned *number_out)
{
	char *end = NULL;
	unsigned long number;

	if (text == NULL || *text < '0' || *text > '9')
		return false;
	number = strtoul(text, &end, 10);
	*number_out = (unsigned)number;
	return *end == '\0' && number <= 100000;
}

static void copy_text(char *to, size_t size, const char *from)
{
	size_t len = strnlen(from, size - 1);

	memcpy(to, from, len);
	to[len] = '\0';
}

static bool parse_found(char **cursor, struct selftest *selftest)
{
	enum attack_id id;
	struct selftest_finding *finding;
	const char *detail;

	if (!attack_of(strsep(cursor, "\t"), &id))
		return false;
	finding = &selftest->findings[id];
	finding->result = (enum selftest_result)word_of(
	    results, ARRAY_LEN(results), strsep(cursor, "\t"));
	finding->own = (enum selftest_own)word_of(
	    owns, ARRAY_LEN(owns), strsep(cursor, "\t"));
	detail = strsep(cursor, "\t");
	if (finding->result == 0 || finding->own == 0 || detail == NULL)
		return false;
	copy_text(finding->detail, sizeof(finding->detail), detail);
	return true;
}

/* Begun and not yet found: where a driver that crashes leaves it. */
static bool parse_try(char **cursor, struct selftest *selftest)
{
	enum attack_id id;

	if (!attack_of(strsep(cursor, "\t"), &id))
		return false;
	selftest->findings[id] = (struct selftest_finding){
	    SELFTEST_UNKNOWN, SELFTEST_OWN_UNKNOWN, "the driver ended here"};
	return true;
}

static bool parse_line(char *line, struct selftest *selftest, bool *ended_out)
{
	char *cursor = line;
	const char *word;

	if (strcmp(strsep(&cursor, "\t"), "selftest") != 0)
		return true;
	word = strsep(&cursor, "\t");
	if (word == NULL)
		return false;
	if (strcmp(word, "try") == 0)
		return parse_try(&cursor, selftest);
	if (strcmp(word, "found") == 0)
		return parse_found(&cursor, selftest);
	if (strcmp(word, "end") == 0)
		return *ended_out =
			   number_of(strsep(&cursor, "\t"), &selftest->swept);
	word = strcmp(word, "token") == 0 ? strsep(&cursor, "\t") : NULL;
	if (word == NULL)
		return false;
	copy_text(selftest->token, sizeof(selftest->token), word);
	return number_of(strsep(&cursor, "\t"), &selftest->keys);
}

bool selftest_parse(
    struct bytes text, struct selftest *selftest, bool *ended_out)
{
	OWNED_STR(copy) = mem_strndup((const char *)text.data, text.len);
	char *cursor = copy;
	char *line;

	*selftest = (struct selftest){.keys = 0};
	*ended_out = false;
	while ((line = strsep(&cursor, "\n")) != NULL)
		if (!parse_line(line, selftest, ended_out))
			return false;
	return true;
}
