// SPDX-License-Identifier: Apache-2.0

package ctxutil_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc/metadata"

	"github.com/fairlead-go/fairlead/ctxutil"
	"github.com/fairlead-go/fairlead/internal/scope"
)

func mustForward(t testing.TB, keys []string, opts ...ctxutil.ForwardOption) *ctxutil.Forward {
	t.Helper()
	f, err := ctxutil.NewForward(keys, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// request returns the context of a request that came with headers.
func request(ctx context.Context, headers ...ctxutil.Header) context.Context {
	s := &scope.Scope{Forwarded: headers}
	s.Init(ctx, trace.SpanFromContext(ctx))
	return s
}

func TestNewForwardRefuses(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		keys []string
		opts []ctxutil.ForwardOption
		want string
	}{
		{"nothing", nil, nil, "no header named"},
		{"empty name", []string{""}, nil, `header "": the name is empty or reserved`},
		{"reserved", []string{"Traceparent"}, nil, `header "Traceparent": the name is empty or reserved`},
		{"gRPC's", []string{"grpc-timeout"}, nil, "reserved"},
		{"twice", []string{"X-Tenant", "x-tenant"}, nil, `header "x-tenant" is named twice`},
		{"space", []string{"x tenant"}, nil, "characters other than"},
		{"line break", []string{"x-tenant\r\n"}, nil, "characters other than"},
		{"not ASCII", []string{"x-zürich"}, nil, "characters other than"},
		{"the Kelvin sign is no k", []string{"x-\u212aey"}, nil, "characters other than"},
		{"no values", []string{"x-a"}, []ctxutil.ForwardOption{ctxutil.WithForwardLimits(0, 1)}, "WithForwardLimits(0, 1): limits must be positive"},
		{"no bytes", []string{"x-a"}, []ctxutil.ForwardOption{ctxutil.WithForwardLimits(1, -1)}, "limits must be positive"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			f, err := ctxutil.NewForward(tc.keys, tc.opts...)
			if err == nil || !strings.Contains(err.Error(), tc.want) || !strings.HasPrefix(err.Error(), "ctxutil: NewForward: ") {
				t.Errorf("err = %v, want one with %q", err, tc.want)
			}
			if f != nil {
				t.Error("an allow-list in spite of the error")
			}
		})
	}
}

func TestForwardExtract(t *testing.T) {
	t.Parallel()
	keys := []string{"X-Tenant", "x-locale", "x-ctx-bin"}
	for _, tc := range []struct {
		name    string
		opts    []ctxutil.ForwardOption
		in      http.Header
		want    []ctxutil.Header
		dropped int
	}{
		{name: "nothing there", in: http.Header{"Accept": {"*/*"}}},
		{
			name: "only what is listed, in the order of the list",
			in:   http.Header{"X-Locale": {"de", "en"}, "X-Tenant": {"acme"}, "Authorization": {"secret"}},
			want: []ctxutil.Header{{Key: "x-tenant", Values: []string{"acme"}}, {Key: "x-locale", Values: []string{"de", "en"}}},
		},
		{
			name: "empty values are values",
			in:   http.Header{"X-Tenant": {""}},
			want: []ctxutil.Header{{Key: "x-tenant", Values: []string{""}}},
		},
		{
			name: "bytes are plain from here on",
			in:   http.Header{"X-Ctx-Bin": {"AP8NCg"}},
			want: []ctxutil.Header{{Key: "x-ctx-bin", Values: []string{"\x00\xff\r\n"}}},
		},
		{
			name: "named by Connection: meant for this hop",
			in:   http.Header{"Connection": {"keep-alive, x-tenant"}, "X-Tenant": {"acme"}, "X-Locale": {"de"}},
			want: []ctxutil.Header{{Key: "x-locale", Values: []string{"de"}}},
		},
		{name: "line break", in: http.Header{"X-Tenant": {"acme\r\nX-Evil: 1"}}, dropped: 1},
		{name: "terminal escape", in: http.Header{"X-Tenant": {"\x1b[31m"}}, dropped: 1},
		{name: "invalid UTF-8", in: http.Header{"X-Tenant": {"\xff"}}, dropped: 1},
		{name: "one bad value drops the header", in: http.Header{"X-Tenant": {"acme", "\x00"}}, dropped: 1},
		{name: "not base64", in: http.Header{"X-Ctx-Bin": {"***"}}, dropped: 1},
		{
			name:    "too many values: the whole header goes, a later one that fits stays",
			opts:    []ctxutil.ForwardOption{ctxutil.WithForwardLimits(2, 100)},
			in:      http.Header{"X-Tenant": {"a", "b", "c"}, "X-Locale": {"de", "en"}},
			want:    []ctxutil.Header{{Key: "x-locale", Values: []string{"de", "en"}}},
			dropped: 1,
		},
		{
			name: "exactly the bytes allowed",
			opts: []ctxutil.ForwardOption{ctxutil.WithForwardLimits(16, len("x-tenant")+4)},
			in:   http.Header{"X-Tenant": {"acme"}},
			want: []ctxutil.Header{{Key: "x-tenant", Values: []string{"acme"}}},
		},
		{
			name:    "one byte more",
			opts:    []ctxutil.ForwardOption{ctxutil.WithForwardLimits(16, len("x-tenant")+3)},
			in:      http.Header{"X-Tenant": {"acme"}},
			dropped: 1,
		},
		{
			name:    "limits are for all headers together",
			opts:    []ctxutil.ForwardOption{ctxutil.WithForwardLimits(16, len("x-tenant")+4+len("x-locale")+1)},
			in:      http.Header{"X-Tenant": {"acme"}, "X-Locale": {"de"}},
			want:    []ctxutil.Header{{Key: "x-tenant", Values: []string{"acme"}}},
			dropped: 1,
		},
		{name: "one megabyte", in: http.Header{"X-Tenant": {strings.Repeat("a", 1<<20)}}, dropped: 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			got, dropped := mustForward(t, keys, tc.opts...).Extract(ctxutil.HTTPCarrier(tc.in))
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if dropped != tc.dropped {
				t.Errorf("dropped = %d, want %d", dropped, tc.dropped)
			}
		})
	}
}

// A request's own headers live on after the transport reuses its maps.
func TestForwardExtractCopies(t *testing.T) {
	t.Parallel()
	md := metadata.MD{"x-tenant": {"acme"}}
	got, _ := mustForward(t, []string{"x-tenant"}).Extract(ctxutil.MetadataCarrier(md))
	md["x-tenant"][0] = "changed"
	if got[0].Values[0] != "acme" {
		t.Error("the extracted header shares memory with the carrier")
	}
}

func TestForwardInject(t *testing.T) {
	t.Parallel()
	f := mustForward(t, []string{"x-tenant", "x-locale", "x-ctx-bin"}, ctxutil.WithForwardLimits(3, 100))
	headers := []ctxutil.Header{
		{Key: "x-secret", Values: []string{"not listed"}},
		{Key: "x-tenant", Values: []string{"acme", "umbrella"}},
		{Key: "x-locale", Values: []string{"de"}},
		{Key: "x-ctx-bin", Values: []string{"\x00"}}, // the fourth value
	}
	t.Run("http", func(t *testing.T) {
		t.Parallel()
		h := http.Header{}
		dropped := f.Inject(headers, ctxutil.HTTPCarrier(h))
		if diff := cmp.Diff(http.Header{"X-Tenant": {"acme", "umbrella"}, "X-Locale": {"de"}}, h); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if dropped != 1 {
			t.Errorf("dropped = %d, want 1", dropped)
		}
	})
	t.Run("what the call sets itself stays", func(t *testing.T) {
		t.Parallel()
		md := metadata.MD{"x-tenant": {"mine"}}
		dropped := f.Inject(headers, ctxutil.MetadataCarrier(md))
		if diff := cmp.Diff(metadata.MD{"x-tenant": {"mine"}, "x-locale": {"de"}, "x-ctx-bin": {"\x00"}}, md); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if dropped != 0 {
			t.Errorf("dropped = %d, want 0", dropped)
		}
	})
	t.Run("a value that would break the call is dropped", func(t *testing.T) {
		t.Parallel()
		md := metadata.MD{}
		dropped := f.Inject([]ctxutil.Header{{Key: "x-tenant", Values: []string{"a\nb"}}, {Key: "x-locale"}}, ctxutil.MetadataCarrier(md))
		if len(md) != 0 || dropped != 2 {
			t.Errorf("wrote %v, dropped %d; want nothing, 2", md, dropped)
		}
	})
	t.Run("nil list", func(t *testing.T) {
		t.Parallel()
		var none *ctxutil.Forward
		h := http.Header{}
		none.Inject(headers, ctxutil.HTTPCarrier(h))
		got, _ := none.Extract(ctxutil.HTTPCarrier(http.Header{"X-Tenant": {"acme"}}))
		if len(h) != 0 || got != nil || none.Keys() != nil || none.Allows("x-tenant") {
			t.Error("a nil Forward forwards")
		}
	})
}

func TestForwardKeys(t *testing.T) {
	t.Parallel()
	f := mustForward(t, []string{"X-Tenant", "x-locale"})
	for key, want := range map[string]bool{"x-tenant": true, "X-LOCALE": true, "x-secret": false, "": false} {
		if got := f.Allows(key); got != want {
			t.Errorf("Allows(%q) = %v, want %v", key, got, want)
		}
	}
	f.Keys()[0] = "changed"
	if diff := cmp.Diff([]string{"x-tenant", "x-locale"}, f.Keys()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestForwarded(t *testing.T) {
	t.Parallel()
	tenant := ctxutil.Header{Key: "x-tenant", Values: []string{"acme"}}
	canary := ctxutil.Header{Key: "x-canary", Values: []string{"on"}}

	if got := ctxutil.Forwarded(t.Context()); got != nil {
		t.Errorf("without a request: %v", got)
	}
	server := request(t.Context(), tenant)
	with, err := ctxutil.WithForwarded(server, "X-Canary", "on")
	if err != nil {
		t.Fatal(err)
	}
	replaced, err := ctxutil.WithForwarded(with, "x-tenant", "umbrella")
	if err != nil {
		t.Fatal(err)
	}
	removed, err := ctxutil.WithForwarded(with, "x-tenant")
	if err != nil {
		t.Fatal(err)
	}
	alone, err := ctxutil.WithForwarded(t.Context(), "x-canary", "on")
	if err != nil {
		t.Fatal(err)
	}
	umbrella := ctxutil.Header{Key: "x-tenant", Values: []string{"umbrella"}}
	for _, tc := range []struct {
		name string
		ctx  context.Context
		want []ctxutil.Header
	}{
		{"of the request", server, []ctxutil.Header{tenant}},
		{"added", with, []ctxutil.Header{tenant, canary}},
		{"replaced", replaced, []ctxutil.Header{canary, umbrella}},
		{"removed", removed, []ctxutil.Header{canary}},
		{"added without a request", alone, []ctxutil.Header{canary}},
		{"a call's scope with nothing of its own", request(with), []ctxutil.Header{tenant, canary}},
		{"a newer request with its own", request(with, umbrella), []ctxutil.Header{umbrella}},
	} {
		if diff := cmp.Diff(tc.want, ctxutil.Forwarded(tc.ctx)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tc.name, diff)
		}
	}
	if got := ctxutil.ForwardedValue(with, "X-CANARY"); got != "on" {
		t.Errorf("ForwardedValue = %q, want on", got)
	}
	if got := ctxutil.ForwardedValue(with, "x-absent"); got != "" {
		t.Errorf("ForwardedValue of an absent key = %q", got)
	}
}

func TestWithForwardedRefuses(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", ctxutil.DefaultForwardBytes)
	full := request(t.Context(), ctxutil.Header{Key: "x-full", Values: make([]string, ctxutil.DefaultForwardValues)})
	for _, tc := range []struct {
		name, key string
		ctx       context.Context
		values    []string
		want      string
	}{
		{"reserved", "Grpc-Timeout", t.Context(), []string{"1S"}, `header "grpc-timeout": the name is empty or reserved`},
		{"bad name", "x y", t.Context(), []string{"1"}, "characters other than"},
		{"line break", "x-a", t.Context(), []string{"1\r\n"}, "not printable ASCII"},
		{"too long", "x-a", t.Context(), []string{long}, "more than 16 values or 4096 bytes"},
		{"no bytes left", "x-a", request(t.Context(), ctxutil.Header{Key: "x-long", Values: []string{long[:4085]}}), []string{"123"}, "more than 16 values or 4096 bytes"},
		{"no values left", "x-a", full, []string{"1"}, "more than 16 values or 4096 bytes"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			ctx, err := ctxutil.WithForwarded(tc.ctx, tc.key, tc.values...)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("err = %v, want one with %q", err, tc.want)
			}
			if ctx != tc.ctx {
				t.Error("the context changed in spite of the error")
			}
			if strings.Contains(fmt.Sprint(err), "\r\n") {
				t.Error("the error repeats the value")
			}
		})
	}
	if _, err := ctxutil.WithForwarded(full, "x-full", "replaced"); err != nil {
		t.Errorf("replacing makes room, yet: %v", err)
	}
	if _, err := ctxutil.WithForwarded(t.Context(), "x-ctx-bin", "\x00\r\n"); err != nil {
		t.Errorf("bytes under a -bin key: %v", err)
	}
}

// Two branches of one request add headers at the same time and see only their own.
func TestWithForwardedIsConcurrent(t *testing.T) {
	t.Parallel()
	server := request(t.Context(), ctxutil.Header{Key: "x-tenant", Values: []string{"acme"}})
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			want := fmt.Sprint(i)
			ctx, err := ctxutil.WithForwarded(server, "x-branch", want)
			if err != nil {
				t.Error(err)
			}
			if got := ctxutil.ForwardedValue(ctx, "x-branch"); got != want {
				t.Errorf("branch %s sees %s", want, got)
			}
		})
	}
	wg.Wait()
	if got := ctxutil.ForwardedValue(server, "x-branch"); got != "" {
		t.Errorf("the request changed: %q", got)
	}
}

func TestForwardingNothingCostsNoAllocation(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	f := mustForward(t, []string{"x-tenant", "x-locale", "x-ctx-bin"})
	h := ctxutil.HTTPCarrier(http.Header{"Accept": {"*/*"}, "Connection": {"keep-alive"}})
	md := ctxutil.MetadataCarrier(metadata.MD{"user-agent": {"grpc-go"}})
	ctx := request(t.Context())
	n := testing.AllocsPerRun(100, func() {
		f.Extract(h)
		f.Extract(md)
		f.Inject(ctxutil.Forwarded(ctx), h)
		ctxutil.ForwardedValue(ctx, "x-tenant")
	})
	if n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}
