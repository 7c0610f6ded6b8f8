// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"

	"github.com/fairlead-go/fairlead/ctxutil"
	"github.com/fairlead-go/fairlead/httpmw"
	"github.com/fairlead-go/fairlead/interceptors"
	"github.com/fairlead-go/fairlead/record"
)

// step is what is done with a request where it is.
type step func(ctx context.Context) error

// hop is a way from one place to another: build returns the step that takes a
// request there, to next.
type hop struct {
	name    string
	build   func(w *world, next step) step
	reserve time.Duration // what it holds back of the deadline
	loose   bool          // nobody waits: the caller's cancellation does not travel
	own     time.Duration // it has this deadline instead of the caller's
}

const reserve = ctxutil.DefaultReserve

var hops = []hop{
	{name: "HTTP/1.1", build: overHTTP(false), reserve: reserve},
	{name: "HTTP/2", build: overHTTP(true), reserve: reserve},
	{name: "gRPC unary", build: overGRPC(unary), reserve: reserve},
	{name: "gRPC stream", build: overGRPC(stream), reserve: reserve},
	{name: "Go", build: onGoroutine},
	{name: "Group", build: inGroup},
	{name: "Pool", build: inPool},
	{name: "queue", build: throughQueue, loose: true},
	{name: "Detach", build: detached, loose: true, own: time.Minute},
}

// tag returns a name for one more service.
func (w *world) tag(kind string) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.services++
	return fmt.Sprintf("%s-%d", kind, w.services)
}

func overHTTP(http2 bool, opts ...record.Option) func(*world, step) step {
	return func(w *world, next step) step {
		name := w.tag("http")
		rec := w.recorder(name, opts...)
		client, server := w.budgets()
		options := []httpmw.EndpointOption{httpmw.WithPlaintext()}
		if http2 {
			options = append(options, httpmw.WithH2C())
		}
		srv, err := httpmw.NewServer(":80", httpmw.Chain(handler(next),
			httpmw.Record(rec), httpmw.Recovery(), httpmw.Deadline(server)), serverOptions(options)...)
		if err != nil {
			w.t.Fatal(err)
		}
		lis, done := newPipes(), make(chan struct{})
		go func() {
			defer close(done)
			_ = httpmw.Serve(srv, lis)
		}()
		c, err := httpmw.NewClient(name, append(clientOptions(options),
			httpmw.WithTransports(httpmw.RecordTransport(rec, name), httpmw.DeadlineTransport(client)), httpmw.WithoutTimeout(),
			httpmw.WithDialContext(func(ctx context.Context, _, _ string) (net.Conn, error) { return lis.dial(ctx) }))...)
		if err != nil {
			w.t.Fatal(err)
		}
		w.t.Cleanup(func() {
			c.CloseIdleConnections()
			_ = srv.Close()
			<-done
		})
		return func(ctx context.Context) error {
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+name+"/", nil)
			if err != nil {
				return err
			}
			resp, err := c.Do(req)
			if err != nil {
				return err
			}
			defer resp.Body.Close()
			if _, err := io.Copy(io.Discard, resp.Body); err != nil {
				return err
			}
			if resp.StatusCode != http.StatusOK {
				return fmt.Errorf("%s answered %s", name, resp.Status)
			}
			return nil
		}
	}
}

func serverOptions(opts []httpmw.EndpointOption) []httpmw.ServerOption {
	out := []httpmw.ServerOption{httpmw.WithWriteTimeout(time.Hour), httpmw.WithReadTimeout(time.Hour)}
	for _, o := range opts {
		out = append(out, o)
	}
	return out
}

func clientOptions(opts []httpmw.EndpointOption) []httpmw.ClientOption {
	out := []httpmw.ClientOption{httpmw.WithResponseHeaderTimeout(time.Hour)}
	for _, o := range opts {
		out = append(out, o)
	}
	return out
}

// service hands calls of both kinds on.
type service struct {
	testgrpc.UnimplementedTestServiceServer
	next step
}

func (s *service) UnaryCall(ctx context.Context, _ *testgrpc.SimpleRequest) (*testgrpc.SimpleResponse, error) {
	return &testgrpc.SimpleResponse{}, s.next(ctx)
}

func (s *service) FullDuplexCall(ss testgrpc.TestService_FullDuplexCallServer) error {
	if _, err := ss.Recv(); err != nil {
		return err
	}
	return s.next(ss.Context())
}

func unary(ctx context.Context, c testgrpc.TestServiceClient) error {
	_, err := c.UnaryCall(ctx, &testgrpc.SimpleRequest{})
	return err
}

func stream(ctx context.Context, c testgrpc.TestServiceClient) error {
	s, err := c.FullDuplexCall(ctx)
	if err != nil {
		return err
	}
	if err := s.Send(&testgrpc.StreamingOutputCallRequest{}); err != nil && err != io.EOF {
		return err
	}
	if _, err := s.Recv(); err != io.EOF {
		return err
	}
	return nil
}

func overGRPC(call func(context.Context, testgrpc.TestServiceClient) error, opts ...record.Option) func(*world, step) step {
	return func(w *world, next step) step {
		name := w.tag("grpc")
		rec := w.recorder(name, opts...)
		client, server := w.budgets()
		srv := grpc.NewServer(interceptors.ServerOptions(
			interceptors.Record(rec), interceptors.Recovery(), interceptors.Deadline(server))...)
		testgrpc.RegisterTestServiceServer(srv, &service{next: next})
		lis, done := newPipes(), make(chan struct{})
		go func() {
			defer close(done)
			_ = srv.Serve(lis)
		}()
		cc, err := grpc.NewClient("passthrough:///"+name, append(
			interceptors.DialOptions(interceptors.Record(rec), interceptors.Deadline(client)),
			grpc.WithTransportCredentials(insecure.NewCredentials()),
			grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return lis.dial(ctx) }))...)
		if err != nil {
			w.t.Fatal(err)
		}
		w.t.Cleanup(func() {
			_ = cc.Close()
			srv.Stop()
			<-done
		})
		return func(ctx context.Context) error { return call(ctx, testgrpc.NewTestServiceClient(cc)) }
	}
}

// handed returns next as work whose end the returned function waits for. What
// next returns is the way's business and not the work's.
func handed(next step) (work, wait step) {
	done := make(chan error, 1)
	return func(ctx context.Context) error { done <- next(ctx); return nil },
		func(context.Context) error { return <-done }
}

func onGoroutine(_ *world, next step) step {
	return func(ctx context.Context) error {
		work, wait := handed(next)
		ctxutil.Go(ctx, "work", work)
		return wait(ctx)
	}
}

func inGroup(_ *world, next step) step {
	return func(ctx context.Context) error {
		g, _ := ctxutil.NewGroup(ctx, "part")
		g.Go(next)
		return g.Wait()
	}
}

func inPool(w *world, next step) step {
	pool, err := ctxutil.NewPool("task", 2, 2)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = pool.Close(context.Background()) })
	return func(ctx context.Context) error {
		work, wait := handed(next)
		if err := pool.Submit(ctx, work); err != nil {
			return err
		}
		return wait(ctx)
	}
}

func detached(_ *world, next step) step {
	return func(ctx context.Context) error {
		work, wait := handed(next)
		ctxutil.Detach(ctx, "afterwards", time.Minute, work)
		return wait(ctx)
	}
}

// throughQueue sends the request's envelope as JSON to a consumer that knows
// nothing else of it.
func throughQueue(w *world, next step) step {
	return func(ctx context.Context) error {
		deadline, _ := ctx.Deadline()
		message, err := json.Marshal(ctxutil.Pack(ctx).WithDeadline(deadline))
		if err != nil {
			return err
		}
		work, wait := handed(next)
		go func() {
			var e ctxutil.Envelope
			_ = json.Unmarshal(message, &e)
			_ = e.Do(context.Background(), "consume", work, ctxutil.WithForward(w.forward), ctxutil.WithTracerProvider(w.tracer))
		}()
		return wait(ctx)
	}
}
