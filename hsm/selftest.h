// SPDX-License-Identifier: Apache-2.0
/*
 * The self-test of a token: whether the known attacks on the PKCS#11 interface
 * work on it, and on keys made as Signet makes its own.  A worker tries them in
 * throwaway objects of a session, which the token forgets; the token's own keys
 * are only tried in ways that cannot change them.
 */
#ifndef HSM_SELFTEST_H
#define HSM_SELFTEST_H

#include "hsm/hsm.h"

enum attack_id {
#define ATTACK(id, name, tries, means, own) ATTACK_##id,
#include "hsm/attack.def"
#undef ATTACK
	ATTACK_COUNT
};
const char *selftest_name(enum attack_id id);
const char *selftest_tries(enum attack_id id);
/* What it means for the token where the attack works. */
const char *selftest_means(enum attack_id id);
/* Why Signet's own keys withstand it all the same, where they do. */
const char *selftest_own_why(enum attack_id id);

enum selftest_result {
	SELFTEST_SAFE = 1,
	SELFTEST_VULNERABLE,
	SELFTEST_NOT_APPLICABLE, /* the token offers nothing to try it with */
	SELFTEST_UNKNOWN, /* could not be tried to its end */
};
/* What it means for Signet's own keys. */
enum selftest_own {
	SELFTEST_PROTECTED = 1,
	SELFTEST_EXPOSED,
	SELFTEST_NOT_RELIED_ON, /* what it breaks protects none of them */
	SELFTEST_OWN_UNKNOWN,
};
const char *selftest_result_name(enum selftest_result result);
const char *selftest_own_name(enum selftest_own own);

struct selftest_finding {
	enum selftest_result result; /* 0: the worker did not come so far */
	enum selftest_own own;
	char detail[256]; /* what worked, or why it could not be tried */
};
struct selftest {
	struct selftest_finding findings[ATTACK_COUNT];
	unsigned keys; /* of the token that were tried */
	unsigned swept; /* objects that the token had kept, and were removed */
	char token[64]; /* manufacturer and model */
};

/*
 * Runs a worker of OPTIONS through the self-test, to its end; at most two
 * minutes.  The PIN is tried once.  A driver that crashes or hangs leaves
 * the attack at which it did, and those behind it, SELFTEST_UNKNOWN.
 * Errors: ERR_CONFIG for what token, module and PIN file say;
 * ERR_HSM_UNAVAILABLE.
 */
MUST_CHECK enum err_code selftest_run(const struct hsm_options *options,
    struct selftest *selftest_out, struct err *err);

/*
 * What the worker writes, a line each, all beginning with "selftest" and with
 * tabs between: "token NAME KEYS", then for each attack "try NAME" and "found
 * NAME RESULT OWN DETAIL", last "end SWEPT".
 * selftest_parse is total: false when a line of that form is malformed; other
 * lines, which a driver may write, are passed over.
 */
MUST_CHECK bool selftest_parse(
    struct bytes text, struct selftest *selftest, bool *ended_out);

#endif
