// SPDX-License-Identifier: Apache-2.0

package ctxutil_test

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/baggage"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc/metadata"

	"github.com/fairlead-go/fairlead/ctxutil"
)

func TestCarrierFoldsKeys(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name    string
		carrier func() (ctxutil.Carrier, map[string][]string)
		stored  string
	}{
		{"http", func() (ctxutil.Carrier, map[string][]string) {
			h := http.Header{}
			return ctxutil.HTTPCarrier(h), h
		}, "X-Tenant-Id"},
		{"metadata", func() (ctxutil.Carrier, map[string][]string) {
			md := metadata.MD{}
			return ctxutil.MetadataCarrier(md), md
		}, "x-tenant-id"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			for _, spelling := range []string{"x-tenant-id", "X-Tenant-Id", "X-TENANT-ID", "x-Tenant-iD"} {
				c, m := tc.carrier()
				c.Set(spelling, "acme")
				c.Add(spelling, "umbrella")
				want := map[string][]string{tc.stored: {"acme", "umbrella"}}
				if diff := cmp.Diff(want, m); diff != "" {
					t.Errorf("Set(%q), Add: stored (-want +got):\n%s", spelling, diff)
				}
				for _, read := range []string{"x-tenant-id", "X-Tenant-Id", "X-TENANT-ID"} {
					if got := c.Get(read); got != "acme" {
						t.Errorf("Get(%q) = %q, want acme", read, got)
					}
					if got := c.Values(read); !slices.Equal(got, []string{"acme", "umbrella"}) {
						t.Errorf("Values(%q) = %q", read, got)
					}
					if !c.Has(read) {
						t.Errorf("Has(%q) = false", read)
					}
				}
				if got := c.Keys(); !slices.Equal(got, []string{"x-tenant-id"}) {
					t.Errorf("Keys() = %q", got)
				}
				c.Del(strings.ToUpper(spelling))
				if len(m) != 0 {
					t.Errorf("Del left %v", m)
				}
			}
		})
	}
}

func TestCarrierReadsLongKeys(t *testing.T) {
	t.Parallel()
	key := "x-" + strings.Repeat("long", 30)
	c := ctxutil.HTTPCarrier(http.Header{})
	c.Set(key, "v")
	if got := c.Get(strings.ToUpper(key)); got != "v" {
		t.Errorf("Get of a %d byte key = %q", len(key), got)
	}
}

func TestZeroCarrier(t *testing.T) {
	t.Parallel()
	for _, c := range []ctxutil.Carrier{{}, ctxutil.HTTPCarrier(nil), ctxutil.MetadataCarrier(nil)} {
		c.Set("k", "v")
		c.Add("k", "v")
		c.SetAll("k", []string{"v"})
		c.Del("k")
		if c.Get("k") != "" || c.Values("k") != nil || c.Has("k") || len(c.Keys()) != 0 {
			t.Error("the zero Carrier is not empty")
		}
	}
}

// The values of a -bin key are base64 in an HTTP header and bytes in metadata:
// exactly one encoding on the way out of gRPC, one decoding on the way in.
func TestBinaryValuesAcrossTransports(t *testing.T) {
	t.Parallel()
	const key, raw, encoded = "x-ctx-bin", "\x00\xff\r\n", "AP8NCg"
	t.Run("metadata to http", func(t *testing.T) {
		t.Parallel()
		h := http.Header{}
		ctxutil.Copy(ctxutil.HTTPCarrier(h), ctxutil.MetadataCarrier(metadata.MD{key: {raw, "b"}}), key)
		if diff := cmp.Diff(http.Header{"X-Ctx-Bin": {encoded, "Yg"}}, h); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
	t.Run("http to metadata", func(t *testing.T) {
		t.Parallel()
		md := metadata.MD{}
		// Padded, not padded, and joined by a proxy.
		src := http.Header{"X-Ctx-Bin": {encoded + "==", encoded, "Yg, YQ=="}}
		ctxutil.Copy(ctxutil.MetadataCarrier(md), ctxutil.HTTPCarrier(src), key)
		if diff := cmp.Diff(metadata.MD{key: {raw, raw, "b", "a"}}, md); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
	t.Run("http to http", func(t *testing.T) {
		t.Parallel()
		h := http.Header{}
		ctxutil.Copy(ctxutil.HTTPCarrier(h), ctxutil.HTTPCarrier(http.Header{"X-Ctx-Bin": {encoded}}), key)
		if diff := cmp.Diff(http.Header{"X-Ctx-Bin": {encoded}}, h); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
	t.Run("metadata to metadata", func(t *testing.T) {
		t.Parallel()
		md := metadata.MD{}
		ctxutil.Copy(ctxutil.MetadataCarrier(md), ctxutil.MetadataCarrier(metadata.MD{key: {raw}}), key)
		if diff := cmp.Diff(metadata.MD{key: {raw}}, md); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
	t.Run("not base64 is left out", func(t *testing.T) {
		t.Parallel()
		c := ctxutil.HTTPCarrier(http.Header{"X-Ctx-Bin": {"***", "Yg"}})
		if got := c.Values(key); !slices.Equal(got, []string{"b"}) {
			t.Errorf("Values = %q, want [b]", got)
		}
		if got := c.Get(key); got != "b" {
			t.Errorf("Get = %q, want b", got)
		}
	})
	t.Run("Set and Add encode", func(t *testing.T) {
		t.Parallel()
		h := http.Header{}
		c := ctxutil.HTTPCarrier(h)
		c.Set("X-CTX-BIN", raw)
		c.Add(key, "b")
		if diff := cmp.Diff(http.Header{"X-Ctx-Bin": {encoded, "Yg"}}, h); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
	t.Run("a key that only ends in bin is text", func(t *testing.T) {
		t.Parallel()
		for _, k := range []string{"robin", "-bin", "bin"} {
			h := http.Header{}
			ctxutil.HTTPCarrier(h).Set(k, "plain")
			if got := h.Get(k); got != "plain" {
				t.Errorf("%s stored as %q", k, got)
			}
		}
	})
}

func TestCopyLeavesHopsToThemselves(t *testing.T) {
	t.Parallel()
	src := http.Header{
		"Connection":   {"close, X-Hop", "x-other-hop"},
		"X-Hop":        {"1"},
		"X-Other-Hop":  {"1"},
		"X-Tenant":     {"acme", "umbrella"},
		"Content-Type": {"text/plain"},
		"Traceparent":  {traceparent},
	}
	md := metadata.MD{}
	n := ctxutil.Copy(ctxutil.MetadataCarrier(md), ctxutil.HTTPCarrier(src),
		"connection", "x-hop", "X-Other-Hop", "x-tenant", "content-type", "traceparent", "x-absent")
	if diff := cmp.Diff(metadata.MD{"x-tenant": {"acme", "umbrella"}}, md); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if n != 1 {
		t.Errorf("Copy = %d keys, want 1", n)
	}
	md["x-tenant"][0] = "changed"
	if src["X-Tenant"][0] != "acme" {
		t.Error("the copy shares its values with the source")
	}
}

func TestIsReserved(t *testing.T) {
	t.Parallel()
	reserved := []string{
		"", ":authority", ":path", "grpc-timeout", "grpc-trace-bin", "Grpc-Status", "GRPC-ANYTHING-" + strings.Repeat("x", 100),
		"Content-Type", "content-length", "CONTENT-ENCODING", "te", "TE", "User-Agent", "Host",
		"Connection", "Keep-Alive", "Proxy-Connection", "Proxy-Authorization", "Proxy-Authenticate",
		"Trailer", "Transfer-Encoding", "Upgrade", "HTTP2-Settings", "Expect", "Via",
		"traceparent", "Traceparent", "TraceState", "baggage", "X-Trace-ID", "x-request-id", "X-Request-Timeout-Ms",
		"b3", "X-B3-TraceId", "uber-trace-id", "uberctx-user",
	}
	for _, k := range reserved {
		if !ctxutil.IsReserved(k) {
			t.Errorf("IsReserved(%.40q) = false", k)
		}
	}
	for _, k := range []string{"x-tenant", "X-Canary", "accept-language", "authorization", "grpc", "tea", "contents", "x-" + strings.Repeat("y", 200)} {
		if ctxutil.IsReserved(k) {
			t.Errorf("IsReserved(%.40q) = true", k)
		}
	}
}

// OpenTelemetry's own propagators work over a Carrier, and agree with ours.
func TestCarrierWithPropagators(t *testing.T) {
	t.Parallel()
	sc, _ := ctxutil.ParseTraceparent(traceparent)
	sc = sc.WithTraceState(ctxutil.ParseTracestate("rojo=1"))
	bag, _ := ctxutil.ParseBaggage("tenant=acme")
	ctx := trace.ContextWithRemoteSpanContext(t.Context(), sc)
	ctx = baggage.ContextWithBaggage(ctx, bag)
	prop := propagation.NewCompositeTextMapPropagator(propagation.TraceContext{}, propagation.Baggage{})

	h, md := http.Header{}, metadata.MD{}
	prop.Inject(ctx, ctxutil.HTTPCarrier(h))
	prop.Inject(ctx, ctxutil.MetadataCarrier(md))
	if diff := cmp.Diff(http.Header{"Traceparent": {traceparent}, "Tracestate": {"rojo=1"}, "Baggage": {"tenant=acme"}}, h); diff != "" {
		t.Errorf("http (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(metadata.MD{"traceparent": {traceparent}, "tracestate": {"rojo=1"}, "baggage": {"tenant=acme"}}, md); diff != "" {
		t.Errorf("metadata (-want +got):\n%s", diff)
	}
	for _, c := range []ctxutil.Carrier{ctxutil.HTTPCarrier(h), ctxutil.MetadataCarrier(md)} {
		got := trace.SpanContextFromContext(prop.Extract(context.Background(), c))
		if !got.Equal(sc) {
			t.Errorf("extracted %v, want %v", got, sc)
		}
	}
}

func TestCarrierReadsCostNoAllocation(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	h := ctxutil.HTTPCarrier(http.Header{"Traceparent": {traceparent}, "X-Tenant": {"acme"}, "Connection": {"close"}})
	md := ctxutil.MetadataCarrier(metadata.MD{"traceparent": {traceparent}, "x-tenant": {"acme"}})
	n := testing.AllocsPerRun(100, func() {
		for _, c := range []ctxutil.Carrier{h, md} {
			for _, key := range []string{"traceparent", "Traceparent", "X-TENANT", "x-tenant", "X-Not-There", "x-ctx-bin"} {
				c.Get(key)
				c.Values(key)
				c.Has(key)
				ctxutil.IsReserved(key)
			}
		}
	})
	if n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}

func TestCarrierWritesOfIdentityFoldForFree(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	h, md := ctxutil.HTTPCarrier(http.Header{}), ctxutil.MetadataCarrier(metadata.MD{})
	n := testing.AllocsPerRun(100, func() {
		for _, c := range []ctxutil.Carrier{h, md} {
			c.Set(ctxutil.KeyTraceparent, traceparent)
			c.Set(ctxutil.HeaderTraceparent, traceparent)
			c.Set(ctxutil.KeyTraceID, traceID)
			c.Set(ctxutil.HeaderTraceID, traceID)
		}
	})
	if n != 8 { // the value slices
		t.Errorf("%v allocations for 8 writes, want 8", n)
	}
}
