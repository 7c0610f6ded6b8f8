// SPDX-License-Identifier: Apache-2.0

package policyfile

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
)

// Error is one thing that is wrong with a file. The error of [Parse] and [ReadFile] joins
// as many as there are, in the order of their positions.
type Error struct {
	// File is the path given to [ReadFile], and "policyfile" for [Parse].
	File string
	// Line and Column count from 1.
	Line, Column int
	// Field is the path of the value, such as services.payment.retry.max_attempts; it
	// is empty for the whole file.
	Field string
	// Value is the value as it is written, if it is a single one.
	Value string
	// Rule says what it must be.
	Rule string
}

// Error implements error: `policies.yaml:12:20: services.payment.retry.max_attempts 0:
// must be at least 1, which is the first attempt`.
func (e *Error) Error() string {
	text := fmt.Sprintf("%s:%d:%d: ", e.File, e.Line, e.Column)
	switch {
	case e.Field != "" && e.Value != "":
		text += e.Field + " " + e.Value + ": "
	case e.Field != "":
		text += e.Field + ": "
	}
	return text + e.Rule
}

// join returns the errors of a file as one; nil if there are none.
func join(errs []*Error) error {
	slices.SortStableFunc(errs, func(a, b *Error) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	all := make([]error, len(errs))
	for i, e := range errs {
		all[i] = e
	}
	return errors.Join(all...)
}
