/* expr: a question about a record, such as: state == 'RUNNING' && resources.gpus >= 2
 *
 *   expr     term { "||" term }
 *   term     factor { "&&" factor }
 *   factor   "!" factor | "(" expr ")" | key | key op literal
 *   op       == != < <= > >= ~
 *   literal  number, size (10G), duration (2h30m), 'text', "text", true, false
 *
 * A key is a path as in zn_val_path.  Alone it asks for something that is there and not false, 0 or empty.
 * An absent value answers no to every comparison.  A list answers yes when one of its elements does ("!="
 * is the opposite of "==").  ~ matches a POSIX extended regular expression.  A text such as '2026-11-22'
 * beside a number means that moment.
 */
#ifndef ZN_REC_EXPR_H
#define ZN_REC_EXPR_H

#include "rec/val.h"

struct zn_expr;

/* -EINVAL with a sentence that has the column, counted from 1. */
int zn_expr_parse(const char *text, struct zn_expr **ret, struct zn_err *err);
/* 1 yes, 0 no, -ENOMEM; scratch is for the question's own use. */
int zn_expr_match(const struct zn_expr *e, const msgpack_object *map, struct zn_arena *scratch);
void zn_expr_free(struct zn_expr *e);

#endif
