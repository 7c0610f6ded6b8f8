// SPDX-License-Identifier: Apache-2.0

package observe_test

import (
	"context"
	"testing"

	"github.com/fairlead-go/fairlead/internal/observe"
)

func TestBoth(t *testing.T) {
	t.Parallel()
	var got string
	a, b := func(s string) { got += "a" + s }, func(s string) { got += "b" + s }
	for _, tc := range []struct {
		a, b func(string)
		want string
	}{{a, b, "a1b1"}, {a, nil, "a1"}, {nil, b, "b1"}, {nil, nil, ""}} {
		got = ""
		observe.Tell(observe.Both(tc.a, tc.b), "1")
		if got != tc.want {
			t.Errorf("got %q, want %q", got, tc.want)
		}
	}
}

func TestBothWith(t *testing.T) {
	t.Parallel()
	var got string
	a, b := func(_ context.Context, s string) { got += "a" + s }, func(_ context.Context, s string) { got += "b" + s }
	for _, tc := range []struct {
		a, b func(context.Context, string)
		want string
	}{{a, b, "a1b1"}, {a, nil, "a1"}, {nil, b, "b1"}} {
		got = ""
		observe.BothWith(tc.a, tc.b)(t.Context(), "1")
		if got != tc.want {
			t.Errorf("got %q, want %q", got, tc.want)
		}
	}
	if observe.BothWith[string](nil, nil) != nil {
		t.Error("something out of nothing")
	}
}
