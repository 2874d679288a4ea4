// SPDX-License-Identifier: Apache-2.0
/* A pool over fake workers in a directory of its own. */
#ifndef TEST_FAKE_H
#define TEST_FAKE_H

#include "hsm/hsm.h"

struct fake {
	char dir[64];
	char *environment[2];
	struct hsm_options options;
	struct hsm *hsm;
};

/* One worker, generous timeout. */
void fake_begin(struct fake *fake);
/* HELLO: words of fake_worker.c, or NULL; opens and asserts success. */
void fake_open(struct fake *fake, const char *hello);
void fake_end(struct fake *fake);	/* closes, asserts no secret is left */

void fake_hello(const struct fake *fake, const char *words);
size_t fake_starts(const struct fake *fake);
/* How often LINE stands in the log of requests. */
unsigned fake_logged(const struct fake *fake, const char *line);
char *fake_path(const struct fake *fake, const char *name);	/* malloc'd */

/* hsm_sign by WORD over DATA; OUT is reset first. */
enum err_code fake_sign(struct fake *fake, const char *word, const char *data,
    struct buf *out, struct err *err);
int fake_pid(struct fake *fake);

unsigned count_descriptors(void);
void nap(void);		/* between two looks at a condition */

#endif
