// SPDX-License-Identifier: Apache-2.0

package ctxutil

import "context"

// Gather runs the functions at the same time, each as part of one [Group] of
// that name, and returns their results in the order of the functions. If one
// fails, the others are canceled, and when all have returned, so does Gather: with
// the first error and no results. A panic is a [*PanicError], logged with
// [slog.Default].
//
// It starts one goroutine a function. To bound them, or to keep the results of
// those that succeed, use a Group.
func Gather[T any](ctx context.Context, name string, fs ...func(context.Context) (T, error)) ([]T, error) {
	g, _ := NewGroup(ctx, name)
	results := make([]T, len(fs))
	for i, f := range fs {
		g.Go(func(ctx context.Context) (err error) {
			results[i], err = f(ctx)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	return results, nil
}
