// SPDX-License-Identifier: Apache-2.0

package telemetrytest_test

import (
	"context"

	"go.opentelemetry.io/otel/attribute"

	"github.com/fairlead-go/fairlead/testkit/telemetrytest"
)

// tried plays a client's call that was tried with these numbers, and whose line
// says what attrs say.
func (w *world) tried(kind, attemptKind int, name string, numbers []int, attrs ...any) {
	c := w.begin(context.Background(), "gateway", kind, name)
	for _, n := range numbers {
		a := w.begin(c.ctx, "gateway", attemptKind, name)
		a.span.SetAttributes(attribute.Int(a.kind.Mark, n))
		a.end("X").count()
	}
	c.end("X").count().lineAlso(attrs...)
}

// lineAlso writes the request log line of the call with more attributes.
func (c *call) lineAlso(attrs ...any) {
	args := append(c.ids(), c.kind.Code, c.code, "duration_ms", c.ms())
	for i, key := range c.kind.Keys {
		args = append(args, key, c.values[i])
	}
	c.w.logger(c.service).InfoContext(c.ctx, c.kind.Message, append(args, attrs...)...)
}

var policyBreaches = []breach{
	{
		name: "an attempt without a span", rule: telemetrytest.CallAttempts,
		play: func(w *world) { w.tried(rpcClient, rpcAttempt, "shop.Order/Put", []int{0, 1}, "attempts", 3) },
		want: []string{`"shop.Order/Put" of gateway`, "has 2 attempts", `its line says "3"`},
	},
	{
		name: "attempts that the line does not know", rule: telemetrytest.CallAttempts,
		play: func(w *world) { w.tried(rpcClient, rpcAttempt, "shop.Order/Put", []int{0, 1}) },
		want: []string{"has 2 attempts", `its line says ""`},
	},
	{
		name: "attempts over HTTP", rule: telemetrytest.CallAttempts,
		play: func(w *world) { w.tried(httpClient, httpAttempt, "GET stock", []int{1, 2, 3}, "attempts", 2) },
		want: []string{`"GET stock" of gateway`, "has 3 attempts", `its line says "2"`},
	},
	{
		name: "no attempts at all", rule: telemetrytest.CallAttempts,
		play: func(w *world) { w.tried(httpClient, httpAttempt, "GET stock", nil, "attempts", 2) },
		want: []string{"has 0 attempts", `its line says "2"`},
	},
	{
		name: "one attempt told as several", rule: telemetrytest.CallAttempts,
		play: func(w *world) { w.tried(rpcClient, rpcAttempt, "shop.Order/Put", []int{0}, "attempts", 1) },
		want: []string{"has 1 attempt,", `its line says "1"`},
	},
	{
		name: "two attempts of one number", rule: telemetrytest.CallAttempts,
		play: func(w *world) {
			w.tried(rpcClient, rpcAttempt, "shop.Order/Put", []int{0, 1, 1}, "attempts", 3)
		},
		want: []string{"another attempt", "previous-rpc-attempts=1 too"},
	},
	{
		name: "degraded on the span alone", rule: telemetrytest.CallDegraded,
		play: func(w *world) {
			c := w.serve()
			c.span.SetAttributes(attribute.String("fairlead.degraded", "cached stock"))
			c.finish("OK")
		},
		want: []string{`fairlead.degraded="cached stock"`, `its line degraded=""`},
	},
	{
		name: "degraded in the line alone", rule: telemetrytest.CallDegraded,
		play: func(w *world) { w.serve().end("OK").count().lineAlso("degraded", "cached stock") },
		want: []string{`fairlead.degraded=""`, `its line degraded="cached stock"`},
	},
	{
		name: "degraded by another", rule: telemetrytest.CallDegraded,
		play: func(w *world) {
			c := w.begin(context.Background(), "gateway", httpClient, "GET stock")
			c.span.SetAttributes(attribute.String("fairlead.degraded", "cached stock"))
			c.end("200").count().lineAlso("degraded", "no stock")
		},
		want: []string{`="cached stock"`, `="no stock"`},
	},
}

var policyAllowances = []allowance{
	{
		name: "tried three times",
		play: func(w *world) {
			w.tried(rpcClient, rpcAttempt, "shop.Order/Put", []int{0, 1, 2}, "attempts", 3)
			w.tried(httpClient, httpAttempt, "GET stock", []int{1, 2, 3}, "attempts", 3)
		},
	},
	{
		name: "tried once",
		play: func(w *world) {
			w.tried(rpcClient, rpcAttempt, "shop.Order/Put", []int{0})
			w.tried(httpClient, httpAttempt, "GET stock", []int{1})
		},
	},
	{
		name: "a transparent retry",
		play: func(w *world) {
			c := w.begin(context.Background(), "gateway", rpcClient, "shop.Order/Put")
			for _, transparent := range []bool{false, true} {
				a := w.begin(c.ctx, "gateway", rpcAttempt, "shop.Order/Put")
				a.span.SetAttributes(attribute.Bool("transparent-retry", transparent))
				a.end("X").count()
			}
			c.finish("X")
		},
	},
	{
		name: "attempts of a call made for an attempt",
		play: func(w *world) {
			outer := w.begin(context.Background(), "gateway", rpcClient, "shop.Order/Put")
			attempt := w.begin(outer.ctx, "gateway", rpcAttempt, "shop.Order/Put")
			served := w.begin(attempt.ctx, "order", rpcServer, "shop.Order/Put")
			inner := w.begin(served.ctx, "order", rpcClient, "shop.Stock/Get")
			for n := range 2 {
				a := w.begin(inner.ctx, "order", rpcAttempt, "shop.Stock/Get")
				a.span.SetAttributes(attribute.Int("previous-rpc-attempts", n))
				a.end("X").count()
			}
			inner.end("X").count().lineAlso("attempts", 2)
			served.finish("X")
			attempt.end("X").count()
			outer.finish("X")
		},
	},
	{
		name: "an attempt of a call that has no span, for a call that has one",
		play: func(w *world) {
			outer := w.begin(context.Background(), "gateway", rpcClient, "shop.Order/Put")
			served := w.begin(outer.ctx, "order", rpcServer, "shop.Order/Put")
			for range 2 {
				w.begin(served.ctx, "order", rpcAttempt, "shop.Stock/Get").end("X").count()
			}
			served.finish("X")
			outer.finish("X")
		},
	},
	{
		name: "an attempt below another kind of call",
		play: func(w *world) {
			c := w.begin(context.Background(), "gateway", httpClient, "GET stock")
			for range 2 {
				w.begin(c.ctx, "gateway", rpcAttempt, "shop.Stock/Get").end("X").count()
			}
			c.finish("200")
		},
	},
	{
		name: "degraded",
		play: func(w *world) {
			c := w.serve()
			c.span.SetAttributes(attribute.String("fairlead.degraded", "cached stock"))
			c.end("OK").count().lineAlso("degraded", "cached stock")
		},
	},
}
