// SPDX-License-Identifier: Apache-2.0
/* Going from one stack to another: what fibers are made of, and what the
 * sanitizers must be told about it. */
#ifndef BASE_SWITCH_H
#define BASE_SWITCH_H

#include <setjmp.h>
#include <stdbool.h>
#include <stddef.h>
#include <ucontext.h>
#include "base/err.h"

/* Where a thread of control has left off. */
struct place {
	ucontext_t context;	/* for the first time; then: */
	jmp_buf left;
	bool entered;
	void *mapping;		/* guard page and stack; NULL: a thread's own */
	size_t mapped;
	const void *bottom;	/* of the stack; what follows is the sanitizers' */
	size_t size;
	void *fake_stack;
	void *tsan;
};

/* A place at the beginning of MAIN, which never returns, on a new stack of SIZE
 * octets below which lies a page that cannot be touched.  False with errno. */
MUST_CHECK bool place_open(struct place *place, size_t size, void (*main)(void));
void place_close(struct place *place);

/* Leaves off at FROM and goes on at TO.  All zero is a place for a thread to leave
 * off at, on its own stack. */
void place_switch(struct place *from, struct place *to);
/* The first thing that MAIN does: FROM is where the first switch came from. */
void place_entered(struct place *from);

#endif
