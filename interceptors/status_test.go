// SPDX-License-Identifier: Apache-2.0

package interceptors_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	otelcodes "go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"

	"github.com/fairlead-go/fairlead/ctxutil"
	"github.com/fairlead-go/fairlead/interceptors"
	"github.com/fairlead-go/fairlead/record"
	"github.com/fairlead-go/fairlead/resilience"
)

// codeRows is what each status code means.
var codeRows = []struct {
	code        codes.Code
	name        string
	outcome     resilience.Outcome
	serverFault bool // marks the server's span, by the semantic conventions
	serverLevel string
	clientLevel string
}{
	{codes.OK, "OK", resilience.OutcomeOK, false, "INFO", "DEBUG"},
	{codes.Canceled, "CANCELLED", resilience.OutcomeCanceled, false, "INFO", "INFO"},
	{codes.Unknown, "UNKNOWN", resilience.OutcomeServerFault, true, "ERROR", "WARN"},
	{codes.InvalidArgument, "INVALID_ARGUMENT", resilience.OutcomeClientFault, false, "INFO", "WARN"},
	{codes.DeadlineExceeded, "DEADLINE_EXCEEDED", resilience.OutcomeCallerDeadline, true, "WARN", "WARN"},
	{codes.NotFound, "NOT_FOUND", resilience.OutcomeClientFault, false, "INFO", "WARN"},
	{codes.AlreadyExists, "ALREADY_EXISTS", resilience.OutcomeClientFault, false, "INFO", "WARN"},
	{codes.PermissionDenied, "PERMISSION_DENIED", resilience.OutcomeClientFault, false, "INFO", "WARN"},
	{codes.ResourceExhausted, "RESOURCE_EXHAUSTED", resilience.OutcomeOverload, false, "WARN", "WARN"},
	{codes.FailedPrecondition, "FAILED_PRECONDITION", resilience.OutcomeClientFault, false, "INFO", "WARN"},
	{codes.Aborted, "ABORTED", resilience.OutcomeTransient, false, "WARN", "WARN"},
	{codes.OutOfRange, "OUT_OF_RANGE", resilience.OutcomeClientFault, false, "INFO", "WARN"},
	{codes.Unimplemented, "UNIMPLEMENTED", resilience.OutcomeClientFault, true, "INFO", "WARN"},
	{codes.Internal, "INTERNAL", resilience.OutcomeServerFault, true, "ERROR", "WARN"},
	{codes.Unavailable, "UNAVAILABLE", resilience.OutcomeTransient, true, "WARN", "WARN"},
	{codes.DataLoss, "DATA_LOSS", resilience.OutcomeServerFault, true, "ERROR", "WARN"},
	{codes.Unauthenticated, "UNAUTHENTICATED", resilience.OutcomeClientFault, false, "INFO", "WARN"},
	{codes.Code(17), "_OTHER", resilience.OutcomeServerFault, true, "ERROR", "WARN"},
	{codes.Code(42), "_OTHER", resilience.OutcomeServerFault, true, "ERROR", "WARN"},
	{codes.Code(1 << 31), "_OTHER", resilience.OutcomeServerFault, true, "ERROR", "WARN"},
}

func TestOutcomeOf(t *testing.T) {
	for _, row := range codeRows {
		if got := interceptors.OutcomeOf(row.code); got != row.outcome {
			t.Errorf("OutcomeOf(%v) = %v, want %v", row.code, got, row.outcome)
		}
	}
}

// TestEveryCode on both sides.
func TestEveryCode(t *testing.T) {
	for _, row := range codeRows {
		t.Run(row.name, func(t *testing.T) {
			outcome := row.outcome
			if row.code == codes.DeadlineExceeded { // there was none of the caller's
				outcome = resilience.OutcomeTimeout
			}
			tel := newTelemetry(t, sdktrace.AlwaysSample())
			client := recorded(t, tel, &service{handle: func(context.Context) error {
				if row.code == codes.OK {
					return nil
				}
				return status.Error(row.code, "why")
			}})
			if err := callUnary(t.Context(), client); status.Code(err) != row.code && row.code < 1<<31 {
				t.Fatalf("err = %v, want %v", err, row.code)
			}
			for _, side := range []struct {
				name   string
				kind   trace.SpanKind
				failed bool
				level  string
			}{
				{"server", trace.SpanKindServer, row.serverFault, row.serverLevel},
				{"client", trace.SpanKindClient, row.code != codes.OK, row.clientLevel},
			} {
				if row.code == 1<<31 && side.name == "client" {
					continue // grpc-go has its own view of a status that is no int32
				}
				span := tel.one(t, side.kind)
				if got := span.Status().Code == otelcodes.Error; got != side.failed {
					t.Errorf("%s span failed: %v, want %v", side.name, got, side.failed)
				}
				if got := attrsOf(span)["rpc.response.status_code"].AsString(); got != row.name {
					t.Errorf("%s span: code %q, want %q", side.name, got, row.name)
				}
				checkLine(t, tel.logs.withMessage(t, "rpc "+side.name+" call"), map[string]any{
					"rpc.response.status_code": row.name, "outcome": orNil(outcome.String()), "level": side.level,
				})
			}
		})
	}
}

// statusError is an error of somebody's that says what gRPC is to make of it.
type statusError struct{ st *status.Status }

func (statusError) Error() string                { return "somebody's error" }
func (e statusError) GRPCStatus() *status.Status { return e.st }

// answerError is an answer over another protocol.
type answerError struct{ outcome resilience.Outcome }

func (answerError) Error() string                 { return "10.0.0.7:80 answered" }
func (e answerError) Outcome() resilience.Outcome { return e.outcome }

// TestErrorToStatus: what the peer gets for what a handler returns.
func TestErrorToStatus(t *testing.T) {
	detailed, err := status.New(codes.InvalidArgument, "bad").WithDetails(&errdetails.ErrorInfo{Reason: "QUANTITY"})
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name    string
		err     error
		code    codes.Code
		message string
	}{
		{"a status", status.Error(codes.NotFound, "no such sku"), codes.NotFound, "no such sku"},
		{"a status, wrapped", fmt.Errorf("order: %w", status.Error(codes.NotFound, "no such sku")), codes.NotFound, "order: rpc error: code = NotFound desc = no such sku"},
		{"a status with details", detailed.Err(), codes.InvalidArgument, "bad"},
		{"a type of somebody's", statusError{status.New(codes.Aborted, "again")}, codes.Aborted, "again"},
		{"a type that says OK", statusError{status.New(codes.OK, "")}, codes.Unknown, "somebody's error"},
		{"a type that says nothing", statusError{}, codes.Unknown, "somebody's error"},
		{"no status", errors.New("disk on fire"), codes.Unknown, "disk on fire"},
		{"canceled", context.Canceled, codes.Canceled, "context canceled"},
		{"canceled, wrapped", fmt.Errorf("query at 10.0.0.7: %w", context.Canceled), codes.Canceled, "context canceled"},
		{"deadline", context.DeadlineExceeded, codes.DeadlineExceeded, "context deadline exceeded"},
		{"deadline, joined", errors.Join(errors.New("query"), context.DeadlineExceeded), codes.DeadlineExceeded, "context deadline exceeded"},
		{"our timeout, as cause", ctxutil.ErrTimeout, codes.DeadlineExceeded, "context deadline exceeded"},
		{"shutdown, as cause", ctxutil.ErrShutdown, codes.Canceled, "context canceled"},
		{"a budget spent below", &ctxutil.BudgetError{}, codes.DeadlineExceeded, "deadline budget exhausted"},
		{"another server is away", answerError{resilience.OutcomeTransient}, codes.Unavailable, "upstream unavailable"},
		{"another server has too much to do", fmt.Errorf("x: %w", answerError{resilience.OutcomeOverload}), codes.Unavailable, "upstream unavailable"},
		{"another server's time is over", answerError{resilience.OutcomeCallerDeadline}, codes.DeadlineExceeded, "upstream timed out"},
		{"another server's limit", answerError{resilience.OutcomeTimeout}, codes.DeadlineExceeded, "upstream timed out"},
		{"another server failed", answerError{resilience.OutcomeServerFault}, codes.Unknown, "upstream failed"},
		{"another server says that we are wrong", answerError{resilience.OutcomeClientFault}, codes.Internal, "internal error"},
	} {
		for _, kind := range callKinds {
			t.Run(tc.name+"/"+kind.name, func(t *testing.T) {
				tel := newTelemetry(t, sdktrace.AlwaysSample())
				cc := serve(t, &service{handle: func(context.Context) error { return tc.err }},
					interceptors.ServerOptions(interceptors.Record(tel.recorder)), nil)
				err := kind.call(t.Context(), testgrpc.NewTestServiceClient(cc))
				st := status.Convert(err)
				if st.Code() != tc.code || st.Message() != tc.message {
					t.Errorf("the peer got %v %q, want %v %q", st.Code(), st.Message(), tc.code, tc.message)
				}
				if tc.name == "a status with details" && len(st.Details()) != 1 {
					t.Errorf("details %v, want those of the handler", st.Details())
				}
			})
		}
	}
}

// TestRefusedStatus: what a policy of this process refused is no fault of it, on
// either side and with whatever code, those that gRPC does not define included.
func TestRefusedStatus(t *testing.T) {
	for _, tc := range []struct {
		code    codes.Code
		outcome any
	}{
		{codes.OK, nil},
		{codes.ResourceExhausted, "rejected"},
		{codes.Unavailable, "rejected"},
		{codes.DeadlineExceeded, "rejected"},
		{codes.Unauthenticated, "rejected"},
		{codes.Code(17), "server_fault"},
		{codes.Code(42), "server_fault"},
	} {
		t.Run(tc.code.String(), func(t *testing.T) {
			client, server := newTelemetry(t, sdktrace.AlwaysSample()), newTelemetry(t, sdktrace.AlwaysSample())
			note := interceptors.ClientFuncs{Unary: func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
				record.FromContext(ctx).NoteRefused()
				return invoke(ctx, method, req, reply, cc, opts...)
			}}
			cc := serve(t, &service{handle: func(ctx context.Context) error {
				record.FromContext(ctx).NoteRefused()
				return status.Error(tc.code, "why")
			}}, interceptors.ServerOptions(interceptors.Record(server.recorder)), interceptors.DialOptions(interceptors.Record(client.recorder), note))
			if err := callUnary(t.Context(), testgrpc.NewTestServiceClient(cc)); status.Code(err) != tc.code {
				t.Fatalf("err = %v, want %v", err, tc.code)
			}
			checkLine(t, server.logs.withMessage(t, record.MessageRPCServer), map[string]any{"outcome": tc.outcome})
			checkLine(t, client.logs.withMessage(t, record.MessageRPCClient), map[string]any{"outcome": tc.outcome})
		})
	}
}
