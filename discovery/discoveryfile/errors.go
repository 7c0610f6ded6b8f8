// SPDX-License-Identifier: Apache-2.0

package discoveryfile

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
)

// Error is one thing that is wrong with a file. The errors of [Parse], [Read] and
// [File.Err] join as many as there are, in the order of their positions. It does not
// show values, which may be secrets.
type Error struct {
	// File is the name given to [Parse], or the path given to [Read].
	File string
	// Line and Column count from 1.
	Line, Column int
	// Field is the path of the value, such as consul.address; it is empty for the whole
	// file.
	Field string
	// Rule says what it must be.
	Rule string
}

// Error implements error: "registry.yaml:3:12: consul.address: must be …".
func (e *Error) Error() string {
	text := fmt.Sprintf("%s:%d:%d: ", e.File, e.Line, e.Column)
	if e.Field != "" {
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
