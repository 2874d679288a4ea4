// SPDX-License-Identifier: Apache-2.0
/* Ownership: cleanup by scope, transfer by name, results that must be read. */
#ifndef BASE_OWN_H
#define BASE_OWN_H

#include <stddef.h>

#define MUST_CHECK __attribute__((warn_unused_result))
#define PRINTF_LIKE(fmt, first) __attribute__((format(printf, fmt, first)))
#define UNUSED __attribute__((unused))

/*
 * OWNED(cert) c = NULL;  frees *c with cert_cleanup() when the scope is left.
 * Being freed is a use: a variable that is only owned is no mistake.
 * A type takes part by DEFINE_CLEANUP(cert, cert_free) in its header;
 * every *_free(NULL) does nothing.
 */
#define OWNED(type)                                                            \
	__attribute__((cleanup(type##_cleanup), unused)) struct type *
#define DEFINE_CLEANUP(type, free_function)                                    \
	UNUSED static inline void type##_cleanup(struct type **owned)          \
	{                                                                      \
		free_function(*owned);                                         \
	}

/* Hands the pointer on: the value of the expression owns, PTR is NULL. */
#define GIVE(ptr)                                                              \
	__extension__({                                                        \
		__typeof__(ptr) given_ = (ptr);                                \
		(ptr) = NULL;                                                  \
		given_;                                                        \
	})

/* OWNED_STR(s) = NULL;  a malloc'd string freed at the end of the scope. */
#define OWNED_STR(name) __attribute__((cleanup(own_str_cleanup), unused)) char *name

/* OWNED_FD(fd) = open(...);  closed at the end of the scope unless < 0. */
#define OWNED_FD(name) __attribute__((cleanup(own_fd_cleanup), unused)) int name

#define ARRAY_LEN(array) (sizeof(array) / sizeof((array)[0]))

void own_str_cleanup(char **str);
void own_fd_cleanup(int *fd);

/*
 * Allocation.  Every size that comes from outside is bounded before it gets
 * here, so exhausted memory is not an input error: these abort.  The store is
 * built so that a stop at any moment loses nothing.
 */
void *mem_zalloc(size_t size) __attribute__((malloc, returns_nonnull));
void *mem_zalloc_array(size_t count, size_t size)
    __attribute__((malloc, returns_nonnull));
void *mem_resize(void *mem, size_t count, size_t size)
    __attribute__((returns_nonnull));
char *mem_strdup(const char *str) __attribute__((malloc, returns_nonnull));
char *mem_strndup(const char *str, size_t len)
    __attribute__((malloc, returns_nonnull));
char *mem_printf(const char *fmt, ...)
    PRINTF_LIKE(1, 2) __attribute__((malloc, returns_nonnull));

#endif
