# SPDX-License-Identifier: Apache-2.0
# Each flag is probed, so that a compiler which lacks one still builds Signet.

# SIGNET_TRY_CFLAG(VARIABLE, FLAG)
AC_DEFUN([SIGNET_TRY_CFLAG], [
	AC_MSG_CHECKING([whether $CC accepts $2])
	signet_saved_cflags=$CFLAGS
	CFLAGS="$CFLAGS -Werror $2"
	AC_LINK_IFELSE([AC_LANG_PROGRAM()],
		[AC_MSG_RESULT([yes]); $1="$$1 $2"],
		[AC_MSG_RESULT([no])])
	CFLAGS=$signet_saved_cflags
])

# SIGNET_TRY_LDFLAG(VARIABLE, FLAG)
AC_DEFUN([SIGNET_TRY_LDFLAG], [
	AC_MSG_CHECKING([whether the linker accepts $2])
	signet_saved_ldflags=$LDFLAGS
	LDFLAGS="$LDFLAGS $2"
	AC_LINK_IFELSE([AC_LANG_PROGRAM()],
		[AC_MSG_RESULT([yes]); $1="$$1 $2"],
		[AC_MSG_RESULT([no])])
	LDFLAGS=$signet_saved_ldflags
])

AC_DEFUN([SIGNET_WARNINGS], [
	WARN_CFLAGS=
	m4_foreach_w([flag], [-Wall -Wextra -Wshadow -Wformat=2 -Wundef
		-Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition
		-Wpointer-arith -Wcast-qual -Wwrite-strings -Wvla
		-Wswitch-enum -Wimplicit-fallthrough -Wunused-result
		-Wnull-dereference -Wdouble-promotion -Wconversion
		-Wno-sign-conversion],
		[SIGNET_TRY_CFLAG([WARN_CFLAGS], m4_defn([flag]))])
	AS_IF([test "x$enable_strict" = xyes],
		[WARN_CFLAGS="$WARN_CFLAGS -Werror"])
	AC_SUBST([WARN_CFLAGS])
])

AC_DEFUN([SIGNET_HARDENING], [
	HARDEN_CFLAGS= HARDEN_LDFLAGS=
	# Jumps are checked (branch), returns are not: fibers go from stack to
	# stack by longjmp(), which a shadow stack takes for an attack, and a
	# program that says it can do with one may be given one.
	m4_foreach_w([flag], [-fstack-protector-strong
		-fstack-clash-protection -fcf-protection=branch -fPIE
		-fno-strict-overflow -fno-delete-null-pointer-checks
		-ftrivial-auto-var-init=zero],
		[SIGNET_TRY_CFLAG([HARDEN_CFLAGS], m4_defn([flag]))])
	m4_foreach_w([flag], [-pie -Wl,-z,relro -Wl,-z,now
		-Wl,-z,noexecstack -Wl,--as-needed],
		[SIGNET_TRY_LDFLAG([HARDEN_LDFLAGS], m4_defn([flag]))])
	# FORTIFY needs optimisation and hides errors from the sanitizers.
	AS_IF([test -z "$enable_sanitizers"], [
		AS_CASE([" $CFLAGS "], [*" -O0 "*], [],
			[SIGNET_TRY_CFLAG([HARDEN_CFLAGS],
				[-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2])])])
	AC_SUBST([HARDEN_CFLAGS])
	AC_SUBST([HARDEN_LDFLAGS])
])

AC_DEFUN([SIGNET_SANITIZERS], [
	SAN_CFLAGS= SAN_LDFLAGS=
	AS_IF([test -n "$enable_sanitizers"], [
		SAN_CFLAGS="-fsanitize=$enable_sanitizers -fno-sanitize-recover=all -fno-omit-frame-pointer"
		SAN_LDFLAGS="-fsanitize=$enable_sanitizers"])
	AS_IF([test "x$enable_coverage" = xyes], [
		SAN_CFLAGS="$SAN_CFLAGS --coverage"
		SAN_LDFLAGS="$SAN_LDFLAGS --coverage"])
	AS_IF([test "x$enable_fuzzing" = xyes], [
		SAN_CFLAGS="$SAN_CFLAGS -fsanitize=fuzzer-no-link"
		SAN_LDFLAGS="$SAN_LDFLAGS -fsanitize=fuzzer-no-link"])
	AC_SUBST([SAN_CFLAGS])
	AC_SUBST([SAN_LDFLAGS])
])
