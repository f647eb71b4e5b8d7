/* unit.h - cmocka with what it needs before it, in the order that it needs. */
#ifndef TESTS_LIB_UNIT_H
#define TESTS_LIB_UNIT_H

// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

#endif
