// SPDX-License-Identifier: Apache-2.0
/* A checked longjmp() takes a jump to another stack for a mistake. */
#undef _FORTIFY_SOURCE

#include "base/switch.h"

#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ASAN 1
#endif
#if __has_feature(thread_sanitizer)
#define TSAN 1
#endif
#endif
#ifdef __SANITIZE_ADDRESS__
#define ASAN 1
#endif
#ifdef __SANITIZE_THREAD__
#define TSAN 1
#endif

#ifdef ASAN
#include <sanitizer/common_interface_defs.h>
#endif
#ifdef TSAN
#include <sanitizer/tsan_interface.h>
#endif

static void leaving(struct place *from, struct place *to)
{
	(void)from, (void)to;
#ifdef ASAN
	__sanitizer_start_switch_fiber(&from->fake_stack, to->bottom, to->size);
#endif
#ifdef TSAN
	from->tsan = __tsan_get_current_fiber();
	__tsan_switch_to_fiber(to->tsan, 0);
#endif
}

static void arrived(void *fake_stack, struct place *from)
{
	(void)fake_stack, (void)from;
#ifdef ASAN
	__sanitizer_finish_switch_fiber(fake_stack,
	    from == NULL ? NULL : &from->bottom,
	    from == NULL ? NULL : &from->size);
#endif
}

/*
 * The first time by setcontext(), which knows how to begin on a new stack, but asks
 * the kernel for the mask of signals each time; from then on by a jump.  The
 * sanitizers follow only the former.
 */
#if defined(ASAN) || defined(TSAN)
static void go(struct place *from, struct place *to)
{
	/* Fails only where the contexts are not ours. */
	if (swapcontext(&from->context, &to->context) != 0)
		abort();
}
#else
static void go(struct place *from, struct place *to)
{
	if (_setjmp(from->left) != 0)
		return;
	if (to->entered)
		_longjmp(to->left, 1);
	to->entered = true;
	(void)setcontext(&to->context);
	abort();
}
#endif

void place_switch(struct place *from, struct place *to)
{
	leaving(from, to);
	from->entered = true;
	go(from, to);
	arrived(from->fake_stack, NULL);
}

void place_entered(struct place *from)
{
	arrived(NULL, from);
}

bool place_open(struct place *place, size_t size, void (*main)(void))
{
	size_t guard = (size_t)sysconf(_SC_PAGESIZE);
	uint8_t *mapping = mmap(NULL, guard + size, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK | MAP_NORESERVE, -1, 0);

	*place = (struct place){0};
	if (mapping == MAP_FAILED)
		return false;
	place->mapping = mapping;
	place->mapped = guard + size;
	place->bottom = mapping + guard;
	place->size = size;
	if (mprotect(mapping, guard, PROT_NONE) != 0 ||
	    getcontext(&place->context) != 0) {
		place_close(place);
		return false;
	}
	place->context.uc_stack.ss_sp = mapping + guard;
	place->context.uc_stack.ss_size = size;
	place->context.uc_link = NULL;
	makecontext(&place->context, main, 0);
#ifdef TSAN
	place->tsan = __tsan_create_fiber(0);
#endif
	return true;
}

void place_close(struct place *place)
{
	if (place->mapping == NULL)
		return;
#ifdef TSAN
	__tsan_destroy_fiber(place->tsan);
#endif
	(void)munmap(place->mapping, place->mapped);
	place->mapping = NULL;
}
