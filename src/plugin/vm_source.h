/* vm_source.h - what a plugin's source needs before the engine gets it. Private to plugin/.
 *
 * `require('name')` with one argument stands for an import that is done when the source is loaded:
 * a name that is not offered is an error even in code that never runs, and no `require` exists at
 * run time. The source is read as tokens (strings, templates, comments and regular expressions are
 * told apart), not parsed: what is no JavaScript is left for the engine to complain about.
 * Any thread; no state.
 */
#pragma once

#include "base/buf.h"
#include "base/err.h"

#define VM_SCAFFOLD "@posthog/plugin-scaffold"

/* Copies the source to *out, NUL behind it, with each require of the scaffold replaced by an
 * expression for it. *is_module: it has import or export statements. ERR_INPUT with the standard
 * text (no path before it) on a name that is not offered, ERR_LIMIT when *out is full. */
MUST_CHECK bool vm_source_scan(struct slice source, struct buf *out, bool *is_module,
                               struct err *err);
