// SPDX-License-Identifier: Apache-2.0

package interceptors_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	"github.com/fairlead-go/fairlead/ctxutil"
	"github.com/fairlead-go/fairlead/interceptors"
	"github.com/fairlead-go/fairlead/record"
)

// newRecorder writes the request log to standard output, without what differs
// from run to run.
func newRecorder() *record.Recorder {
	fixed := func(_ []string, a slog.Attr) slog.Attr {
		switch a.Key {
		case slog.TimeKey, record.DurationKey, "span_id", "trace_id", "peer", "request_bytes", "response_bytes", "deadline_left_ms":
			return slog.Attr{}
		}
		return a
	}
	rec, err := record.New(record.WithLogger(slog.New(
		slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{ReplaceAttr: fixed}))))
	if err != nil {
		log.Fatal(err)
	}
	return rec
}

// greeter serves the unary call of the examples, and a client's stream.
type greeter struct {
	testgrpc.UnimplementedTestServiceServer
	answer func(ctx context.Context) error
}

func (g greeter) UnaryCall(ctx context.Context, _ *testgrpc.SimpleRequest) (*testgrpc.SimpleResponse, error) {
	return &testgrpc.SimpleResponse{}, g.answer(ctx)
}

func (g greeter) StreamingInputCall(ss testgrpc.TestService_StreamingInputCallServer) error {
	for {
		if _, err := ss.Recv(); err != nil {
			break
		}
	}
	if err := g.answer(ss.Context()); err != nil {
		return err
	}
	return ss.SendAndClose(&testgrpc.StreamingInputCallResponse{})
}

// connect serves in memory, and returns a connection to what is served and what
// ends both.
func connect(srv *grpc.Server, answer func(context.Context) error, opts ...grpc.DialOption) (testgrpc.TestServiceClient, func()) {
	testgrpc.RegisterTestServiceServer(srv, greeter{answer: answer})
	lis := bufconn.Listen(1 << 16)
	done := make(chan struct{})
	go func() { _ = srv.Serve(lis); close(done) }()
	cc, err := grpc.NewClient("passthrough:///greeter", append(opts,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return lis.DialContext(ctx) }))...)
	if err != nil {
		log.Fatal(err)
	}
	return testgrpc.NewTestServiceClient(cc), func() { _ = cc.Close(); srv.Stop(); <-done }
}

// As a shelf: one interceptor in a server that exists already.
func ExampleRecord() {
	r := interceptors.Record(newRecorder())
	srv := grpc.NewServer(
		grpc.ChainUnaryInterceptor(r.UnaryServer() /* , yours, … */),
		grpc.ChainStreamInterceptor(r.StreamServer() /* , yours, … */))

	client, stop := connect(srv, func(ctx context.Context) error {
		ctxutil.Add(ctx, slog.String("order_id", "o-17"))
		return status.Error(codes.NotFound, "no such order")
	})
	defer stop()
	ctx := metadata.AppendToOutgoingContext(context.Background(), "x-request-id", "req-7")
	_, err := client.UnaryCall(ctx, &testgrpc.SimpleRequest{})
	fmt.Println(err)
	// Output:
	// level=INFO msg="rpc server call" rpc.method=grpc.testing.TestService/UnaryCall rpc.response.status_code=NOT_FOUND request_id=req-7 outcome=client_fault error="no such order" order_id=o-17
	// rpc error: code = NotFound desc = no such order
}

// As a set: record, recovery and deadline on a server, record and deadline on a
// connection, all for unary calls and streams alike.
func ExampleServerOptions() {
	rec := newRecorder()
	enforce, err := ctxutil.NewBudget(ctxutil.WithReserve(0), ctxutil.WithMaxTimeout(10*time.Second))
	if err != nil {
		log.Fatal(err)
	}
	spend, err := ctxutil.NewBudget(ctxutil.WithDefaultTimeout(2 * time.Second))
	if err != nil {
		log.Fatal(err)
	}
	srv := grpc.NewServer(interceptors.ServerOptions(
		interceptors.Record(rec), interceptors.Recovery(), interceptors.Deadline(enforce))...)

	client, stop := connect(srv, func(ctx context.Context) error {
		_, bounded := ctx.Deadline()
		fmt.Println("the handler has a deadline:", bounded)
		return nil
	}, interceptors.DialOptions(interceptors.Record(rec), interceptors.Deadline(spend))...)
	defer stop()
	_, err = client.UnaryCall(context.Background(), &testgrpc.SimpleRequest{})
	fmt.Println(err)
	// Output:
	// the handler has a deadline: true
	// level=INFO msg="rpc server call" rpc.method=grpc.testing.TestService/UnaryCall rpc.response.status_code=OK
	// <nil>
}

// Interceptors of others stand in the same chain, where they were put.
func ExampleServerFuncs() {
	onlyFriends := interceptors.ServerFuncs{
		Unary: func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
			if len(metadata.ValueFromIncomingContext(ctx, "authorization")) == 0 {
				return nil, status.Error(codes.Unauthenticated, "who are you?")
			}
			return next(ctx, req)
		},
	}
	srv := grpc.NewServer(interceptors.ServerOptions(
		interceptors.Record(newRecorder()), interceptors.Recovery(), onlyFriends)...)

	client, stop := connect(srv, func(context.Context) error { return nil })
	defer stop()
	_, err := client.UnaryCall(context.Background(), &testgrpc.SimpleRequest{})
	fmt.Println(err)
	// Output:
	// level=INFO msg="rpc server call" rpc.method=grpc.testing.TestService/UnaryCall rpc.response.status_code=UNAUTHENTICATED outcome=client_fault error="who are you?"
	// rpc error: code = Unauthenticated desc = who are you?
}

// A panic is the log's and the span's business, not the peer's.
func ExampleRecovery() {
	brief := slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey || a.Key == "stack" {
			return slog.Attr{}
		}
		return a
	}}))
	recovery := interceptors.Recovery(interceptors.WithPanicLogger(brief)) // without a record it logs itself
	srv := grpc.NewServer(grpc.ChainUnaryInterceptor(recovery.UnaryServer()))

	client, stop := connect(srv, func(context.Context) error { panic("index out of range") })
	defer stop()
	_, err := client.UnaryCall(context.Background(), &testgrpc.SimpleRequest{})
	fmt.Println(err)
	// Output:
	// level=ERROR msg="panic recovered" panic="index out of range"
	// rpc error: code = Internal desc = internal error
}

// A call whose deadline leaves no time to answer is not sent at all.
func ExampleDeadline() {
	spend, err := ctxutil.NewBudget(ctxutil.WithReserve(time.Minute))
	if err != nil {
		log.Fatal(err)
	}
	limit := interceptors.Deadline(spend)
	client, stop := connect(grpc.NewServer(), func(context.Context) error {
		fmt.Println("never reached")
		return nil
	}, grpc.WithChainUnaryInterceptor(limit.UnaryClient()), grpc.WithChainStreamInterceptor(limit.StreamClient()))
	defer stop()

	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_, err = client.UnaryCall(ctx, &testgrpc.SimpleRequest{})
	fmt.Println(status.Code(err), errors.Is(err, ctxutil.ErrBudgetExhausted))
	// Output: DeadlineExceeded true
}

// A connection that is ready, or says in time why it is not.
func ExampleNewClient() {
	srv, err := interceptors.NewServer(interceptors.WithPlaintext())
	if err != nil {
		log.Fatal(err)
	}
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	done := make(chan struct{})
	go func() { _ = srv.Serve(lis); close(done) }()
	defer func() { srv.Stop(); <-done }()

	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	for _, security := range []interceptors.ClientOption{
		interceptors.WithConnectTimeout(5 * time.Second), // TLS, which is the default
		interceptors.WithPlaintext(),
	} {
		inventory, err := interceptors.NewClient(lis.Addr().String(), security)
		if err != nil {
			log.Fatal(err)
		}
		err = inventory.WaitReady(ctx)
		fmt.Println("ready:", err == nil, "- in time:", ctx.Err() == nil)
		_ = inventory.Close()
	}
	// Output:
	// ready: false - in time: true
	// ready: true - in time: true
}

// Messages are logged for the request that asks for it, without secrets.
func ExamplePayloadLog() {
	out := slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{Level: slog.LevelDebug, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}))
	show := interceptors.PayloadLog(out)
	srv := grpc.NewServer(grpc.ChainUnaryInterceptor(show.UnaryServer()))
	client, stop := connect(srv, func(context.Context) error { return nil })
	defer stop()
	_, _ = client.UnaryCall(context.Background(), &testgrpc.SimpleRequest{
		ResponseSize: 3, Payload: &testgrpc.Payload{Body: []byte("hi")},
	})
	// Output:
	// level=DEBUG msg="rpc message" rpc.method=grpc.testing.TestService/UnaryCall side=server direction=received message_type=grpc.testing.SimpleRequest bytes=8 payload.payload.body="aGk=" payload.response_size=3
	// level=DEBUG msg="rpc message" rpc.method=grpc.testing.TestService/UnaryCall side=server direction=sent message_type=grpc.testing.SimpleResponse bytes=0
}

// Under gRPC's own retries a call is one record; with GRPCAttempts its line says how
// many it took, and each has a span.
func ExampleGRPCAttempts() {
	rec := newRecorder()
	refusals := 2
	client, stop := connect(grpc.NewServer(), func(context.Context) error {
		if refusals--; refusals >= 0 {
			return status.Error(codes.Unavailable, "later")
		}
		return status.Error(codes.FailedPrecondition, "sold out")
	}, append(interceptors.DialOptions(interceptors.Record(rec)),
		interceptors.GRPCAttempts(rec),
		grpc.WithDefaultServiceConfig(`{"methodConfig": [{"name": [{}], "retryPolicy": {
			"maxAttempts": 4, "initialBackoff": "0.01s", "maxBackoff": "0.01s", "backoffMultiplier": 1,
			"retryableStatusCodes": ["UNAVAILABLE"]}}]}`))...)
	defer stop()
	_, err := client.UnaryCall(context.Background(), &testgrpc.SimpleRequest{})
	fmt.Println(err)
	// Output:
	// level=WARN msg="rpc client call" rpc.method=grpc.testing.TestService/UnaryCall rpc.response.status_code=FAILED_PRECONDITION attempts=3 error.type=FAILED_PRECONDITION outcome=client_fault error="sold out"
	// rpc error: code = FailedPrecondition desc = sold out
}

// otelgrpc makes the spans, where it has to: everything else stays as it is.
func ExampleWithOTelGRPC() {
	r := interceptors.Record(newRecorder(), interceptors.WithOTelGRPC( /* otelgrpc.WithFilter(…), … */ ))
	srv := grpc.NewServer(interceptors.ServerOptions(r, interceptors.Recovery())...)
	client, stop := connect(srv, func(context.Context) error { return nil }, interceptors.DialOptions(r)...)
	defer stop()
	_, err := client.UnaryCall(context.Background(), &testgrpc.SimpleRequest{})
	fmt.Println(err)
	// Output:
	// level=INFO msg="rpc server call" rpc.method=grpc.testing.TestService/UnaryCall rpc.response.status_code=OK
	// <nil>
}
