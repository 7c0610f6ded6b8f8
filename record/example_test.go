// SPDX-License-Identifier: Apache-2.0

package record_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"os"
	"strings"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/fairlead-go/fairlead/ctxutil"
	"github.com/fairlead-go/fairlead/metrics"
	"github.com/fairlead-go/fairlead/record"
	"github.com/fairlead-go/fairlead/resilience"
)

// An adapter for a protocol of one's own: the record is the context of the
// handler, and is finished with a status.
func ExampleRecorder() {
	noClock := func(_ []string, a slog.Attr) slog.Attr {
		switch a.Key {
		case slog.TimeKey, record.DurationKey, "span_id":
			return slog.Attr{}
		}
		return a
	}
	rec, err := record.New(record.WithLogger(slog.New(
		slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{ReplaceAttr: noClock}))))
	if err != nil {
		log.Fatal(err)
	}
	method := rec.RPCServerMethod("/shop.Stock/Reserve", metrics.Unary)
	notFound := record.NewRPCStatus(true, 5, resilience.OutcomeClientFault)

	handle := func(ctx context.Context) error {
		ctxutil.Add(ctx, slog.String("sku", "mug"))
		return errors.New("no such sku")
	}

	call := rec.StartRPCServer(context.Background(), method, record.Incoming{
		Traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
		RequestID:   "req-7",
	}, nil, nil)
	err = handle(call)
	call.FinishRPC(notFound, err.Error())

	fmt.Println(call.TraceID())
	// Output:
	// level=INFO msg="rpc server call" trace_id=0af7651916cd43dd8448eb211c80319c rpc.method=shop.Stock/Reserve rpc.response.status_code=NOT_FOUND request_id=req-7 outcome=client_fault error="no such sku" sku=mug
	// 0af7651916cd43dd8448eb211c80319c
}

// Who is allowed to be told, and what travels along, is decided once.
func ExampleNew() {
	forward, err := ctxutil.NewForward([]string{"x-tenant-id"})
	if err != nil {
		log.Fatal(err)
	}
	rec, err := record.New(
		record.WithIngress(ctxutil.Public),           // strangers call: a new trace, linked to theirs
		record.WithEgress(ctxutil.InternalHosts()),   // outsiders are told nothing
		record.WithForward(forward),                  // the tenant goes along
		record.WithQuiet("/livez", "shop.Internal/"), // success is not worth a line
	)
	fmt.Println(rec != nil, err)
	// Output: true <nil>
}

// An adapter that tries again: each try is a span below the call's and an
// observation of its own, and is sent with its own identity.
func ExampleCall_StartAttempt() {
	rec, err := record.New(record.WithLogger(requestLog()))
	if err != nil {
		log.Fatal(err)
	}
	ok := record.NewRPCStatus(false, 0, resilience.OutcomeOK)
	unavailable := record.NewRPCStatus(false, 14, resilience.OutcomeTransient)
	send := func(_ context.Context, traceparent string, try int) error {
		if try < 3 {
			return errors.New("not yet")
		}
		return nil
	}

	call := rec.StartRPCClient(context.Background(), rec.RPCClientMethod("/shop.Stock/Reserve", "dns:///stock:443", metrics.Unary))
	for try := 1; ; try++ {
		ctx, attempt := call.StartAttempt(call)
		attempt.Begin(false)
		out := call.Outgoing()
		if own := attempt.Outgoing(); own.Traceparent != "" {
			out.Traceparent, out.Tracestate = own.Traceparent, own.Tracestate
		}
		if err := send(ctx, out.Traceparent, try); err != nil {
			attempt.Finish(unavailable, err.Error())
			continue
		}
		attempt.Finish(ok, "")
		break
	}
	call.FinishRPC(ok, "")
	// Output:
	// level=DEBUG msg="rpc client call" rpc.method=shop.Stock/Reserve rpc.response.status_code=OK attempts=3
}

// What policies decide is on the record of the call that they decide upon.
func ExamplePolicyEvents() {
	spans := tracetest.NewSpanRecorder()
	rec, err := record.New(
		record.WithTracerProvider(sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans))),
		record.WithLogger(requestLog()))
	if err != nil {
		log.Fatal(err)
	}
	observer := record.PolicyEvents() // for the WithObserver of every policy

	call := rec.StartRPCClient(context.Background(), rec.RPCClientMethod("/shop.Stock/Reserve", "dns:///stock:443", metrics.Unary))
	observer.Attempted(call, resilience.Attempt{
		Policy: resilience.PolicyRetry, Name: "stock", Number: 1, Max: 3,
		Outcome: resilience.OutcomeTransient, Again: true, Backoff: 40 * time.Millisecond, Budget: 6,
	})
	observer.Attempted(call, resilience.Attempt{
		Policy: resilience.PolicyRetry, Name: "stock", Number: 2, Max: 3,
		Outcome: resilience.OutcomeTransient, Reason: "retry budget exhausted",
	})
	call.FinishRPC(record.NewRPCStatus(false, 14, resilience.OutcomeTransient), "not yet")

	for _, e := range spans.Ended()[0].Events() {
		fmt.Print(e.Name)
		for _, kv := range e.Attributes {
			fmt.Printf(" %s=%s", strings.TrimPrefix(string(kv.Key), "fairlead."), kv.Value.Emit())
		}
		fmt.Println()
	}
	// Output:
	// level=WARN msg="rpc client call" rpc.method=shop.Stock/Reserve rpc.response.status_code=UNAVAILABLE error.type=UNAVAILABLE retry_reason="retry budget exhausted" outcome=transient error="not yet"
	// retry policy.name=stock attempt=1 max_attempts=3 outcome=transient backoff_ms=40 budget_remaining=6
	// retry policy.name=stock attempt=2 max_attempts=3 outcome=transient reason=retry budget exhausted budget_remaining=0
}

// A reply that stood in for what failed is known as such, and the server whose
// reply has it in it tells its caller.
func ExampleDegrade() {
	rec, err := record.New(record.WithLogger(requestLog()))
	if err != nil {
		log.Fatal(err)
	}
	ok := record.NewRPCStatus(false, 0, resilience.OutcomeOK)

	server := rec.StartRPCServer(context.Background(), rec.RPCServerMethod("/shop.Order/Get", metrics.Unary), record.Incoming{}, nil, nil)
	client := rec.StartRPCClient(server, rec.RPCClientMethod("/shop.Stock/Level", "dns:///stock:443", metrics.Unary))
	record.Degrade(client, "cached stock level")
	client.FinishRPC(ok, "")
	fmt.Println("x-degraded:", server.Degraded() != "")
	server.FinishRPC(ok, "")
	// Output:
	// level=DEBUG msg="rpc client call" rpc.method=shop.Stock/Level rpc.response.status_code=OK degraded="cached stock level"
	// x-degraded: true
	// level=INFO msg="rpc server call" rpc.method=shop.Order/Get rpc.response.status_code=OK degraded="cached stock level"
}

// requestLog prints the request log without what is different each time.
func requestLog() *slog.Logger {
	return slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{
		Level: slog.LevelDebug,
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			switch a.Key {
			case slog.TimeKey, record.DurationKey, "trace_id", "span_id":
				return slog.Attr{}
			}
			return a
		},
	}))
}
