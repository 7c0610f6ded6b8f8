// SPDX-License-Identifier: Apache-2.0

// Package observe puts observers together: structs of functions that may be nil, as
// several packages have them. It is not an observer itself.
package observe

import "context"

// Both returns a function that calls a and then b, or the one of them that is not nil.
func Both[E any](a, b func(E)) func(E) {
	switch {
	case a == nil:
		return b
	case b == nil:
		return a
	default:
		return func(e E) { a(e); b(e) }
	}
}

// BothWith is [Both] for functions that take the context of what they are told.
func BothWith[E any](a, b func(context.Context, E)) func(context.Context, E) {
	switch {
	case a == nil:
		return b
	case b == nil:
		return a
	default:
		return func(ctx context.Context, e E) { a(ctx, e); b(ctx, e) }
	}
}

// Tell calls f, if it is not nil.
func Tell[E any](f func(E), e E) {
	if f != nil {
		f(e)
	}
}
