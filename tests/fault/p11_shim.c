// SPDX-License-Identifier: Apache-2.0
/*
 * A PKCS#11 module that stands before a real one and makes it fail on demand.
 *
 * SIGNET_SHIM_MODULE  the real module
 * SIGNET_SHIM_RULES   a file of rules, read again whenever it changes; absent or
 *                     empty: everything passes
 * SIGNET_SHIM_COUNTS  a file that gets the function's name and a newline for
 *                     every call (appended, so several processes can share it)
 *
 * SIGNET_SHIM_WRAPPED a file that gets what C_WrapKey gave, a line of hex each
 *
 * A rule is a line "FUNCTION WHEN WHAT"; '#' begins a comment.
 *   WHEN  N        the Nth call since the rules were read, by this process
 *         from:N   the Nth and all later ones
 *         every:N  each Nth
 *   WHAT  0xB3     return this value instead of calling the module.  Where it
 *                  says that the session is gone (0xB0, 0xB3) the real session
 *                  is closed, as it would be
 *         delay:MS wait, then call
 *         hang     never return
 *         kill     SIGKILL to this process
 *         segv     SIGSEGV to this process
 *         flip     call, then invert the first bit of the output
 *         constant call, then overwrite the output with 0x42
 *         attr:TYPE:0|1  lie about a boolean attribute: what a template asks of
 *                  it is replaced before the call, what is read of it after
 * The first rule that matches is taken.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <p11-kit/pkcs11.h>

#define RULES_MAX 64

enum when { WHEN_NTH, WHEN_FROM, WHEN_EVERY };
enum what { DO_RETURN, DO_DELAY, DO_HANG, DO_KILL, DO_SEGV, DO_FLIP, DO_CONSTANT,
	DO_LIE };

struct rule {
	char function[40];
	enum when when;
	unsigned long n;
	enum what what;
	unsigned long value;	/* return value, milliseconds or attribute */
	CK_BBOOL lie;
	unsigned long calls;
};

/* What a wrapper has to do. */
struct verdict {
	bool refuse;
	CK_RV rv;
	enum what after;	/* DO_RETURN: leave the output alone */
	CK_ATTRIBUTE_TYPE attribute; /* of DO_LIE */
	CK_BBOOL lie;
};

/* lock guards everything below it. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct rule rules[RULES_MAX];
static unsigned rule_count;
static struct stat rules_seen;
static int counts_fd = -1;
static CK_FUNCTION_LIST *real;
static CK_FUNCTION_LIST table;

static bool parse_when(const char *word, struct rule *rule)
{
	rule->when = WHEN_NTH;
	if (strncmp(word, "every:", 6) == 0) {
		rule->when = WHEN_EVERY;
		word += 6;
	} else if (strncmp(word, "from:", 5) == 0) {
		rule->when = WHEN_FROM;
		word += 5;
	}
	char *end;
	rule->n = strtoul(word, &end, 10);
	return end != word && *end == '\0' && rule->n > 0;
}

static bool parse_what(const char *word, struct rule *rule)
{
	static const struct {
		const char *word;
		enum what what;
	} words[] = {{"hang", DO_HANG}, {"kill", DO_KILL}, {"segv", DO_SEGV},
	    {"flip", DO_FLIP}, {"constant", DO_CONSTANT}};
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strcmp(word, words[i].word) == 0) {
			rule->what = words[i].what;
			return true;
		}
	rule->what = DO_RETURN;
	if (strncmp(word, "delay:", 6) == 0) {
		rule->what = DO_DELAY;
		word += 6;
	}
	char *end;
	if (strncmp(word, "attr:", 5) == 0) {
		rule->what = DO_LIE;
		word += 5;
		rule->value = strtoul(word, &end, 0);
		if (end == word || end[0] != ':' ||
		    (end[1] != '0' && end[1] != '1'))
			return false;
		rule->lie = end[1] == '1';
		return end[2] == '\0';
	}
	rule->value = strtoul(word, &end, 0);
	return end != word && *end == '\0';
}

/* A rule that is not understood would make a test pass that tests nothing. */
static void read_rules(const char *path)
{
	FILE *file = fopen(path, "re");
	rule_count = 0;
	if (!file)
		return;
	char line[200];
	while (fgets(line, sizeof(line), file)) {
		char function[40], when[32], what[32];
		if (line[0] == '#' || line[strspn(line, " \t\n")] == '\0')
			continue;
		struct rule rule = {0};
		if (rule_count == RULES_MAX ||
		    sscanf(line, "%39s %31s %31s", function, when, what) != 3 ||
		    !parse_when(when, &rule) || !parse_what(what, &rule)) {
			fprintf(stderr, "p11_shim: rule not understood: %s", line);
			abort();
		}
		memcpy(rule.function, function, sizeof(rule.function));
		rules[rule_count++] = rule;
	}
	fclose(file);
}

static void refresh_rules(void)
{
	const char *path = getenv("SIGNET_SHIM_RULES");
	struct stat now;
	if (!path || stat(path, &now) != 0) {
		rule_count = 0;
		memset(&rules_seen, 0, sizeof(rules_seen));
		return;
	}
	if (now.st_ino == rules_seen.st_ino &&
	    now.st_size == rules_seen.st_size &&
	    now.st_mtim.tv_sec == rules_seen.st_mtim.tv_sec &&
	    now.st_mtim.tv_nsec == rules_seen.st_mtim.tv_nsec)
		return;
	rules_seen = now;
	read_rules(path);
}

static void count_call(const char *function)
{
	const char *path = getenv("SIGNET_SHIM_COUNTS");
	if (!path)
		return;
	if (counts_fd < 0)
		counts_fd = open(
		    path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
	char line[64];
	int len = snprintf(line, sizeof(line), "%s\n", function);
	if (counts_fd < 0 || write(counts_fd, line, (size_t)len) != len)
		abort();
}

/* For a test that has to know a key that is wrapped. */
static void write_wrapped(CK_RV rv, const CK_BYTE *out, CK_ULONG len)
{
	const char *path = getenv("SIGNET_SHIM_WRAPPED");
	FILE *file;
	if (!path || rv != CKR_OK || !out)
		return;
	file = fopen(path, "ae");
	if (!file)
		abort();
	for (CK_ULONG i = 0; i < len; i++)
		fprintf(file, "%02x", out[i]);
	fprintf(file, "\n");
	fclose(file);
}

static bool rule_hits(struct rule *rule)
{
	rule->calls++;
	switch (rule->when) {
	case WHEN_NTH:
		return rule->calls == rule->n;
	case WHEN_FROM:
		return rule->calls >= rule->n;
	case WHEN_EVERY:
		return rule->calls % rule->n == 0;
	}
	return false;
}

static bool take_rule(const char *function, struct rule *rule_out)
{
	pthread_mutex_lock(&lock);
	refresh_rules();
	count_call(function);
	bool hit = false;
	for (unsigned i = 0; i < rule_count; i++) {
		if (strcmp(rules[i].function, function) != 0)
			continue;
		/* every rule counts the call, the first that hits is taken */
		if (rule_hits(&rules[i]) && !hit) {
			*rule_out = rules[i];
			hit = true;
		}
	}
	pthread_mutex_unlock(&lock);
	return hit;
}

static struct verdict judge(const char *function)
{
	struct rule rule = {0};
	struct verdict verdict = {.rv = CKR_OK, .after = DO_RETURN};
	if (!take_rule(function, &rule))
		return verdict;
	switch (rule.what) {
	case DO_RETURN:
		verdict.refuse = true;
		verdict.rv = rule.value;
		break;
	case DO_DELAY:;
		struct timespec left = {(time_t)(rule.value / 1000),
		    (long)(rule.value % 1000) * 1000000L};
		while (nanosleep(&left, &left) != 0 && errno == EINTR)
			;
		break;
	case DO_HANG:
		for (;;)
			pause();
	case DO_KILL:
		raise(SIGKILL);
		break;
	case DO_SEGV:
		raise(SIGSEGV);
		break;
	case DO_FLIP:
	case DO_CONSTANT:
		verdict.after = rule.what;
		break;
	case DO_LIE:
		verdict.after = DO_LIE;
		verdict.attribute = rule.value;
		verdict.lie = rule.lie;
		break;
	}
	return verdict;
}

static void spoil(enum what how, CK_RV rv, CK_BYTE *out, CK_ULONG len)
{
	if (rv != CKR_OK || !out || len == 0)
		return;
	if (how == DO_FLIP)
		out[0] ^= 0x80;
	else if (how == DO_CONSTANT)
		memset(out, 0x42, len);
}

/* Templates share their values, so that the pointer is bent. */
static void bend(const struct verdict *verdict, CK_ATTRIBUTE *attributes,
    CK_ULONG count)
{
	static CK_BBOOL lies[] = {CK_FALSE, CK_TRUE};
	for (CK_ULONG i = 0; i < count && verdict->after == DO_LIE; i++)
		if (attributes[i].type == verdict->attribute)
			attributes[i].pValue = &lies[verdict->lie];
}

static void bend_read(const struct verdict *verdict, CK_RV rv,
    CK_ATTRIBUTE *attributes, CK_ULONG count)
{
	for (CK_ULONG i = 0;
	     rv == CKR_OK && i < count && verdict->after == DO_LIE; i++)
		if (attributes[i].type == verdict->attribute &&
		    attributes[i].ulValueLen == sizeof(CK_BBOOL))
			*(CK_BBOOL *)attributes[i].pValue = verdict->lie;
}

/* A function without a session, and one with it. */
#define PLAIN(name, params, args)                                              \
	static CK_RV shim_##name params                                        \
	{                                                                      \
		struct verdict verdict = judge(#name);                         \
		return verdict.refuse ? verdict.rv : real->name args;          \
	}
#define SESSION(name, params, args) OUTPUT(name, params, args, NULL, 0)
/* ...with octets that come out... */
#define OUTPUT(name, params, args, out, len)                                   \
	CALL(name, params, args, (void)0, spoil(verdict.after, rv, (out), (len)))
/* ...and with templates, which are bent before or after. */
#define CALL(name, params, args, before, after)                                \
	static CK_RV shim_##name params                                        \
	{                                                                      \
		struct verdict verdict = judge(#name);                         \
		if (verdict.refuse) {                                          \
			if (verdict.rv == CKR_SESSION_HANDLE_INVALID ||        \
			    verdict.rv == CKR_SESSION_CLOSED)                  \
				real->C_CloseSession(s);                       \
			return verdict.rv;                                     \
		}                                                              \
		before;                                                        \
		CK_RV rv = real->name args;                                    \
		after;                                                         \
		return rv;                                                     \
	}
#define S CK_SESSION_HANDLE s
#define H CK_OBJECT_HANDLE
#define MECH CK_MECHANISM *m
#define IN CK_BYTE *in, CK_ULONG in_len
#define OUT CK_BYTE *out, CK_ULONG *out_len
#define ATTRS(x) CK_ATTRIBUTE *x, CK_ULONG x##_n

PLAIN(C_Initialize, (void *args), (args))
PLAIN(C_Finalize, (void *reserved), (reserved))
PLAIN(C_GetSlotList, (unsigned char present, CK_SLOT_ID *list, CK_ULONG *n),
    (present, list, n))
PLAIN(C_GetMechanismInfo,
    (CK_SLOT_ID slot, CK_MECHANISM_TYPE type, CK_MECHANISM_INFO *info),
    (slot, type, info))
PLAIN(C_GetTokenInfo, (CK_SLOT_ID slot, CK_TOKEN_INFO *info), (slot, info))
PLAIN(C_InitToken, (CK_SLOT_ID slot, CK_BYTE *pin, CK_ULONG n, CK_BYTE *label),
    (slot, pin, n, label))
PLAIN(C_OpenSession,
    (CK_SLOT_ID slot, CK_FLAGS flags, void *app, CK_NOTIFY notify,
	CK_SESSION_HANDLE *out),
    (slot, flags, app, notify, out))
PLAIN(C_CloseAllSessions, (CK_SLOT_ID slot), (slot))
PLAIN(C_CloseSession, (S), (s))
SESSION(C_InitPIN, (S, IN), (s, in, in_len))
SESSION(C_GetSessionInfo, (S, CK_SESSION_INFO *info), (s, info))
SESSION(C_Login, (S, CK_USER_TYPE user, IN), (s, user, in, in_len))
SESSION(C_Logout, (S), (s))
CALL(C_CreateObject, (S, ATTRS(t), H *o), (s, t, t_n, o),
    bend(&verdict, t, t_n), (void)0)
CALL(C_CopyObject, (S, H from, ATTRS(t), H *o), (s, from, t, t_n, o),
    bend(&verdict, t, t_n), (void)0)
SESSION(C_DestroyObject, (S, H o), (s, o))
CALL(C_GetAttributeValue, (S, H o, ATTRS(t)), (s, o, t, t_n), (void)0,
    bend_read(&verdict, rv, t, t_n))
SESSION(C_SetAttributeValue, (S, H o, ATTRS(t)), (s, o, t, t_n))
SESSION(C_FindObjectsInit, (S, ATTRS(t)), (s, t, t_n))
SESSION(C_FindObjects, (S, H *o, CK_ULONG max, CK_ULONG *n), (s, o, max, n))
SESSION(C_FindObjectsFinal, (S), (s))
SESSION(C_EncryptInit, (S, MECH, H key), (s, m, key))
OUTPUT(C_Encrypt, (S, IN, OUT), (s, in, in_len, out, out_len), out, *out_len)
SESSION(C_DecryptInit, (S, MECH, H key), (s, m, key))
OUTPUT(C_Decrypt, (S, IN, OUT), (s, in, in_len, out, out_len), out, *out_len)
SESSION(C_SignInit, (S, MECH, H key), (s, m, key))
OUTPUT(C_Sign, (S, IN, OUT), (s, in, in_len, out, out_len), out, *out_len)
CALL(C_GenerateKey, (S, MECH, ATTRS(t), H *o), (s, m, t, t_n, o),
    bend(&verdict, t, t_n), (void)0)
CALL(C_GenerateKeyPair, (S, MECH, ATTRS(p), ATTRS(t), H *pub, H *prv),
    (s, m, p, p_n, t, t_n, pub, prv),
    (bend(&verdict, p, p_n), bend(&verdict, t, t_n)), (void)0)
CALL(C_WrapKey, (S, MECH, H by, H key, OUT), (s, m, by, key, out, out_len),
    (void)0, (spoil(verdict.after, rv, out, *out_len),
	write_wrapped(rv, out, *out_len)))
CALL(C_UnwrapKey, (S, MECH, H by, IN, ATTRS(t), H *o),
    (s, m, by, in, in_len, t, t_n, o), bend(&verdict, t, t_n), (void)0)
OUTPUT(C_GenerateRandom, (S, CK_BYTE *out, CK_ULONG n), (s, out, n), out, n)

static CK_RV shim_C_GetFunctionList(CK_FUNCTION_LIST **list)
{
	if (!list)
		return CKR_ARGUMENTS_BAD;
	*list = &table;
	return CKR_OK;
}

static void fill_table(void)
{
	table = *real;
#define USE(name) table.name = shim_##name
	USE(C_GetFunctionList);
	USE(C_Initialize), USE(C_Finalize);
	USE(C_GetSlotList), USE(C_GetTokenInfo), USE(C_GetMechanismInfo);
	USE(C_InitToken), USE(C_InitPIN);
	USE(C_OpenSession), USE(C_CloseSession), USE(C_CloseAllSessions);
	USE(C_GetSessionInfo), USE(C_Login), USE(C_Logout);
	USE(C_CreateObject), USE(C_CopyObject), USE(C_DestroyObject);
	USE(C_GetAttributeValue), USE(C_SetAttributeValue);
	USE(C_FindObjectsInit), USE(C_FindObjects), USE(C_FindObjectsFinal);
	USE(C_EncryptInit), USE(C_Encrypt), USE(C_DecryptInit), USE(C_Decrypt);
	USE(C_SignInit), USE(C_Sign);
	USE(C_GenerateKey), USE(C_GenerateKeyPair);
	USE(C_WrapKey), USE(C_UnwrapKey), USE(C_GenerateRandom);
}

CK_RV C_GetFunctionList(CK_FUNCTION_LIST **list)
{
	pthread_mutex_lock(&lock);
	if (!real) {
		const char *path = getenv("SIGNET_SHIM_MODULE");
		void *module = path ? dlopen(path, RTLD_NOW | RTLD_LOCAL) : NULL;
		CK_RV (*get)(CK_FUNCTION_LIST **) = NULL;
		if (module)
			*(void **)&get = dlsym(module, "C_GetFunctionList");
		if (!get || get(&real) != CKR_OK) {
			fprintf(stderr, "p11_shim: SIGNET_SHIM_MODULE: %s\n",
			    path ? path : "not set");
			abort();
		}
		fill_table();
	}
	pthread_mutex_unlock(&lock);
	return shim_C_GetFunctionList(list);
}
