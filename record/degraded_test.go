// SPDX-License-Identifier: Apache-2.0

package record_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/fairlead-go/fairlead/ctxutil"
	"github.com/fairlead-go/fairlead/metrics"
	"github.com/fairlead-go/fairlead/record"
)

// degradedSpans returns what spans that have ended say of it, by name.
func degradedSpans(spans []sdktrace.ReadOnlySpan) map[string]any {
	out := map[string]any{}
	for _, s := range spans {
		out[s.Name()] = attributesOf(s)["fairlead.degraded"]
	}
	return out
}

// TestDegrade: what stood in for a failed call is known of the call, and of the
// call of the server that it was made for: on the span, on the line, and to the
// adapter that answers.
func TestDegrade(t *testing.T) {
	for _, kind := range clientKinds {
		t.Run(kind.name, func(t *testing.T) {
			b := newBench(t)
			server := b.StartRPCServer(t.Context(), b.RPCServerMethod("/shop.Order/Get", metrics.Unary), record.Incoming{}, nil, nil)
			client := kind.start(t, b, context.WithValue(server, struct{}{}, 1))
			other := b.StartRPCClient(server, b.RPCClientMethod("/shop.Payment/Charge", "payment", metrics.Unary))
			record.Degrade(context.WithValue(client, struct{}{}, 2), "cached stock")
			record.Degrade(client, "another") // the first counts
			if client.Degraded() != "cached stock" || server.Degraded() != "cached stock" || other.Degraded() != "" {
				t.Errorf("degraded: the call %q, its server's %q, another %q", client.Degraded(), server.Degraded(), other.Degraded())
			}
			kind.finish(client, true)
			other.FinishRPC(clientOK, "")
			server.FinishRPC(rpcOK, "")

			spans := degradedSpans(b.spans.Ended())
			lines := b.lines(t)
			for i, s := range b.spans.Ended() {
				var want any
				if s.Name() != "shop.Payment/Charge" {
					want = "cached stock"
				}
				if spans[s.Name()] != want || lines[i]["degraded"] != want {
					t.Errorf("%s: the span says %v and the line %v, want %v", s.Name(), spans[s.Name()], lines[i]["degraded"], want)
				}
			}
		})
	}
}

// TestDegradeLate: a call that is finished stays as its span and its line have
// it, and those agree, whoever comes when.
func TestDegradeLate(t *testing.T) {
	b := newBench(t)
	server := b.StartRPCServer(t.Context(), b.RPCServerMethod("/shop.Order/Get", metrics.Unary), record.Incoming{}, nil, nil)
	client := clientKinds[0].start(t, b, server)
	client.FinishRPC(clientOK, "")
	record.Degrade(client, "late")
	if client.Degraded() != "" || server.Degraded() != "late" {
		t.Errorf("degraded: the finished call %q, its server's %q", client.Degraded(), server.Degraded())
	}
	record.Degrade(t.Context(), "nobody")

	for range 100 {
		call := b.StartRPCServer(t.Context(), b.RPCServerMethod("/a.B/C", metrics.Unary), record.Incoming{}, nil, nil)
		var wg sync.WaitGroup
		for i := range 4 {
			wg.Go(func() { record.Degrade(call, fmt.Sprint("fallback ", i)) })
		}
		wg.Go(func() { call.FinishRPC(rpcOK, "") })
		wg.Wait()
	}
	lines := b.lines(t)
	for i, s := range b.spans.Ended() {
		if got := attributesOf(s)["fairlead.degraded"]; got != lines[i]["degraded"] {
			t.Fatalf("the span says degraded %v, and the line %v", got, lines[i]["degraded"])
		}
	}
}

// TestDegradeDetached: work that was detached from a call does not degrade it.
func TestDegradeDetached(t *testing.T) {
	b := newBench(t)
	server := b.StartRPCServer(t.Context(), b.RPCServerMethod("/shop.Order/Get", metrics.Unary), record.Incoming{}, nil, nil)
	done := make(chan *record.Call)
	ctxutil.Detach(server, "warm up", time.Minute, func(ctx context.Context) error {
		client := clientKinds[0].start(t, b, ctx)
		record.Degrade(client, "cached")
		done <- client
		return nil
	})
	if client := <-done; client.Degraded() != "cached" || server.Degraded() != "" {
		t.Errorf("degraded: the detached call %q, the server's %q", client.Degraded(), server.Degraded())
	}
}
