// SPDX-License-Identifier: Apache-2.0

package record_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"os"

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
